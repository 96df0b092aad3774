//! Partitions: made online, listed with their sizes, dropped below the floor.

mod admission;
mod blockers;
mod check;
mod ddl;
mod first_write;
mod grace;
mod list;
mod maintain;
mod plan;
mod purge;
mod retention;

use std::sync::Arc;

use partita_model::{TenantId, Timestamp};
use sqlx::PgPool;
use tokio_util::task::TaskTracker;

use self::admission::NewTenants;
pub use self::blockers::Blocker;
pub use self::check::{FindingKind, PartitionFinding};
use self::first_write::Flights;
pub use self::grace::Restored;
pub use self::purge::{LegacyPurge, PurgeRequest, PurgeStep};
pub use self::retention::Retention;
use crate::append::is_unavailable;
use crate::metrics::DDL_LOCK_WAITS;
use crate::{Forbidding, StoreConfig, StoreError};

/// The partitions of all tenants.
#[derive(Clone)]
pub struct Partitions {
    pool: PgPool,
    months_ahead: u32,
    retention_months: u32,
    grace_days: u32,
    flights: Arc<Flights>,
    new_tenants: Arc<NewTenants>,
    tasks: TaskTracker,
}

/// What a run of maintenance is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceRequest {
    /// Months after the current one, 0 to 120.
    pub months_ahead: u32,
    /// Whole months before the current one that are kept, up to 1,200; 0 for ever. A tenant's own setting wins.
    pub retention_months: u32,
    /// Days that a detached month is kept before it is dropped, up to 3,650; 0 drops at once.
    pub grace_days: u32,
    /// Create what is missing.
    pub create: bool,
    /// Raise the floor, and detach the months below it.
    pub detach: bool,
    /// Drop the months that were detached.
    pub drop: bool,
    /// Only say what would be done.
    pub validate_only: bool,
    /// Also say what the tenant's leaves weigh afterwards.
    pub measure: bool,
}

/// A tenant, as a look at all of them found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether there may be anything to do for it.
    pub is_due: bool,
    /// Its floor; none while it keeps its events for ever.
    pub retention_floor: Option<Timestamp>,
}

/// What maintenance did for a tenant, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantMaintenance {
    /// In the order in which it was done.
    pub actions: Vec<PartitionAction>,
    /// The tenant's floor afterwards; none while it keeps its events for ever.
    pub retention_floor: Option<Timestamp>,
    /// The tenant's leaves afterwards; none where they were not to be measured.
    pub partitions: Vec<PartitionSize>,
}

/// One step of maintenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionAction {
    /// What was done.
    pub kind: ActionKind,
    /// To which table, without its schema; empty for a floor.
    pub partition_name: String,
    /// The first instant of the leaf; for a floor where it was, if it was anywhere.
    pub range_start: Option<Timestamp>,
    /// The first instant past the leaf; for a floor where it is.
    pub range_end: Option<Timestamp>,
}

/// What a step of maintenance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// A leaf was made and attached.
    Created,
    /// A leaf was detached.
    Detached,
    /// A detached leaf was dropped with its events.
    Dropped,
    /// The floor was raised.
    FloorRaised,
}

/// A leaf: the month of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSize {
    /// The owner.
    pub tenant_id: String,
    /// The table, in schema `event_store_partitions`.
    pub partition_name: String,
    /// The first instant of the month.
    pub range_start: Timestamp,
    /// The first instant past it.
    pub range_end: Timestamp,
    /// Whether it is on its way out.
    pub state: PartitionState,
    /// When it may be dropped; for a detached one alone.
    pub drop_after: Option<Timestamp>,
    /// As of the last ANALYZE; none before the first.
    pub rows_estimated: Option<i64>,
    /// The table with its TOAST.
    pub heap_bytes: i64,
    /// Its indexes.
    pub index_bytes: i64,
    /// Both.
    pub total_bytes: i64,
}

/// Whether a leaf belongs to its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionState {
    /// It does.
    Attached,
    /// A concurrent detach was begun and not finished.
    DetachPending,
    /// It does no longer, and waits to be restored or dropped.
    Detached,
}

/// The last leaf of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageKey {
    /// Its tenant.
    pub tenant_id: String,
    /// Its first instant.
    pub range_start: Timestamp,
    /// Its name.
    pub partition_name: String,
}

impl Partitions {
    pub(crate) fn new(pool: PgPool, config: &StoreConfig) -> Self {
        Self {
            pool,
            months_ahead: config.months_ahead,
            retention_months: config.retention_months,
            grace_days: config.maintenance.grace_days,
            flights: Arc::default(),
            new_tenants: Arc::new(NewTenants::new(config.tenants_max, config.new_tenants_per_minute)),
            tasks: TaskTracker::new(),
        }
    }

    /// What the configuration asks of maintenance.
    pub(crate) fn defaults(&self) -> MaintenanceRequest {
        MaintenanceRequest {
            months_ahead: self.months_ahead,
            retention_months: self.retention_months,
            grace_days: self.grace_days,
            create: true,
            detach: true,
            drop: true,
            validate_only: false,
            measure: true,
        }
    }

    /// Waits for the steps that are under way.
    pub(crate) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Months after the current one that have partitions, the least of all tenants; none without tenants.
    pub(crate) async fn least_months_ahead(&self) -> sqlx::Result<Option<i32>> {
        sqlx::query_file_scalar!("sql/partitions/find_least_months_ahead.sql").fetch_one(&self.pool).await
    }

    /// A tenant's floor: `None` for a tenant that is not registered.
    async fn floor(&self, tenant: &TenantId) -> sqlx::Result<Option<Option<Timestamp>>> {
        let row = sqlx::query_file!("sql/partitions/find_floor.sql", tenant.as_str());
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.retention_floor.map(Timestamp::from_datetime)))
    }
}

/// A count as PostgreSQL's integer; the limits of the configuration keep it far below.
fn integer(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Whether the failed step may succeed later: a lock that was not had in time, a victim of a deadlock, or a leaf that
/// somebody else was just working on.
fn is_contention(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01" | "55000" | "57014" | "42P07"))
}

/// SQLSTATE of a tenant or month that is not there: `no_data_found`.
fn is_not_found(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "P0002")
}

/// SQLSTATE of months that lack what legacy alone has of them (`event_store_restore_month`).
fn is_incomplete(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "PTM01")
}

/// Whether the role of this process may not do it.
fn is_privilege_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42501")
}

/// Sorts an error of maintenance, and logs it once.
fn store_error(error: &sqlx::Error, tenant: Option<&TenantId>) -> StoreError {
    match tenant {
        Some(tenant) if is_contention(error) => {
            DDL_LOCK_WAITS.add(1, []);
            tracing::warn!(%error, %tenant, "partition maintenance gave way to other sessions");
            StoreError::PartitionUnavailable {
                tenant: tenant.clone(),
                retry_after: first_write::RETRY_AFTER,
                blockers: Vec::new(),
            }
        }
        _ if is_privilege_missing(error) => {
            tracing::warn!(%error, "the role of this process lacks a privilege");
            StoreError::Forbidden(Forbidding::Role)
        }
        _ if is_unavailable(error) => {
            tracing::warn!(%error, "database not available for partition maintenance");
            StoreError::Unavailable
        }
        _ => {
            tracing::error!(%error, "partition maintenance failed unexpectedly");
            StoreError::Internal
        }
    }
}
