use std::collections::VecDeque;

use partita_model::{
    ControlPhase, Direction, ReadStream, RecordedEvent, StreamId, TenantId, Timestamp, Uuid, Version,
};

use super::feed::{count_purged, find_floor};
use super::gaps::Gaps;
use super::walk::{Walk, finding};
use super::{ChainFinding, ChainStep, ChainTable, Fault};
use crate::phase::parse;
use crate::positions::find_positions;
use crate::read::store_error;
use crate::sessions::TenantSessions;
use crate::{StoreError, StreamReader};

/// Streams that are listed at once.
const STREAMS_A_PAGE: i64 = 100;
/// A step ends with the page that reaches this number of events, or with this number of streams.
const STEP_EVENTS: u64 = 2_000;
const STREAMS_A_STEP_MAX: u64 = 500;
/// Most events that are suspected at the same time: so many tell enough.
const SUSPECTS_MAX: usize = 10_000;

/// Follows the chains of a tenant's streams, stream by stream: in the legacy table while it is whole, else in the
/// partitioned one.
pub(super) struct Streams {
    tenant: TenantId,
    /// The last stream that was listed.
    after: (String, String),
    listed: VecDeque<Listed>,
    walk: Option<Walk>,
    /// Events without a copy, which a gap of the feed may be about. Whether it is is known when all streams were followed.
    suspects: Vec<ChainFinding>,
    /// Expired events without a copy, which a gap may be about.
    expired: u64,
    /// Expired events that the legacy table lacks as well.
    gone: u64,
}

struct Listed {
    stream: StreamId,
    record: Option<(Version, String)>,
    /// The least and the greatest timestamp that the stream's record names.
    lived: Option<(Timestamp, Timestamp)>,
    control: ControlPhase,
}

impl Streams {
    pub(super) fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            after: (String::new(), String::new()),
            listed: VecDeque::new(),
            walk: None,
            suspects: Vec::new(),
            expired: 0,
            gone: 0,
        }
    }

    /// Follows the next events; `None` after the last.
    pub(super) async fn step(
        &mut self,
        sessions: &TenantSessions,
        gaps: &Gaps,
    ) -> Result<Option<ChainStep>, StoreError> {
        let mut step = ChainStep::default();
        let mut read = 0;
        while read < STEP_EVENTS && step.streams < STREAMS_A_STEP_MAX {
            let mut walk = match self.walk.take() {
                Some(walk) => walk,
                None => match self.next_stream(sessions).await? {
                    Some(listed) => self.begin(sessions, listed).await?,
                    None => {
                        let lost =
                            self.take_lost(sessions, gaps).await.map_err(|error| store_error(&error))?;
                        step.findings.extend(lost);
                        break;
                    }
                },
            };
            match walk.next_page().await? {
                Some(events) => {
                    read += events.len() as u64;
                    walk.check_page(sessions, &events, &mut step)
                        .await
                        .map_err(|error| store_error(&error))?;
                    if walk.table() == ChainTable::Legacy {
                        self.find_uncopied(sessions, gaps, &events)
                            .await
                            .map_err(|error| store_error(&error))?;
                    }
                    self.walk = Some(walk);
                }
                None => {
                    self.gone += walk.end(sessions, &mut step).await.map_err(|error| store_error(&error))?;
                }
            }
        }
        Ok(Some(step).filter(|step| read > 0 || step.streams > 0 || !step.findings.is_empty()))
    }

    async fn next_stream(&mut self, sessions: &TenantSessions) -> Result<Option<Listed>, StoreError> {
        if self.listed.is_empty() {
            self.listed = self.list(sessions).await.map_err(|error| store_error(&error))?;
            if let Some(last) = self.listed.back() {
                let (aggregate_type, aggregate_id) =
                    (last.stream.aggregate_type(), last.stream.aggregate_id());
                self.after = (aggregate_type.to_owned(), aggregate_id.to_owned());
            }
        }
        Ok(self.listed.pop_front())
    }

    async fn begin(&self, sessions: &TenantSessions, listed: Listed) -> Result<Walk, StoreError> {
        let Listed { stream, record, lived, control } = listed;
        let table = if control.legacy_is_whole() { ChainTable::Legacy } else { ChainTable::Partitioned };
        let read = ReadStream {
            tenant: self.tenant.clone(),
            stream: stream.clone(),
            from_version: None,
            direction: Direction::Forwards,
            max_count: None,
            from_timestamp: None,
            to_timestamp: None,
        };
        let events = match StreamReader::open_chain(sessions.clone(), table, read).await {
            Ok(reader) => Some(reader),
            Err(StoreError::StreamNotFound { stream: _ }) => None,
            Err(error) => return Err(error),
        };
        Ok(Walk::new(self.tenant.clone(), stream, record, table, lived, events))
    }

    async fn list(&self, sessions: &TenantSessions) -> sqlx::Result<VecDeque<Listed>> {
        let (aggregate_type, aggregate_id) = &self.after;
        let rows = sqlx::query_file!(
            "sql/verify/list_streams.sql",
            self.tenant.as_str(),
            aggregate_type,
            aggregate_id,
            STREAMS_A_PAGE
        )
        .fetch_all(&mut *sessions.session().await?)
        .await?;
        let listed = rows.into_iter().map(|row| Listed {
            stream: StreamId::from_row(row.aggregate_type, row.aggregate_id),
            record: row.version.map(Version::new).zip(row.last_hash),
            lived: row
                .first_timestamp
                .zip(row.last_timestamp)
                .map(|(first, last)| (Timestamp::from_datetime(first), Timestamp::from_datetime(last))),
            control: parse(&row.phase),
        });
        Ok(listed.collect())
    }

    /// Looks for the events of a page that are not in the partitioned table: those that expired, and those that may have
    /// fallen out of it.
    async fn find_uncopied(
        &mut self,
        sessions: &TenantSessions,
        gaps: &Gaps,
        events: &[RecordedEvent],
    ) -> sqlx::Result<()> {
        if gaps.is_empty() {
            return Ok(());
        }
        let suspects: Vec<_> = events.iter().filter(|event| gaps.may_hold(event)).collect();
        if suspects.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = suspects.iter().map(|event| event.event_id).collect();
        let timestamps: Vec<Timestamp> = suspects.iter().map(|event| event.event_timestamp).collect();
        let copied = find_positions(sessions, &ids, &timestamps).await?;
        // Read after the copies were looked for: a copy that expired meanwhile lies below it.
        let floor = find_floor(sessions).await?;
        for event in suspects.iter().filter(|event| !copied.contains_key(&event.event_id)) {
            if floor.is_some_and(|floor| event.event_timestamp < floor) {
                self.expired += 1;
            } else if self.suspects.len() < SUSPECTS_MAX {
                let table = ChainTable::Partitioned;
                self.suspects.push(finding(&event.stream, event.version, table, Fault::NoCopy));
            }
        }
        Ok(())
    }

    /// The suspects, where it is proved that there are some: more positions are missing than what expired, or was purged
    /// after it had, can have left behind. Else a process without the flag may have recorded them, in the legacy table alone.
    async fn take_lost(&mut self, sessions: &TenantSessions, gaps: &Gaps) -> sqlx::Result<Vec<ChainFinding>> {
        let suspects = std::mem::take(&mut self.suspects);
        if suspects.is_empty() {
            return Ok(suspects);
        }
        // What was purged is among what is gone, where its streams tell.
        let explained = self.expired + count_purged(sessions).await?.max(self.gone);
        Ok(if gaps.outnumber(explained) { suspects } else { Vec::new() })
    }
}
