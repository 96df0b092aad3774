//! Partitions as they are sent. Their types are the store's, which the crate of the contract does not know.

use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use partita_store::{ActionKind, PartitionAction, PartitionSize, PartitionState, Retention};

/// A partition with its sizes.
pub(crate) fn partition(size: PartitionSize) -> v1::Partition {
    let state = match size.state {
        PartitionState::Attached => v1::partition::State::Attached,
        PartitionState::DetachPending => v1::partition::State::DetachPending,
        PartitionState::Detached => v1::partition::State::Detached,
    };
    v1::Partition {
        tenant_id: size.tenant_id,
        partition_name: size.partition_name,
        range_start: size.range_start.map(timestamp_to_wire),
        range_end: size.range_end.map(timestamp_to_wire),
        state: state.into(),
        rows_estimated: size.rows_estimated,
        heap_bytes: size.heap_bytes,
        index_bytes: size.index_bytes,
        total_bytes: size.total_bytes,
        drop_after: size.drop_after.map(timestamp_to_wire),
    }
}

/// A step of maintenance.
pub(crate) fn action(action: PartitionAction) -> v1::PartitionAction {
    let kind = match action.kind {
        ActionKind::Created => v1::partition_action::Kind::Created,
        ActionKind::Detached => v1::partition_action::Kind::Detached,
        ActionKind::Dropped => v1::partition_action::Kind::Dropped,
        ActionKind::FloorRaised => v1::partition_action::Kind::FloorRaised,
    };
    v1::PartitionAction {
        kind: kind.into(),
        partition_name: action.partition_name,
        range_start: action.range_start.map(timestamp_to_wire),
        range_end: action.range_end.map(timestamp_to_wire),
    }
}

/// How long a tenant's events are kept.
pub(crate) fn retention(retention: Retention) -> v1::TenantRetention {
    let months = |months: u32| i32::try_from(months).unwrap_or(i32::MAX);
    v1::TenantRetention {
        own_months: retention.own_months.map(months),
        months: months(retention.months),
        legal_hold: retention.legal_hold,
        retention_floor: retention.retention_floor.map(timestamp_to_wire),
        next_floor: retention.next_floor.map(timestamp_to_wire),
    }
}

/// A number of months that was sent.
pub(crate) fn parse_months(sent: i32, months_max: u32) -> Result<u32, String> {
    let months = u32::try_from(sent).ok().filter(|months| *months <= months_max);
    months.ok_or_else(|| format!("is {sent}: give 0 to {months_max} months"))
}

/// Text for the record: some of it, not too much, and nothing that PostgreSQL cannot keep.
pub(crate) fn check_text(text: &str, chars_max: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if chars == 0 || chars > chars_max {
        return Err(format!("has {chars} characters: give 1 to {chars_max}"));
    }
    if text.contains('\0') { Err("holds a NUL character".to_owned()) } else { Ok(()) }
}
