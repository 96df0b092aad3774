use partita_model::{AppendDraft, ContextDraft, EventDraft, ExpectedVersion, StreamDraft, Timestamp};
use partita_proto::v1;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::commands::import::line::LineDefaults;
use crate::document::optional;

/// A line as it is written. Data and metadata stay text: a number keeps every digit it was written with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportLine {
    pub(super) event_id: Option<String>,
    pub(super) tenant_id: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) event_type: String,
    pub(super) event_timestamp: Option<String>,
    pub(super) data: Box<RawValue>,
    pub(super) metadata: Option<Box<RawValue>>,
    pub(super) user_id: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) causation_id: Option<String>,
    pub(super) legal_basis: Option<String>,
    pub(super) data_classification: Option<String>,
    pub(super) retention_policy: Option<String>,
    pub(super) ip_address: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) session_id: Option<String>,
    pub(super) request_id: Option<String>,
}

impl ImportLine {
    /// The audit keys; empty text counts as none.
    pub(super) fn context(&self, defaults: &LineDefaults) -> v1::AuditContext {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        v1::AuditContext {
            user_id: self.user_id.clone().and_then(optional).unwrap_or_else(|| defaults.user_id.clone()),
            correlation_id: text(&self.correlation_id),
            causation_id: text(&self.causation_id),
            legal_basis: text(&self.legal_basis),
            data_classification: text(&self.data_classification),
            retention_policy: text(&self.retention_policy),
            ip_address: text(&self.ip_address),
            user_agent: text(&self.user_agent),
            session_id: text(&self.session_id),
            request_id: text(&self.request_id),
        }
    }

    /// The line as an append of its own, for the rules of the model.
    pub(super) fn draft(&self, context: &v1::AuditContext) -> AppendDraft {
        let event = EventDraft {
            event_id: self.event_id.clone().unwrap_or_default(),
            event_type: self.event_type.clone(),
            data: self.data.get().to_owned(),
            metadata: self.metadata.as_ref().map(|metadata| metadata.get().to_owned()).unwrap_or_default(),
            event_timestamp: self.event_timestamp.as_deref().map(Timestamp::parse_rfc3339),
        };
        let stream = StreamDraft {
            aggregate_type: self.aggregate_type.clone(),
            aggregate_id: self.aggregate_id.clone(),
            expected: Some(ExpectedVersion::Any),
            events: vec![event],
        };
        AppendDraft {
            tenant_id: self.tenant_id.clone(),
            streams: vec![stream],
            context: context_draft(context.clone()),
        }
    }
}

fn context_draft(context: v1::AuditContext) -> ContextDraft {
    ContextDraft {
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
