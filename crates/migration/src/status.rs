use std::time::Duration;

use partita_model::{Month, Timestamp};
use sqlx::PgPool;

use crate::{Direction, MigrationError, Orders, control};

/// Most units that are listed one by one.
const BUSY_MAX: i64 = 100;

/// Where the migration stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The phase of the fleet: `open`, `fenced`, `finalized` or `restoring`.
    pub phase: String,
    /// Since when.
    pub phase_changed_at: Timestamp,
    /// Who set it.
    pub phase_changed_by: String,
    /// When the fence went up; none while it is down.
    pub fenced_at: Option<Timestamp>,
    /// What the workers are told to do.
    pub orders: Orders,
    /// How far they have come.
    pub progress: Progress,
    /// Units that are worked on or went wrong, up to 100.
    pub busy: Vec<BusyUnit>,
    /// Processes that serve, with a sign of life within half a minute.
    pub instances: Vec<Instance>,
}

/// How far the units of the direction have come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Months of tenants.
    pub units: u64,
    /// Of those, done.
    pub units_done: u64,
    /// Of those, worked on.
    pub units_copying: u64,
    /// Of those, given up until the next start.
    pub units_failed: u64,
    /// Rows copied since the start.
    pub rows_copied: u64,
    /// Their documents, as stored in the source.
    pub bytes_copied: u64,
    /// Rows to copy: counted where a worker took the unit up, else all of the month's rows by the planner's statistics.
    pub rows_total: u64,
    /// Rows that the last looks at finished units left.
    pub rows_left: u64,
    /// Rows a second, of all workers.
    pub rows_per_second: f64,
    /// When it would be done at this rate; none while nothing moves.
    pub eta: Option<Duration>,
    /// What throttles the workers, each reason once.
    pub throttle: Vec<String>,
    /// Tenants that are registered.
    pub tenants: u64,
    /// Of those, with nothing left to copy when last looked at.
    pub tenants_backfilled: u64,
    /// Of those, proved equal; since the fence went up, where it is up.
    pub tenants_verified: u64,
    /// Rows that could not be copied, and stand in the way.
    pub quarantined: u64,
    /// Rows that a restore left behind in the partitioned table, by somebody's decision.
    pub accepted: u64,
    /// Differences that are open.
    pub mismatches: u64,
}

/// A unit that is worked on or went wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct BusyUnit {
    /// The owner.
    pub tenant_id: String,
    /// The month, in UTC.
    pub month: Month,
    /// `copying`, `failed` or `pending`.
    pub state: String,
    /// Rows to copy.
    pub rows_total: u64,
    /// Rows copied.
    pub rows_copied: u64,
    /// Rows a second.
    pub rows_per_second: f64,
    /// What slows it down.
    pub throttle: Option<String>,
    /// Who works on it.
    pub owner: Option<String>,
    /// The last sign of life.
    pub heartbeat_at: Option<Timestamp>,
    /// Attempts in a row without a page.
    pub attempts: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// A process that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its machine.
    pub host: String,
    /// Its number there.
    pub pid: i32,
    /// Its release.
    pub version: String,
    /// Its `DB_PARTITIONS_V1`.
    pub flag: bool,
    /// The phase that it serves in.
    pub phase: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub heartbeat_at: Timestamp,
}

pub(crate) async fn read(pool: &PgPool) -> Result<Status, MigrationError> {
    let orders = control::read_orders(pool).await?;
    let control = sqlx::query_file!("sql/status/read_control.sql").fetch_one(pool).await?;
    let busy = list_busy(pool, orders.direction).await?;
    let progress = sum(pool, orders.direction, &busy).await?;
    Ok(Status {
        phase: control.phase,
        phase_changed_at: Timestamp::from_datetime(control.changed_at),
        phase_changed_by: control.changed_by,
        fenced_at: control.fenced_at.map(Timestamp::from_datetime),
        orders,
        progress,
        busy,
        instances: list_instances(pool).await?,
    })
}

pub(crate) async fn read_phase(pool: &PgPool) -> Result<String, MigrationError> {
    Ok(sqlx::query_file!("sql/status/read_control.sql").fetch_one(pool).await?.phase)
}

async fn sum(pool: &PgPool, direction: Direction, busy: &[BusyUnit]) -> Result<Progress, MigrationError> {
    let row = sqlx::query_file!("sql/status/sum_units.sql", direction.as_str()).fetch_one(pool).await?;
    let mut throttle: Vec<String> = busy.iter().filter_map(|unit| unit.throttle.clone()).collect();
    throttle.sort();
    throttle.dedup();
    let left = (row.rows_total - row.rows_copied).max(0);
    let moves = row.rows_per_second >= 1.0 && row.units_done < row.units;
    Ok(Progress {
        units: row.units.unsigned_abs(),
        units_done: row.units_done.unsigned_abs(),
        units_copying: row.units_copying.unsigned_abs(),
        units_failed: row.units_failed.unsigned_abs(),
        rows_copied: row.rows_copied.unsigned_abs(),
        bytes_copied: row.bytes_copied.unsigned_abs(),
        rows_total: row.rows_total.unsigned_abs(),
        rows_left: row.rows_left.unsigned_abs(),
        rows_per_second: row.rows_per_second,
        eta: moves.then(|| Duration::from_secs((left as f64 / row.rows_per_second) as u64)),
        throttle,
        tenants: row.tenants.unsigned_abs(),
        tenants_backfilled: row.tenants_backfilled.unsigned_abs(),
        tenants_verified: row.tenants_verified.unsigned_abs(),
        quarantined: row.quarantined.unsigned_abs(),
        accepted: row.accepted.unsigned_abs(),
        mismatches: row.mismatches.unsigned_abs(),
    })
}

async fn list_busy(pool: &PgPool, direction: Direction) -> Result<Vec<BusyUnit>, MigrationError> {
    let rows =
        sqlx::query_file!("sql/status/list_busy.sql", direction.as_str(), BUSY_MAX).fetch_all(pool).await?;
    let units = rows.into_iter().map(|row| BusyUnit {
        tenant_id: row.tenant_id,
        month: Month::of(Timestamp::from_datetime(row.month_start)),
        state: row.state,
        rows_total: row.rows_total.unwrap_or_default().unsigned_abs(),
        rows_copied: row.rows_copied.unsigned_abs(),
        rows_per_second: row.rows_per_second.unwrap_or_default(),
        throttle: row.throttle,
        owner: row.lease_owner,
        heartbeat_at: row.heartbeat_at.map(Timestamp::from_datetime),
        attempts: row.attempts.unsigned_abs(),
        last_error: row.last_error,
    });
    Ok(units.collect())
}

pub(crate) async fn list_instances(pool: &PgPool) -> Result<Vec<Instance>, MigrationError> {
    let rows = sqlx::query_file!("sql/status/list_instances.sql").fetch_all(pool).await?;
    let instances = rows.into_iter().map(|row| Instance {
        host: row.host,
        pid: row.pid,
        version: row.version,
        flag: row.flag,
        phase: row.phase,
        started_at: Timestamp::from_datetime(row.started_at),
        heartbeat_at: Timestamp::from_datetime(row.heartbeat_at),
    });
    Ok(instances.collect())
}
