//! What the migration knows, as messages of the contract.

use partita_migration::{
    BusyUnit, Direction, Instance, Limits, Mismatch, MismatchReason, Orders, Progress, QuarantinedRow,
    Refusal, RunState, VerifySummary,
};
use partita_model::Month;
use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use partita_proto::v1::backfill_orders::State as OrdersState;
use partita_proto::v1::backfill_unit::State as UnitState;
use partita_proto::v1::mismatch::Reason;

/// The wire has no better number; nobody counts this far.
pub(super) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The control row's word; one of a newer release has no number here.
pub(super) fn phase(word: &str) -> v1::MigrationPhase {
    match word {
        "open" => v1::MigrationPhase::Open,
        "fenced" => v1::MigrationPhase::Fenced,
        "finalized" => v1::MigrationPhase::Finalized,
        "restoring" => v1::MigrationPhase::Restoring,
        _ => v1::MigrationPhase::Unspecified,
    }
}

pub(super) fn direction(direction: Direction) -> v1::BackfillDirection {
    match direction {
        Direction::Forward => v1::BackfillDirection::Forward,
        Direction::Restore => v1::BackfillDirection::Restore,
    }
}

pub(super) fn orders(orders: Orders) -> v1::BackfillOrders {
    let state = match orders.state {
        RunState::Stopped => OrdersState::Stopped,
        RunState::Running => OrdersState::Running,
        RunState::Paused => OrdersState::Paused,
        RunState::Finished => OrdersState::Finished,
    };
    v1::BackfillOrders {
        direction: direction(orders.direction).into(),
        state: state.into(),
        limits: Some(limits(orders.limits)),
        changed_at: Some(timestamp_to_wire(orders.changed_at)),
        changed_by: orders.changed_by,
        started_at: orders.started_at.map(timestamp_to_wire),
        finished_at: orders.finished_at.map(timestamp_to_wire),
    }
}

/// All of them; 0 is the wire's word for no limit.
fn limits(limits: Limits) -> v1::BackfillLimits {
    v1::BackfillLimits {
        workers: Some(limits.workers),
        rows_per_second: Some(limits.rows_per_second.unwrap_or_default()),
        replica_lag_ms_max: Some(limits.lag_ms_max.unwrap_or_default()),
        lock_waits_max: Some(limits.lock_waits_max.unwrap_or_default()),
    }
}

pub(super) fn progress(progress: Progress) -> v1::BackfillProgress {
    v1::BackfillProgress {
        units: count(progress.units),
        units_done: count(progress.units_done),
        units_copying: count(progress.units_copying),
        units_failed: count(progress.units_failed),
        rows_copied: count(progress.rows_copied),
        rows_total: count(progress.rows_total),
        bytes_copied: count(progress.bytes_copied),
        rows_left: count(progress.rows_left),
        rows_per_second: progress.rows_per_second,
        seconds_left: progress.eta.map(|left| count(left.as_secs())),
        throttles: progress.throttle,
    }
}

/// The state of a unit, by the word that it has in the database.
pub(super) fn unit_state(word: &str) -> UnitState {
    match word {
        "pending" => UnitState::Pending,
        "copying" => UnitState::Copying,
        "done" => UnitState::Done,
        "failed" => UnitState::Failed,
        _ => UnitState::Unspecified,
    }
}

pub(super) fn unit(unit: BusyUnit) -> v1::BackfillUnit {
    v1::BackfillUnit {
        state: unit_state(&unit.state).into(),
        tenant_id: unit.tenant_id,
        month: unit.month.to_string(),
        rows_total: count(unit.rows_total),
        rows_copied: count(unit.rows_copied),
        rows_per_second: unit.rows_per_second,
        throttle: unit.throttle.unwrap_or_default(),
        worker: unit.owner.unwrap_or_default(),
        heartbeat_at: unit.heartbeat_at.map(timestamp_to_wire),
        attempts: i32::try_from(unit.attempts).unwrap_or(i32::MAX),
        last_error: unit.last_error.unwrap_or_default(),
    }
}

pub(super) fn instance(instance: Instance) -> v1::ServiceInstance {
    v1::ServiceInstance {
        host: instance.host,
        pid: instance.pid,
        version: instance.version,
        partitions_v1: instance.flag,
        phase: instance.phase,
        started_at: Some(timestamp_to_wire(instance.started_at)),
        heartbeat_at: Some(timestamp_to_wire(instance.heartbeat_at)),
    }
}

pub(super) fn mismatch(mismatch: Mismatch) -> v1::Mismatch {
    let reason = match mismatch.reason {
        MismatchReason::MissingInPartitioned => Reason::MissingInPartitioned,
        MismatchReason::MissingInLegacy => Reason::MissingInLegacy,
        MismatchReason::ColumnsDiffer => Reason::ColumnsDiffer,
        MismatchReason::HeadDiffers => Reason::HeadDiffers,
        MismatchReason::OutsideOfMonths => Reason::OutsideOfMonths,
    };
    v1::Mismatch {
        mismatch_id: mismatch.id,
        tenant_id: mismatch.tenant_id,
        month: month(mismatch.month),
        event_id: mismatch.event_id.unwrap_or_default(),
        aggregate_type: mismatch.aggregate_type.unwrap_or_default(),
        aggregate_id: mismatch.aggregate_id.unwrap_or_default(),
        version: mismatch.aggregate_version,
        reason: reason.into(),
        columns: mismatch.columns,
        found_at: mismatch.found_at.map(timestamp_to_wire),
    }
}

pub(super) fn quarantined(row: QuarantinedRow) -> v1::QuarantinedRow {
    let accepted_at = row.accepted.as_ref().map(|accepted| timestamp_to_wire(accepted.at));
    let (accepted_by, accept_reason) =
        row.accepted.map(|accepted| (accepted.by, accepted.reason)).unwrap_or_default();
    v1::QuarantinedRow {
        row_id: row.id,
        direction: direction(row.direction).into(),
        tenant_id: row.tenant_id.unwrap_or_default(),
        month: month(row.month),
        event_id: row.event_id.unwrap_or_default(),
        aggregate_type: row.aggregate_type.unwrap_or_default(),
        aggregate_id: row.aggregate_id.unwrap_or_default(),
        version: row.aggregate_version.unwrap_or_default(),
        event_timestamp: row.event_timestamp.unwrap_or_default(),
        code: row.code,
        reason: row.reason,
        first_seen_at: Some(timestamp_to_wire(row.first_seen)),
        last_seen_at: Some(timestamp_to_wire(row.last_seen)),
        accepted_at,
        accepted_by,
        accept_reason,
    }
}

pub(super) fn verification(summary: VerifySummary) -> v1::VerificationSummary {
    v1::VerificationSummary {
        tenants: count(summary.tenants),
        tenants_verified: count(summary.tenants_verified),
        units: count(summary.units),
        units_differing: count(summary.units_differing),
        rows: count(summary.rows),
        mismatches: count(summary.differences),
        streams_with_gaps: count(summary.streams_with_gaps),
        quarantined: count(summary.quarantined),
    }
}

/// A precondition that does not hold, with what mends it.
pub(super) fn obstacle(refusal: &Refusal) -> v1::Obstacle {
    v1::Obstacle {
        code: refusal.code().to_owned(),
        description: refusal.to_string(),
        mend: refusal.mend().to_owned(),
    }
}

fn month(month: Option<Month>) -> String {
    month.map(|month| month.to_string()).unwrap_or_default()
}
