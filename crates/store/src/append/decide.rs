use std::collections::{HashMap, HashSet};

use partita_model::{
    Append, Appended, HashInput, Month, NewEvent, StreamId, TenantId, Timestamp, Uuid, Version, Violations,
    event_hash,
};

use super::replay::Recorded;
use super::rows::{NewRow, StreamRow};
use crate::{StoreError, VersionConflict};

/// What the database says before a batch is decided; the decisions move it on, append by append.
#[derive(Debug)]
pub(super) struct State {
    /// The database's clock: the time of every event that brings none, and of every row.
    pub now: Timestamp,
    /// The first instant that is too far ahead for an event.
    pub horizon: Timestamp,
    /// Where the tenants stand; empty in phase `legacy`, which draws no positions and has no floor.
    pub tenants: HashMap<TenantId, TenantState>,
    /// Where the streams stand.
    pub heads: HashMap<(TenantId, StreamId), Head>,
    /// Events that are recorded already, among the ids that callers gave.
    pub recorded: HashMap<(TenantId, Uuid), Recorded>,
    /// The ids that callers gave to events of this batch which are to be written.
    pub drawn: HashSet<Uuid>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct TenantState {
    /// Where the tenant stood before the batch.
    pub base_position: i64,
    /// Where the batch takes it.
    pub last_position: i64,
    pub floor: Option<Timestamp>,
}

impl TenantState {
    pub(super) fn new(last_position: i64, floor: Option<Timestamp>) -> Self {
        Self { base_position: last_position, last_position, floor }
    }
}

/// The last event of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub version: Version,
    pub hash: Option<String>,
}

/// What becomes of an append.
#[derive(Debug)]
pub(super) enum Decision<'a> {
    /// To be written.
    Record { rows: Vec<NewRow<'a>>, streams: Vec<StreamRow<'a>> },
    /// Was written before. Positions are filled in when the append is answered.
    Replay(Vec<Appended>),
    /// Shares an event id with an append before it in the batch: what became of that one is known only afterwards.
    Defer,
    /// Is refused.
    Refuse(StoreError),
}

impl State {
    /// Decides one append, and counts it in when it is to be written.
    pub(super) fn decide<'a>(&mut self, append: &'a Append) -> Decision<'a> {
        let given: Vec<Uuid> = append.events().filter_map(|event| event.event_id).collect();
        if given.iter().any(|event_id| self.drawn.contains(event_id)) {
            return Decision::Defer;
        }
        match self.find_replay(append, &given) {
            Ok(None) => {}
            Ok(Some(replay)) => return Decision::Replay(replay),
            Err(refused) => return Decision::Refuse(refused),
        }
        if let Err(refused) = self.check(append) {
            return Decision::Refuse(refused);
        }
        match self.record(append) {
            Some((rows, streams)) => Decision::Record { rows, streams },
            None => Decision::Refuse(StoreError::Invalid(Violations::one(
                append.events_field(),
                format!("would take a stream past version {}", partita_model::limits::VERSION_MAX),
            ))),
        }
    }

    fn check(&self, append: &Append) -> Result<(), StoreError> {
        let conflicts: Vec<_> = append
            .streams()
            .iter()
            .filter_map(|stream| {
                let actual = self.head(append.tenant(), &stream.stream).version;
                let conflict =
                    VersionConflict { stream: stream.stream.clone(), expected: stream.expected, actual };
                (!stream.expected.accepts(actual)).then_some(conflict)
            })
            .collect();
        if !conflicts.is_empty() {
            return Err(StoreError::VersionConflict(conflicts));
        }
        self.check_times(append)
    }

    /// Refuses an append that has an event below the floor or too far ahead, wherever its streams stand.
    pub(super) fn check_times(&self, append: &Append) -> Result<(), StoreError> {
        let floor = self.tenants.get(append.tenant()).and_then(|tenant| tenant.floor);
        check_floor(append, floor)?;
        let mut violations = Violations::default();
        for (field, event_timestamp) in given_times(append) {
            if event_timestamp >= self.horizon {
                let horizon = self.horizon;
                violations.push(field, format!("is {event_timestamp}, must be before {horizon}"));
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(StoreError::Invalid(violations)) }
    }

    /// Draws versions, positions and hashes. `None` when a stream has no version left.
    fn record<'a>(&mut self, append: &'a Append) -> Option<(Vec<NewRow<'a>>, Vec<StreamRow<'a>>)> {
        for stream in append.streams() {
            self.head(append.tenant(), &stream.stream).version.checked_add(stream.events.len())?;
        }
        self.drawn.extend(append.events().filter_map(|event| event.event_id));
        let mut rows = Vec::new();
        let mut streams = Vec::new();
        for stream in append.streams() {
            let mut head = self.head(append.tenant(), &stream.stream);
            let first = rows.len();
            for event in &stream.events {
                let row = self.new_row(append, &stream.stream, event, head)?;
                head = Head { version: row.version, hash: Some(row.event_hash.clone()) };
                rows.push(row);
            }
            streams.push(StreamRow::over(&rows[first..])?);
            self.heads.insert((append.tenant().clone(), stream.stream.clone()), head);
        }
        Some((rows, streams))
    }

    fn new_row<'a>(
        &mut self,
        append: &'a Append,
        stream: &'a StreamId,
        event: &'a NewEvent,
        head: Head,
    ) -> Option<NewRow<'a>> {
        let version = head.version.checked_add(1)?;
        let position = self.tenants.get_mut(append.tenant()).map(|tenant| {
            tenant.last_position += 1;
            tenant.last_position
        });
        let event_id = event.event_id.unwrap_or_else(Uuid::now_v7);
        let event_timestamp = event.event_timestamp.unwrap_or(self.now);
        let event_hash = event_hash(&HashInput {
            tenant: append.tenant(),
            stream,
            version,
            event_id,
            event_type: &event.event_type,
            data: &event.data,
            metadata: event.metadata.as_ref(),
            context: append.context(),
            event_timestamp,
            created_at: self.now,
            previous: head.hash.as_deref(),
        });
        Some(NewRow {
            tenant: append.tenant(),
            stream,
            event,
            context: append.context(),
            event_id,
            version,
            position,
            event_timestamp,
            created_at: self.now,
            event_hash,
            previous_event_hash: head.hash,
        })
    }

    fn head(&self, tenant: &TenantId, stream: &StreamId) -> Head {
        self.heads.get(&(tenant.clone(), stream.clone())).cloned().unwrap_or_default()
    }
}

/// Refuses an append that has an event below its tenant's floor.
pub(super) fn check_floor(append: &Append, floor: Option<Timestamp>) -> Result<(), StoreError> {
    let Some(floor) = floor else { return Ok(()) };
    match given_times(append).find(|(_, event_timestamp)| *event_timestamp < floor) {
        Some((field, event_timestamp)) => Err(StoreError::BelowFloor { field, event_timestamp, floor }),
        None => Ok(()),
    }
}

/// The times that the caller gave, each with the path of its field.
fn given_times(append: &Append) -> impl Iterator<Item = (String, Timestamp)> {
    append.streams().iter().enumerate().flat_map(move |(index, stream)| {
        let prefix = append.field_prefix(index);
        stream.events.iter().enumerate().filter_map(move |(index, event)| {
            Some((format!("{prefix}events[{index}].event_timestamp"), event.event_timestamp?))
        })
    })
}

/// The first instant past the months that partitions are made for.
pub(super) fn horizon(now: Timestamp, months_ahead: u32) -> Timestamp {
    Month::of(now).plus(i32::try_from(months_ahead).unwrap_or(i32::MAX - 1) + 1).start()
}
