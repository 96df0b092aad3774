use clap::Args;
use partita_proto::v1::{ListMismatchesRequest, Mismatch, QuarantinedRow};
use serde::Serialize;

use crate::client;
use crate::commands::migration::document::{MismatchDocument, QuarantinedDocument, word};
use crate::commands::migration::target::Session;
use crate::commands::migration::words::number;
use crate::failure::Failure;
use crate::output::{self, Format};

/// The largest page that the server gives.
const PAGE_SIZE: i32 = 1_000;
/// Entries of each kind that are listed; all of them are counted.
const LISTED_MAX: usize = 1_000;
const MISMATCH_TITLES: [&str; 7] = ["#", "tenant", "month", "stream", "#version", "event", "difference"];
const QUARANTINE_TITLES: [&str; 7] = ["#", "tenant", "month", "stream", "#version", "event", "why"];

/// List the differences between the tables, and the rows that could not be copied.
#[derive(Debug, Args)]
pub(crate) struct MismatchesArgs {
    /// One tenant; without it all of them, and rows that have none
    #[arg(long)]
    tenant: Option<String>,
}

/// All of it, for programs: at most 1,000 of each kind are listed.
#[derive(Debug, Serialize)]
struct ListDocument {
    mismatches_count: usize,
    quarantined_count: usize,
    accepted_count: usize,
    mismatches: Vec<MismatchDocument>,
    quarantined: Vec<QuarantinedDocument>,
}

pub(super) async fn run(args: MismatchesArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    let tenant_id = args.tenant.unwrap_or_default();
    let (mut mismatches, mut quarantined) = (Vec::new(), Vec::new());
    let (mut mismatches_count, mut quarantined_count, mut accepted_count) = (0, 0, 0);
    let mut page_token = String::new();
    loop {
        let request =
            ListMismatchesRequest { tenant_id: tenant_id.clone(), page_size: PAGE_SIZE, page_token };
        let page = session.client.list_mismatches(request).await;
        let page = page.map_err(|status| client::failure("cannot list differences", status))?.into_inner();
        mismatches_count += page.mismatches.len();
        let accepted = page.quarantined.iter().filter(|row| row.accepted_at.is_some()).count();
        accepted_count += accepted;
        quarantined_count += page.quarantined.len() - accepted;
        let room = LISTED_MAX.saturating_sub(mismatches.len());
        mismatches.extend(page.mismatches.into_iter().take(room));
        let room = LISTED_MAX.saturating_sub(quarantined.len());
        quarantined.extend(page.quarantined.into_iter().take(room));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    match format {
        Format::Json => output::json(&ListDocument {
            mismatches_count,
            quarantined_count,
            accepted_count,
            mismatches: mismatches.into_iter().map(MismatchDocument::from).collect(),
            quarantined: quarantined.into_iter().map(QuarantinedDocument::from).collect(),
        })?,
        Format::Table => print(&mismatches, &quarantined)?,
    }
    if mismatches_count + quarantined_count == 0 {
        return match format {
            Format::Json => Ok(()),
            Format::Table if accepted_count > 0 => {
                output::line("no difference is known, and no row stands in the way")
            }
            Format::Table => output::line("no difference is known, and no row is in quarantine"),
        };
    }
    let (differences, rows) = (number(mismatches_count as i64), number(quarantined_count as i64));
    let failure =
        Failure::refused(format!("{differences} differences are open, {rows} rows are in quarantine"));
    Err(failure.next(
        "docs/operations/verify.md tells what each means; `partita migration repair` mends what it can",
    ))
}

fn print(mismatches: &[Mismatch], quarantined: &[QuarantinedRow]) -> Result<(), Failure> {
    if !mismatches.is_empty() {
        output::table(&MISMATCH_TITLES, mismatches.iter().map(mismatch_row).collect())?;
    }
    if !quarantined.is_empty() {
        output::table(&QUARANTINE_TITLES, quarantined.iter().map(quarantine_row).collect())?;
    }
    Ok(())
}

/// A difference, for a table.
pub(super) fn mismatch_row(mismatch: &Mismatch) -> Vec<String> {
    let reason = word(mismatch.reason().as_str_name(), "REASON_").replace('_', " ");
    let difference = match mismatch.columns.as_slice() {
        [] => reason,
        columns => format!("{reason}: {}", columns.join(", ")),
    };
    vec![
        Some(mismatch.mismatch_id).filter(|id| *id != 0).map(|id| id.to_string()).unwrap_or_default(),
        output::cell(&mismatch.tenant_id),
        mismatch.month.clone(),
        stream(&mismatch.aggregate_type, &mismatch.aggregate_id),
        mismatch.version.map(|version| version.to_string()).unwrap_or_default(),
        output::cell(&mismatch.event_id),
        output::cell(&difference),
    ]
}

fn quarantine_row(row: &QuarantinedRow) -> Vec<String> {
    vec![
        row.row_id.to_string(),
        output::cell(&row.tenant_id),
        row.month.clone(),
        stream(&row.aggregate_type, &row.aggregate_id),
        output::cell(&row.version),
        output::cell(&row.event_id),
        output::cell(&match row.accepted_at {
            None => format!("{} ({})", row.reason, row.code),
            Some(_) => format!("left behind by {}: {}", row.accepted_by, row.accept_reason),
        }),
    ]
}

fn stream(aggregate_type: &str, aggregate_id: &str) -> String {
    match (aggregate_type, aggregate_id) {
        ("", "") => String::new(),
        (kind, id) => output::cell(&format!("{kind}/{id}")),
    }
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::mismatch::Reason;

    use super::*;

    #[test]
    fn a_difference_names_its_event_and_its_columns() {
        let mismatch = Mismatch {
            mismatch_id: 7,
            tenant_id: "acme".to_owned(),
            month: "2026-11".to_owned(),
            event_id: "e-1".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id: "42".to_owned(),
            version: Some(3),
            reason: Reason::ColumnsDiffer.into(),
            columns: vec!["event_data".to_owned(), "user_id".to_owned()],
            found_at: None,
        };
        let expected =
            ["7", "acme", "2026-11", "order/42", "3", "e-1", "columns differ: event_data, user_id"];
        assert_eq!(mismatch_row(&mismatch), expected);
    }
}
