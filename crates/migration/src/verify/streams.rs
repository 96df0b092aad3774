use sqlx::PgPool;

use super::{DIFFERENCES_MAX, Mismatch, MismatchReason, store};
use crate::MigrationError;
use crate::retry::retry;

/// What is said of a tenant's streams, and of its rows that no month can hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// Differences that were written down.
    pub(super) differences: u64,
    /// Streams whose head is not their last event.
    pub(super) heads_wrong: u64,
    /// Streams whose versions have gaps.
    pub(super) with_gaps: u64,
}

/// Compares the heads of a tenant's streams with their last events, and looks for gaps and for rows outside of all months.
pub(super) async fn verify(pool: &PgPool, tenant: &str) -> Result<Found, MigrationError> {
    let now = sqlx::query_file!("sql/verify/find_obstacles.sql", tenant).fetch_one(pool).await?.now;
    let mut found = Found::default();
    let streams =
        retry!(sqlx::query_file!("sql/verify/check_streams.sql", tenant, DIFFERENCES_MAX).fetch_all(pool))?;
    let is_all = i64::try_from(streams.len()).is_ok_and(|count| count < DIFFERENCES_MAX);
    for stream in streams {
        found.with_gaps += u64::from(stream.has_gap);
        if !stream.is_head_wrong {
            continue;
        }
        found.heads_wrong += 1;
        let mismatch = Mismatch {
            aggregate_type: Some(stream.aggregate_type),
            aggregate_id: Some(stream.aggregate_id),
            aggregate_version: Some(stream.version),
            ..whole(tenant, MismatchReason::HeadDiffers)
        };
        store(pool, &mismatch, None).await?;
    }
    let outside =
        sqlx::query_file!("sql/verify/find_outside.sql", tenant, DIFFERENCES_MAX).fetch_all(pool).await?;
    found.differences = found.heads_wrong + outside.len() as u64;
    for row in outside {
        let mismatch = Mismatch {
            event_id: row.event_id,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            aggregate_version: row.aggregate_version,
            ..whole(tenant, MismatchReason::OutsideOfMonths)
        };
        store(pool, &mismatch, row.event_timestamp.as_deref()).await?;
    }
    if is_all {
        let month: Option<time::OffsetDateTime> = None;
        sqlx::query_file!("sql/verify/close_mismatches.sql", tenant, month, now).execute(pool).await?;
    }
    Ok(found)
}

fn whole(tenant: &str, reason: MismatchReason) -> Mismatch {
    Mismatch {
        id: 0,
        tenant_id: tenant.to_owned(),
        month: None,
        event_id: None,
        aggregate_type: None,
        aggregate_id: None,
        aggregate_version: None,
        reason,
        columns: Vec::new(),
        found_at: None,
    }
}
