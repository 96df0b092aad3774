//! Proof that both tables hold the same, month by month, and the differences where they do not.

pub(crate) mod differences;
mod streams;
mod unit;

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};
use partita_model::{Month, TenantId, Timestamp};
use partita_store::DatabaseUrl;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::{MigrationError, Refusal, plan, quarantine, session, status};

/// Most differences of a unit that are written down: enough to see what happened, few enough to be looked at.
const DIFFERENCES_MAX: i64 = 1_000;

/// One snapshot for both sides, and for the look at what differs.
pub(crate) const ONE_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What is to be proved.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyOptions {
    /// One tenant; none: all.
    pub tenant: Option<TenantId>,
    /// How many of the units are looked at, in percent, above 0 to 100. Below 100 no tenant is marked as verified.
    pub sample_percent: f64,
    /// Units that are read at a time, 1 to 64.
    pub workers: u32,
    /// Only tenants that are not proved equal yet; behind the fence, not since it went up. A run that was cut off goes on so.
    pub only_unverified: bool,
}

/// What is told while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyReport {
    /// How many units there are to look at.
    Planned {
        /// All of them.
        units: u64,
    },
    /// A unit was looked at.
    Unit(UnitReport),
    /// A tenant was; what is said of its streams.
    Tenant {
        /// The owner.
        tenant_id: String,
        /// Whether it is proved equal, and marked so.
        is_verified: bool,
        /// Streams whose versions have gaps, from the floor on: the legacy table's own.
        streams_with_gaps: u64,
        /// Streams whose head is not their last event.
        heads_wrong: u64,
        /// Its rows in quarantine.
        quarantined: u64,
    },
}

/// What was found in a month of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitReport {
    /// The owner.
    pub tenant_id: String,
    /// The month, in UTC.
    pub month: Month,
    /// Rows of the legacy table, from the floor on.
    pub legacy_rows: u64,
    /// Rows of the partitioned table, from the floor on.
    pub partitioned_rows: u64,
    /// Differences that were found, up to 1,000; there may be more.
    pub differences: Vec<Mismatch>,
    /// Why the month could not be compared: a value of the legacy table that the partitioned one cannot hold.
    pub unreadable: Option<String>,
}

/// A difference between the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its number where it is written down; 0 before.
    pub id: i64,
    /// The owner.
    pub tenant_id: String,
    /// The month, in UTC; none for a stream's head.
    pub month: Option<Month>,
    /// The event.
    pub event_id: Option<String>,
    /// Its stream's type.
    pub aggregate_type: Option<String>,
    /// Its stream's id.
    pub aggregate_id: Option<String>,
    /// Its version.
    pub aggregate_version: Option<i64>,
    /// What it is.
    pub reason: MismatchReason,
    /// The columns that differ.
    pub columns: Vec<String>,
    /// When it was found; none before it is written down.
    pub found_at: Option<Timestamp>,
}

/// What a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MismatchReason {
    /// The legacy table has the row, the partitioned table has not.
    MissingInPartitioned,
    /// The partitioned table has the row, the legacy table has not.
    MissingInLegacy,
    /// Both have it, and not the same.
    ColumnsDiffer,
    /// The stream's record is not at its last event.
    HeadDiffers,
    /// A row of the legacy table that no month can hold.
    OutsideOfMonths,
}

/// What all of it came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifySummary {
    /// Tenants looked at.
    pub tenants: u64,
    /// Of those, proved equal.
    pub tenants_verified: u64,
    /// Months looked at.
    pub units: u64,
    /// Of those, with a difference.
    pub units_differing: u64,
    /// Rows of the legacy table that were compared.
    pub rows: u64,
    /// Differences found, those of heads among them.
    pub differences: u64,
    /// Streams whose versions have gaps.
    pub streams_with_gaps: u64,
    /// Rows in quarantine.
    pub quarantined: u64,
}

impl VerifySummary {
    /// Whether nothing was found that should not be there.
    pub fn is_green(&self) -> bool {
        self.differences == 0 && self.quarantined == 0 && self.units_differing == 0
    }
}

impl MismatchReason {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingInPartitioned => "missing_in_partitioned",
            Self::MissingInLegacy => "missing_in_legacy",
            Self::ColumnsDiffer => "columns_differ",
            Self::HeadDiffers => "head_differs",
            Self::OutsideOfMonths => "outside_of_months",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, MigrationError> {
        match text {
            "missing_in_partitioned" => Ok(Self::MissingInPartitioned),
            "missing_in_legacy" => Ok(Self::MissingInLegacy),
            "columns_differ" => Ok(Self::ColumnsDiffer),
            "head_differs" => Ok(Self::HeadDiffers),
            "outside_of_months" => Ok(Self::OutsideOfMonths),
            unknown => Err(MigrationError::Unknown(format!("the reason `{unknown}` of a mismatch"))),
        }
    }
}

/// A tenant and the months of it that are looked at.
struct Task {
    tenant: String,
    months: Vec<OffsetDateTime>,
}

/// Looks at all that is asked for; reports go out as they come, and nobody needs to take them.
pub(crate) async fn verify(
    url: &DatabaseUrl,
    options: &VerifyOptions,
    reports: &mpsc::Sender<VerifyReport>,
) -> Result<VerifySummary, MigrationError> {
    let pool = session::verify_pool(url, options.workers);
    let phase = status::read_phase(&pool).await?;
    if phase == "finalized" {
        return Err(Refusal::Phase { phase, wanted: "verify", from: "open, fenced or restoring" }.into());
    }
    let tasks = list_tasks(&pool, options).await?;
    let units = tasks.iter().map(|task| task.months.len() as u64).sum();
    // A report that nobody takes is no reason to stop: the marks are what counts.
    reports.send(VerifyReport::Planned { units }).await.ok();
    let mut summary = VerifySummary::default();
    let is_whole = options.tenant.is_none() && options.sample_percent >= 100.0;
    if is_whole {
        // No tenant's look finds them.
        summary.quarantined = quarantine::put_outside(&pool, None, true, quarantine::TENANTLESS).await?;
    }
    for task in &tasks {
        verify_tenant(&pool, task, options, reports, &mut summary).await?;
    }
    if is_whole && !options.only_unverified {
        let tenants: Vec<String> = tasks.into_iter().map(|task| task.tenant).collect();
        sqlx::query_file!("sql/verify/close_gone.sql", &tenants).execute(&pool).await?;
    }
    pool.close().await;
    Ok(summary)
}

async fn list_tasks(pool: &PgPool, options: &VerifyOptions) -> Result<Vec<Task>, MigrationError> {
    let mut tenants = plan::list_tenants(pool).await?;
    if let Some(tenant) = &options.tenant {
        tenants.retain(|name| name == tenant.as_str());
        if tenants.is_empty() {
            return Err(Refusal::TenantUnknown(tenant.clone()).into());
        }
    }
    if options.only_unverified {
        let verified = sqlx::query_file_scalar!("sql/verify/list_verified.sql").fetch_all(pool).await?;
        let verified: HashSet<String> = verified.into_iter().collect();
        tenants.retain(|name| !verified.contains(name));
    }
    let mut tasks = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let mut months =
            sqlx::query_file_scalar!("sql/verify/list_units.sql", tenant).fetch_all(pool).await?;
        months.retain(|_| {
            options.sample_percent >= 100.0 || rand::random_range(0.0..100.0) < options.sample_percent
        });
        tasks.push(Task { tenant, months });
    }
    Ok(tasks)
}

async fn verify_tenant(
    pool: &PgPool,
    task: &Task,
    options: &VerifyOptions,
    reports: &mpsc::Sender<VerifyReport>,
    summary: &mut VerifySummary,
) -> Result<(), MigrationError> {
    let tenant = task.tenant.as_str();
    let is_whole = options.sample_percent >= 100.0;
    // Before the first snapshot: what the mark says was so at this instant, and since.
    let begun = sqlx::query_file!("sql/verify/find_obstacles.sql", tenant).fetch_one(pool).await?;
    let looks = task.months.iter().copied().map(|start| unit::verify(pool, tenant, start));
    let mut units = stream::iter(looks).buffer_unordered(options.workers.max(1) as usize);
    let mut is_equal = true;
    while let Some(report) = units.next().await {
        let report = report?;
        is_equal &= report.is_equal();
        summary.units += 1;
        summary.units_differing += u64::from(!report.is_equal());
        summary.rows += report.legacy_rows;
        summary.differences += report.differences.len() as u64;
        reports.send(VerifyReport::Unit(report)).await.ok();
    }
    let streams = if is_whole {
        sqlx::query_file!("sql/verify/close_vanished.sql", tenant, &task.months).execute(pool).await?;
        streams::verify(pool, tenant).await?
    } else {
        streams::Found::default()
    };
    let obstacles = sqlx::query_file!("sql/verify/find_obstacles.sql", tenant).fetch_one(pool).await?;
    is_equal &= streams.differences == 0 && obstacles.quarantined == 0;
    let mut is_verified = is_equal && is_whole && obstacles.mismatches == 0;
    if is_verified || !is_equal {
        let mark = is_verified.then_some(begun.now);
        let marked = sqlx::query_file!("sql/verify/mark_tenant.sql", tenant, mark, begun.floor)
            .fetch_optional(pool)
            .await?;
        is_verified &= marked.is_some();
    }
    summary.tenants += 1;
    summary.tenants_verified += u64::from(is_verified);
    summary.differences += streams.differences;
    summary.streams_with_gaps += streams.with_gaps;
    summary.quarantined += obstacles.quarantined.unsigned_abs();
    let report = VerifyReport::Tenant {
        tenant_id: tenant.to_owned(),
        is_verified,
        streams_with_gaps: streams.with_gaps,
        heads_wrong: streams.heads_wrong,
        quarantined: obstacles.quarantined.unsigned_abs(),
    };
    reports.send(report).await.ok();
    Ok(())
}

/// Writes a difference down.
async fn store(pool: &PgPool, mismatch: &Mismatch, timestamp: Option<&str>) -> sqlx::Result<()> {
    sqlx::query_file!(
        "sql/verify/store_mismatch.sql",
        mismatch.tenant_id,
        mismatch.month.map(|month| month.start().to_datetime()),
        mismatch.event_id,
        mismatch.aggregate_type,
        mismatch.aggregate_id,
        mismatch.aggregate_version,
        timestamp,
        mismatch.reason.as_str(),
        &mismatch.columns
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A page of the differences that are open.
pub(crate) async fn list(
    pool: &PgPool,
    after: i64,
    most: i64,
    tenant: Option<&TenantId>,
) -> Result<Vec<Mismatch>, MigrationError> {
    let tenant = tenant.map(TenantId::as_str);
    let rows =
        sqlx::query_file!("sql/verify/list_mismatches.sql", after, most, tenant).fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Mismatch {
                id: row.id,
                tenant_id: row.tenant_id,
                month: row.month_start.map(|start| Month::of(Timestamp::from_datetime(start))),
                event_id: row.event_id,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                aggregate_version: row.aggregate_version,
                reason: MismatchReason::parse(&row.reason)?,
                columns: row.columns,
                found_at: Some(Timestamp::from_datetime(row.found_at)),
            })
        })
        .collect()
}
