use partita_model::{TenantId, Timestamp};

use super::{PageKey, PartitionSize, PartitionState, Partitions, store_error};
use crate::StoreError;

impl Partitions {
    /// Leaves with their sizes, by tenant and month, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// `TenantNotFound` for a tenant that has no partitions; else when the database cannot be asked.
    pub async fn list(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&PageKey>,
        limit: u32,
    ) -> Result<Vec<PartitionSize>, StoreError> {
        let refused = |error: sqlx::Error| store_error(&error, None);
        if let Some(tenant) = tenant
            && self.floor(tenant).await.map_err(refused)?.is_none()
        {
            return Err(StoreError::TenantNotFound { tenant: tenant.clone() });
        }
        self.sizes(tenant, after, i64::from(limit)).await.map_err(refused)
    }

    pub(super) async fn sizes(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&PageKey>,
        limit: i64,
    ) -> sqlx::Result<Vec<PartitionSize>> {
        let rows = sqlx::query_file!(
            "sql/partitions/list_sizes.sql",
            tenant.map(TenantId::as_str),
            after.map(|key| key.tenant_id.as_str()),
            after.map(|key| key.range_start.to_datetime()),
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let sizes = rows.into_iter().map(|row| PartitionSize {
            tenant_id: row.tenant_id,
            partition_name: row.partition_name,
            range_start: Timestamp::from_datetime(row.range_start),
            range_end: Timestamp::from_datetime(row.range_end),
            state: if row.detach_pending { PartitionState::DetachPending } else { PartitionState::Attached },
            rows_estimated: row.rows_estimated,
            heap_bytes: row.heap_bytes,
            index_bytes: row.index_bytes,
            total_bytes: row.heap_bytes + row.index_bytes,
        });
        Ok(sizes.collect())
    }
}
