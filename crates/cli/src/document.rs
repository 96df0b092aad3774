//! The shapes of JSON output. Names are those of the contract; data and metadata are documents, not strings.

use partita_proto::v1::{AppendResponse, AuditContext, Partition, RecordedEvent, partition};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::client::from_wire;
use crate::failure::Failure;

/// An event of a stream, one line of `partita read -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct EventDocument {
    event_id: String,
    event_type: String,
    aggregate_type: String,
    aggregate_id: String,
    version: i32,
    position: Option<i64>,
    event_timestamp: Option<String>,
    created_at: Option<String>,
    data: Box<RawValue>,
    metadata: Option<Box<RawValue>>,
    context: ContextDocument,
    event_hash: String,
    previous_event_hash: Option<String>,
}

/// The audit columns that are there.
#[derive(Debug, Serialize)]
struct ContextDocument {
    user_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    correlation_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    causation_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    legal_basis: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    data_classification: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    retention_policy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ip_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_agent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    session_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    request_id: String,
}

impl EventDocument {
    /// # Errors
    /// When the server sent data that is no JSON document, which it never should.
    pub(crate) fn new(event: RecordedEvent) -> Result<Self, Failure> {
        let id = event.event_id.clone();
        let raw = |text: String| {
            RawValue::from_string(text).map_err(|error| {
                Failure::internal(format!("event {id} holds no JSON document")).because(error)
            })
        };
        Ok(Self {
            event_timestamp: from_wire(event.event_timestamp.as_ref()),
            created_at: from_wire(event.created_at.as_ref()),
            data: raw(event.data)?,
            metadata: optional(event.metadata).map(raw).transpose()?,
            event_id: event.event_id,
            event_type: event.event_type,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            version: event.version,
            position: event.position,
            context: context(event.context.unwrap_or_default()),
            event_hash: event.event_hash,
            previous_event_hash: optional(event.previous_event_hash),
        })
    }
}

fn context(context: AuditContext) -> ContextDocument {
    ContextDocument {
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

/// What an append was answered.
#[derive(Debug, Serialize)]
pub(crate) struct AppendedDocument {
    first_version: i32,
    last_version: i32,
    replayed: bool,
    events: Vec<AppendedEventDocument>,
}

#[derive(Debug, Serialize)]
struct AppendedEventDocument {
    event_id: String,
    version: i32,
    position: Option<i64>,
    event_timestamp: Option<String>,
}

impl From<AppendResponse> for AppendedDocument {
    fn from(response: AppendResponse) -> Self {
        let events = response.events.into_iter().map(|event| AppendedEventDocument {
            event_timestamp: from_wire(event.event_timestamp.as_ref()),
            event_id: event.event_id,
            version: event.version,
            position: event.position,
        });
        Self {
            first_version: response.first_version,
            last_version: response.last_version,
            replayed: response.replayed,
            events: events.collect(),
        }
    }
}

/// One partition with its sizes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PartitionDocument {
    pub(crate) tenant_id: String,
    pub(crate) partition_name: String,
    pub(crate) range_start: Option<String>,
    pub(crate) range_end: Option<String>,
    pub(crate) state: &'static str,
    pub(crate) drop_after: Option<String>,
    pub(crate) rows_estimated: Option<i64>,
    pub(crate) heap_bytes: i64,
    pub(crate) index_bytes: i64,
    pub(crate) total_bytes: i64,
}

impl PartitionDocument {
    /// Its fields, in their order.
    pub(crate) const FIELDS: [&str; 10] = [
        "tenant_id",
        "partition_name",
        "range_start",
        "range_end",
        "state",
        "drop_after",
        "rows_estimated",
        "heap_bytes",
        "index_bytes",
        "total_bytes",
    ];
}

impl From<Partition> for PartitionDocument {
    fn from(partition: Partition) -> Self {
        let state = match partition.state() {
            partition::State::Attached => "attached",
            partition::State::DetachPending => "detach pending",
            partition::State::Detached => "detached",
            partition::State::Unspecified => "unknown",
        };
        Self {
            range_start: from_wire(partition.range_start.as_ref()),
            range_end: from_wire(partition.range_end.as_ref()),
            tenant_id: partition.tenant_id,
            partition_name: partition.partition_name,
            state,
            drop_after: from_wire(partition.drop_after.as_ref()),
            rows_estimated: partition.rows_estimated,
            heap_bytes: partition.heap_bytes,
            index_bytes: partition.index_bytes,
            total_bytes: partition.total_bytes,
        }
    }
}

/// The contract's "empty is absent".
pub(crate) fn optional(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
