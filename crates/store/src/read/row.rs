use partita_model::{AuditContext, RecordedEvent, StreamId, Timestamp, Uuid, Version};
use time::OffsetDateTime;

/// A row of either table. Rows of other programs may break the rules for new events; they are passed on as they are.
pub(crate) struct EventRow {
    pub event_id: Uuid,
    pub event_type: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub aggregate_version: i32,
    pub event_data: String,
    pub event_metadata: Option<String>,
    pub user_id: String,
    pub correlation_id: Option<String>,
    pub causation_id: Option<Uuid>,
    pub legal_basis: Option<String>,
    pub data_classification: Option<String>,
    pub retention_policy: Option<String>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub session_id: Option<String>,
    pub request_id: Option<String>,
    pub event_hash: String,
    pub previous_event_hash: Option<String>,
    pub event_timestamp: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub position: Option<i64>,
}

impl From<EventRow> for RecordedEvent {
    fn from(row: EventRow) -> Self {
        Self {
            event_id: row.event_id,
            event_type: row.event_type,
            stream: StreamId::from_row(row.aggregate_type, row.aggregate_id),
            version: Version::new(row.aggregate_version),
            position: row.position,
            data: row.event_data,
            metadata: row.event_metadata,
            context: AuditContext {
                user_id: row.user_id,
                correlation_id: row.correlation_id,
                causation_id: row.causation_id,
                legal_basis: row.legal_basis,
                data_classification: row.data_classification,
                retention_policy: row.retention_policy,
                ip_address: row.ip_address,
                user_agent: row.user_agent,
                session_id: row.session_id,
                request_id: row.request_id,
            },
            event_timestamp: Timestamp::from_datetime(row.event_timestamp),
            created_at: Timestamp::from_datetime(row.created_at),
            event_hash: row.event_hash,
            previous_event_hash: row.previous_event_hash,
        }
    }
}
