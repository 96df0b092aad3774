//! What a run of maintenance does to a tenant, step by step. Each stands for itself: what is killed between two of them, the next
//! run finds.

use partita_model::{TenantId, Timestamp};

use super::ddl::{self, PartitionName};
use super::{MaintenanceRequest, PartitionAction, Partitions, integer, is_overtaken};

/// Who puts a month back, for the record.
const MAINTENANCE: &str = "partita maintenance";

impl Partitions {
    pub(super) async fn create_missing_months(
        &self,
        tenant: &TenantId,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<()> {
        sqlx::query_file_scalar!(
            "sql/partitions/create_missing_months.sql",
            tenant.as_str(),
            integer(request.months_ahead),
            integer(request.retention_months)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    pub(super) async fn raise_floor(&self, tenant: &TenantId, to: Timestamp) -> sqlx::Result<()> {
        sqlx::query_file!("sql/partitions/raise_floor.sql", tenant.as_str(), to.to_datetime())
            .fetch_one(&self.pool)
            .await?;
        #[cfg(feature = "planted-bugs")]
        crate::planted::forget_streams(&self.pool, tenant, to).await?;
        Ok(())
    }

    /// Whether it was this run that finished the detach.
    pub(super) async fn finalize(
        &self,
        tenant: &TenantId,
        month: &PartitionAction,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<bool> {
        let finalized = sqlx::query_file!("sql/partitions/finalize_detach.sql", month.partition_name)
            .fetch_one(&self.pool);
        if let Err(error) = finalized.await {
            return self.unless_overtaken(tenant, month, error).await;
        }
        self.register_detached(tenant, request).await?;
        Ok(true)
    }

    /// Whether the leaf was detached: a legal hold that was set since the plan was made keeps it. Killed between the two
    /// statements, it leaves a table that the next run finds.
    pub(super) async fn detach_month(
        &self,
        tenant: &TenantId,
        month: &PartitionAction,
        request: &MaintenanceRequest,
    ) -> sqlx::Result<bool> {
        let Some(parent) = self.parent_of_expired(tenant, &month.partition_name).await? else {
            return Ok(false);
        };
        let leaf = PartitionName::parse(&month.partition_name)?;
        if let Err(error) = ddl::detach_concurrently(&self.pool, &PartitionName::parse(&parent)?, &leaf).await
        {
            return self.unless_overtaken(tenant, month, error).await;
        }
        self.register_detached(tenant, request).await?;
        tracing::info!(%tenant, partition = month.partition_name, "partition detached below the floor");
        self.unless_wanted_back(tenant, month).await
    }

    /// Nothing was done, and nothing is left to do, where the leaf hangs on nothing by now: another process did it.
    async fn unless_overtaken(
        &self,
        tenant: &TenantId,
        month: &PartitionAction,
        error: sqlx::Error,
    ) -> sqlx::Result<bool> {
        if is_overtaken(&error) && self.parent_of_expired(tenant, &month.partition_name).await?.is_none() {
            tracing::debug!(%tenant, partition = month.partition_name, %error, "another process was faster");
            return Ok(false);
        }
        Err(error)
    }

    /// Puts a month back that somebody wanted back while its detach waited: a restore of an older one has lowered the floor,
    /// and found this one still attached.
    async fn unless_wanted_back(&self, tenant: &TenantId, month: &PartitionAction) -> sqlx::Result<bool> {
        let (Some(start), Some(end)) = (month.range_start, month.range_end) else { return Ok(true) };
        if self.floor(tenant).await?.flatten() >= Some(end) {
            return Ok(true);
        }
        let reason = "the floor was lowered while the month was being detached";
        sqlx::query_file_scalar!(
            "sql/partitions/restore_month.sql",
            tenant.as_str(),
            start.to_datetime(),
            MAINTENANCE,
            reason
        )
        .fetch_one(&self.pool)
        .await?;
        tracing::warn!(%tenant, partition = month.partition_name, reason, "partition attached again");
        Ok(false)
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
