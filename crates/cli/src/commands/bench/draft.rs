use partita_model::limits::APPEND_BYTES_MAX;
use partita_proto::v1::expected_version::{Any, Expected, NoStream};
use partita_proto::v1::{AppendRequest, AuditContext, ExpectedVersion, NewEvent};
use uuid::Uuid;

use crate::commands::bench::stream::BenchStream;

/// Names what the load leaves behind, in each event.
const USER: &str = "partita-bench";
const EVENT_TYPE: &str = "BenchRecorded";

/// What all appends of a load have in common.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// One event's data.
    data: String,
    /// Whether an append names the version that its stream is at; otherwise it takes any.
    exact: bool,
    /// Whether events carry ids of the client, which makes a repetition safe and costs the server a look-up.
    with_ids: bool,
}

impl Draft {
    pub(super) fn new(payload_bytes: u32, exact: bool, with_ids: bool) -> Self {
        Self { data: payload(payload_bytes as usize), exact, with_ids }
    }

    /// Most events that one append may hold.
    pub(super) fn events_max(&self) -> u32 {
        u32::try_from(APPEND_BYTES_MAX / self.data.len()).unwrap_or(u32::MAX)
    }

    /// An append of so many events to a stream as it stands.
    pub(super) fn request(&self, stream: &BenchStream, events: u32) -> AppendRequest {
        let expected = match stream.version {
            _ if !self.exact => Expected::Any(Any {}),
            0 => Expected::NoStream(NoStream {}),
            version => Expected::Exact(version),
        };
        let new_event = |_| NewEvent {
            event_id: if self.with_ids { Uuid::now_v7().to_string() } else { String::new() },
            event_type: EVENT_TYPE.to_owned(),
            data: self.data.clone(),
            ..NewEvent::default()
        };
        AppendRequest {
            tenant_id: stream.tenant_id.clone(),
            aggregate_type: stream.aggregate_type().to_owned(),
            aggregate_id: stream.aggregate_id.clone(),
            expected_version: Some(ExpectedVersion { expected: Some(expected) }),
            events: (0..events).map(new_event).collect(),
            context: Some(AuditContext { user_id: USER.to_owned(), ..AuditContext::default() }),
        }
    }
}

/// A document of this size, of several keys and kinds, as events have. The text in it does not compress well: one
/// letter repeated would be stored in a few bytes.
fn payload(bytes: usize) -> String {
    let head = r#"{"amount":1299,"paid":true,"items":[7,12],"note":""#;
    let tail = r#""}"#;
    let mut document = head.to_owned();
    while document.len() + tail.len() < bytes {
        let word = Uuid::new_v4().simple().to_string();
        let room = bytes - document.len() - tail.len();
        document.extend(word.chars().take(room));
    }
    document + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_of_the_size_asked_for() {
        for bytes in [64, 300, 10_000] {
            let data = payload(bytes);
            assert_eq!(data.len(), bytes);
            serde_json::from_str::<serde_json::Value>(&data).unwrap();
        }
    }

    #[test]
    fn exact_appends_follow_the_version_of_their_stream() {
        let expected = |draft: &Draft, version| {
            let stream = BenchStream { version, ..BenchStream::new("launch", 0, 1) };
            draft.request(&stream, 1).expected_version.unwrap().expected.unwrap()
        };
        let exact = Draft::new(64, true, false);
        assert_eq!(expected(&exact, 0), Expected::NoStream(NoStream {}));
        assert_eq!(expected(&exact, 7), Expected::Exact(7));
        assert_eq!(expected(&Draft::new(64, false, false), 7), Expected::Any(Any {}));
    }

    #[test]
    fn ids_are_sent_only_where_they_are_asked_for() {
        let stream = BenchStream::new("launch", 0, 1);
        let ids = |with_ids| {
            let request = Draft::new(64, true, with_ids).request(&stream, 2);
            request.events.into_iter().map(|event| event.event_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(false), ["", ""]);
        assert!(ids(true).iter().all(|id| Uuid::parse_str(id).is_ok()));
        assert_ne!(ids(true)[0], ids(true)[1]);
    }
}
