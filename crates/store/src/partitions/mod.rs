//! Partitions: made online, listed with their sizes, dropped below the floor.

mod admission;
mod blockers;
mod check;
mod ddl;
mod errors;
mod first_write;
mod grace;
mod list;
mod maintain;
mod plan;
mod purge;
mod retention;
mod run;
mod steps;

use std::sync::Arc;

use partita_model::{TenantId, Timestamp};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use self::admission::NewTenants;
pub use self::blockers::Blocker;
pub use self::check::{FindingKind, PartitionFinding};
use self::errors::{is_contention, is_incomplete, is_not_found, is_overtaken, store_error};
use self::first_write::Flights;
pub use self::grace::Restored;
pub use self::purge::{LegacyPurge, PurgeRequest, PurgeStep};
pub use self::retention::Retention;
use crate::{DatabaseUrl, StoreConfig, StoreError, connect};

/// The partitions of all tenants.
#[derive(Clone)]
pub struct Partitions {
    pool: PgPool,
    months_ahead: u32,
    retention_months: u32,
    grace_days: u32,
    /// First writes that make partitions.
    flights: Arc<Flights>,
    /// Whose turn it is among those: as many as have sessions.
    makers: Arc<Semaphore>,
    /// Runs of maintenance.
    runs: Arc<Flights>,
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
#[derive(Debug, Clone, Default)]
pub struct TenantMaintenance {
    /// In the order in which it was done.
    pub actions: Vec<PartitionAction>,
    /// The tenant's floor afterwards; none while it keeps its events for ever.
    pub retention_floor: Option<Timestamp>,
    /// The tenant's leaves afterwards; none where they were not to be measured.
    pub partitions: Vec<PartitionSize>,
    /// Why not all of it was done; what stands in `actions` was.
    pub failure: Option<StoreError>,
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
    /// The first instant of the month; none for one that was attached by hand without a lower bound.
    pub range_start: Option<Timestamp>,
    /// The first instant past it; none likewise.
    pub range_end: Option<Timestamp>,
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
    /// Its first instant, if it has one.
    pub range_start: Option<Timestamp>,
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
            makers: Arc::new(Semaphore::new(connect::FIRST_WRITE_CONNECTIONS_MAX as usize)),
            runs: Arc::default(),
            new_tenants: Arc::new(NewTenants::new(config.tenants_max, config.new_tenants_per_minute)),
            tasks: TaskTracker::new(),
        }
    }

    /// The same partitions, on sessions for first writes alone.
    pub(crate) fn for_first_writes(&self, url: &DatabaseUrl) -> Self {
        Self { pool: connect::first_write_pool(url), ..self.clone() }
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

    /// Ends the sessions; after [`close`](Self::close).
    pub(crate) async fn disconnect(&self) {
        self.pool.close().await;
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
