//! Requests that nobody means well with: bytes that are no message are refused by prost, and a message is taken by the model,
//! or refused with its fields.

use partita_fuzz::Fuzz;
use partita_model::{Append, AppendDraft, FindDraft, FindEvents, ReadStream, Violations};
use prost::Message;

use crate::v1;
use crate::v1::expected_version::Expected;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/request");

/// Decodes; what is a message comes back as it was from its own encoding.
fn decode<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    assert_eq!(M::decode(message.encode_to_vec().as_slice()).as_ref(), Ok(&message));
    Some(message)
}

fn assert_told(violations: &Violations) {
    assert!(!violations.is_empty());
    for violation in violations.iter() {
        assert!(!violation.field.is_empty() && !violation.description.is_empty(), "{violation:?}");
    }
}

fn check_append(draft: AppendDraft) {
    match Append::parse(draft) {
        Ok(append) => {
            assert!((1..=1_000).contains(&append.events().count()) && !append.tenant().as_str().is_empty());
        }
        Err(violations) => assert_told(&violations),
    }
}

fn append() -> v1::AppendRequest {
    let event = v1::NewEvent {
        event_id: "7b39ac98-3237-5a87-9a2b-74c14714914b".to_owned(),
        event_type: "OrderPlaced".to_owned(),
        data: "{\"n\": [1.50, null]}".to_owned(),
        metadata: "\"é\"".to_owned(),
        event_timestamp: Some(prost_types::Timestamp { seconds: 1_793_491_200, nanos: 1_000 }),
    };
    v1::AppendRequest {
        tenant_id: "acme".to_owned(),
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        expected_version: Some(v1::ExpectedVersion { expected: Some(Expected::Exact(7)) }),
        events: vec![event.clone(), v1::NewEvent { event_id: String::new(), ..event }],
        context: Some(v1::AuditContext {
            user_id: "ann".to_owned(),
            causation_id: "7b39ac98-3237-5a87-9a2b-74c14714914c".to_owned(),
            ip_address: "2001:db8::/32".to_owned(),
            ..v1::AuditContext::default()
        }),
    }
}

#[test]
fn appends_are_taken_or_refused_with_their_fields() {
    let request = append();
    let stream = v1::StreamAppend {
        aggregate_type: request.aggregate_type.clone(),
        aggregate_id: request.aggregate_id.clone(),
        expected_version: request.expected_version,
        events: request.events.clone(),
    };
    let streams = v1::AppendStreamsRequest {
        tenant_id: "acme".to_owned(),
        streams: vec![stream],
        context: request.context.clone(),
    };
    let piped = v1::AppendPipelineRequest { sequence: u64::MAX, append: Some(request.clone()) };
    let fuzz = Fuzz::new(CORPUS)
        .seed(request.encode_to_vec())
        .seed(streams.encode_to_vec())
        .seed(piped.encode_to_vec());
    fuzz.bytes(|bytes| {
        if let Some(request) = decode::<v1::AppendRequest>(bytes) {
            check_append(AppendDraft::from(request));
        }
        if let Some(request) = decode::<v1::AppendStreamsRequest>(bytes) {
            check_append(AppendDraft::from(request));
        }
        if let Some(v1::AppendPipelineRequest { append: Some(request), .. }) = decode(bytes) {
            check_append(AppendDraft::from(request));
        }
    });
}

#[test]
fn reads_and_searches_are_taken_or_refused_with_their_fields() {
    let read = v1::ReadStreamRequest {
        tenant_id: "acme".to_owned(),
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        from_version: 3,
        direction: 2,
        max_count: 10,
        from_timestamp: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
        to_timestamp: Some(prost_types::Timestamp { seconds: 253_402_300_799, nanos: 999_999_000 }),
    };
    let find = v1::GetAppendResultRequest {
        tenant_id: "acme".to_owned(),
        event_ids: vec!["7B39AC98-3237-5a87-9a2b-74c14714914b".to_owned()],
    };
    Fuzz::new(CORPUS).seed(read.encode_to_vec()).seed(find.encode_to_vec()).bytes(|bytes| {
        if let Some(request) = decode::<v1::ReadStreamRequest>(bytes) {
            match ReadStream::try_from(request.clone()) {
                Ok(read) => assert_eq!(read.tenant.as_str(), request.tenant_id),
                Err(violations) => assert_told(&violations),
            }
        }
        if let Some(request) = decode::<v1::GetAppendResultRequest>(bytes) {
            match FindEvents::parse(FindDraft::from(request.clone())) {
                Ok(find) => assert_eq!(find.event_ids.len(), request.event_ids.len()),
                Err(violations) => assert_told(&violations),
            }
        }
    });
}
