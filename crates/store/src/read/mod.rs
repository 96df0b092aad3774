//! Reading a stream, page by page. A page is one statement and so one snapshot; between pages no connection is held.

pub(crate) mod page;
mod range;
pub(crate) mod row;

use partita_model::{Direction, ReadStream, RecordedEvent, StreamState, Timestamp, Version};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use self::page::{Events, Found, Page, Source, weight};
pub use self::range::ReadRange;
use crate::append::{is_connection_lost, is_unavailable};
use crate::metrics::{DATABASE_DURATION, UNION_LEGACY_ROWS};
use crate::phase::{PHASES_MAX, PhaseCell};
use crate::sessions::TenantSessions;
use crate::{ChainTable, Forbidding, StoreError};

/// Rows of the first page: most streams are shorter, and read by one statement. What an event weighs is known only after
/// it: a page of large ones is cut by its weight.
const FIRST_PAGE_ROWS: i64 = 128;
/// Most rows of a later page.
const PAGE_ROWS_MAX: i64 = 2_000;
/// What a later page should weigh, in bytes, judged by the events before it.
const PAGE_BYTES_WANTED: usize = 1024 * 1024;
/// `statement_timeout`, or an administrator.
const QUERY_CANCELED: &str = "57014";

/// Reads one stream as it stood when the read began: events that are appended meanwhile are not part of it.
pub struct StreamReader {
    sessions: TenantSessions,
    source: Source,
    read: ReadStream,
    /// Where the stream stood when the read began.
    head: Version,
    /// The months that the stream lived in, in the partitioned table; none while it has no event there.
    lived: Option<(Timestamp, Timestamp)>,
    /// The version that the read began at.
    start: Version,
    /// The next version to read; none at the end.
    next: Option<Version>,
    left: Option<u64>,
    page_rows: i64,
    first_version: Option<Version>,
}

impl StreamReader {
    /// Finds the stream, in the phase that the database is in. Where its events are then, they are to the end of the read,
    /// whatever becomes of the phase: no change of it takes an event out of a table, and the read ends where the stream
    /// stands now.
    pub(crate) async fn open(
        sessions: TenantSessions,
        phase: &PhaseCell,
        read: ReadStream,
    ) -> Result<Self, StoreError> {
        let mut believed = phase.current(sessions.pool()).await?;
        for _ in 0..PHASES_MAX {
            let begun = Instant::now();
            let found = page::find(&sessions, believed, &read).instrument(span("find_stream")).await;
            observe("find_stream", begun, found.as_ref().err());
            let found = found.map_err(|error| store_error(&error))?;
            if found.control == believed.control() {
                return Self::begin(sessions, found, read);
            }
            believed = phase.learn(found.control).map_err(StoreError::PhaseContradiction)?;
        }
        Err(StoreError::Unavailable)
    }

    /// Finds the stream in one of the tables, whatever the phase, to follow its chain there. Legacy keeps what has expired.
    pub(crate) async fn open_chain(
        sessions: TenantSessions,
        table: ChainTable,
        read: ReadStream,
    ) -> Result<Self, StoreError> {
        let found = match table {
            ChainTable::Legacy => page::find_legacy(&sessions, &read).await,
            ChainTable::Partitioned => page::find_partitioned(&sessions, &read).await.map(|(found, _)| found),
        };
        Self::begin(sessions, found.map_err(|error| store_error(&error))?, read)
    }

    fn begin(sessions: TenantSessions, found: Found, read: ReadStream) -> Result<Self, StoreError> {
        let Found { control: _, source, head, lived } = found;
        let Some(head) = head else {
            return Err(StoreError::StreamNotFound { stream: read.stream });
        };
        let start = match (read.direction, read.from_version) {
            (Direction::Forwards, from) => from.unwrap_or(Version::new(1)),
            (Direction::Backwards, from) => from.map_or(head, |from| from.min(head)),
        };
        let (next, left, page_rows) = (Some(start), read.max_count, FIRST_PAGE_ROWS);
        Ok(Self { sessions, source, read, head, lived, start, next, left, page_rows, first_version: None })
    }

    /// The next events, in the direction of the read; `None` at the end.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn next_page(&mut self) -> Result<Option<Vec<RecordedEvent>>, StoreError> {
        let page = self.fetch().await.map_err(|error| store_error(&error))?;
        if page.is_none() && self.first_version.is_none() {
            self.first_version = Some(self.find_first_version().await.map_err(|error| store_error(&error))?);
        }
        Ok(page)
    }

    /// Where the stream stood when the read began. The first version is known once `next_page` gave `None`.
    pub fn state(&self) -> StreamState {
        StreamState { version: self.head, first_version: self.first_version.unwrap_or(Version::new(1)) }
    }

    /// What was looked at so far; none before the first page.
    pub fn looked_at(&self) -> Option<ReadRange> {
        let (least, greatest) = range::looked_at(self.read.direction, self.start, self.next, self.head)?;
        let rows_max = u32::try_from(self.page_rows).unwrap_or(1);
        let (tenant, stream) = (self.read.tenant.clone(), self.read.stream.clone());
        Some(ReadRange { tenant, stream, least, greatest, rows_max })
    }

    async fn fetch(&mut self) -> sqlx::Result<Option<Vec<RecordedEvent>>> {
        let Some(from) = self.next.filter(|_| self.left != Some(0)) else { return Ok(None) };
        let (least, greatest) = match self.read.direction {
            Direction::Forwards => (from, self.head),
            Direction::Backwards => (Version::new(1), from),
        };
        if least > greatest {
            self.next = None;
            return Ok(None);
        }
        let wanted = self
            .left
            .map_or(self.page_rows, |left| i64::try_from(left).unwrap_or(i64::MAX).min(self.page_rows));
        let page = Page { least, greatest, rows_max: wanted, direction: self.read.direction };
        let Events { events, is_cut } =
            self.page(&page, self.read.from_timestamp, self.read.to_timestamp).await?;
        let is_whole = is_cut || i64::try_from(events.len()).is_ok_and(|count| count == wanted);
        self.advance(&events, is_whole);
        Ok(Some(events).filter(|events| !events.is_empty()))
    }

    /// `is_whole`: whether there may be more behind these.
    fn advance(&mut self, events: &[RecordedEvent], is_whole: bool) {
        self.next = events.last().filter(|_| is_whole).and_then(|last| match self.read.direction {
            Direction::Forwards => last.version.checked_add(1),
            Direction::Backwards => {
                Some(Version::new(last.version.get() - 1)).filter(|next| *next > Version::NONE)
            }
        });
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(events.len() as u64);
        }
        let from_start = self.read.direction == Direction::Forwards
            && self.read.from_version.is_none()
            && self.read.from_timestamp.is_none()
            && self.read.to_timestamp.is_none();
        if let Some(first) = events.first().filter(|_| from_start && self.first_version.is_none()) {
            self.first_version = Some(first.version);
        }
        if let Some(bytes) = events.iter().map(weight).sum::<usize>().checked_div(events.len()) {
            let rows = i64::try_from(PAGE_BYTES_WANTED / bytes.max(1)).unwrap_or(PAGE_ROWS_MAX);
            self.page_rows = rows.clamp(1, PAGE_ROWS_MAX);
        }
    }

    /// The first version that is still there, or one past the head when none is.
    async fn find_first_version(&self) -> sqlx::Result<Version> {
        let page =
            Page { least: Version::new(1), greatest: self.head, rows_max: 1, direction: Direction::Forwards };
        let first = self.page(&page, None, None).await?.events.into_iter().next();
        let past = self.head.checked_add(1).unwrap_or(self.head);
        Ok(first.map_or(past, |event| event.version))
    }

    async fn page(
        &self,
        page: &Page,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> sqlx::Result<Events> {
        let wanted = (
            from.map_or(page::EVER.0, Timestamp::to_datetime),
            to.map_or(page::EVER.1, Timestamp::to_datetime),
        );
        let lived = self.lived_within(wanted);
        let begun = Instant::now();
        let fetch = async {
            match self.source {
                Source::Legacy => page.legacy(&self.sessions, &self.read, wanted).await,
                Source::Union => page.union(&self.sessions, &self.read, wanted, lived).await,
                Source::Partitioned => page.partitioned(&self.sessions, &self.read, lived).await,
            }
        };
        let events = fetch.instrument(span("read_page")).await;
        observe("read_page", begun, events.as_ref().err());
        if let (Source::Union, Ok(page)) = (self.source, &events) {
            // Only what is in the partitioned table has a position.
            let legacy = page.events.iter().filter(|event| event.position.is_none()).count();
            UNION_LEGACY_ROWS.add(legacy as u64, []);
        }
        events
    }

    /// The part of the wanted time that the stream lived through in the partitioned table. `lived` is as old as the
    /// read, the page is not; and yet nothing is missed: versions end at the head of that time, and whatever is copied
    /// into the partitioned table since then is still in the legacy table, which is read beside it.
    fn lived_within(&self, (from, to): page::Bounds) -> page::Bounds {
        match self.lived {
            Some((first, last)) => {
                let past_last = last.to_datetime() + time::Duration::microseconds(1);
                (from.max(first.to_datetime()), to.min(past_last))
            }
            None => page::NEVER,
        }
    }
}

/// The span of an operation of the pool.
fn span(operation: &'static str) -> Span {
    tracing::info_span!(
        "read",
        otel.kind = "client",
        otel.name = operation,
        db.system.name = "postgresql",
        db.operation.name = operation,
    )
}

/// Notes how long an operation of the pool took, and how it went.
pub(crate) fn observe(operation: &'static str, begun: Instant, error: Option<&sqlx::Error>) {
    let error = match error {
        None => "",
        Some(sqlx::Error::PoolTimedOut) => "pool_timeout",
        Some(error) if is_connection_lost(error) => "unavailable",
        Some(_) => "database",
    };
    DATABASE_DURATION.observe(begun.elapsed().as_secs_f64(), [operation, error]);
}

/// Sorts an error of a read, and logs it once.
pub(crate) fn store_error(error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(QUERY_CANCELED) {
        tracing::info!(%error, "a read was cancelled by the database");
        return StoreError::ReadTimeout;
    }
    if code.as_deref() == Some("42501") {
        tracing::warn!(%error, "the role of this process lacks a privilege");
        return StoreError::Forbidden(Forbidding::Role);
    }
    if is_unavailable(error) || code.as_deref() == Some("55P03") {
        tracing::warn!(%error, "database not available for a read");
        return StoreError::Unavailable;
    }
    tracing::error!(%error, "read failed unexpectedly");
    StoreError::Internal
}
