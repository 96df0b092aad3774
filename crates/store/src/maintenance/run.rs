use std::time::{Instant, SystemTime, UNIX_EPOCH};

use partita_model::TenantId;
use tokio_util::sync::CancellationToken;

use super::MaintenanceLoop;
use super::leader::Leader;
use crate::metrics::{LAST_MAINTENANCE, MAINTENANCE_FAILURES};
use crate::{ActionKind, PartitionAction, SurveyedTenant};

/// What a run came to.
#[derive(Default)]
struct Tally {
    tenants: usize,
    failed: usize,
    /// New tenants that there is no room for.
    left_out: usize,
    created: usize,
    detached: usize,
    dropped: usize,
}

impl MaintenanceLoop {
    /// Goes through the tenants that need something, one after the other; one that fails does not stop the rest. Ends
    /// early when this process stops, or does not lead any more.
    pub(super) async fn run_once(&self, leader: &mut Leader, shutdown: &CancellationToken) {
        let begun = Instant::now();
        // An error is logged where it arises; the next run asks again.
        let Ok(surveyed) = self.partitions.survey(&self.request()).await else { return };
        let mut tally = Tally::default();
        let mut whole = true;
        for SurveyedTenant { tenant, is_due, .. } in surveyed {
            if !is_due {
                tally.tenants += 1;
                continue;
            }
            if shutdown.is_cancelled() {
                whole = false;
                break;
            }
            if !leader.is_alive().await {
                tracing::warn!("maintenance lost its session, another process may lead now");
                whole = false;
                break;
            }
            self.tenant(&tenant, &mut tally).await;
        }
        if tally.left_out > 0 {
            tracing::warn!(
                tenants.left_out = tally.left_out,
                "new tenants are not made: partitions.tenants_max is reached"
            );
        }
        MAINTENANCE_FAILURES.add(tally.failed as u64, []);
        if whole {
            LAST_MAINTENANCE.set(unix_seconds(), []);
        }
        tracing::info!(
            tenants = tally.tenants,
            tenants.failed = tally.failed,
            partitions.created = tally.created,
            partitions.detached = tally.detached,
            partitions.dropped = tally.dropped,
            observed = self.request().validate_only,
            elapsed_ms = begun.elapsed().as_millis(),
            "maintenance run ended"
        );
    }

    async fn tenant(&self, tenant: &TenantId, tally: &mut Tally) {
        match self.partitions.has_room_for(tenant).await {
            Ok(true) => {}
            Ok(false) => {
                tally.left_out += 1;
                return;
            }
            Err(_) => {
                tally.failed += 1;
                return;
            }
        }
        tally.tenants += 1;
        let done = self.partitions.maintain(tenant, &self.request()).await;
        for action in &done.actions {
            self.tell(tenant, action);
            match action.kind {
                ActionKind::Created => tally.created += 1,
                ActionKind::Detached => tally.detached += 1,
                ActionKind::Dropped => tally.dropped += 1,
                ActionKind::FloorRaised => {}
            }
        }
        // Logged with its cause where it arose.
        tally.failed += usize::from(done.failure.is_some());
    }

    fn tell(&self, tenant: &TenantId, action: &PartitionAction) {
        let PartitionAction { kind, partition_name, range_start, range_end } = action;
        let instant = |at: &Option<partita_model::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let message =
            if self.request().validate_only { "maintenance would act" } else { "maintenance acted" };
        tracing::info!(
            %tenant,
            action = ?kind,
            partition = partition_name,
            range.start = instant(range_start),
            range.end = instant(range_end),
            "{message}"
        );
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
