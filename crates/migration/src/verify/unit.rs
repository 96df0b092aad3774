use partita_model::{Month, Timestamp};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::{DIFFERENCES_MAX, Mismatch, MismatchReason, UnitReport, store};
use crate::MigrationError;
use crate::error::is_of_row;

/// One snapshot for both sides, and for the look at what differs.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl UnitReport {
    /// Whether both sides are the same.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.unreadable.is_none()
    }
}

/// A difference, and the row's timestamp as its key has it.
struct Found {
    mismatch: Mismatch,
    timestamp: Option<String>,
}

/// Compares a month of a tenant, and writes down what differs.
pub(super) async fn verify(
    pool: &PgPool,
    tenant: &str,
    start: OffsetDateTime,
) -> Result<UnitReport, MigrationError> {
    let month = Month::of(Timestamp::from_datetime(start));
    let (now, mut report, found) = match compare(pool, tenant, month).await {
        Ok(compared) => compared,
        Err(error) if is_of_row(&error) => {
            let unreadable = error.as_database_error().map(|error| error.message().to_owned());
            let report = UnitReport { unreadable, ..empty(tenant, month) };
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    for found in &found {
        store(pool, &found.mismatch, found.timestamp.as_deref()).await?;
    }
    if i64::try_from(found.len()).is_ok_and(|count| count < DIFFERENCES_MAX) {
        sqlx::query_file!("sql/verify/close_mismatches.sql", tenant, start, now).execute(pool).await?;
    }
    report.differences = found.into_iter().map(|found| found.mismatch).collect();
    Ok(report)
}

fn empty(tenant: &str, month: Month) -> UnitReport {
    UnitReport {
        tenant_id: tenant.to_owned(),
        month,
        legacy_rows: 0,
        partitioned_rows: 0,
        differences: Vec::new(),
        unreadable: None,
    }
}

async fn compare(
    pool: &PgPool,
    tenant: &str,
    month: Month,
) -> sqlx::Result<(OffsetDateTime, UnitReport, Vec<Found>)> {
    let (start, end) = (month.start().to_datetime(), month.plus(1).start().to_datetime());
    let mut transaction = pool.begin_with(BEGIN).await?;
    let now =
        sqlx::query_file!("sql/verify/find_obstacles.sql", tenant).fetch_one(&mut *transaction).await?.now;
    let sides = sqlx::query_file!("sql/verify/digest_unit.sql", tenant, start, end)
        .fetch_one(&mut *transaction)
        .await?;
    let report = UnitReport {
        legacy_rows: sides.legacy_rows.unsigned_abs(),
        partitioned_rows: sides.partitioned_rows.unsigned_abs(),
        ..empty(tenant, month)
    };
    if sides.is_same && sides.legacy_rows == sides.partitioned_rows {
        transaction.commit().await?;
        return Ok((now, report, Vec::new()));
    }
    let rows = sqlx::query_file!("sql/verify/find_differences.sql", tenant, start, end, DIFFERENCES_MAX)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let found = rows
        .into_iter()
        .map(|row| {
            let reason =
                MismatchReason::parse(&row.reason).map_err(|error| sqlx::Error::Decode(error.into()))?;
            let mismatch = Mismatch {
                id: 0,
                tenant_id: tenant.to_owned(),
                month: Some(month),
                event_id: row.event_id,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                aggregate_version: row.aggregate_version,
                reason,
                columns: row.columns,
                found_at: None,
            };
            Ok(Found { mismatch, timestamp: row.event_timestamp })
        })
        .collect::<sqlx::Result<Vec<Found>>>()?;
    Ok((now, report, found))
}
