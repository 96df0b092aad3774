//! What was asked, and what was answered.

mod display;

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use partita_model::{ExpectedVersion, StreamId, TenantId, Timestamp, Uuid, Version};

/// A place in the order in which the load did things, over all of its tasks. What ended at a lower moment than another
/// thing began was over before it.
pub type Moment = u64;

/// Who made a call, for those who read a history.
pub type WorkerId = u32;

/// Draws moments: one clock for all tasks of a load, which cannot step back as the machine's can.
#[derive(Debug)]
pub struct MomentClock {
    next: AtomicU64,
    started: Instant,
}

impl Default for MomentClock {
    fn default() -> Self {
        Self { next: AtomicU64::new(1), started: Instant::now() }
    }
}

impl MomentClock {
    /// A clock whose moments come after everything in a history.
    pub fn after(history: &History) -> Self {
        let last = history.calls.iter().map(|call| call.ended).max().unwrap_or_default();
        Self { next: AtomicU64::new(last + 1), ..Self::default() }
    }

    /// The next moment.
    pub fn draw(&self) -> Moment {
        // Sequential consistency: the order of the numbers must be the order of the draws, as every thread sees it.
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// Time since the load began, for people.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A stream and its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    /// The owner.
    pub tenant: TenantId,
    /// The stream within its tenant.
    pub stream: StreamId,
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tenant, self.stream)
    }
}

/// Everything that a load did, in no particular order.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The calls, those without an answer included.
    pub calls: Vec<Call>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who called.
    pub worker: WorkerId,
    /// Which of the services was called, counted from 0; none for what went straight to the database.
    pub service: Option<usize>,
    /// Drawn before the request was sent.
    pub begun: Moment,
    /// Drawn after the answer was there, or nobody waited for it any more.
    pub ended: Moment,
    /// Since the load began, when the request was sent.
    pub at: Duration,
    /// What was asked and answered.
    pub deed: Deed,
}

/// What a call was about.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Events were to be appended.
    Append(AppendDeed),
    /// A stream was read.
    Read(ReadDeed),
    /// Events were looked for by their ids.
    Lookup(LookupDeed),
    /// It was looked up below which instant a tenant's events are gone.
    Floor(FloorDeed),
}

/// One attempt at an append.
#[derive(Debug, Clone)]
pub struct AppendDeed {
    /// The owner of the streams.
    pub tenant: TenantId,
    /// What is to be appended to which stream; the same in each attempt.
    pub parts: std::sync::Arc<[Part]>,
    /// The request id of this attempt, which no other one has: a stored event tells by it which attempt wrote it.
    pub request_id: String,
    /// What was answered.
    pub answer: AppendAnswer,
}

/// What an append has for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The stream.
    pub stream: StreamId,
    /// Where it must stand.
    pub expected: ExpectedVersion,
    /// The events, in order; at least one.
    pub events: Vec<SentEvent>,
}

/// An event as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentEvent {
    /// Unique among all that a load sends, also where the id is not; stands in the data under `mark`.
    pub mark: String,
    /// The caller's id; none where the service is to draw one.
    pub event_id: Option<Uuid>,
    /// The type.
    pub event_type: String,
    /// The JSON document.
    pub data: String,
    /// The JSON document beside it.
    pub metadata: Option<String>,
    /// The caller's time; none where the database's clock decides.
    pub event_timestamp: Option<Timestamp>,
}

/// What an append was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendAnswer {
    /// Recorded, says the service.
    Recorded {
        /// What each event was given, over all streams in the order of the request.
        events: Vec<Place>,
        /// Whether an earlier attempt had recorded them.
        replayed: bool,
    },
    /// Certainly not recorded by this attempt, says the service.
    Refused(Refused),
    /// Recorded or not; in words why nobody knows.
    Unknown(String),
}

/// What an event was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its id.
    pub event_id: Uuid,
    /// Its place in its stream.
    pub version: Version,
    /// Its place in its tenant's feed; none while legacy alone was written.
    pub position: Option<i64>,
    /// When it happened.
    pub event_timestamp: Timestamp,
}

/// A refusal, as far as it can be held against the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason, as `google.rpc.ErrorInfo` names it.
    pub reason: String,
    /// Of a version conflict: the first stream that stood elsewhere, and where it stood.
    pub conflict: Option<(String, Version)>,
}

/// A read, and what came of it.
#[derive(Debug, Clone)]
pub struct ReadDeed {
    /// The stream.
    pub key: StreamKey,
    /// What was asked for.
    pub asked: Asked,
    /// The events that came, in their order; of a read that was cut, those that came until then.
    pub events: Vec<ReadEvent>,
    /// How it ended.
    pub end: ReadEnd,
}

/// Which part of a stream is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// By falling version.
    pub backwards: bool,
    /// The version to begin at; none: at the beginning, or at the end.
    pub from_version: Option<Version>,
    /// Most events.
    pub max_count: Option<u64>,
    /// The least instant, inclusive.
    pub from_timestamp: Option<Timestamp>,
    /// The greatest instant, exclusive.
    pub to_timestamp: Option<Timestamp>,
}

/// What of a read event is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEvent {
    /// Its id.
    pub event_id: Uuid,
    /// Its version.
    pub version: Version,
    /// When it happened.
    pub event_timestamp: Timestamp,
    /// Its mark; empty where its data have none.
    pub mark: String,
    /// Its place in its tenant's feed, where the read told one.
    pub position: Option<i64>,
    /// What it said, as [`content`] sums it up.
    pub content: u64,
}

/// Sums up what an event says, its documents as they are printed: equal sums, equal bytes. Good for as long as a process lives.
pub fn content(event_type: &str, data: &str, metadata: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event_type, data, metadata).hash(&mut hasher);
    hasher.finish()
}

/// How a read ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadEnd {
    /// Whole: the stream's last version, and the first that is still there.
    Whole {
        /// The last version.
        version: Version,
        /// The first version.
        first_version: Version,
    },
    /// Cut short, or never begun; in words why.
    Cut(String),
    /// The stream does not exist, says the service.
    NotFound,
}

/// A question for events by their ids.
#[derive(Debug, Clone)]
pub struct LookupDeed {
    /// The owner.
    pub tenant: TenantId,
    /// The ids that were asked for, each with its version where it was found; none where there was no answer.
    pub found: Option<Vec<(Uuid, Option<Version>)>>,
}

/// A tenant's floor, as it was found.
#[derive(Debug, Clone)]
pub struct FloorDeed {
    /// The tenant.
    pub tenant: TenantId,
    /// Its floor, which never sinks again.
    pub floor: Timestamp,
}

impl AppendDeed {
    /// All events, in the order of the request.
    pub fn events(&self) -> impl Iterator<Item = (&Part, &SentEvent)> {
        self.parts.iter().flat_map(|part| part.events.iter().map(move |event| (part, event)))
    }

    /// The streams that it would write to.
    pub fn keys(&self) -> impl Iterator<Item = StreamKey> {
        let key = |part: &Part| StreamKey { tenant: self.tenant.clone(), stream: part.stream.clone() };
        self.parts.iter().map(key)
    }
}

impl Call {
    /// The append, if it is one.
    pub fn append(&self) -> Option<&AppendDeed> {
        match &self.deed {
            Deed::Append(append) => Some(append),
            Deed::Read(_) | Deed::Lookup(_) | Deed::Floor(_) => None,
        }
    }

    /// The read, if it is one.
    pub fn read(&self) -> Option<&ReadDeed> {
        match &self.deed {
            Deed::Read(read) => Some(read),
            Deed::Append(_) | Deed::Lookup(_) | Deed::Floor(_) => None,
        }
    }

    /// Whether it is about this stream.
    pub fn touches(&self, key: &StreamKey) -> bool {
        match &self.deed {
            Deed::Append(append) => {
                append.tenant == key.tenant && append.parts.iter().any(|part| part.stream == key.stream)
            }
            Deed::Read(read) => read.key == *key,
            Deed::Lookup(_) | Deed::Floor(_) => false,
        }
    }

    /// Whether it sent, got or asked for this event.
    pub fn names(&self, event_id: Uuid) -> bool {
        match &self.deed {
            Deed::Append(append) => {
                let sent = append.events().any(|(_, event)| event.event_id == Some(event_id));
                let told = match &append.answer {
                    AppendAnswer::Recorded { events, .. } => {
                        events.iter().any(|place| place.event_id == event_id)
                    }
                    AppendAnswer::Refused(_) | AppendAnswer::Unknown(_) => false,
                };
                sent || told
            }
            Deed::Read(read) => read.events.iter().any(|event| event.event_id == event_id),
            Deed::Lookup(lookup) => lookup.found.iter().flatten().any(|(asked, _)| *asked == event_id),
            Deed::Floor(_) => false,
        }
    }
}
