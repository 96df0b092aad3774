use partita_model::{Direction, ReadStream, RecordedEvent, Timestamp, Version};
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;

use super::row::EventRow;

/// Every instant that a [`Timestamp`] can hold: the bounds of a read that names none.
pub(crate) const EVER: Bounds = (datetime!(0001-01-01 00:00 UTC), datetime!(9999-12-31 23:59:59.999999 UTC));

/// The least instant, inclusive, and the greatest, exclusive.
pub(crate) type Bounds = (OffsetDateTime, OffsetDateTime);

/// No instant at all: the planner leaves out every partition.
pub(crate) const NEVER: Bounds = (EVER.0, EVER.0);

/// Which versions, and how many rows at most.
pub(crate) struct Page {
    pub least: Version,
    pub greatest: Version,
    pub rows_max: i64,
    pub direction: Direction,
}

/// The last version of a stream, and the least and greatest timestamp of its events in the partitioned table.
pub(crate) type Found = Option<(Version, Option<(Timestamp, Timestamp)>)>;

pub(crate) async fn find_legacy(pool: &PgPool, read: &ReadStream) -> sqlx::Result<Found> {
    let version = sqlx::query_file_scalar!(
        "sql/read_stream/find_stream_legacy.sql",
        read.tenant.as_str(),
        read.stream.aggregate_type(),
        read.stream.aggregate_id()
    );
    Ok(version.fetch_optional(pool).await?.map(|version| (Version::new(version), None)))
}

pub(crate) async fn find_dual(pool: &PgPool, read: &ReadStream) -> sqlx::Result<Found> {
    let row = sqlx::query_file!(
        "sql/read_stream/find_stream_dual.sql",
        read.tenant.as_str(),
        read.stream.aggregate_type(),
        read.stream.aggregate_id()
    )
    .fetch_one(pool)
    .await?;
    let lived = row.first_timestamp.zip(row.last_timestamp);
    let lived = lived.map(|(first, last)| (Timestamp::from_datetime(first), Timestamp::from_datetime(last)));
    let head = row.stream_version.max(row.legacy_version);
    Ok(head.map(|version| (Version::new(version), lived)))
}

impl Page {
    pub(crate) async fn legacy(
        &self,
        pool: &PgPool,
        read: &ReadStream,
        (from, to): Bounds,
    ) -> sqlx::Result<Vec<RecordedEvent>> {
        macro_rules! fetch {
            ($file:literal) => {
                sqlx::query_file_as!(
                    EventRow,
                    $file,
                    read.tenant.as_str(),
                    read.stream.aggregate_type(),
                    read.stream.aggregate_id(),
                    self.least.get(),
                    self.greatest.get(),
                    from,
                    to,
                    self.rows_max
                )
                .fetch_all(pool)
                .await?
            };
        }
        let rows = match self.direction {
            Direction::Forwards => fetch!("sql/read_stream/page_legacy_forwards.sql"),
            Direction::Backwards => fetch!("sql/read_stream/page_legacy_backwards.sql"),
        };
        Ok(rows.into_iter().map(RecordedEvent::from).collect())
    }

    /// From both tables, each within bounds of its own.
    pub(crate) async fn union(
        &self,
        pool: &PgPool,
        read: &ReadStream,
        (from, to): Bounds,
        (lived_from, lived_to): Bounds,
    ) -> sqlx::Result<Vec<RecordedEvent>> {
        macro_rules! fetch {
            ($file:literal) => {
                sqlx::query_file_as!(
                    EventRow,
                    $file,
                    read.tenant.as_str(),
                    read.stream.aggregate_type(),
                    read.stream.aggregate_id(),
                    self.least.get(),
                    self.greatest.get(),
                    from,
                    to,
                    lived_from,
                    lived_to,
                    self.rows_max
                )
                .fetch_all(pool)
                .await?
            };
        }
        let rows = match self.direction {
            Direction::Forwards => fetch!("sql/read_stream/page_union_forwards.sql"),
            Direction::Backwards => fetch!("sql/read_stream/page_union_backwards.sql"),
        };
        Ok(rows.into_iter().map(RecordedEvent::from).collect())
    }
}
