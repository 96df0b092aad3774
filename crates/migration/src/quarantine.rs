use partita_model::{Month, TenantId, Timestamp};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::unit::{Cursor, Unit};
use crate::{Direction, MigrationError, Refusal, status};

/// Most rows of a kind that a plan writes down for one tenant: one is enough to block, a thousand to see why.
const OUTSIDE_ROWS_MAX: i64 = 1_000;
/// Why a row without a tenant cannot be copied.
pub(crate) const TENANTLESS: &str = "tenant_id is NULL";

/// A row that could not be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// Grows with each row.
    pub id: i64,
    /// The way that it was to be copied.
    pub direction: Direction,
    /// Its tenant; none where the row has none.
    pub tenant_id: Option<String>,
    /// Its month; none where it belongs to none.
    pub month: Option<Month>,
    /// Its id, as text.
    pub event_id: Option<String>,
    /// Its stream's type.
    pub aggregate_type: Option<String>,
    /// Its stream's id.
    pub aggregate_id: Option<String>,
    /// Its version, as text.
    pub aggregate_version: Option<String>,
    /// Its timestamp, as text.
    pub event_timestamp: Option<String>,
    /// SQLSTATE of the refusal, or `odd` for a row that belongs to no month.
    pub code: String,
    /// Why.
    pub reason: String,
    /// When it was met first.
    pub first_seen: Timestamp,
    /// When it was met last.
    pub last_seen: Timestamp,
    /// The decision to leave it behind; none while it stands in the way.
    pub accepted: Option<Accepted>,
}

/// The decision that a row which could not be copied back stays in the partitioned table alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Puts the row that comes next in a unit into quarantine; false when the lease is lost.
pub(crate) async fn put(
    connection: &mut PgConnection,
    unit: &mut Unit,
    code: &str,
    reason: &str,
) -> sqlx::Result<bool> {
    let event_id = match unit.direction {
        Direction::Forward => {
            let cursor = &unit.cursor;
            let row = sqlx::query_file!(
                "sql/quarantine/put_legacy.sql",
                unit.tenant,
                unit.start,
                unit.end,
                unit.token,
                cursor.timestamp,
                cursor.aggregate_type,
                cursor.aggregate_id,
                cursor.version,
                cursor.event_id,
                code,
                reason
            )
            .fetch_optional(connection)
            .await?;
            let Some(row) = row else { return Ok(false) };
            if let (Some(timestamp), Some(version)) = (row.cursor_timestamp, row.cursor_version) {
                unit.cursor = Cursor {
                    timestamp,
                    aggregate_type: row.cursor_type.unwrap_or_default(),
                    aggregate_id: row.cursor_id.unwrap_or_default(),
                    version,
                    event_id: row.cursor_event_id.unwrap_or_default(),
                };
            }
            row.event_id
        }
        Direction::Restore => {
            let row = sqlx::query_file!(
                "sql/quarantine/put_partitioned.sql",
                unit.tenant,
                unit.start,
                unit.token,
                unit.cursor.version,
                code,
                reason
            )
            .fetch_optional(connection)
            .await?;
            let Some(row) = row else { return Ok(false) };
            unit.cursor.version = row.cursor_version.unwrap_or(unit.cursor.version);
            row.event_id
        }
    };
    tracing::warn!(
        tenant = unit.tenant,
        month = %unit.month(),
        event_id = event_id.unwrap_or_default(),
        code,
        reason,
        "row put into quarantine: it cannot be copied"
    );
    Ok(true)
}

/// Puts the rows that belong to no unit into quarantine: of a tenant those without a month, of a name that no tenant can
/// have, or of none, all. Gives how many.
pub(crate) async fn put_outside(
    pool: &PgPool,
    tenant: Option<&str>,
    all: bool,
    reason: &str,
) -> sqlx::Result<u64> {
    let put = sqlx::query_file!("sql/quarantine/put_outside.sql", tenant, all, reason, OUTSIDE_ROWS_MAX)
        .execute(pool)
        .await?;
    Ok(put.rows_affected())
}

/// Forgets those that were not met again since an instant.
pub(crate) async fn forget_outside(pool: &PgPool, since: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query_file!("sql/quarantine/forget_outside.sql", since).execute(pool).await?;
    Ok(())
}

/// How many rows could not be copied back and wait for a decision.
pub(crate) async fn count_open(pool: &PgPool, tenant: Option<&TenantId>) -> sqlx::Result<u64> {
    let tenant = tenant.map(TenantId::as_str);
    let open = sqlx::query_file_scalar!("sql/quarantine/count_open.sql", tenant).fetch_one(pool).await?;
    Ok(open.unsigned_abs())
}

/// Leaves those rows behind, for good; gives how many. Only on the way back: where else rows are in quarantine, they are in
/// legacy, and it is legacy that is left.
pub(crate) async fn accept(
    pool: &PgPool,
    tenant: Option<&TenantId>,
    by: &str,
    reason: &str,
) -> Result<u64, MigrationError> {
    let phase = status::read_phase(pool).await?;
    if phase != "restoring" {
        return Err(Refusal::Phase { phase, wanted: "to leave rows behind", from: "restoring" }.into());
    }
    let tenant = tenant.map(TenantId::as_str);
    let accepted =
        sqlx::query_file_scalar!("sql/quarantine/accept.sql", tenant, by, reason).fetch_one(pool).await?;
    tracing::warn!(rows = accepted, tenant, by, reason, "rows left behind in the partitioned table");
    Ok(accepted.unsigned_abs())
}

pub(crate) async fn list(
    pool: &PgPool,
    after: i64,
    most: i64,
) -> Result<Vec<QuarantinedRow>, MigrationError> {
    let rows = sqlx::query_file!("sql/quarantine/list.sql", after, most).fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| {
            Ok(QuarantinedRow {
                id: row.id,
                direction: Direction::parse(&row.direction)?,
                tenant_id: row.tenant_id,
                month: row.month_start.map(|start| Month::of(Timestamp::from_datetime(start))),
                event_id: row.event_id,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                aggregate_version: row.aggregate_version,
                event_timestamp: row.event_timestamp,
                code: row.code,
                reason: row.reason,
                first_seen: Timestamp::from_datetime(row.first_seen),
                last_seen: Timestamp::from_datetime(row.last_seen),
                accepted: row.accepted_at.map(|at| Accepted {
                    at: Timestamp::from_datetime(at),
                    by: row.accepted_by.unwrap_or_default(),
                    reason: row.accept_reason.unwrap_or_default(),
                }),
            })
        })
        .collect()
}
