use uuid::Uuid;

use crate::{AuditContext, StreamId, Timestamp, Version};

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Unique; the caller's, or drawn by the server.
    pub event_id: Uuid,
    /// What happened.
    pub event_type: String,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Its place in the tenant's feed: from 1 upwards for live events, 0 and below for history; none while the
    /// event is only in the legacy table.
    pub position: Option<i64>,
    /// The JSON document, as `jsonb` prints it.
    pub data: String,
    /// The JSON document beside it, if there is one.
    pub metadata: Option<String>,
    /// Who did it.
    pub context: AuditContext,
    /// When it happened; decides its month.
    pub event_timestamp: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The hash over every column of the event and the previous event's hash.
    pub event_hash: String,
    /// The hash of the event before it in its stream; none for the first.
    pub previous_event_hash: Option<String>,
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The version of its last event, expired ones included.
    pub version: Version,
    /// The first version that is still there; one past `version` when every event has expired.
    pub first_version: Version,
}

/// What an append wrote to one stream, or had written when it was sent before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The events in the order of the request; never empty.
    pub events: Vec<AppendedEvent>,
    /// Whether the events were recorded by an earlier call with the same ids.
    pub replayed: bool,
}

/// One event of an append's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedEvent {
    /// The event's id.
    pub event_id: Uuid,
    /// Its place in its stream.
    pub version: Version,
    /// Its place in its tenant's feed; none in phase `legacy`.
    pub position: Option<i64>,
    /// When it happened.
    pub event_timestamp: Timestamp,
}

/// Where an event is recorded that was looked for by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEvent {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// What its append was answered for it.
    pub event: AppendedEvent,
}
