use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::IsTerminal as _;

use crate::document::PartitionDocument;
use crate::failure::Failure;
use crate::output;

/// From a partition without rows to the largest.
const SHADES: [&str; 5] = ["··", "░░", "▒▒", "▓▓", "██"];
/// The same in colours of the 256-colour palette, from cold to hot.
const COLOURS: [u8; 5] = [240, 33, 40, 220, 196];
/// A month that is not there.
const NOTHING: &str = "  ";
/// Widest name of a tenant, in characters.
const TENANT_CHARS_MAX: usize = 24;

/// Prints a line a tenant and a column a month, each cell shaded by the size of the partition.
pub(super) fn print(partitions: &[PartitionDocument]) -> Result<(), Failure> {
    let colours = std::io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    HeatMap::new(partitions).lines(colours).iter().try_for_each(|line| output::line(line))
}

struct HeatMap {
    /// `YYYY-MM`.
    months: BTreeSet<String>,
    /// Bytes by tenant and month; two tables of one month are added up.
    tenants: BTreeMap<String, BTreeMap<String, i64>>,
    least: i64,
    greatest: i64,
}

impl HeatMap {
    fn new(partitions: &[PartitionDocument]) -> Self {
        let mut months = BTreeSet::new();
        let mut tenants: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for partition in partitions {
            let Some(month) = partition.range_start.as_deref().and_then(|start| start.get(..7)) else {
                continue;
            };
            months.insert(month.to_owned());
            let cells = tenants.entry(output::cell(&partition.tenant_id)).or_default();
            *cells.entry(month.to_owned()).or_default() += partition.total_bytes;
        }
        let sizes = || tenants.values().flat_map(BTreeMap::values).copied();
        let (least, greatest) = (sizes().min().unwrap_or_default(), sizes().max().unwrap_or_default());
        Self { months, tenants, least, greatest }
    }

    fn lines(&self, colours: bool) -> Vec<String> {
        if self.tenants.is_empty() {
            return vec!["no partitions".to_owned()];
        }
        let width = self.tenants.keys().map(|name| name.chars().count()).max().unwrap_or_default();
        let width = width.min(TENANT_CHARS_MAX);
        let mut lines = vec![self.years(width), self.month_numbers(width)];
        for (tenant, cells) in &self.tenants {
            let mut line = format!("{:<width$}", clip(tenant));
            for month in &self.months {
                line.push(' ');
                match cells.get(month) {
                    Some(bytes) => line.push_str(&shaded(self.shade(*bytes), colours)),
                    None => line.push_str(NOTHING),
                }
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.push(String::new());
        lines.push(self.legend(colours));
        lines
    }

    /// The year above its first month.
    fn years(&self, width: usize) -> String {
        let mut line = " ".repeat(width);
        let mut last = "";
        for (columns, month) in self.months.iter().enumerate() {
            let year = &month[..4];
            if year != last {
                let begin = width + 1 + 3 * columns;
                // A year whose only month is the last of the row before it has no room for its name.
                if line.chars().count() < begin {
                    line.push_str(&" ".repeat(begin - line.chars().count()));
                    line.push_str(year);
                }
                last = year;
            }
        }
        line
    }

    fn month_numbers(&self, width: usize) -> String {
        let numbers = self.months.iter().map(|month| format!(" {}", &month[5..]));
        format!("{}{}", " ".repeat(width), numbers.collect::<String>())
    }

    /// Which shade a size has. Sizes of partitions differ by powers of ten, so their logarithm is divided.
    fn shade(&self, bytes: i64) -> usize {
        let scale = |bytes: i64| (bytes.max(1) as f64).ln();
        let range = scale(self.greatest) - scale(self.least);
        if range <= 0.0 {
            return 0;
        }
        let part = (scale(bytes) - scale(self.least)) / range;
        ((part * SHADES.len() as f64) as usize).min(SHADES.len() - 1)
    }

    fn legend(&self, colours: bool) -> String {
        let scale = |bytes: i64| (bytes.max(1) as f64).ln();
        let step = (scale(self.greatest) - scale(self.least)) / SHADES.len() as f64;
        let mut shown = Vec::new();
        for index in 0..SHADES.len() {
            let from = (scale(self.least) + step * index as f64).exp().round() as i64;
            shown.push(format!("{} from {}", shaded(index, colours), output::bytes(from)));
            if step <= 0.0 {
                break;
            }
        }
        format!("{}, up to {}", shown.join("  "), output::bytes(self.greatest))
    }
}

fn shaded(shade: usize, colours: bool) -> String {
    if colours {
        format!("\u{1b}[38;5;{}m{}\u{1b}[0m", COLOURS[shade], SHADES[shade])
    } else {
        SHADES[shade].to_owned()
    }
}

fn clip(tenant: &str) -> String {
    if tenant.chars().count() <= TENANT_CHARS_MAX {
        return tenant.to_owned();
    }
    tenant.chars().take(TENANT_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(tenant: &str, month: &str, total_bytes: i64) -> PartitionDocument {
        PartitionDocument {
            tenant_id: tenant.to_owned(),
            partition_name: String::new(),
            range_start: Some(format!("{month}-01T00:00:00Z")),
            range_end: None,
            state: "attached",
            drop_after: None,
            rows_estimated: None,
            heap_bytes: 0,
            index_bytes: 0,
            total_bytes,
        }
    }

    #[test]
    fn a_map_has_a_line_a_tenant_and_a_column_a_month_shaded_by_size() {
        let map = HeatMap::new(&[
            partition("a", "2025-12", 1 << 10),
            partition("a", "2026-02", 1 << 30),
            partition("b", "2026-01", 1 << 20),
            partition("b", "2026-02", 1 << 10),
        ]);
        let lines = map.lines(false);
        assert_eq!(lines[0], "  2025");
        assert_eq!(lines[1..4], ["  12 01 02", "a ··    ██", "b    ▒▒ ··"]);
        assert!(lines[5].ends_with("up to 1.0 GiB"), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
        assert!(map.lines(true)[2].contains("\u{1b}[38;5;196m██\u{1b}[0m"));
    }

    #[test]
    fn an_empty_map_and_one_of_a_single_size_are_no_trouble() {
        assert_eq!(HeatMap::new(&[]).lines(true), ["no partitions"]);
        let lines = HeatMap::new(&[partition(&"x".repeat(80), "2026-01", 0)]).lines(false);
        assert_eq!(lines[2], format!("{}… ··", "x".repeat(TENANT_CHARS_MAX - 1)));
    }
}
