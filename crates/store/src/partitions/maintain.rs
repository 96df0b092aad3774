use partita_model::{TenantId, Timestamp};
use tracing::Instrument;

use super::ddl::{self, PartitionName};
use super::{
    ActionKind, MaintenanceRequest, PartitionAction, PartitionSize, Partitions, TenantMaintenance, integer,
    store_error,
};
use crate::StoreError;

/// A step that the database's plan asks for.
#[derive(Debug)]
pub(super) enum Step {
    /// The tenant's own table; it comes with its first month.
    CreateTenant,
    /// A leaf.
    CreateMonth(PartitionAction),
    /// A detach that an interrupted run left pending.
    Finalize(PartitionAction),
    /// The floor.
    RaiseFloor { action: PartitionAction, to: Timestamp },
    /// A leaf wholly below the floor.
    DropMonth(PartitionAction),
}

impl Step {
    fn is_wanted(&self, request: &MaintenanceRequest) -> bool {
        match self {
            Self::CreateTenant | Self::CreateMonth(_) => request.create,
            Self::Finalize(_) | Self::RaiseFloor { .. } | Self::DropMonth(_) => request.detach,
        }
    }
}

impl Partitions {
    /// Every tenant that maintenance of "all" covers: those of a `tenants` table where the database has one, else those
    /// of the legacy table and of the registry.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let names = sqlx::query_file_scalar!("sql/partitions/list_tenants.sql")
            .fetch_all(&self.pool)
            .await
            .map_err(|error| store_error(&error, None))?;
        // A name that is no tenant (empty, say) can have no partitions; the others are not held up by it.
        Ok(names.into_iter().filter_map(|name| TenantId::parse(name).ok()).collect())
    }

    /// Creates what is missing, raises the floor, finishes interrupted detaches, detaches and drops what lies below the
    /// floor; or only says what it would do. Runs to its end even if the future is dropped.
    ///
    /// # Errors
    /// `PartitionUnavailable` when other sessions hold locks: what was done until then stays, and a later run goes on.
    pub async fn maintain(
        &self,
        tenant: &TenantId,
        request: &MaintenanceRequest,
    ) -> Result<TenantMaintenance, StoreError> {
        let (this, tenant, request) = (self.clone(), tenant.clone(), *request);
        let work = async move {
            match this.run(&tenant, &request).await {
                Ok(done) => Ok(done),
                Err(error) => Err(this.explain(&tenant, &error).await),
            }
        };
        let run = self.tasks.spawn(work.in_current_span());
        run.await.unwrap_or_else(|error| {
            tracing::error!(%error, "partition maintenance was cut off");
            Err(StoreError::Internal)
        })
    }

    async fn run(&self, tenant: &TenantId, request: &MaintenanceRequest) -> sqlx::Result<TenantMaintenance> {
        let mut actions = Vec::new();
        let mut steps = self.plan(tenant, request).await?;
        if !request.create && steps.iter().any(|step| matches!(step, Step::CreateTenant)) {
            // No partitions, no floor: without the one there is no place for the other.
            steps.clear();
        }
        steps.retain(|step| step.is_wanted(request));
        if !request.validate_only && steps.iter().any(|step| matches!(step, Step::CreateMonth(_))) {
            sqlx::query_file_scalar!(
                "sql/partitions/create_missing_months.sql",
                tenant.as_str(),
                integer(request.months_ahead),
                integer(request.retention_months)
            )
            .fetch_one(&self.pool)
            .await?;
        }
        for step in steps {
            match step {
                Step::CreateTenant => {}
                Step::CreateMonth(action) => actions.push(action),
                Step::RaiseFloor { action, to } => {
                    if !request.validate_only {
                        self.raise_floor(tenant, to).await?;
                    }
                    actions.push(action);
                }
                Step::Finalize(action) => {
                    let expired = !request.validate_only
                        && self.finalize(tenant, &action.partition_name, request.drop).await?;
                    actions.push(action.clone());
                    if expired && request.drop {
                        actions.push(PartitionAction { kind: ActionKind::Dropped, ..action });
                    }
                }
                Step::DropMonth(action) => {
                    let kept = !request.validate_only
                        && !self.detach_month(tenant, &action.partition_name, request.drop).await?;
                    if !kept {
                        actions.push(PartitionAction { kind: ActionKind::Detached, ..action.clone() });
                        if request.drop {
                            actions.push(action);
                        }
                    }
                }
            }
        }
        let retention_floor = self.floor(tenant).await?.flatten();
        let partitions = self.sizes(Some(tenant), None, i64::from(u32::MAX)).await?;
        if !request.validate_only {
            name_created(&mut actions, &partitions);
        }
        Ok(TenantMaintenance { actions, retention_floor, partitions })
    }

    /// Sorts an error, and names who stands in the way; logs both, once.
    async fn explain(&self, tenant: &TenantId, error: &sqlx::Error) -> StoreError {
        let mut explained = store_error(error, Some(tenant));
        if let StoreError::PartitionUnavailable { blockers, .. } = &mut explained {
            *blockers = self.blockers(tenant).await;
            for blocker in &*blockers {
                tracing::warn!(
                    %tenant,
                    blocker.pid = blocker.pid,
                    blocker.application = blocker.application,
                    blocker.state = blocker.state,
                    blocker.transaction_seconds = blocker.transaction_age.map(|age| age.as_secs()),
                    "partition maintenance met a lock of another session"
                );
            }
        }
        explained
    }

    /// What there is to do, in order.
    pub(super) async fn plan(
        &self,
        tenant: &TenantId,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<Vec<Step>> {
        let rows = sqlx::query_file!(
            "sql/partitions/plan_maintenance.sql",
            tenant.as_str(),
            integer(request.months_ahead),
            integer(request.retention_months)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let range_end = row.range_end.map(Timestamp::from_datetime);
                let action = |kind| PartitionAction {
                    kind,
                    partition_name: row.partition_name.clone().unwrap_or_default(),
                    range_start: row.range_start.map(Timestamp::from_datetime),
                    range_end,
                };
                match (row.action.as_str(), range_end) {
                    ("create_tenant", _) => Ok(Step::CreateTenant),
                    ("create_month", _) => Ok(Step::CreateMonth(action(ActionKind::Created))),
                    ("finalize", _) => Ok(Step::Finalize(action(ActionKind::Detached))),
                    ("raise_floor", Some(to)) => {
                        Ok(Step::RaiseFloor { action: action(ActionKind::FloorRaised), to })
                    }
                    ("drop_month", _) => Ok(Step::DropMonth(action(ActionKind::Dropped))),
                    (unknown, _) => {
                        let message = format!("event_store_partition_plan: unknown action `{unknown}`");
                        Err(sqlx::Error::Decode(message.into()))
                    }
                }
            })
            .collect()
    }

    pub(super) async fn raise_floor(&self, tenant: &TenantId, to: Timestamp) -> sqlx::Result<()> {
        sqlx::query_file!("sql/partitions/raise_floor.sql", tenant.as_str(), to.to_datetime())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Finishes a detach, and drops the leaf if it may; says whether it has expired.
    async fn finalize(&self, tenant: &TenantId, partition_name: &str, drop: bool) -> sqlx::Result<bool> {
        let expired = self.parent_of_expired(tenant, partition_name).await?.is_some();
        sqlx::query_file!("sql/partitions/finalize_detach.sql", partition_name).fetch_one(&self.pool).await?;
        if expired && drop {
            ddl::drop_detached(&self.pool, &PartitionName::parse(partition_name)?).await?;
        }
        Ok(expired)
    }

    /// Whether the leaf went: a legal hold that was set since the plan was made keeps it.
    async fn detach_month(&self, tenant: &TenantId, partition_name: &str, drop: bool) -> sqlx::Result<bool> {
        let Some(parent) = self.parent_of_expired(tenant, partition_name).await? else { return Ok(false) };
        let leaf = PartitionName::parse(partition_name)?;
        ddl::detach_concurrently(&self.pool, &PartitionName::parse(&parent)?, &leaf).await?;
        if drop {
            ddl::drop_detached(&self.pool, &leaf).await?;
            tracing::info!(%tenant, partition = partition_name, "partition dropped below the floor");
        }
        Ok(true)
    }

    async fn parent_of_expired(
        &self,
        tenant: &TenantId,
        partition_name: &str,
    ) -> sqlx::Result<Option<String>> {
        sqlx::query_file_scalar!("sql/partitions/find_attached.sql", tenant.as_str(), partition_name)
            .fetch_optional(&self.pool)
            .await
    }
}

/// Fills in the names of months whose tenant had no number yet, and so no names, when the plan was made.
fn name_created(actions: &mut [PartitionAction], partitions: &[PartitionSize]) {
    for action in actions.iter_mut().filter(|action| action.kind == ActionKind::Created) {
        if let Some(leaf) = partitions.iter().find(|leaf| Some(leaf.range_start) == action.range_start) {
            action.partition_name.clone_from(&leaf.partition_name);
        }
    }
}
