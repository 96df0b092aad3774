use partita_model::{
    Append, Appended, AppendedEvent, JsonDocument, NewEvent, StreamAppend, StreamId, TenantId, Timestamp,
    Uuid, Version,
};

use super::decide::State;
use crate::StoreError;

/// An event that is recorded already, as far as a repeated append is compared with it.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub stream: StreamId,
    pub version: Version,
    pub event_type: String,
    pub data: String,
    pub metadata: Option<String>,
    pub event_timestamp: Timestamp,
}

impl State {
    /// The earlier result, when every event is recorded as it is sent now: same stream, same content, one behind
    /// the other. The audit context is not compared: a retry comes with a request id of its own.
    pub(super) fn find_replay(
        &self,
        append: &Append,
        given: &[Uuid],
    ) -> Result<Option<Vec<Appended>>, StoreError> {
        let key = |event_id: Uuid| (append.tenant().clone(), event_id);
        let recorded: Vec<Uuid> =
            given.iter().copied().filter(|id| self.recorded.contains_key(&key(*id))).collect();
        if recorded.is_empty() {
            return Ok(None);
        }
        let replay =
            append.streams().iter().map(|stream| self.replay_stream(append.tenant(), stream)).collect();
        match replay {
            Some(replay) => Ok(Some(replay)),
            None => Err(StoreError::EventIdConflict { event_ids: recorded }),
        }
    }

    fn replay_stream(&self, tenant: &TenantId, append: &StreamAppend) -> Option<Appended> {
        let mut events: Vec<AppendedEvent> = Vec::with_capacity(append.events.len());
        for event in &append.events {
            let event_id = event.event_id?;
            let recorded = self.recorded.get(&(tenant.clone(), event_id))?;
            let follows =
                events.last().is_none_or(|last| last.version.checked_add(1) == Some(recorded.version));
            if !follows || recorded.stream != append.stream || !recorded.holds(event) {
                return None;
            }
            events.push(AppendedEvent {
                event_id,
                version: recorded.version,
                position: None,
                event_timestamp: recorded.event_timestamp,
            });
        }
        Some(Appended { events, replayed: true })
    }
}

impl Recorded {
    fn holds(&self, event: &NewEvent) -> bool {
        let same = |stored: &str, sent: &JsonDocument| {
            JsonDocument::parse(stored).is_ok_and(|stored| stored == *sent)
        };
        self.event_type == event.event_type
            && event.event_timestamp.is_none_or(|at| at == self.event_timestamp)
            && same(&self.data, &event.data)
            && match (&self.metadata, &event.metadata) {
                (None, None) => true,
                (Some(stored), Some(sent)) => same(stored, sent),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }
}
