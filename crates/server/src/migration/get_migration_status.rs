use std::time::SystemTime;

use partita_migration::{Migration, Progress, Status as Standing};
use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use tonic::{Response, Status};

use crate::migration::message::{count, instance, orders, phase, progress, unit};
use crate::status::refuse_migration;

/// Tells where the migration stands.
pub(crate) async fn get_migration_status(
    migration: &Migration,
) -> Result<Response<v1::GetMigrationStatusResponse>, Status> {
    let standing = migration.status().await.map_err(|error| refuse_migration(&error))?;
    Ok(Response::new(message(standing)))
}

fn message(standing: Standing) -> v1::GetMigrationStatusResponse {
    let Progress { tenants, tenants_backfilled, tenants_verified, quarantined, accepted, mismatches, .. } =
        standing.progress;
    let phase = phase(&standing.phase);
    v1::GetMigrationStatusResponse {
        read_at: Some(SystemTime::now().into()),
        phase: phase.into(),
        last_change: Some(v1::PhaseChange {
            phase_from: v1::MigrationPhase::Unspecified.into(),
            phase_to: phase.into(),
            changed_at: Some(timestamp_to_wire(standing.phase_changed_at)),
            changed_by: standing.phase_changed_by,
        }),
        fenced_at: standing.fenced_at.map(timestamp_to_wire),
        orders: Some(orders(standing.orders)),
        progress: Some(progress(standing.progress)),
        tenants: count(tenants),
        tenants_backfilled: count(tenants_backfilled),
        tenants_verified: count(tenants_verified),
        quarantined: count(quarantined),
        accepted: count(accepted),
        mismatches: count(mismatches),
        units: standing.busy.into_iter().map(unit).collect(),
        instances: standing.instances.into_iter().map(instance).collect(),
    }
}
