//! Partitions as they are sent. Their types are the store's, which the crate of the contract does not know.

use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use partita_store::{ActionKind, PartitionAction, PartitionSize, PartitionState};

/// A partition with its sizes.
pub(crate) fn partition(size: PartitionSize) -> v1::Partition {
    let state = match size.state {
        PartitionState::Attached => v1::partition::State::Attached,
        PartitionState::DetachPending => v1::partition::State::DetachPending,
    };
    v1::Partition {
        tenant_id: size.tenant_id,
        partition_name: size.partition_name,
        range_start: Some(timestamp_to_wire(size.range_start)),
        range_end: Some(timestamp_to_wire(size.range_end)),
        state: state.into(),
        rows_estimated: size.rows_estimated,
        heap_bytes: size.heap_bytes,
        index_bytes: size.index_bytes,
        total_bytes: size.total_bytes,
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
