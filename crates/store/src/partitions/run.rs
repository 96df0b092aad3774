use partita_model::{TenantId, Timestamp};

use super::plan::Step;
use super::{
    ActionKind, MaintenanceRequest, PartitionAction, PartitionSize, Partitions, TenantMaintenance,
    is_contention,
};

/// A run of maintenance of one tenant.
pub(super) struct Run<'a> {
    partitions: &'a Partitions,
    tenant: &'a TenantId,
    request: &'a MaintenanceRequest,
    /// What was done.
    actions: Vec<PartitionAction>,
    /// The first lock that was not had.
    held_up: Option<sqlx::Error>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        partitions: &'a Partitions,
        tenant: &'a TenantId,
        request: &'a MaintenanceRequest,
    ) -> Self {
        Self { partitions, tenant, request, actions: Vec::new(), held_up: None }
    }

    /// All steps, as far as they go, and where the tenant stands afterwards.
    pub(super) async fn whole(mut self) -> TenantMaintenance {
        let ended = self.steps().await;
        let mut error = ended.err().or(self.held_up.take());
        let (retention_floor, partitions) = match self.stand().await {
            Ok(stand) => stand,
            Err(unknown) => {
                error.get_or_insert(unknown);
                (None, Vec::new())
            }
        };
        if !self.request.validate_only {
            name_created(&mut self.actions, &partitions);
        }
        let failure = match error {
            Some(error) => Some(self.partitions.explain(self.tenant, &error).await),
            None => None,
        };
        TenantMaintenance { actions: self.actions, retention_floor, partitions, failure }
    }

    async fn steps(&mut self) -> sqlx::Result<()> {
        let Self { partitions, tenant, request, .. } = *self;
        if !request.validate_only && (request.detach || request.drop) {
            partitions.register_detached(tenant, request).await?;
        }
        let mut steps = partitions.plan(tenant, request).await?;
        if !request.create && steps.iter().any(|step| matches!(step, Step::CreateTenant)) {
            // No partitions, no floor: without the one there is no place for the other.
            steps.clear();
        }
        steps.retain(|step| step.is_wanted(request));
        if !request.validate_only && steps.iter().any(|step| matches!(step, Step::CreateMonth(_))) {
            partitions.create_missing_months(tenant, request).await?;
        }
        for step in steps {
            self.step(step).await?;
        }
        if request.drop {
            self.drop_due().await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> sqlx::Result<()> {
        let Self { partitions, tenant, request, .. } = *self;
        match step {
            Step::CreateTenant => {}
            Step::CreateMonth(action) => self.actions.push(action),
            Step::RaiseFloor { action, to } => {
                if !request.validate_only {
                    partitions.raise_floor(tenant, to).await?;
                }
                self.actions.push(action);
            }
            Step::Finalize(month) => {
                let finished = request.validate_only || {
                    let outcome = partitions.finalize(tenant, &month, request).await;
                    self.unless_held_up(outcome)?
                };
                if finished {
                    self.detached(month).await?;
                }
            }
            Step::DropMonth(month) => {
                let detached = request.validate_only || {
                    let outcome = partitions.detach_month(tenant, &month, request).await;
                    self.unless_held_up(outcome)?
                };
                if detached {
                    self.detached(month).await?;
                }
            }
        }
        Ok(())
    }

    /// Reports a month that was detached, and drops it where there is no grace period.
    async fn detached(&mut self, month: PartitionAction) -> sqlx::Result<()> {
        self.actions.push(PartitionAction { kind: ActionKind::Detached, ..month.clone() });
        if self.request.drop && self.request.grace_days == 0 {
            self.drop_month(month).await?;
        }
        Ok(())
    }

    /// Drops the months whose grace period is over, whatever became of those that are still attached.
    async fn drop_due(&mut self) -> sqlx::Result<()> {
        for due in self.partitions.due(self.tenant).await? {
            let is_told = self
                .actions
                .iter()
                .any(|done| done.kind == ActionKind::Dropped && done.partition_name == due.partition_name);
            if !is_told {
                self.drop_month(due).await?;
            }
        }
        Ok(())
    }

    async fn drop_month(&mut self, month: PartitionAction) -> sqlx::Result<()> {
        let dropped = self.request.validate_only || {
            let outcome = self.partitions.drop_detached(self.tenant, &month.partition_name).await;
            self.unless_held_up(outcome)?
        };
        if dropped {
            self.actions.push(PartitionAction { kind: ActionKind::Dropped, ..month });
        }
        Ok(())
    }

    /// Whether a step was taken. One that met a lock of another session was not, and the others are tried all the same: they
    /// may not need it.
    fn unless_held_up(&mut self, outcome: sqlx::Result<bool>) -> sqlx::Result<bool> {
        match outcome {
            Err(error) if is_contention(&error) => {
                self.held_up.get_or_insert(error);
                Ok(false)
            }
            outcome => outcome,
        }
    }

    /// The floor, and what the leaves weigh where that is wanted, or where names have to be found.
    async fn stand(&self) -> sqlx::Result<(Option<Timestamp>, Vec<PartitionSize>)> {
        let Self { partitions, tenant, request, .. } = *self;
        let floor = partitions.floor(tenant).await?.flatten();
        let is_nameless =
            |action: &PartitionAction| action.kind == ActionKind::Created && action.partition_name.is_empty();
        let is_measured = request.measure || (!request.validate_only && self.actions.iter().any(is_nameless));
        if !is_measured {
            return Ok((floor, Vec::new()));
        }
        Ok((floor, partitions.sizes(Some(tenant), None, i64::from(u32::MAX), false).await?))
    }
}

/// Fills in the names of months whose tenant had no number yet, and so no names, when the plan was made.
fn name_created(actions: &mut [PartitionAction], partitions: &[PartitionSize]) {
    for action in actions.iter_mut().filter(|action| action.kind == ActionKind::Created) {
        if let Some(leaf) = partitions.iter().find(|leaf| leaf.range_start == action.range_start) {
            action.partition_name.clone_from(&leaf.partition_name);
        }
    }
}
