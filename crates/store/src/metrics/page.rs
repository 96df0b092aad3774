use std::fmt::Write as _;

use super::{ALL, Kind, Metric};

const HEAD: &str = "\
# Metrics

At `/metrics` of the [operations port](operations/probes-and-shutdown.md), in the text format of Prometheus. This page is
printed by `partita reference metrics`, from the list that the program records by; a test keeps both equal. Names of
calls and of the database follow the conventions of OpenTelemetry. No label holds a tenant, an id or event data.

| metric | kind | labels | meaning |
|---|---|---|---|
";

/// The page of reference, in Markdown.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for metric in ALL {
        // A String takes whatever is written to it.
        let _whole = writeln!(page, "{}", row(metric));
    }
    page
}

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.description)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_of_reference_is_what_the_program_prints() {
        let documented = include_str!("../../../../docs/metrics.md");
        assert_eq!(documented, page(), "print it anew: partita reference metrics > docs/metrics.md");
    }

    #[test]
    fn names_are_unique_and_say_their_unit() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            let counts = metric.name.ends_with("_total");
            assert_eq!(counts, metric.kind == Kind::Counter, "{}", metric.name);
            assert!(!metric.description.contains('|'), "{}", metric.name);
        }
    }

    #[test]
    fn buckets_rise() {
        for metric in ALL {
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted(), "{}", metric.name);
            }
        }
    }
}
