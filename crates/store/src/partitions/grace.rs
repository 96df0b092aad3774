use partita_model::{Month, TenantId, Timestamp};

use super::{
    ActionKind, MaintenanceRequest, PartitionAction, Partitions, integer, is_contention, is_incomplete,
    is_not_found, store_error,
};
use crate::StoreError;

/// What a restore came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// Months that were attached again.
    pub months: u32,
    /// The tenant's floor from now on; none: it keeps its events for ever.
    pub retention_floor: Option<Timestamp>,
}

impl Partitions {
    /// Attaches the detached months of a tenant from `month` to its floor, all of them or none, and lowers the floor to
    /// `month`. Who did it and why is written down in `event_store_floor_change`. The next maintenance expires them
    /// again, unless the tenant's retention or a legal hold keeps them.
    ///
    /// # Errors
    /// `PartitionNotFound` where the month is not detached, or it or a later one is dropped; `MonthIncomplete` where legacy has
    /// events that the months lack, in a phase that does not read it; `PartitionUnavailable` when other sessions hold locks:
    /// nothing was changed.
    pub async fn restore(
        &self,
        tenant: &TenantId,
        month: Month,
        changed_by: &str,
        reason: &str,
    ) -> Result<Restored, StoreError> {
        let start = month.start().to_datetime();
        let restored = sqlx::query_file_scalar!(
            "sql/partitions/restore_month.sql",
            tenant.as_str(),
            start,
            changed_by,
            reason
        )
        .fetch_one(&self.pool)
        .await;
        let months = match restored {
            Ok(months) => months,
            Err(error) if is_not_found(&error) => {
                return Err(StoreError::PartitionNotFound { tenant: tenant.clone(), month });
            }
            Err(error) if is_incomplete(&error) => {
                return Err(StoreError::MonthIncomplete { tenant: tenant.clone(), month });
            }
            Err(error) if is_contention(&error) => return Err(self.explain(tenant, &error).await),
            Err(error) => return Err(store_error(&error, Some(tenant))),
        };
        tracing::warn!(%tenant, %month, months, changed.by = changed_by, "floor lowered, detached months restored");
        let floor = self.floor(tenant).await.map_err(|error| store_error(&error, Some(tenant)))?;
        Ok(Restored { months: u32::try_from(months).unwrap_or_default(), retention_floor: floor.flatten() })
    }

    /// Writes down what is detached, whoever detached it: a process that was killed between the two steps, too.
    pub(super) async fn register_detached(
        &self,
        tenant: &TenantId,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<()> {
        sqlx::query_file_scalar!(
            "sql/partitions/register_detached.sql",
            tenant.as_str(),
            integer(request.grace_days)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// The detached months that may be dropped now.
    pub(super) async fn due(&self, tenant: &TenantId) -> sqlx::Result<Vec<PartitionAction>> {
        let rows =
            sqlx::query_file!("sql/partitions/list_due.sql", tenant.as_str()).fetch_all(&self.pool).await?;
        let actions = rows.into_iter().map(|row| PartitionAction {
            kind: ActionKind::Dropped,
            partition_name: row.partition_name,
            range_start: Some(Timestamp::from_datetime(row.range_start)),
            range_end: Some(Timestamp::from_datetime(row.range_end)),
        });
        Ok(actions.collect())
    }

    /// Whether the detached month went: a legal hold, a restore and a grace period that is not over keep it.
    pub(super) async fn drop_detached(&self, tenant: &TenantId, partition_name: &str) -> sqlx::Result<bool> {
        let dropped =
            sqlx::query_file_scalar!("sql/partitions/drop_detached.sql", tenant.as_str(), partition_name)
                .fetch_one(&self.pool)
                .await?;
        if dropped {
            tracing::info!(%tenant, partition = partition_name, "partition dropped below the floor");
        }
        Ok(dropped)
    }
}
