use clap::Args;
use partita_migration::{Migration, Mismatch, QuarantinedRow};
use partita_model::TenantId;
use serde::Serialize;

use super::{failure, parse_tenant};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Rows that are fetched at once.
const PAGE_ROWS: u32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct MismatchArgs {
    /// One tenant; without it all of them
    #[arg(long, value_parser = parse_tenant)]
    tenant: Option<TenantId>,
}

#[derive(Debug, Serialize)]
struct QuarantineDocument {
    id: i64,
    direction: &'static str,
    tenant_id: Option<String>,
    month: Option<String>,
    event_id: Option<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    aggregate_version: Option<String>,
    event_timestamp: Option<String>,
    code: String,
    reason: String,
    first_seen: String,
    last_seen: String,
}

/// A difference, as `-o json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct MismatchDocument {
    id: i64,
    tenant_id: String,
    month: Option<String>,
    event_id: Option<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    aggregate_version: Option<i64>,
    reason: &'static str,
    columns: Vec<String>,
    found_at: Option<String>,
}

/// One document a line, or a table a page.
pub(super) async fn quarantine(migration: &Migration, format: Format) -> Result<(), Failure> {
    let titles = ["tenant", "month", "stream", "version", "event id", "code", "why"];
    let (mut after, mut count) = (0, 0_u64);
    loop {
        let page =
            migration.quarantine(after, PAGE_ROWS).await.map_err(|error| failure("cannot tell", &error))?;
        let Some(last) = page.last() else { break };
        after = last.id;
        count += page.len() as u64;
        match format {
            Format::Json => {
                page.into_iter()
                    .map(QuarantineDocument::from)
                    .try_for_each(|document| output::json(&document))?;
            }
            Format::Table => output::table(&titles, page.iter().map(quarantine_row).collect())?,
        }
    }
    if format == Format::Table { output::line(&format!("{count} rows in quarantine")) } else { Ok(()) }
}

/// One document a line, or a table a page.
pub(super) async fn mismatches(
    args: MismatchArgs,
    migration: &Migration,
    format: Format,
) -> Result<(), Failure> {
    let titles = ["#id", "tenant", "month", "stream", "version", "event id", "reason", "columns"];
    let (mut after, mut count) = (0, 0_u64);
    loop {
        let page = migration.mismatches(after, PAGE_ROWS, args.tenant.as_ref()).await;
        let page = page.map_err(|error| failure("cannot tell", &error))?;
        let Some(last) = page.last() else { break };
        after = last.id;
        count += page.len() as u64;
        match format {
            Format::Json => {
                page.into_iter()
                    .map(MismatchDocument::from)
                    .try_for_each(|document| output::json(&document))?;
            }
            Format::Table => output::table(&titles, page.iter().map(mismatch_row).collect())?,
        }
    }
    if format == Format::Table { output::line(&format!("{count} differences open")) } else { Ok(()) }
}

fn stream(aggregate_type: Option<&str>, aggregate_id: Option<&str>) -> String {
    output::cell(&format!("{}/{}", aggregate_type.unwrap_or("-"), aggregate_id.unwrap_or("-")))
}

fn quarantine_row(row: &QuarantinedRow) -> Vec<String> {
    let or_dash = |text: Option<&str>| output::cell(text.unwrap_or("-"));
    vec![
        or_dash(row.tenant_id.as_deref()),
        row.month.map_or_else(|| "-".to_owned(), |month| month.to_string()),
        stream(row.aggregate_type.as_deref(), row.aggregate_id.as_deref()),
        or_dash(row.aggregate_version.as_deref()),
        or_dash(row.event_id.as_deref()),
        row.code.clone(),
        output::cell(&row.reason),
    ]
}

/// A difference, for people.
pub(super) fn mismatch_row(mismatch: &Mismatch) -> Vec<String> {
    vec![
        mismatch.id.to_string(),
        output::cell(&mismatch.tenant_id),
        mismatch.month.map_or_else(|| "-".to_owned(), |month| month.to_string()),
        stream(mismatch.aggregate_type.as_deref(), mismatch.aggregate_id.as_deref()),
        mismatch.aggregate_version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
        output::cell(mismatch.event_id.as_deref().unwrap_or("-")),
        mismatch.reason.as_str().to_owned(),
        mismatch.columns.join(", "),
    ]
}

impl From<QuarantinedRow> for QuarantineDocument {
    fn from(row: QuarantinedRow) -> Self {
        Self {
            id: row.id,
            direction: row.direction.as_str(),
            tenant_id: row.tenant_id,
            month: row.month.map(|month| month.to_string()),
            event_id: row.event_id,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            aggregate_version: row.aggregate_version,
            event_timestamp: row.event_timestamp,
            code: row.code,
            reason: row.reason,
            first_seen: row.first_seen.to_string(),
            last_seen: row.last_seen.to_string(),
        }
    }
}

impl From<Mismatch> for MismatchDocument {
    fn from(mismatch: Mismatch) -> Self {
        Self {
            id: mismatch.id,
            tenant_id: mismatch.tenant_id,
            month: mismatch.month.map(|month| month.to_string()),
            event_id: mismatch.event_id,
            aggregate_type: mismatch.aggregate_type,
            aggregate_id: mismatch.aggregate_id,
            aggregate_version: mismatch.aggregate_version,
            reason: mismatch.reason.as_str(),
            columns: mismatch.columns,
            found_at: mismatch.found_at.map(|at| at.to_string()),
        }
    }
}
