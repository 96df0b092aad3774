use partita_model::{AuditContext, RecordedEvent};

use super::timestamp_to_wire;
use crate::v1;

impl From<RecordedEvent> for v1::RecordedEvent {
    fn from(event: RecordedEvent) -> Self {
        Self {
            event_id: event.event_id.to_string(),
            event_type: event.event_type,
            aggregate_type: event.stream.aggregate_type().to_owned(),
            aggregate_id: event.stream.aggregate_id().to_owned(),
            version: event.version.get(),
            position: event.position,
            data: event.data,
            metadata: event.metadata.unwrap_or_default(),
            context: Some(event.context.into()),
            event_timestamp: Some(timestamp_to_wire(event.event_timestamp)),
            created_at: Some(timestamp_to_wire(event.created_at)),
            event_hash: event.event_hash,
            previous_event_hash: event.previous_event_hash.unwrap_or_default(),
        }
    }
}

impl From<AuditContext> for v1::AuditContext {
    fn from(context: AuditContext) -> Self {
        Self {
            user_id: context.user_id,
            correlation_id: context.correlation_id.unwrap_or_default(),
            causation_id: context.causation_id.map(|id| id.to_string()).unwrap_or_default(),
            legal_basis: context.legal_basis.unwrap_or_default(),
            data_classification: context.data_classification.unwrap_or_default(),
            retention_policy: context.retention_policy.unwrap_or_default(),
            ip_address: context.ip_address.unwrap_or_default(),
            user_agent: context.user_agent.unwrap_or_default(),
            session_id: context.session_id.unwrap_or_default(),
            request_id: context.request_id.unwrap_or_default(),
        }
    }
}
