use partita_model::{TenantId, Timestamp};
use tracing::Instrument;

use super::ddl::{self, PartitionName};
use super::plan::Step;
use super::{
    ActionKind, MaintenanceRequest, PartitionAction, PartitionSize, Partitions, SurveyedTenant,
    TenantMaintenance, integer, store_error,
};
use crate::StoreError;

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

    /// Looks at all tenants of [`tenants`](Self::tenants) at once, in one statement, for those that maintenance has anything
    /// to do for: mostly none, and asking them one by one would cost each run several statements for each.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn survey(&self, request: &MaintenanceRequest) -> Result<Vec<SurveyedTenant>, StoreError> {
        let rows = sqlx::query_file!(
            "sql/partitions/survey.sql",
            integer(request.months_ahead),
            integer(request.retention_months)
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error, None))?;
        let surveyed = rows.into_iter().filter_map(|row| {
            let retention_floor = row.retention_floor.map(Timestamp::from_datetime);
            let tenant = TenantId::parse(row.tenant_id).ok()?;
            Some(SurveyedTenant { tenant, is_due: row.is_due, retention_floor })
        });
        Ok(surveyed.collect())
    }

    /// Whether the role of this process may do all that maintenance does. Where the database cannot be asked, it is tried.
    pub(crate) async fn may_maintain(&self) -> bool {
        let may = sqlx::query_file_scalar!("sql/maintenance/may_maintain.sql").fetch_one(&self.pool).await;
        may.unwrap_or(true)
    }

    /// Creates what is missing, raises the floor, finishes interrupted detaches, detaches what lies below the floor, and
    /// drops what was detached when its grace period is over; or only says what it would do. Runs to its end even if the
    /// future is dropped.
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
        if !request.validate_only && (request.detach || request.drop) {
            self.register_detached(tenant, request).await?;
        }
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
                    if !request.validate_only {
                        self.finalize(tenant, &action.partition_name, request).await?;
                    }
                    self.detached(tenant, request, action, &mut actions).await?;
                }
                Step::DropMonth(action) => {
                    if request.validate_only
                        || self.detach_month(tenant, &action.partition_name, request).await?
                    {
                        self.detached(tenant, request, action, &mut actions).await?;
                    }
                }
            }
        }
        if request.drop {
            for due in self.due(tenant).await? {
                if request.validate_only || self.drop_detached(tenant, &due.partition_name).await? {
                    actions.push(due);
                }
            }
        }
        let retention_floor = self.floor(tenant).await?.flatten();
        let is_nameless =
            |action: &PartitionAction| action.kind == ActionKind::Created && action.partition_name.is_empty();
        let partitions = if request.measure || (!request.validate_only && actions.iter().any(is_nameless)) {
            self.sizes(Some(tenant), None, i64::from(u32::MAX), false).await?
        } else {
            Vec::new()
        };
        if !request.validate_only {
            name_created(&mut actions, &partitions);
        }
        Ok(TenantMaintenance { actions, retention_floor, partitions })
    }

    /// Sorts an error, and names who stands in the way; logs both, once.
    pub(super) async fn explain(&self, tenant: &TenantId, error: &sqlx::Error) -> StoreError {
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

    async fn raise_floor(&self, tenant: &TenantId, to: Timestamp) -> sqlx::Result<()> {
        sqlx::query_file!("sql/partitions/raise_floor.sql", tenant.as_str(), to.to_datetime())
            .fetch_one(&self.pool)
            .await?;
        #[cfg(feature = "planted-bugs")]
        crate::planted::forget_streams(&self.pool, tenant, to).await?;
        Ok(())
    }

    /// Reports a month that was detached, and drops it where there is no grace period.
    async fn detached(
        &self,
        tenant: &TenantId,
        request: &MaintenanceRequest,
        month: PartitionAction,
        actions: &mut Vec<PartitionAction>,
    ) -> sqlx::Result<()> {
        actions.push(PartitionAction { kind: ActionKind::Detached, ..month.clone() });
        let at_once = request.drop && request.grace_days == 0;
        if at_once && (request.validate_only || self.drop_detached(tenant, &month.partition_name).await?) {
            actions.push(PartitionAction { kind: ActionKind::Dropped, ..month });
        }
        Ok(())
    }

    /// Finishes a detach.
    async fn finalize(
        &self,
        tenant: &TenantId,
        partition_name: &str,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<()> {
        sqlx::query_file!("sql/partitions/finalize_detach.sql", partition_name).fetch_one(&self.pool).await?;
        self.register_detached(tenant, request).await
    }

    /// Whether the leaf was detached: a legal hold that was set since the plan was made keeps it. Killed between the two
    /// statements, it leaves a table that the next run finds.
    async fn detach_month(
        &self,
        tenant: &TenantId,
        partition_name: &str,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<bool> {
        let Some(parent) = self.parent_of_expired(tenant, partition_name).await? else { return Ok(false) };
        let leaf = PartitionName::parse(partition_name)?;
        ddl::detach_concurrently(&self.pool, &PartitionName::parse(&parent)?, &leaf).await?;
        self.register_detached(tenant, request).await?;
        tracing::info!(%tenant, partition = partition_name, "partition detached below the floor");
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
