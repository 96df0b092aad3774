use std::collections::HashMap;

use sqlx::PgConnection;

use super::Scan;
use super::columns::Column;
use super::documents::{self, Documents};
use super::expected::EXPECTED;
use super::finding::Finding;
use super::indexes::Indexes;
use super::table::Table;

const ROWS: &str = "rows";
const DUPLICATE_IDS: &str = "duplicate_ids";
const DUPLICATE_VERSIONS: &str = "duplicate_versions";
const DOCUMENTS: &str = "documents";

/// What the scans found.
pub(super) struct Scanned {
    pub(super) rows: Option<i64>,
    pub(super) findings: Vec<Finding>,
}

/// Which scans there are to do, and what each costs. An index or a type that proves a thing spares its scan.
pub(super) fn plan(columns: &HashMap<&str, &Column>, indexes: &Indexes, table: &Table) -> Vec<Scan> {
    let missing: Vec<_> =
        EXPECTED.iter().map(|expected| expected.name).filter(|name| !columns.contains_key(name)).collect();
    let obstacle = if !table.is_readable() {
        Some("it is no table".to_owned())
    } else if missing.is_empty() {
        None
    } else {
        Some(format!("add the missing columns first: {}", missing.join(", ")))
    };
    let pass = table.size.pass();
    let scan = |name, cost| Scan { name, cost, is_done: false, obstacle: obstacle.clone() };
    let mut scans = vec![scan(ROWS, pass.clone())];
    if !indexes.ids_are_unique {
        scans.push(scan(DUPLICATE_IDS, format!("{pass}, and a sort of all ids")));
    }
    if !indexes.versions_are_unique {
        scans.push(scan(DUPLICATE_VERSIONS, format!("{pass}, and a sort of all versions")));
    }
    let is_jsonb = |name| columns.get(name).is_none_or(|column| column.type_name == "jsonb");
    if !(is_jsonb("event_data") && is_jsonb("event_metadata")) {
        scans.push(scan(DOCUMENTS, format!("{pass}, all of it sent here")));
    }
    scans
}

/// Does those that can be done.
pub(super) async fn run(
    connection: &mut PgConnection,
    scans: &mut [Scan],
    months_ahead: i32,
) -> sqlx::Result<Scanned> {
    let mut scanned = Scanned { rows: None, findings: Vec::new() };
    for scan in scans.iter_mut().filter(|scan| scan.obstacle.is_none()) {
        match scan.name {
            DUPLICATE_IDS => scanned.findings.extend(find_duplicate_ids(connection).await?),
            DUPLICATE_VERSIONS => scanned.findings.extend(find_duplicate_versions(connection).await?),
            DOCUMENTS => scanned.findings.extend(judge_documents(&documents::read(connection).await?)),
            _ => scan_rows(connection, months_ahead, &mut scanned).await?,
        }
        scan.is_done = true;
    }
    Ok(scanned)
}

async fn scan_rows(
    connection: &mut PgConnection,
    months_ahead: i32,
    scanned: &mut Scanned,
) -> sqlx::Result<()> {
    let found = sqlx::query_file!("sql/adoption/scan_rows.sql", months_ahead).fetch_one(connection).await?;
    scanned.rows = Some(found.rows);
    let nulls = [
        ("event_id", found.null_event_id),
        ("event_type", found.null_event_type),
        ("aggregate_type", found.null_aggregate_type),
        ("aggregate_id", found.null_aggregate_id),
        ("aggregate_version", found.null_aggregate_version),
        ("event_data", found.null_event_data),
        ("tenant_id", found.null_tenant_id),
        ("user_id", found.null_user_id),
        ("event_hash", found.null_event_hash),
        ("event_timestamp", found.null_event_timestamp),
        ("created_at", found.null_created_at),
    ];
    for (column, count) in nulls.into_iter().filter(|(_, count)| *count > 0) {
        let text = format!("{count} rows are NULL: they cannot be copied");
        scanned.findings.push(Finding::blocks("null", column, text));
    }
    let faults = [
        (
            "tenant_empty",
            "tenant_id",
            found.empty_tenants,
            "rows have an empty tenant: no tenant may be called so",
        ),
        (
            "version_out_of_range",
            "aggregate_version",
            found.odd_versions,
            "rows have a version below 1 or above 2147483647",
        ),
        (
            "time_infinite",
            "event_timestamp",
            found.infinite_times,
            "rows are of an infinite time: they belong to no month",
        ),
        (
            "time_out_of_years",
            "event_timestamp",
            found.times_out_of_years,
            "rows are before year 1 or after 9999: no month has a name for them",
        ),
        (
            "text_too_long",
            "event_store",
            found.too_long,
            "rows hold a text longer than its column in the partitioned table",
        ),
    ];
    for (rule, subject, count, what) in faults {
        if count > 0 {
            scanned.findings.push(Finding::blocks(rule, subject, format!("{count} {what}")));
        }
    }
    if found.times_far_ahead > 0 {
        let text = format!(
            "{} rows are more than {months_ahead} months ahead: each of their months would need a partition",
            found.times_far_ahead
        );
        scanned.findings.push(Finding::hurts("time_far_ahead", "event_timestamp", text));
    }
    Ok(())
}

async fn find_duplicate_ids(connection: &mut PgConnection) -> sqlx::Result<Option<Finding>> {
    let found = sqlx::query_file!("sql/adoption/scan_duplicate_ids.sql").fetch_one(connection).await?;
    Ok(duplicates("duplicate_ids", "event_id", "ids", found.count, found.example))
}

async fn find_duplicate_versions(connection: &mut PgConnection) -> sqlx::Result<Option<Finding>> {
    let found = sqlx::query_file!("sql/adoption/scan_duplicate_versions.sql").fetch_one(connection).await?;
    Ok(duplicates("duplicate_versions", "aggregate_version", "versions", found.count, found.example))
}

fn duplicates(
    rule: &'static str,
    subject: &str,
    what: &str,
    count: i64,
    example: Option<String>,
) -> Option<Finding> {
    let example = example.filter(|_| count > 0)?;
    let text =
        format!("{count} {what} are there more than once, such as {example}: no unique index can be built");
    Some(Finding::blocks(rule, subject, text))
}

fn judge_documents(documents: &Documents) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(example) = &documents.refused_example {
        let text = format!(
            "{} documents jsonb refuses or Partita cannot keep, such as that of event {example}: {}",
            documents.refused, documents.refused_reason
        );
        findings.push(Finding::blocks("json_refused", "event_data", text));
    }
    if let Some(example) = &documents.changed_example {
        let text = format!(
            "{} documents name a key twice, such as that of event {example}: jsonb keeps the last alone",
            documents.changed
        );
        findings.push(Finding::hurts("json_changed", "event_data", text));
    }
    findings
}
