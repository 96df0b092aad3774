use std::fmt;
use std::time::Duration;

use partita_model::{Month, Timestamp};
use sqlx::{Connection as _, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::MigrationError;

/// A lease is made good for longer this often while it lasts.
const KEEPS_A_LEASE: u32 = 5;
/// After this many attempts in a row without a page, a unit has failed.
const ATTEMPTS_MAX: i32 = 5;

/// Which way rows are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the legacy table to the partitioned one.
    Forward,
    /// From the partitioned table back to the legacy one.
    Restore,
}

impl Direction {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Restore => "restore",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, MigrationError> {
        match text {
            "forward" => Ok(Self::Forward),
            "restore" => Ok(Self::Restore),
            unknown => Err(MigrationError::Unknown(format!("the direction `{unknown}`"))),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The row that a page comes after; each part is what orders rows, with what stands in for NULL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) timestamp: OffsetDateTime,
    pub(crate) aggregate_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) version: i64,
    pub(crate) event_id: String,
}

/// A month of a tenant, and the lease on it.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) direction: Direction,
    pub(crate) tenant: String,
    pub(crate) start: OffsetDateTime,
    pub(crate) end: OffsetDateTime,
    pub(crate) token: Uuid,
    /// How long the lease is good for without a sign of life; it ends at once with its session.
    pub(crate) lease: Duration,
    pub(crate) attempts: i32,
    pub(crate) cursor: Cursor,
    /// Whether pages were made since the pass began.
    pub(crate) is_begun: bool,
    /// Whether the unit has a block of positions with room in it.
    pub(crate) has_room: bool,
}

impl Unit {
    /// Takes up a unit that nobody works on; none when there is none, or enough are worked on.
    pub(crate) async fn claim(
        connection: &mut PgConnection,
        direction: Direction,
        owner: &str,
        lease: Duration,
    ) -> sqlx::Result<Option<Self>> {
        let mut transaction = connection.begin().await?;
        let orders = sqlx::query_file!("sql/unit/lock_orders.sql").fetch_optional(&mut *transaction).await?;
        let Some(orders) = orders.filter(|orders| orders.direction == direction.as_str()) else {
            return Ok(None);
        };
        let row = sqlx::query_file!(
            "sql/unit/claim.sql",
            direction.as_str(),
            i64::from(orders.workers),
            owner,
            lease.as_secs_f64()
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let month = Month::of(Timestamp::from_datetime(row.month_start));
        let end = month.plus(1).start().to_datetime();
        let is_begun = row.cursor_version.is_some();
        let first = Cursor::first(direction, end);
        let cursor = match (row.cursor_timestamp, row.cursor_version) {
            (Some(timestamp), Some(version)) => Cursor {
                timestamp,
                aggregate_type: row.cursor_type.unwrap_or_default(),
                aggregate_id: row.cursor_id.unwrap_or_default(),
                version,
                event_id: row.cursor_event_id.unwrap_or_default(),
            },
            (None, Some(version)) => Cursor { version, ..first },
            (_, None) => first,
        };
        Ok(Some(Self {
            direction,
            tenant: row.tenant_id,
            start: row.month_start,
            end,
            token: row.lease_token,
            lease,
            attempts: row.attempts,
            cursor,
            is_begun,
            has_room: row.room.is_some_and(|room| room > 0),
        }))
    }

    /// The month, for people.
    pub(crate) fn month(&self) -> Month {
        Month::of(Timestamp::from_datetime(self.start))
    }

    /// Makes the lease good for longer, and notes how many rows there are to copy and what throttles the worker; false when
    /// the lease is lost.
    pub(crate) async fn renew(
        &self,
        connection: &mut PgConnection,
        rows_to_copy: Option<i64>,
        throttle: Option<&str>,
    ) -> sqlx::Result<bool> {
        let held = sqlx::query_file_scalar!(
            "sql/unit/renew.sql",
            self.direction.as_str(),
            self.tenant,
            self.start,
            self.token,
            self.lease.as_secs_f64(),
            rows_to_copy,
            throttle
        )
        .fetch_optional(connection)
        .await?;
        Ok(held.is_some())
    }

    /// How long the worker may be silent.
    pub(crate) fn silence_max(&self) -> Duration {
        self.lease / KEEPS_A_LEASE
    }

    /// Keeps the lease beside work that takes long, of which the database hears nothing before it ends: a count of a great
    /// month. Never beside a page, whose statement has the unit's row.
    pub(crate) async fn keep_beside<T>(&self, pool: &PgPool, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                () = tokio::time::sleep(self.silence_max()) => self.keep(pool).await,
            }
        }
    }

    async fn keep(&self, pool: &PgPool) {
        let (direction, seconds) = (self.direction.as_str(), self.lease.as_secs_f64());
        let kept =
            sqlx::query_file!("sql/unit/keep.sql", direction, self.tenant, self.start, self.token, seconds)
                .execute(pool)
                .await;
        // A lease that is another's by now is met by the next statement, and so is a database that is away.
        if let Err(error) = kept {
            tracing::debug!(%error, tenant = self.tenant, "the lease of a unit could not be kept for now");
        }
    }

    /// Lets the next page begin at the newest row; false when the lease is lost.
    pub(crate) async fn begin_pass(&mut self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let begun = sqlx::query_file_scalar!(
            "sql/unit/begin_pass.sql",
            self.direction.as_str(),
            self.tenant,
            self.start,
            self.token
        )
        .fetch_optional(connection)
        .await?;
        self.cursor = Cursor::first(self.direction, self.end);
        self.is_begun = true;
        Ok(begun.is_some())
    }

    /// Ends the work on the unit; false when the lease is lost.
    pub(crate) async fn finish(&self, connection: &mut PgConnection, rows_left: i64) -> sqlx::Result<bool> {
        let held = sqlx::query_file_scalar!(
            "sql/unit/finish.sql",
            self.direction.as_str(),
            self.tenant,
            self.start,
            self.token,
            rows_left
        )
        .fetch_optional(connection)
        .await?;
        Ok(held.is_some())
    }

    /// Lets go of the unit; with an error it is tried again after a while, longer each time.
    pub(crate) async fn release(
        &self,
        connection: &mut PgConnection,
        error: Option<&str>,
    ) -> sqlx::Result<()> {
        let pause = match error {
            Some(_) => f64::from(1_u32 << self.attempts.clamp(0, 5)),
            None => 0.0,
        };
        sqlx::query_file!(
            "sql/unit/release.sql",
            self.direction.as_str(),
            self.tenant,
            self.start,
            self.token,
            error,
            pause,
            ATTEMPTS_MAX
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Cursor {
    /// Before the newest row of a month.
    pub(crate) fn first(direction: Direction, end: OffsetDateTime) -> Self {
        let version = match direction {
            Direction::Forward => 0,
            // A restore goes by position, and every position lies below this one.
            Direction::Restore => i64::MAX,
        };
        Self {
            timestamp: end,
            aggregate_type: String::new(),
            aggregate_id: String::new(),
            version,
            event_id: String::new(),
        }
    }
}
