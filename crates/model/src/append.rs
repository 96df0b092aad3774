use uuid::Uuid;

use crate::audit::parse_uuid;
use crate::limits::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, APPEND_STREAMS_MAX, EVENT_BYTES_MAX, TYPE_CHARS_MAX,
};
use crate::violation::required_text;
use crate::{
    AuditContext, ContextDraft, ExpectedVersion, JsonDocument, StreamId, TenantId, Timestamp, Version,
    Violations,
};

/// An append as a caller wrote it, not yet checked. Empty text stands for "absent".
#[derive(Debug, Clone, Default)]
pub struct AppendDraft {
    /// The owner of the streams.
    pub tenant_id: String,
    /// One entry a stream.
    pub streams: Vec<StreamDraft>,
    /// The audit columns of every event.
    pub context: ContextDraft,
}

/// One stream of an [`AppendDraft`].
#[derive(Debug, Clone, Default)]
pub struct StreamDraft {
    /// The kind of aggregate.
    pub aggregate_type: String,
    /// Which aggregate of that kind.
    pub aggregate_id: String,
    /// What the caller believes of the stream; must be given.
    pub expected: Option<ExpectedVersion>,
    /// The events, in order.
    pub events: Vec<EventDraft>,
}

/// One event of a [`StreamDraft`].
#[derive(Debug, Clone, Default)]
pub struct EventDraft {
    /// UUID text, or empty: the server draws one.
    pub event_id: String,
    /// What happened.
    pub event_type: String,
    /// A JSON document.
    pub data: String,
    /// A JSON document, or empty.
    pub metadata: String,
    /// When it happened, or why the value given is none; absent: the database's clock.
    pub event_timestamp: Option<Result<Timestamp, String>>,
}

/// An append that is within every limit: at least one stream, each with at least one event, no stream and no
/// event id twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    tenant: TenantId,
    streams: Vec<StreamAppend>,
    context: AuditContext,
    bytes: usize,
    paths: Paths,
}

/// How the API that an append came by spells the paths of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paths {
    /// One stream, whose fields stand in the request itself: `events[3].data`.
    OfStream,
    /// A list of streams: `streams[0].events[3].data`.
    OfStreams,
}

/// The events for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// What must hold of it.
    pub expected: ExpectedVersion,
    /// What is appended, in order; never empty.
    pub events: Vec<NewEvent>,
}

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The caller's id, by which a repeated append is recognised; none: the server draws one.
    pub event_id: Option<Uuid>,
    /// What happened.
    pub event_type: String,
    /// The document.
    pub data: JsonDocument,
    /// The document beside it.
    pub metadata: Option<JsonDocument>,
    /// When it happened; none: the database's clock.
    pub event_timestamp: Option<Timestamp>,
}

impl Append {
    /// Checks a draft of a request for one stream against every rule that needs no database.
    ///
    /// # Errors
    /// All violations at once, each with the field's path as the API spells it. A draft of several streams is spelled
    /// as [`parse_streams`](Self::parse_streams) does.
    pub fn parse(draft: AppendDraft) -> Result<Self, Violations> {
        let paths = if draft.streams.len() == 1 { Paths::OfStream } else { Paths::OfStreams };
        Self::parse_spelled(draft, paths)
    }

    /// Checks a draft of a request that lists its streams, were it a single one.
    ///
    /// # Errors
    /// All violations at once, each with the field's path, such as `streams[0].events[3].data`.
    pub fn parse_streams(draft: AppendDraft) -> Result<Self, Violations> {
        Self::parse_spelled(draft, Paths::OfStreams)
    }

    fn parse_spelled(draft: AppendDraft, paths: Paths) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let AppendDraft { tenant_id, streams: drafts, context } = draft;
        let tenant = violations.check("tenant_id", TenantId::parse(tenant_id));
        check_counts(&drafts, paths, &mut violations);
        let streams: Vec<_> = drafts
            .into_iter()
            .enumerate()
            .map(|(index, draft)| parse_stream(&mut violations, &paths.prefix(index), draft))
            .collect();
        let context = AuditContext::parse(&mut violations, context);
        check_distinct(&streams, paths, &mut violations);
        let bytes = streams.iter().flat_map(|stream| &stream.events).map(NewEvent::bytes).sum();
        if bytes > APPEND_BYTES_MAX {
            let description = format!("hold {bytes} bytes, the limit of an append is {APPEND_BYTES_MAX}");
            violations.push(paths.whole(), description);
        }
        match tenant {
            Some(tenant) if violations.is_empty() => Ok(Self { tenant, streams, context, bytes, paths }),
            _ => Err(violations),
        }
    }

    /// The owner of the streams.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// One entry a stream, in the order of the request.
    pub fn streams(&self) -> &[StreamAppend] {
        &self.streams
    }

    /// The audit columns of every event.
    pub fn context(&self) -> &AuditContext {
        &self.context
    }

    /// Data and metadata of all events together, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What stands before the names of the fields of a stream in the paths of violations: nothing, or
    /// `streams[index].`; by the API that the append came by.
    pub fn field_prefix(&self, index: usize) -> String {
        self.paths.prefix(index)
    }

    /// The path of the field that holds all events: `events` or `streams`.
    pub fn events_field(&self) -> &'static str {
        self.paths.whole()
    }

    /// All events, over all streams.
    pub fn events(&self) -> impl Iterator<Item = &NewEvent> {
        self.streams.iter().flat_map(|stream| &stream.events)
    }
}

impl Paths {
    fn prefix(self, index: usize) -> String {
        match self {
            Self::OfStream => String::new(),
            Self::OfStreams => format!("streams[{index}]."),
        }
    }

    fn whole(self) -> &'static str {
        match self {
            Self::OfStream => "events",
            Self::OfStreams => "streams",
        }
    }
}

impl NewEvent {
    fn bytes(&self) -> usize {
        self.data.as_str().len() + self.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len())
    }
}

fn check_counts(drafts: &[StreamDraft], paths: Paths, violations: &mut Violations) {
    if drafts.is_empty() || drafts.len() > APPEND_STREAMS_MAX {
        let count = drafts.len();
        violations.push("streams", format!("has {count} entries: give 1 to {APPEND_STREAMS_MAX}"));
    }
    let events: usize = drafts.iter().map(|draft| draft.events.len()).sum();
    if events > APPEND_EVENTS_MAX {
        let description = format!("has {events} events, the limit of an append is {APPEND_EVENTS_MAX}");
        violations.push(paths.whole(), description);
    }
}

fn parse_stream(violations: &mut Violations, prefix: &str, draft: StreamDraft) -> StreamAppend {
    let stream = StreamId::parse(violations, prefix, draft.aggregate_type, draft.aggregate_id);
    let expected = violations.check(&format!("{prefix}expected_version"), parse_expected(draft.expected));
    if draft.events.is_empty() {
        violations.push(format!("{prefix}events"), format!("is empty: give 1 to {APPEND_EVENTS_MAX} events"));
    }
    let events = draft
        .events
        .into_iter()
        .enumerate()
        .filter_map(|(index, event)| parse_event(violations, &format!("{prefix}events[{index}]."), event))
        .collect();
    StreamAppend { stream, expected: expected.unwrap_or(ExpectedVersion::Any), events }
}

fn parse_expected(expected: Option<ExpectedVersion>) -> Result<ExpectedVersion, String> {
    match expected {
        None => Err("must be given: any, no_stream, stream_exists or exact".to_owned()),
        Some(ExpectedVersion::Exact(version)) if version < Version::new(1) => {
            Err("exact must be at least 1; use no_stream for a stream that must not exist".to_owned())
        }
        Some(expected) => Ok(expected),
    }
}

fn parse_event(violations: &mut Violations, prefix: &str, draft: EventDraft) -> Option<NewEvent> {
    let field = |name: &str| format!("{prefix}{name}");
    let event_id = match draft.event_id.as_str() {
        "" => Some(None),
        text => violations.check(&field("event_id"), parse_event_id(text)).map(Some),
    };
    let event_type = violations.check(&field("event_type"), required_text(&draft.event_type, TYPE_CHARS_MAX));
    let size = draft.data.len() + draft.metadata.len();
    if size > EVENT_BYTES_MAX {
        let description =
            format!("is {size} bytes with its metadata, the limit of an event is {EVENT_BYTES_MAX}");
        violations.push(field("data"), description);
        return None;
    }
    let data = violations.check(&field("data"), parse_json(&draft.data));
    let metadata = match draft.metadata.as_str() {
        "" => Some(None),
        text => violations.check(&field("metadata"), parse_json(text)).map(Some),
    };
    let event_timestamp = match draft.event_timestamp {
        None => Some(None),
        Some(parsed) => violations.check(&field("event_timestamp"), parsed).map(Some),
    };
    event_type?;
    Some(NewEvent {
        event_id: event_id?,
        event_type: draft.event_type,
        data: data?,
        metadata: metadata?,
        event_timestamp: event_timestamp?,
    })
}

fn parse_event_id(text: &str) -> Result<Uuid, String> {
    parse_uuid(text).map_err(|refused| format!("{refused}; leave it empty to have one drawn"))
}

fn parse_json(text: &str) -> Result<JsonDocument, String> {
    JsonDocument::parse(text).map_err(|error| error.to_string())
}

fn check_distinct(streams: &[StreamAppend], paths: Paths, violations: &mut Violations) {
    let mut seen_streams = std::collections::HashSet::new();
    let mut seen_ids = std::collections::HashSet::new();
    for (index, stream) in streams.iter().enumerate() {
        if !seen_streams.insert(&stream.stream) {
            violations.push(format!("streams[{index}]"), format!("names stream `{}` again", stream.stream));
        }
        for event_id in stream.events.iter().filter_map(|event| event.event_id) {
            if !seen_ids.insert(event_id) {
                violations.push(paths.whole(), format!("holds event_id {event_id} twice"));
            }
        }
    }
}
