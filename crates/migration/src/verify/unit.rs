use partita_model::{Month, Timestamp};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::differences::{self, Found, Scope};
use super::{DIFFERENCES_MAX, ONE_SNAPSHOT, UnitReport, store};
use crate::MigrationError;
use crate::error::is_of_row;
use crate::retry::Attempts;

impl UnitReport {
    /// Whether both sides are the same.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.unreadable.is_none()
    }
}

/// Compares a month of a tenant, and writes down what differs.
pub(super) async fn verify(
    pool: &PgPool,
    tenant: &str,
    start: OffsetDateTime,
) -> Result<UnitReport, MigrationError> {
    let month = Month::of(Timestamp::from_datetime(start));
    let mut attempts = Attempts::new();
    let (now, mut report, found) = loop {
        match compare(pool, tenant, month).await {
            Ok(compared) => break compared,
            Err(error) if is_of_row(&error) => {
                let unreadable = error.as_database_error().map(|error| error.message().to_owned());
                let report = UnitReport { unreadable, ..empty(tenant, month) };
                return Ok(report);
            }
            // Hours of work do not end because a month was being detached just now.
            Err(error) if attempts.again_after(&error).await => {}
            Err(error) => return Err(error.into()),
        }
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
    let mut transaction = pool.begin_with(ONE_SNAPSHOT).await?;
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
    let scope = Scope { tenant, time: (start, end), range: None };
    let found = differences::find(&mut transaction, &scope, DIFFERENCES_MAX).await?;
    transaction.commit().await?;
    Ok((now, report, found))
}
