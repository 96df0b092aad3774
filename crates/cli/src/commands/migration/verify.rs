use clap::Args;
use partita_migration::{Migration, Mismatch, VerifyOptions, VerifyReport, VerifySummary};
use partita_model::TenantId;
use serde::Serialize;
use tokio::sync::mpsc;

use super::lists::{MismatchDocument, mismatch_row};
use super::progress::Bar;
use super::{failure, parse_tenant};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Differences that are printed; `mismatches` lists all that were written down.
const PRINTED_MAX: usize = 100;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// One tenant; without it all of them
    #[arg(long, value_parser = parse_tenant)]
    tenant: Option<TenantId>,
    /// Look at so many percent of the months, drawn at random; below 100 no tenant counts as verified
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = parse_percent)]
    sample: f64,
    /// Months that are read at a time
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
}

#[derive(Debug, Serialize)]
struct VerifyDocument {
    tenants: u64,
    tenants_verified: u64,
    units: u64,
    units_differing: u64,
    rows: u64,
    differences: u64,
    streams_with_gaps: u64,
    quarantined: u64,
    unreadable: Vec<String>,
    mismatches: Vec<MismatchDocument>,
}

/// What came in while it went on.
#[derive(Debug, Default)]
struct Seen {
    units: u64,
    done: u64,
    rows: u64,
    mismatches: Vec<Mismatch>,
    unreadable: Vec<String>,
}

pub(super) async fn run(args: VerifyArgs, migration: &Migration, format: Format) -> Result<(), Failure> {
    let options = VerifyOptions { tenant: args.tenant, sample_percent: args.sample, workers: args.workers };
    let (reports, mut incoming) = mpsc::channel(64);
    let work = async move { migration.verify(&options, &reports).await };
    let watch = async {
        let (mut seen, mut bar) = (Seen::default(), Bar::new());
        while let Some(report) = incoming.recv().await {
            seen.take(report, &mut bar);
        }
        bar.finish();
        seen
    };
    let (summary, seen) = tokio::join!(work, watch);
    let summary = summary.map_err(|error| failure("verification stopped", &error))?;
    print(&summary, seen, format)?;
    if summary.is_green() {
        return Ok(());
    }
    let message = format!(
        "the tables differ: {} differences in {} of {} months, {} rows in quarantine",
        summary.differences, summary.units_differing, summary.units, summary.quarantined
    );
    Err(Failure::refused(message)
        .next("`partita migration mismatches` lists them, `partita migration repair` mends some"))
}

impl Seen {
    fn take(&mut self, report: VerifyReport, bar: &mut Bar) {
        match report {
            VerifyReport::Planned { units } => self.units = units,
            VerifyReport::Unit(unit) => {
                self.done += 1;
                self.rows += unit.legacy_rows;
                if let Some(why) = unit.unreadable {
                    self.unreadable.push(format!("{} of tenant `{}`: {why}", unit.month, unit.tenant_id));
                }
                let room = PRINTED_MAX.saturating_sub(self.mismatches.len());
                self.mismatches.extend(unit.differences.into_iter().take(room));
                let message = format!("{} of {} months, {} rows", self.done, self.units, self.rows);
                bar.show(self.done, self.units, &message);
            }
            VerifyReport::Tenant { tenant_id, heads_wrong, streams_with_gaps, .. } => {
                let tenant = output::cell(&tenant_id);
                if heads_wrong > 0 {
                    bar.say(&format!(
                        "tenant {tenant}: {heads_wrong} streams whose head is not their last event"
                    ));
                }
                if streams_with_gaps > 0 {
                    bar.say(&format!("tenant {tenant}: {streams_with_gaps} streams whose versions have gaps, in both tables"));
                }
            }
        }
    }
}

fn print(summary: &VerifySummary, seen: Seen, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(&VerifyDocument {
            tenants: summary.tenants,
            tenants_verified: summary.tenants_verified,
            units: summary.units,
            units_differing: summary.units_differing,
            rows: summary.rows,
            differences: summary.differences,
            streams_with_gaps: summary.streams_with_gaps,
            quarantined: summary.quarantined,
            unreadable: seen.unreadable,
            mismatches: seen.mismatches.into_iter().map(MismatchDocument::from).collect(),
        });
    }
    if !seen.mismatches.is_empty() {
        let titles = ["#id", "tenant", "month", "stream", "version", "event id", "reason", "columns"];
        output::table(&titles, seen.mismatches.iter().map(mismatch_row).collect())?;
    }
    for unreadable in &seen.unreadable {
        output::line(&format!("cannot be compared: {}", output::cell(unreadable)))?;
    }
    output::line(&format!(
        "{} of {} tenants verified, {} rows in {} months compared, {} differences",
        summary.tenants_verified, summary.tenants, summary.rows, summary.units, summary.differences
    ))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if percent > 0.0 && percent <= 100.0 {
        Ok(percent)
    } else {
        Err("must be above 0, and at most 100".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_part_of_the_whole() {
        assert_eq!(parse_percent("0.5"), Ok(0.5));
        for bad in ["0", "-1", "100.1", "NaN", "many", ""] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }
}
