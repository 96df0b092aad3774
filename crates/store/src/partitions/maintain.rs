use partita_model::{TenantId, Timestamp};
use tracing::Instrument;

use super::run::Run;
use super::{MaintenanceRequest, Partitions, SurveyedTenant, TenantMaintenance, integer, store_error};
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
    /// drops what was detached when its grace period is over; or only says what it would do. Where other sessions hold a
    /// lock it goes on with what does not need it. Runs to its end even if the future is dropped; runs of one tenant wait
    /// for each other in this process, and put up with each other across processes.
    ///
    /// What could not be done is said in `failure`: `PartitionUnavailable` when other sessions hold locks. A later run goes on.
    pub async fn maintain(&self, tenant: &TenantId, request: &MaintenanceRequest) -> TenantMaintenance {
        let (this, tenant, request) = (self.clone(), tenant.clone(), *request);
        let work = async move {
            let flight = this.runs.of(&tenant);
            let _single = if request.validate_only { None } else { Some(flight.lock().await) };
            Run::new(&this, &tenant, &request).whole().await
        };
        let run = self.tasks.spawn(work.in_current_span());
        run.await.unwrap_or_else(|error| {
            tracing::error!(%error, "partition maintenance was cut off");
            TenantMaintenance { failure: Some(StoreError::Internal), ..TenantMaintenance::default() }
        })
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
}
