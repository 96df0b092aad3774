use partita_model::{FindDraft, FindEvents, FoundEvent};

use crate::v1;

impl From<v1::GetAppendResultRequest> for FindDraft {
    fn from(request: v1::GetAppendResultRequest) -> Self {
        Self { tenant_id: request.tenant_id, event_ids: request.event_ids }
    }
}

impl From<FoundEvent> for v1::EventPlace {
    fn from(found: FoundEvent) -> Self {
        Self {
            aggregate_type: found.stream.aggregate_type().to_owned(),
            aggregate_id: found.stream.aggregate_id().to_owned(),
            event: Some(found.event.into()),
        }
    }
}

impl v1::GetAppendResultResponse {
    /// The answer to a search: what was found, one for each id and in their order.
    pub fn new(find: &FindEvents, found: Vec<Option<FoundEvent>>) -> Self {
        let results = find.event_ids.iter().zip(found).map(|(event_id, found)| v1::EventResult {
            event_id: event_id.to_string(),
            recorded: found.map(v1::EventPlace::from),
        });
        Self { results: results.collect() }
    }
}
