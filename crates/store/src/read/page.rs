use futures_util::{Stream, TryStreamExt as _};
use partita_model::{ControlPhase, Direction, Phase, ReadStream, RecordedEvent, Timestamp, Version};
use time::OffsetDateTime;
use time::macros::datetime;

use super::row::EventRow;
use crate::phase::parse;
use crate::sessions::TenantSessions;

/// What a page weighs at most but for its last event, in bytes. How many rows make a page is judged by the events before
/// it: where small ones are followed by the largest, they would be 2 GiB.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

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

/// The events of a page.
pub(crate) struct Events {
    pub events: Vec<RecordedEvent>,
    /// Whether the statement may have had more to give: these weigh enough.
    pub is_cut: bool,
}

/// Which tables a read's pages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Legacy alone.
    Legacy,
    /// Both tables, united.
    Union,
    /// The partitioned table alone.
    Partitioned,
}

/// What a read is begun with, all of one snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// What the control row says.
    pub control: ControlPhase,
    /// Where the events are.
    pub source: Source,
    /// The last version of the stream; none when there is no such stream.
    pub head: Option<Version>,
    /// The least and greatest timestamp of its events in the partitioned table.
    pub lived: Option<(Timestamp, Timestamp)>,
}

/// Finds a stream, by the tables that know it in a phase.
pub(crate) async fn find(sessions: &TenantSessions, phase: Phase, read: &ReadStream) -> sqlx::Result<Found> {
    match phase {
        Phase::Legacy => find_legacy(sessions, read).await,
        Phase::Dual => find_dual(sessions, read).await,
        Phase::Fenced => {
            let (found, is_verified) = find_partitioned(sessions, read).await?;
            let decided = is_verified || found.control != phase.control();
            if decided { Ok(found) } else { find_dual(sessions, read).await }
        }
        Phase::Restoring | Phase::Finalized => Ok(find_partitioned(sessions, read).await?.0),
    }
}

pub(crate) async fn find_legacy(sessions: &TenantSessions, read: &ReadStream) -> sqlx::Result<Found> {
    let row = sqlx::query_file!(
        "sql/read_stream/find_stream_legacy.sql",
        read.tenant.as_str(),
        read.stream.aggregate_type(),
        read.stream.aggregate_id()
    )
    .fetch_one(&mut *sessions.session().await?)
    .await?;
    let (control, head) = (parse(&row.phase), row.version.map(Version::new));
    Ok(Found { control, source: Source::Legacy, head, lived: None })
}

async fn find_dual(sessions: &TenantSessions, read: &ReadStream) -> sqlx::Result<Found> {
    let row = sqlx::query_file!(
        "sql/read_stream/find_stream_dual.sql",
        read.tenant.as_str(),
        read.stream.aggregate_type(),
        read.stream.aggregate_id()
    )
    .fetch_one(&mut *sessions.session().await?)
    .await?;
    Ok(Found {
        control: parse(&row.phase),
        source: Source::Union,
        head: row.stream_version.max(row.legacy_version).map(Version::new),
        lived: lived(row.first_timestamp, row.last_timestamp),
    })
}

/// Says also whether the tenant was proved equal since the fence went up.
pub(crate) async fn find_partitioned(
    sessions: &TenantSessions,
    read: &ReadStream,
) -> sqlx::Result<(Found, bool)> {
    let row = sqlx::query_file!(
        "sql/read_stream/find_stream_partitioned.sql",
        read.tenant.as_str(),
        read.stream.aggregate_type(),
        read.stream.aggregate_id()
    )
    .fetch_one(&mut *sessions.session().await?)
    .await?;
    let found = Found {
        control: parse(&row.phase),
        source: Source::Partitioned,
        head: row.stream_version.map(Version::new),
        lived: lived(row.first_timestamp, row.last_timestamp),
    };
    Ok((found, row.is_verified))
}

fn lived(first: Option<OffsetDateTime>, last: Option<OffsetDateTime>) -> Option<(Timestamp, Timestamp)> {
    let (first, last) = first.zip(last)?;
    Some((Timestamp::from_datetime(first), Timestamp::from_datetime(last)))
}

/// A page by one of the statements, which differ in how many bounds of time they have. A macro, for each is checked as it is built.
macro_rules! fetch {
    ($file:literal, $page:ident, $session:ident, $read:ident, $($bound:ident),+) => {
        take(
            sqlx::query_file_as!(
                EventRow,
                $file,
                $read.tenant.as_str(),
                $read.stream.aggregate_type(),
                $read.stream.aggregate_id(),
                $page.least.get(),
                $page.greatest.get(),
                $($bound,)+
                $page.rows_max
            )
            .fetch(&mut *$session),
        )
        .await
    };
}

impl Page {
    pub(crate) async fn legacy(
        &self,
        sessions: &TenantSessions,
        read: &ReadStream,
        (from, to): Bounds,
    ) -> sqlx::Result<Events> {
        let mut session = sessions.session().await?;
        match self.direction {
            Direction::Forwards => {
                fetch!("sql/read_stream/page_legacy_forwards.sql", self, session, read, from, to)
            }
            Direction::Backwards => {
                fetch!("sql/read_stream/page_legacy_backwards.sql", self, session, read, from, to)
            }
        }
    }

    pub(crate) async fn partitioned(
        &self,
        sessions: &TenantSessions,
        read: &ReadStream,
        (from, to): Bounds,
    ) -> sqlx::Result<Events> {
        let mut session = sessions.session().await?;
        match self.direction {
            Direction::Forwards => {
                fetch!("sql/read_stream/page_partitioned_forwards.sql", self, session, read, from, to)
            }
            Direction::Backwards => {
                fetch!("sql/read_stream/page_partitioned_backwards.sql", self, session, read, from, to)
            }
        }
    }

    /// From both tables, each within bounds of its own.
    pub(crate) async fn union(
        &self,
        sessions: &TenantSessions,
        read: &ReadStream,
        (from, to): Bounds,
        (lived_from, lived_to): Bounds,
    ) -> sqlx::Result<Events> {
        // Where everybody writes both tables, this is the union without the floor.
        #[cfg(feature = "planted-bugs")]
        if crate::planted::has(crate::planted::Bug::ForgetFloor) {
            return self.legacy(sessions, read, (from, to)).await;
        }
        let mut session = sessions.session().await?;
        match self.direction {
            Direction::Forwards => fetch!(
                "sql/read_stream/page_union_forwards.sql",
                self,
                session,
                read,
                from,
                to,
                lived_from,
                lived_to
            ),
            Direction::Backwards => fetch!(
                "sql/read_stream/page_union_backwards.sql",
                self,
                session,
                read,
                from,
                to,
                lived_from,
                lived_to
            ),
        }
    }
}

/// Takes rows until they weigh a page. What is left is not received: the session goes back in the middle of its answer, and
/// the pool closes it where that would take long.
async fn take(mut rows: impl Stream<Item = sqlx::Result<EventRow>> + Unpin) -> sqlx::Result<Events> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let event = RecordedEvent::from(row);
        bytes += weight(&event);
        events.push(event);
        if bytes >= PAGE_BYTES_MAX {
            return Ok(Events { events, is_cut: true });
        }
    }
    Ok(Events { events, is_cut: false })
}

/// About what an event occupies in memory, in bytes.
pub(super) fn weight(event: &RecordedEvent) -> usize {
    event.data.len() + event.metadata.as_ref().map_or(0, String::len) + 512
}
