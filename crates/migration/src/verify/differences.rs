use partita_model::{Month, Timestamp};
use partita_store::ReadRange;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Mismatch, MismatchReason};

/// A difference, and the row's timestamp as its key has it.
pub(crate) struct Found {
    pub(crate) mismatch: Mismatch,
    pub(crate) timestamp: Option<String>,
}

/// Which rows of a tenant are compared.
pub(crate) struct Scope<'a> {
    pub(crate) tenant: &'a str,
    /// The first instant, and the one past the last.
    pub(crate) time: (OffsetDateTime, OffsetDateTime),
    /// Of one stream, these versions; none: all rows.
    pub(crate) range: Option<&'a ReadRange>,
}

/// The rows that are not the same on both sides, at most so many.
///
/// **Invariant:** what makes two rows equal is said by this statement, and by the digest of a unit, which leaves it out.
pub(crate) async fn find(
    connection: &mut PgConnection,
    scope: &Scope<'_>,
    most: i64,
) -> sqlx::Result<Vec<Found>> {
    let (start, end) = scope.time;
    let rows = sqlx::query_file!(
        "sql/verify/find_differences.sql",
        scope.tenant,
        start,
        end,
        most,
        scope.range.map(|range| range.stream.aggregate_type()),
        scope.range.map(|range| range.stream.aggregate_id()),
        scope.range.map(|range| i64::from(range.least.get())),
        scope.range.map(|range| i64::from(range.greatest.get())),
    )
    .fetch_all(connection)
    .await?;
    let found = rows.into_iter().map(|row| {
        let reason = MismatchReason::parse(&row.reason).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let mismatch = Mismatch {
            id: 0,
            tenant_id: scope.tenant.to_owned(),
            month: Some(Month::of(Timestamp::from_datetime(row.month_start))),
            event_id: row.event_id,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            aggregate_version: row.aggregate_version,
            reason,
            columns: row.columns,
            found_at: None,
        };
        Ok(Found { mismatch, timestamp: row.event_timestamp })
    });
    found.collect()
}
