use partita_model::{TenantId, Timestamp};

use super::{PageKey, PartitionSize, PartitionState, Partitions, store_error};
use crate::StoreError;

impl Partitions {
    /// Leaves with their sizes, by tenant, month and name, those after `after`, at most `limit`; with the detached months
    /// that wait to be restored or dropped, where those are wanted.
    ///
    /// # Errors
    /// `TenantNotFound` for a tenant that has no partitions; else when the database cannot be asked.
    pub async fn list(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&PageKey>,
        limit: u32,
        detached: bool,
    ) -> Result<Vec<PartitionSize>, StoreError> {
        self.must_be_registered(tenant).await?;
        let sizes = self.sizes(tenant, after, i64::from(limit), detached).await;
        sizes.map_err(|error| store_error(&error, None))
    }

    /// # Errors
    /// `TenantNotFound` for a tenant that is named and not registered.
    pub(super) async fn must_be_registered(&self, tenant: Option<&TenantId>) -> Result<(), StoreError> {
        let Some(tenant) = tenant else { return Ok(()) };
        match self.floor(tenant).await.map_err(|error| store_error(&error, None))? {
            Some(_) => Ok(()),
            None => Err(StoreError::TenantNotFound { tenant: tenant.clone() }),
        }
    }

    pub(super) async fn sizes(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&PageKey>,
        limit: i64,
        detached: bool,
    ) -> sqlx::Result<Vec<PartitionSize>> {
        let rows = sqlx::query_file!(
            "sql/partitions/list_sizes.sql",
            tenant.map(TenantId::as_str),
            after.map(|key| key.tenant_id.as_str()),
            after.and_then(|key| key.range_start).map(|start| start.to_datetime()),
            after.map(|key| key.partition_name.as_str()),
            limit,
            detached
        )
        .fetch_all(&self.pool)
        .await?;
        let sizes = rows.into_iter().map(|row| {
            Ok(PartitionSize {
                tenant_id: row.tenant_id,
                partition_name: row.partition_name,
                range_start: row.range_start.map(Timestamp::from_datetime),
                range_end: row.range_end.map(Timestamp::from_datetime),
                state: PartitionState::parse(&row.state)?,
                drop_after: row.drop_after.map(Timestamp::from_datetime),
                rows_estimated: row.rows_estimated,
                heap_bytes: row.heap_bytes,
                index_bytes: row.index_bytes,
                total_bytes: row.heap_bytes + row.index_bytes,
            })
        });
        sizes.collect()
    }
}

impl PartitionState {
    fn parse(name: &str) -> sqlx::Result<Self> {
        match name {
            "attached" => Ok(Self::Attached),
            "pending" => Ok(Self::DetachPending),
            "detached" => Ok(Self::Detached),
            unknown => {
                let message = format!("event_store_partition_leaf: unknown state `{unknown}`");
                Err(sqlx::Error::Decode(message.into()))
            }
        }
    }
}
