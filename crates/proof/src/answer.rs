//! What a service says, in the words of a history.

use partita_model::{Timestamp, Uuid, Version};
use partita_proto::convert::timestamp_from_wire;
use partita_proto::v1::{AppendedEvent, RecordedEvent};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::checker::mark_of;
use crate::history::{AppendAnswer, Place, ReadEnd, ReadEvent, Refused, content};

/// What every error of the service belongs to.
const DOMAIN: &str = "partita.v1";

/// The places of an answer. One that cannot be read is left out, and then missed by the checker.
pub(crate) fn places(events: &[AppendedEvent]) -> Vec<Place> {
    events.iter().filter_map(place).collect()
}

fn place(event: &AppendedEvent) -> Option<Place> {
    Some(Place {
        event_id: Uuid::parse_str(&event.event_id).ok()?,
        version: Version::new(event.version),
        position: event.position,
        event_timestamp: instant(event.event_timestamp.as_ref())?,
    })
}

/// An event that was read.
pub(crate) fn read_event(event: &RecordedEvent) -> Option<ReadEvent> {
    Some(ReadEvent {
        event_id: Uuid::parse_str(&event.event_id).ok()?,
        version: Version::new(event.version),
        event_timestamp: instant(event.event_timestamp.as_ref())?,
        mark: mark_of(&event.data).unwrap_or_default(),
        position: event.position,
        content: content(
            &event.event_type,
            &event.data,
            Some(event.metadata.as_str()).filter(|metadata| !metadata.is_empty()),
        ),
    })
}

fn instant(sent: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    timestamp_from_wire(*sent?).ok()
}

/// A failed append: every reason but one promises that nothing was recorded; an error without a reason promises nothing.
pub(crate) fn append_failure(status: &Status) -> AppendAnswer {
    match reason(status) {
        Some(reason) if reason == "OUTCOME_UNKNOWN" => AppendAnswer::Unknown(reason),
        Some(reason) => {
            let metadata = status.get_details_error_info().map(|info| info.metadata).unwrap_or_default();
            let actual = metadata.get("actual").and_then(|actual| actual.parse().ok()).map(Version::new);
            let conflict = metadata.get("stream").cloned().zip(actual);
            AppendAnswer::Refused(Refused {
                conflict: conflict.filter(|_| reason == "VERSION_CONFLICT"),
                reason,
            })
        }
        None => AppendAnswer::Unknown(format!("{:?}: {}", status.code(), status.message())),
    }
}

/// A failed read.
pub(crate) fn read_failure(status: &Status) -> ReadEnd {
    match reason(status) {
        Some(reason) if reason == "STREAM_NOT_FOUND" => ReadEnd::NotFound,
        Some(reason) => ReadEnd::Cut(reason),
        None => ReadEnd::Cut(format!("{:?}: {}", status.code(), status.message())),
    }
}

fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN).then_some(info.reason)
}
