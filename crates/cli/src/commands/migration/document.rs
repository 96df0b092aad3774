//! The shapes of JSON output. Names are those of the contract.

mod status;

use partita_proto::v1::{
    MigrationPhase, Mismatch, Obstacle, PhaseChange, QuarantinedRow, VerificationSummary,
};
use serde::Serialize;

pub(super) use self::status::{OrdersDocument, StatusDocument};
use crate::client::from_wire;
use crate::document::optional;

#[derive(Debug, Serialize)]
pub(super) struct MismatchDocument {
    mismatch_id: i64,
    tenant_id: String,
    month: Option<String>,
    event_id: Option<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    version: Option<i64>,
    reason: String,
    columns: Vec<String>,
    found_at: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct QuarantinedDocument {
    row_id: i64,
    direction: String,
    tenant_id: Option<String>,
    month: Option<String>,
    event_id: Option<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    version: Option<String>,
    event_timestamp: Option<String>,
    code: String,
    reason: String,
    first_seen_at: Option<String>,
    last_seen_at: Option<String>,
    accepted_at: Option<String>,
    accepted_by: Option<String>,
    accept_reason: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct ObstacleDocument {
    pub(super) code: String,
    pub(super) description: String,
    pub(super) mend: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ChangeDocument {
    pub(super) phase_from: String,
    pub(super) phase_to: String,
    pub(super) changed_at: Option<String>,
    pub(super) changed_by: String,
}

#[derive(Debug, Serialize)]
pub(super) struct SummaryDocument {
    tenants: i64,
    tenants_verified: i64,
    units: i64,
    units_differing: i64,
    rows: i64,
    mismatches: i64,
    streams_with_gaps: i64,
    quarantined: i64,
}

/// The name that the contract has for a value, in lower case and without its prefix: `missing_in_legacy`.
pub(super) fn word(name: &str, prefix: &str) -> String {
    match name.trim_start_matches(prefix).to_lowercase() {
        unspecified if unspecified == "unspecified" => "unknown".to_owned(),
        word => word,
    }
}

pub(super) fn phase_word(phase: MigrationPhase) -> String {
    word(phase.as_str_name(), "MIGRATION_PHASE_")
}

impl From<Mismatch> for MismatchDocument {
    fn from(mismatch: Mismatch) -> Self {
        Self {
            reason: word(mismatch.reason().as_str_name(), "REASON_"),
            found_at: from_wire(mismatch.found_at.as_ref()),
            mismatch_id: mismatch.mismatch_id,
            tenant_id: mismatch.tenant_id,
            month: optional(mismatch.month),
            event_id: optional(mismatch.event_id),
            aggregate_type: optional(mismatch.aggregate_type),
            aggregate_id: optional(mismatch.aggregate_id),
            version: mismatch.version,
            columns: mismatch.columns,
        }
    }
}

impl From<QuarantinedRow> for QuarantinedDocument {
    fn from(row: QuarantinedRow) -> Self {
        Self {
            direction: word(row.direction().as_str_name(), "BACKFILL_DIRECTION_"),
            first_seen_at: from_wire(row.first_seen_at.as_ref()),
            last_seen_at: from_wire(row.last_seen_at.as_ref()),
            accepted_at: from_wire(row.accepted_at.as_ref()),
            accepted_by: optional(row.accepted_by),
            accept_reason: optional(row.accept_reason),
            row_id: row.row_id,
            tenant_id: optional(row.tenant_id),
            month: optional(row.month),
            event_id: optional(row.event_id),
            aggregate_type: optional(row.aggregate_type),
            aggregate_id: optional(row.aggregate_id),
            version: optional(row.version),
            event_timestamp: optional(row.event_timestamp),
            code: row.code,
            reason: row.reason,
        }
    }
}

impl From<Obstacle> for ObstacleDocument {
    fn from(obstacle: Obstacle) -> Self {
        Self { code: obstacle.code, description: obstacle.description, mend: obstacle.mend }
    }
}

impl From<PhaseChange> for ChangeDocument {
    fn from(change: PhaseChange) -> Self {
        Self {
            phase_from: phase_word(change.phase_from()),
            phase_to: phase_word(change.phase_to()),
            changed_at: from_wire(change.changed_at.as_ref()),
            changed_by: change.changed_by,
        }
    }
}

impl From<VerificationSummary> for SummaryDocument {
    fn from(summary: VerificationSummary) -> Self {
        Self {
            tenants: summary.tenants,
            tenants_verified: summary.tenants_verified,
            units: summary.units,
            units_differing: summary.units_differing,
            rows: summary.rows,
            mismatches: summary.mismatches,
            streams_with_gaps: summary.streams_with_gaps,
            quarantined: summary.quarantined,
        }
    }
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::mismatch::Reason;

    use super::*;

    #[test]
    fn a_value_has_the_contracts_name_without_its_prefix() {
        assert_eq!(word(Reason::MissingInLegacy.as_str_name(), "REASON_"), "missing_in_legacy");
        assert_eq!(phase_word(MigrationPhase::Finalized), "finalized");
        assert_eq!(phase_word(MigrationPhase::Unspecified), "unknown");
    }
}
