use clap::Args;
use partita_proto::v1::verify_migration_response::Report;
use partita_proto::v1::{
    Mismatch, VerificationSummary, VerifiedTenant, VerifiedUnit, VerifyMigrationRequest,
};
use serde::Serialize;

use crate::client;
use crate::commands::migration::document::{MismatchDocument, SummaryDocument};
use crate::commands::migration::mismatches::mismatch_row;
use crate::commands::migration::progress::Progress;
use crate::commands::migration::target::Session;
use crate::commands::migration::words::number;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Differences that are listed; all of them are counted, and kept by the server.
const LISTED_MAX: usize = 1_000;
const MISMATCH_TITLES: [&str; 7] = ["#", "tenant", "month", "stream", "#version", "event", "difference"];

/// Compare both tables in every column that they share.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
    /// Look at so many of a hundred months, drawn at random; tenants are marked as verified by a run over all alone
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    sample: Option<f64>,
    /// Pass over tenants that are verified already (behind the fence: since it went up): goes on where a run was cut off
    #[arg(long)]
    unverified: bool,
}

/// The whole run, for programs.
#[derive(Debug, Serialize)]
struct RunDocument {
    #[serde(flatten)]
    summary: SummaryDocument,
    /// At most 1,000 are listed.
    found: Vec<MismatchDocument>,
    /// Months that could not be compared, and why.
    unreadable: Vec<UnreadableDocument>,
    /// Tenants that are not verified.
    unverified: Vec<String>,
}

#[derive(Debug, Serialize)]
struct UnreadableDocument {
    tenant_id: String,
    month: String,
    reason: String,
}

/// What came in of a run.
#[derive(Default)]
struct Run {
    units: i64,
    units_done: i64,
    rows: i64,
    found: Vec<Mismatch>,
    found_count: i64,
    unreadable: Vec<UnreadableDocument>,
    unverified: Vec<String>,
    summary: Option<VerificationSummary>,
}

pub(super) async fn run(args: VerifyArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    let broken = |status| client::failure("the verification did not end", status);
    let is_whole = args.sample.is_none_or(|sample| sample >= 100.0);
    let request = VerifyMigrationRequest {
        tenant_id: args.tenant.unwrap_or_default(),
        sample_percent: args.sample.unwrap_or_default(),
        only_unverified: args.unverified,
    };
    let mut reports = session.client.verify_migration(request).await.map_err(broken)?.into_inner();
    let mut progress = Progress::new();
    let mut run = Run::default();
    while let Some(message) = reports.message().await.map_err(broken)? {
        if let Some(report) = message.report {
            run.take(report);
            progress.show(run.units_done, run.units, &run.standing());
        }
    }
    progress.finish();
    let summary = run.summary.ok_or_else(|| Failure::internal("the server's report was cut short"))?;
    let verdict = verdict(&summary, is_whole);
    match format {
        Format::Json => output::json(&RunDocument {
            summary: summary.into(),
            found: run.found.into_iter().map(MismatchDocument::from).collect(),
            unreadable: run.unreadable,
            unverified: run.unverified,
        })?,
        Format::Table => print(&run, &summary)?,
    }
    verdict
}

impl Run {
    fn take(&mut self, report: Report) {
        match report {
            Report::Plan(plan) => self.units = plan.units,
            Report::Unit(VerifiedUnit { tenant_id, month, legacy_rows, unreadable, .. }) => {
                self.units_done += 1;
                self.rows += legacy_rows;
                if !unreadable.is_empty() {
                    self.unreadable.push(UnreadableDocument { tenant_id, month, reason: unreadable });
                }
            }
            Report::Mismatch(mismatch) => {
                self.found_count += 1;
                if self.found.len() < LISTED_MAX {
                    self.found.push(mismatch);
                }
            }
            Report::Tenant(VerifiedTenant { tenant_id, verified, .. }) if !verified => {
                self.unverified.push(tenant_id);
            }
            Report::Tenant(_) => {}
            Report::Summary(summary) => self.summary = Some(summary),
        }
    }

    fn standing(&self) -> String {
        format!(
            "{} of {} months, {} rows compared, {} differences",
            number(self.units_done),
            number(self.units),
            number(self.rows),
            number(self.found_count)
        )
    }
}

fn print(run: &Run, summary: &VerificationSummary) -> Result<(), Failure> {
    if !run.found.is_empty() {
        output::table(&MISMATCH_TITLES, run.found.iter().map(mismatch_row).collect())?;
    }
    if run.found_count > LISTED_MAX as i64 {
        output::line(&format!("the first {LISTED_MAX} of {} are listed", number(run.found_count)))?;
    }
    for UnreadableDocument { tenant_id, month, reason } in &run.unreadable {
        let (tenant, reason) = (output::cell(tenant_id), output::cell(reason));
        output::line(&format!("{tenant} {month} could not be compared: {reason}"))?;
    }
    if summary.streams_with_gaps > 0 {
        let streams = number(summary.streams_with_gaps);
        output::line(&format!(
            "{streams} streams have gaps in their versions: the legacy table's own, copied as they are"
        ))?;
    }
    output::line(&format!(
        "tenants {}, verified {}, months {}, of them differing {}, rows {}, differences {}, in quarantine {}",
        number(summary.tenants),
        number(summary.tenants_verified),
        number(summary.units),
        number(summary.units_differing),
        number(summary.rows),
        number(summary.mismatches),
        number(summary.quarantined)
    ))
}

/// A sample proves nothing of a tenant: it is right as long as it found nothing.
fn verdict(summary: &VerificationSummary, is_whole: bool) -> Result<(), Failure> {
    let next =
        "`partita migration mismatches` lists what is open; docs/operations/verify.md tells what each means";
    if summary.mismatches > 0 || summary.units_differing > 0 || summary.quarantined > 0 {
        let (differences, rows) = (number(summary.mismatches), number(summary.quarantined));
        let failure = Failure::refused(format!(
            "the tables differ: {differences} differences, {rows} rows in quarantine"
        ));
        return Err(failure.next(next));
    }
    let unverified = summary.tenants - summary.tenants_verified;
    if is_whole && unverified > 0 {
        return Err(Failure::refused(format!("{} tenants are not verified", number(unverified))).next(next));
    }
    Ok(())
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok();
    percent
        .filter(|percent| *percent > 0.0 && *percent <= 100.0)
        .ok_or_else(|| "give a percentage above 0, up to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_green_while_it_finds_nothing_and_a_whole_run_when_all_are_verified() {
        let summary = VerificationSummary { tenants: 2, ..Default::default() };
        assert!(verdict(&summary, false).is_ok());
        assert!(verdict(&summary, true).is_err());
        assert!(verdict(&VerificationSummary { tenants_verified: 2, ..summary }, true).is_ok());
        for bad in [
            VerificationSummary { mismatches: 1, ..summary },
            VerificationSummary { quarantined: 1, ..summary },
            VerificationSummary { units_differing: 1, ..summary },
        ] {
            assert!(verdict(&bad, false).is_err());
        }
    }

    #[test]
    fn a_share_is_a_number_with_or_without_its_sign() {
        assert_eq!(parse_percent("0.5%"), Ok(0.5));
        assert_eq!(parse_percent("100"), Ok(100.0));
        for bad in ["", "0", "-1", "101", "NaN", "all"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }
}
