use partita_proto::v1::{
    BackfillOrders, BackfillProgress, BackfillUnit, GetMigrationStatusResponse, ServiceInstance,
};
use serde::Serialize;

use crate::client::from_wire;
use crate::commands::migration::document::{phase_word, word};
use crate::document::optional;

/// `partita migration status -o json`.
#[derive(Debug, Serialize)]
pub(in crate::commands::migration) struct StatusDocument {
    read_at: Option<String>,
    phase: String,
    phase_changed_at: Option<String>,
    phase_changed_by: String,
    fenced_at: Option<String>,
    orders: OrdersDocument,
    progress: ProgressDocument,
    tenants: i64,
    tenants_backfilled: i64,
    tenants_verified: i64,
    quarantined: i64,
    accepted: i64,
    mismatches: i64,
    units: Vec<UnitDocument>,
    instances: Vec<InstanceDocument>,
}

/// What the workers are told; limits that are null do not bind.
#[derive(Debug, Serialize)]
pub(in crate::commands::migration) struct OrdersDocument {
    direction: String,
    state: String,
    workers: Option<i32>,
    rows_per_second: Option<i32>,
    replica_lag_ms_max: Option<i32>,
    lock_waits_max: Option<i32>,
    changed_at: Option<String>,
    changed_by: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct ProgressDocument {
    units: i64,
    units_done: i64,
    units_copying: i64,
    units_failed: i64,
    rows_copied: i64,
    rows_total: i64,
    bytes_copied: i64,
    rows_left: i64,
    rows_per_second: f64,
    seconds_left: Option<i64>,
    throttles: Vec<String>,
}

#[derive(Debug, Serialize)]
struct UnitDocument {
    tenant_id: String,
    month: String,
    state: String,
    rows_total: i64,
    rows_copied: i64,
    rows_per_second: f64,
    throttle: Option<String>,
    worker: Option<String>,
    heartbeat_at: Option<String>,
    attempts: i32,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct InstanceDocument {
    host: String,
    pid: i32,
    version: String,
    partitions_v1: bool,
    phase: String,
    started_at: Option<String>,
    heartbeat_at: Option<String>,
}

impl From<GetMigrationStatusResponse> for StatusDocument {
    fn from(status: GetMigrationStatusResponse) -> Self {
        let change = status.last_change.clone().unwrap_or_default();
        Self {
            read_at: from_wire(status.read_at.as_ref()),
            phase: phase_word(status.phase()),
            phase_changed_at: from_wire(change.changed_at.as_ref()),
            phase_changed_by: change.changed_by,
            fenced_at: from_wire(status.fenced_at.as_ref()),
            orders: status.orders.unwrap_or_default().into(),
            progress: status.progress.unwrap_or_default().into(),
            tenants: status.tenants,
            tenants_backfilled: status.tenants_backfilled,
            tenants_verified: status.tenants_verified,
            quarantined: status.quarantined,
            accepted: status.accepted,
            mismatches: status.mismatches,
            units: status.units.into_iter().map(UnitDocument::from).collect(),
            instances: status.instances.into_iter().map(InstanceDocument::from).collect(),
        }
    }
}

impl From<BackfillOrders> for OrdersDocument {
    fn from(orders: BackfillOrders) -> Self {
        let limits = orders.limits.unwrap_or_default();
        let binding = |limit: Option<i32>| limit.filter(|limit| *limit != 0);
        Self {
            direction: word(orders.direction().as_str_name(), "BACKFILL_DIRECTION_"),
            state: word(orders.state().as_str_name(), "STATE_"),
            workers: limits.workers,
            rows_per_second: binding(limits.rows_per_second),
            replica_lag_ms_max: binding(limits.replica_lag_ms_max),
            lock_waits_max: binding(limits.lock_waits_max),
            changed_at: from_wire(orders.changed_at.as_ref()),
            started_at: from_wire(orders.started_at.as_ref()),
            finished_at: from_wire(orders.finished_at.as_ref()),
            changed_by: orders.changed_by,
        }
    }
}

impl From<BackfillProgress> for ProgressDocument {
    fn from(progress: BackfillProgress) -> Self {
        Self {
            units: progress.units,
            units_done: progress.units_done,
            units_copying: progress.units_copying,
            units_failed: progress.units_failed,
            rows_copied: progress.rows_copied,
            rows_total: progress.rows_total,
            bytes_copied: progress.bytes_copied,
            rows_left: progress.rows_left,
            rows_per_second: progress.rows_per_second,
            seconds_left: progress.seconds_left,
            throttles: progress.throttles,
        }
    }
}

impl From<BackfillUnit> for UnitDocument {
    fn from(unit: BackfillUnit) -> Self {
        Self {
            state: word(unit.state().as_str_name(), "STATE_"),
            heartbeat_at: from_wire(unit.heartbeat_at.as_ref()),
            tenant_id: unit.tenant_id,
            month: unit.month,
            rows_total: unit.rows_total,
            rows_copied: unit.rows_copied,
            rows_per_second: unit.rows_per_second,
            throttle: optional(unit.throttle),
            worker: optional(unit.worker),
            attempts: unit.attempts,
            last_error: optional(unit.last_error),
        }
    }
}

impl From<ServiceInstance> for InstanceDocument {
    fn from(instance: ServiceInstance) -> Self {
        Self {
            started_at: from_wire(instance.started_at.as_ref()),
            heartbeat_at: from_wire(instance.heartbeat_at.as_ref()),
            host: instance.host,
            pid: instance.pid,
            version: instance.version,
            partitions_v1: instance.partitions_v1,
            phase: instance.phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::BackfillLimits;

    use super::*;

    #[test]
    fn a_limit_that_does_not_bind_is_null() {
        let limits = BackfillLimits { rows_per_second: Some(0), ..Default::default() };
        let orders = BackfillOrders { limits: Some(limits), ..Default::default() };
        assert_eq!(OrdersDocument::from(orders).rows_per_second, None);
    }
}
