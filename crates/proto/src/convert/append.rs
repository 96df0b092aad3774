use partita_model::{
    AppendDraft, Appended, AppendedEvent, ContextDraft, EventDraft, ExpectedVersion, StreamDraft, Version,
};

use super::{timestamp_from_wire, timestamp_to_wire};
use crate::v1;
use crate::v1::expected_version::Expected;

impl From<v1::AppendRequest> for AppendDraft {
    fn from(request: v1::AppendRequest) -> Self {
        let stream = StreamDraft {
            aggregate_type: request.aggregate_type,
            aggregate_id: request.aggregate_id,
            // A message without a choice in it says no more than no message.
            expected: request.expected_version.and_then(|sent| sent.expected).map(expected_version),
            events: request.events.into_iter().map(EventDraft::from).collect(),
        };
        Self {
            tenant_id: request.tenant_id,
            streams: vec![stream],
            // Without a context there is no user: the model then names `context.user_id`.
            context: request.context.map(ContextDraft::from).unwrap_or_default(),
        }
    }
}

impl From<v1::AppendStreamsRequest> for AppendDraft {
    fn from(request: v1::AppendStreamsRequest) -> Self {
        Self {
            tenant_id: request.tenant_id,
            streams: request.streams.into_iter().map(StreamDraft::from).collect(),
            context: request.context.map(ContextDraft::from).unwrap_or_default(),
        }
    }
}

impl From<v1::StreamAppend> for StreamDraft {
    fn from(stream: v1::StreamAppend) -> Self {
        Self {
            aggregate_type: stream.aggregate_type,
            aggregate_id: stream.aggregate_id,
            expected: stream.expected_version.and_then(|sent| sent.expected).map(expected_version),
            events: stream.events.into_iter().map(EventDraft::from).collect(),
        }
    }
}

fn expected_version(sent: Expected) -> ExpectedVersion {
    match sent {
        Expected::Any(_) => ExpectedVersion::Any,
        Expected::NoStream(_) => ExpectedVersion::NoStream,
        Expected::StreamExists(_) => ExpectedVersion::StreamExists,
        Expected::Exact(version) => ExpectedVersion::Exact(Version::new(version)),
    }
}

impl From<v1::NewEvent> for EventDraft {
    fn from(event: v1::NewEvent) -> Self {
        Self {
            event_id: event.event_id,
            event_type: event.event_type,
            data: event.data,
            metadata: event.metadata,
            event_timestamp: event.event_timestamp.map(timestamp_from_wire),
        }
    }
}

impl From<v1::AuditContext> for ContextDraft {
    fn from(context: v1::AuditContext) -> Self {
        Self {
            user_id: context.user_id,
            correlation_id: context.correlation_id,
            causation_id: context.causation_id,
            legal_basis: context.legal_basis,
            data_classification: context.data_classification,
            retention_policy: context.retention_policy,
            ip_address: context.ip_address,
            user_agent: context.user_agent,
            session_id: context.session_id,
            request_id: context.request_id,
        }
    }
}

impl From<Appended> for v1::AppendResponse {
    fn from(appended: Appended) -> Self {
        let replayed = appended.replayed;
        let v1::StreamAppended { first_version, last_version, events } = appended.into();
        Self { first_version, last_version, events, replayed }
    }
}

impl From<Vec<Appended>> for v1::AppendStreamsResponse {
    fn from(streams: Vec<Appended>) -> Self {
        // All streams of an append were recorded by one transaction, now or earlier.
        let replayed = streams.iter().all(|appended| appended.replayed);
        Self { streams: streams.into_iter().map(v1::StreamAppended::from).collect(), replayed }
    }
}

impl From<Appended> for v1::StreamAppended {
    fn from(appended: Appended) -> Self {
        let version = |event: Option<&AppendedEvent>| event.map_or(0, |event| event.version.get());
        Self {
            first_version: version(appended.events.first()),
            last_version: version(appended.events.last()),
            events: appended.events.into_iter().map(v1::AppendedEvent::from).collect(),
        }
    }
}

impl From<AppendedEvent> for v1::AppendedEvent {
    fn from(event: AppendedEvent) -> Self {
        Self {
            event_id: event.event_id.to_string(),
            version: event.version.get(),
            position: event.position,
            event_timestamp: Some(timestamp_to_wire(event.event_timestamp)),
        }
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{Append, Timestamp, Uuid};

    use super::*;

    fn request() -> v1::AppendRequest {
        v1::AppendRequest {
            tenant_id: "acme".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id: "42".to_owned(),
            expected_version: Some(v1::ExpectedVersion { expected: Some(Expected::Exact(7)) }),
            events: vec![v1::NewEvent {
                event_type: "OrderPlaced".to_owned(),
                data: "{}".to_owned(),
                ..v1::NewEvent::default()
            }],
            context: Some(v1::AuditContext { user_id: "ann".to_owned(), ..v1::AuditContext::default() }),
        }
    }

    fn refused_fields(request: v1::AppendRequest) -> Vec<String> {
        let violations = Append::parse(request.into()).unwrap_err();
        violations.iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn an_append_keeps_what_was_sent() {
        let append = Append::parse(request().into()).unwrap();
        assert_eq!(append.tenant().as_str(), "acme");
        assert_eq!(append.streams()[0].expected, ExpectedVersion::Exact(Version::new(7)));
        assert_eq!((append.context().user_id.as_str(), append.context().causation_id), ("ann", None));
        assert_eq!(append.events().count(), 1);
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let mut wrong = request();
        wrong.expected_version = Some(v1::ExpectedVersion { expected: None });
        wrong.events[0].event_id = "7".to_owned();
        wrong.events[0].event_timestamp = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
        if let Some(context) = &mut wrong.context {
            context.causation_id = "order-42".to_owned();
        }
        assert_eq!(
            refused_fields(wrong),
            ["expected_version", "events[0].event_id", "events[0].event_timestamp", "context.causation_id"]
        );
    }

    #[test]
    fn without_a_context_the_user_is_what_is_missing() {
        assert_eq!(refused_fields(v1::AppendRequest { context: None, ..request() }), ["context.user_id"]);
    }

    #[test]
    fn a_list_of_streams_is_named_as_a_list_even_if_it_is_short() {
        let v1::AppendRequest { tenant_id, aggregate_type, aggregate_id, context, .. } = request();
        let stream = v1::StreamAppend { aggregate_type, aggregate_id, ..v1::StreamAppend::default() };
        let wrong = v1::AppendStreamsRequest { tenant_id, streams: vec![stream], context };
        let violations = Append::parse_streams(wrong.into()).unwrap_err();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["streams[0].expected_version", "streams[0].events"]);
    }

    #[test]
    fn an_answer_counts_from_its_first_event_to_its_last() {
        let event = |version| AppendedEvent {
            event_id: Uuid::from_u128(0xAB),
            version: Version::new(version),
            position: None,
            event_timestamp: Timestamp::from_unix(1, 2_000).unwrap(),
        };
        let answer = v1::AppendResponse::from(Appended { events: vec![event(3), event(4)], replayed: true });
        assert_eq!((answer.first_version, answer.last_version, answer.replayed), (3, 4, true));
        assert_eq!(answer.events[0].event_id, "00000000-0000-0000-0000-0000000000ab");
        assert_eq!(answer.events[0].position, None);
    }
}
