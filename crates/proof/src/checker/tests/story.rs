//! Histories made by hand, and what they leave in the tables.

use std::sync::Arc;
use std::time::Duration;

use partita_model::{ExpectedVersion, StreamId, TenantId, Timestamp, Uuid, Version};

use crate::checker::{Tables, check};
use crate::contents::{Contents, Row};
use crate::history::{
    AppendAnswer, AppendDeed, Asked, Call, Deed, History, Part, Place, ReadDeed, ReadEnd, ReadEvent, Refused,
    SentEvent, StreamKey, content,
};
use crate::violation::Kind;

/// A history and the tables, made line by line: each call begins when the one before has ended.
pub(super) struct Story {
    pub(super) history: History,
    pub(super) contents: Contents,
    pub(super) tables: Tables,
}

pub(super) fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

pub(super) fn key(id: &str) -> StreamKey {
    StreamKey { tenant: tenant(), stream: StreamId::from_row("order".to_owned(), id.to_owned()) }
}

pub(super) fn id(mark: &str) -> Uuid {
    let bytes = mark.bytes().fold(0_u128, |sum, byte| sum * 251 + u128::from(byte));
    Uuid::from_u128(bytes)
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_700_000_000 + seconds, 0).unwrap()
}

fn sent(mark: &str) -> SentEvent {
    SentEvent {
        mark: mark.to_owned(),
        event_id: Some(id(mark)),
        event_type: "Placed".to_owned(),
        data: format!("{{\"mark\": \"{mark}\"}}"),
        metadata: None,
        event_timestamp: Some(at(0)),
    }
}

pub(super) fn part(stream: &str, expected: ExpectedVersion, marks: &[&str]) -> Part {
    Part { stream: key(stream).stream, expected, events: marks.iter().map(|mark| sent(mark)).collect() }
}

pub(super) fn place(mark: &str, version: i32, position: i64) -> Place {
    let (version, position) = (Version::new(version), Some(position));
    Place { event_id: id(mark), version, position, event_timestamp: at(0) }
}

pub(super) fn recorded(places: &[Place]) -> AppendAnswer {
    AppendAnswer::Recorded { events: places.to_vec(), replayed: false }
}

pub(super) fn replayed(places: &[Place]) -> AppendAnswer {
    AppendAnswer::Recorded { events: places.to_vec(), replayed: true }
}

pub(super) fn refused(reason: &str, conflict: Option<(&str, i32)>) -> AppendAnswer {
    let conflict = conflict.map(|(stream, version)| (stream.to_owned(), Version::new(version)));
    AppendAnswer::Refused(Refused { reason: reason.to_owned(), conflict })
}

pub(super) fn unknown() -> AppendAnswer {
    AppendAnswer::Unknown("OUTCOME_UNKNOWN".to_owned())
}

pub(super) fn row(stream: &str, mark: &str, version: i32, position: Option<i64>, request_id: &str) -> Row {
    Row {
        event_id: id(mark),
        key: key(stream),
        version: Version::new(version),
        position,
        event_type: "Placed".to_owned(),
        data: format!("{{\"mark\": \"{mark}\"}}"),
        metadata: None,
        request_id: Some(request_id.to_owned()),
        event_timestamp: at(0),
        committed_at: None,
        digest: format!("{mark} {version}"),
    }
}

pub(super) fn whole(last: i32) -> ReadEnd {
    ReadEnd::Whole { version: Version::new(last), first_version: Version::new(1) }
}

impl Story {
    pub(super) fn new() -> Self {
        Self { history: History::default(), contents: Contents::default(), tables: Tables::Equal }
    }

    /// Two events of stream 1, acknowledged and stored: `a` by request `r1`, then `b` by request `r2`.
    pub(super) fn of_two() -> Self {
        let mut story = Self::new();
        story.append("r1", part("1", ExpectedVersion::NoStream, &["a"]), recorded(&[place("a", 1, 1)]));
        story.stored(row("1", "a", 1, Some(1), "r1"));
        let exact = ExpectedVersion::Exact(Version::new(1));
        story.append("r2", part("1", exact, &["b"]), recorded(&[place("b", 2, 2)]));
        story.stored(row("1", "b", 2, Some(2), "r2"));
        story
    }

    pub(super) fn call(&mut self, deed: Deed) -> &mut Call {
        let begun = self.history.calls.len() as u64 * 2 + 1;
        let call = Call { worker: 1, service: Some(0), begun, ended: begun + 1, at: Duration::ZERO, deed };
        self.history.calls.push(call);
        self.history.calls.last_mut().unwrap()
    }

    pub(super) fn append(&mut self, request_id: &str, part: Part, answer: AppendAnswer) -> &mut Call {
        self.append_all(request_id, vec![part], answer)
    }

    pub(super) fn append_all(
        &mut self,
        request_id: &str,
        parts: Vec<Part>,
        answer: AppendAnswer,
    ) -> &mut Call {
        let request_id = request_id.to_owned();
        self.call(Deed::Append(AppendDeed { tenant: tenant(), parts: Arc::from(parts), request_id, answer }))
    }

    pub(super) fn read(
        &mut self,
        stream: &str,
        asked: Asked,
        events: &[(&str, i32)],
        end: ReadEnd,
    ) -> &mut Call {
        let event = |(mark, version): &(&str, i32)| ReadEvent {
            event_id: id(mark),
            version: Version::new(*version),
            event_timestamp: at(0),
            mark: (*mark).to_owned(),
            position: None,
            content: content("Placed", &format!("{{\"mark\": \"{mark}\"}}"), None),
        };
        let events = events.iter().map(event).collect();
        self.call(Deed::Read(ReadDeed { key: key(stream), asked, events, end }))
    }

    /// Stores a row in both tables, and what goes with it.
    pub(super) fn stored(&mut self, row: Row) {
        let head = self.contents.heads.entry(row.key.clone()).or_default();
        *head = row.version.max(*head);
        let tenant = self.contents.tenants.entry(row.key.tenant.clone()).or_default();
        tenant.last_position = row.position.unwrap_or_default().max(tenant.last_position);
        self.contents.legacy.push(Row { position: None, ..row.clone() });
        self.contents.partitioned.push(row);
    }

    /// Changes a row of both tables.
    pub(super) fn alter(&mut self, mark: &str, change: impl Fn(&mut Row)) {
        let rows = self.contents.legacy.iter_mut().chain(&mut self.contents.partitioned);
        rows.filter(|row| row.event_id == id(mark)).for_each(change);
    }

    pub(super) fn remove(&mut self, mark: &str) {
        self.contents.legacy.retain(|row| row.event_id != id(mark));
        self.contents.partitioned.retain(|row| row.event_id != id(mark));
    }

    /// The kinds of what is found, each once.
    pub(super) fn found(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> =
            check(&self.history, &self.contents, self.tables).into_iter().map(|found| found.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}
