//! Something that must not be.

use std::fmt;

use partita_model::Uuid;

use crate::history::{Call, History, StreamKey};

/// Most calls that a violation is told with: what matters is near.
const CALLS_TOLD_MAX: usize = 40;

/// Which promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An acknowledged event is not there.
    LostEvent,
    /// An append is there by halves.
    TornAppend,
    /// An event is there twice.
    RecordedTwice,
    /// An event is not what was sent.
    ChangedEvent,
    /// An append that was refused is there.
    RefusedYetRecorded,
    /// An event is there that nobody sent.
    UnsentEvent,
    /// An acknowledgement says what is not so.
    WrongAnswer,
    /// A repetition of an append was not told what became of it.
    MisledRetry,
    /// A version conflict names a version at which the stream did not stand.
    FalseConflict,
    /// Versions of a stream have a gap, or one is there twice.
    VersionGap,
    /// Positions of a tenant have a gap, or one is there twice.
    PositionGap,
    /// Versions or positions are not in the order of the commits.
    CommitOrder,
    /// A read does not see what was acknowledged, or seen, before it began.
    StaleRead,
    /// A read has a hole, is out of order, or does not hold to what was asked.
    BrokenRead,
    /// A read saw what is not recorded.
    PhantomRead,
    /// A read saw what had expired before it began.
    ExpiredRead,
    /// A tenant's event is another tenant's.
    TenantLeak,
    /// The two tables do not agree.
    TablesDiffer,
    /// A stored row is not what was hashed.
    BrokenChain,
    /// The service says of itself that it met a defect.
    Defect,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::LostEvent,
        Self::TornAppend,
        Self::RecordedTwice,
        Self::ChangedEvent,
        Self::RefusedYetRecorded,
        Self::UnsentEvent,
        Self::WrongAnswer,
        Self::MisledRetry,
        Self::FalseConflict,
        Self::VersionGap,
        Self::PositionGap,
        Self::CommitOrder,
        Self::StaleRead,
        Self::BrokenRead,
        Self::PhantomRead,
        Self::ExpiredRead,
        Self::TenantLeak,
        Self::TablesDiffer,
        Self::BrokenChain,
        Self::Defect,
    ];

    /// The promise, in a few words.
    pub fn promise(self) -> &'static str {
        match self {
            Self::LostEvent => "every acknowledged event is there",
            Self::TornAppend => "an append is there wholly or not at all",
            Self::RecordedTwice => "every event is there once",
            Self::ChangedEvent => "every event has the bytes that were sent",
            Self::RefusedYetRecorded => "what was refused is absent",
            Self::UnsentEvent => "nothing is there that nobody sent",
            Self::WrongAnswer => "an acknowledgement tells the truth",
            Self::MisledRetry => "a repetition is told what became of the append",
            Self::FalseConflict => "a version conflict tells the truth",
            Self::VersionGap => "versions have no gap",
            Self::PositionGap => "positions have no gap",
            Self::CommitOrder => "versions and positions are in commit order",
            Self::StaleRead => "a read sees what was acknowledged before it",
            Self::BrokenRead => "a read is a consistent prefix",
            Self::PhantomRead => "a read sees recorded events only",
            Self::ExpiredRead => "what has expired does not come back",
            Self::TenantLeak => "no tenant sees another's events",
            Self::TablesDiffer => "the tables agree",
            Self::BrokenChain => "the hash chain verifies",
            Self::Defect => "the service meets no defect",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A broken promise, and what it was noticed by.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which promise.
    pub kind: Kind,
    /// What is so and should not be.
    pub message: String,
    /// The stream, where it is about one.
    pub key: Option<StreamKey>,
    /// The event, where it is about one.
    pub event_id: Option<Uuid>,
}

impl Violation {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), key: None, event_id: None }
    }

    pub(crate) fn of(mut self, key: &StreamKey) -> Self {
        self.key = Some(key.clone());
        self
    }

    pub(crate) fn event(mut self, event_id: Uuid) -> Self {
        self.event_id = Some(event_id);
        self
    }

    /// The calls that have to do with it, by the moment at which they began: those that name its event; without one,
    /// those that touch its stream. Of many, the last.
    pub fn calls<'a>(&self, history: &'a History) -> Vec<&'a Call> {
        let concerned = |call: &&Call| match (self.event_id, &self.key) {
            (Some(event_id), Some(key)) => {
                call.names(event_id) || (call.touches(key) && call.append().is_some())
            }
            (Some(event_id), None) => call.names(event_id),
            (None, Some(key)) => call.touches(key),
            (None, None) => false,
        };
        let mut calls: Vec<&Call> = history.calls.iter().filter(concerned).collect();
        calls.sort_by_key(|call| call.begun);
        let hidden = calls.len().saturating_sub(CALLS_TOLD_MAX);
        calls.split_off(hidden)
    }

    /// The violation with the calls that have to do with it, a line each.
    pub fn tell(&self, history: &History) -> String {
        let mut text = format!("{self}\n");
        for call in self.calls(history) {
            text.push_str(&format!("    {call}\n"));
        }
        text
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.kind, self.kind.promise(), self.message)
    }
}
