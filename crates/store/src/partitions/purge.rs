use partita_model::{TenantId, Timestamp, Uuid};
use sqlx::types::time::OffsetDateTime;

use super::{Partitions, integer, store_error};
use crate::{Forbidding, StoreError};

/// SQLSTATE of a trigger that refuses: `restrict_violation`, as ours does, or `raise_exception`, as most do.
const REFUSED_BY_TRIGGER: [&str; 2] = ["23001", "P0001"];
/// SQLSTATE of a purge that would read the whole table for each batch: `feature_not_supported`.
const INDEX_MISSING: &str = "0A000";

/// What a purge of the legacy table is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeRequest {
    /// Most rows a batch, at least 1.
    pub batch_rows: u32,
    /// Also rows of months that may still be restored.
    pub restorable: bool,
    /// Also the last event of a stream, where the stream's own record knows its version.
    pub last_events: bool,
    /// Whether rows are deleted, not only counted.
    pub execute: bool,
    /// Who asks for it.
    pub changed_by: String,
    /// Why.
    pub reason: String,
}

/// What one batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeStep {
    /// Rows below the floor that were looked at.
    pub expired: u32,
    /// Rows of them that were deleted, or would be.
    pub purged: u32,
}

/// The purge of one tenant's expired rows, a batch at a time. Each is a transaction of its own.
pub struct LegacyPurge {
    partitions: Partitions,
    tenant: TenantId,
    request: PurgeRequest,
    /// The last row that was looked at.
    after: Option<(OffsetDateTime, Uuid)>,
    /// Where the purge is written down.
    change: Option<i64>,
}

impl Partitions {
    /// Begins a purge; nothing is looked at yet. Says first whether the tenant is under legal hold: then there is nothing
    /// to purge.
    ///
    /// # Errors
    /// `TenantNotFound` for a tenant that is not registered, and so has no floor.
    pub async fn purge_legacy(
        &self,
        tenant: TenantId,
        request: PurgeRequest,
    ) -> Result<(bool, LegacyPurge), StoreError> {
        let held = self.retention(&tenant).await?.legal_hold;
        Ok((held, LegacyPurge { partitions: self.clone(), tenant, request, after: None, change: None }))
    }

    /// Triggers of the legacy table that a DELETE meets.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn delete_triggers(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_file_scalar!("sql/partitions/list_delete_triggers.sql")
            .fetch_all(&self.pool)
            .await
            .map_err(|error| store_error(&error, None))
    }
}

impl LegacyPurge {
    /// Purges the next batch; `None` after the last.
    ///
    /// # Errors
    /// `Forbidden` where a trigger, a missing privilege or a missing index stands in the way; `PartitionUnavailable` when
    /// other sessions hold locks. Nothing of this batch was purged; the batches before it are.
    pub async fn step(&mut self) -> Result<Option<PurgeStep>, StoreError> {
        let batch = sqlx::query_file!(
            "sql/partitions/purge_legacy.sql",
            self.tenant.as_str(),
            self.after.map(|(timestamp, _)| timestamp),
            self.after.map(|(_, event_id)| event_id),
            integer(self.request.batch_rows),
            self.request.restorable,
            self.request.last_events,
            self.request.execute,
            self.change,
            self.request.changed_by,
            self.request.reason
        );
        let batch = match batch.fetch_one(&self.partitions.pool).await {
            Ok(batch) => batch,
            Err(error) => return Err(self.refused(&error).await),
        };
        self.change = batch.change;
        self.after = batch.last_timestamp.zip(batch.last_id);
        let count = |rows| u32::try_from(rows).unwrap_or_default();
        let step = PurgeStep { expired: count(batch.looked_at), purged: count(batch.purged) };
        if self.request.execute && step.purged > 0 {
            let until = self.after.map(|(timestamp, _)| Timestamp::from_datetime(timestamp).to_string());
            tracing::info!(tenant = %self.tenant, rows.purged = step.purged, until, "expired rows of the legacy table purged");
        }
        Ok(Some(step).filter(|step| step.expired > 0))
    }

    async fn refused(&self, error: &sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        if REFUSED_BY_TRIGGER.contains(&&*code) {
            tracing::warn!(%error, tenant = %self.tenant, "a trigger refuses the purge of the legacy table");
            let triggers = self.partitions.delete_triggers().await.unwrap_or_default();
            return StoreError::Forbidden(Forbidding::Triggers(triggers));
        }
        if code == INDEX_MISSING {
            return StoreError::Forbidden(Forbidding::MissingIndex);
        }
        self.partitions.refused(&self.tenant, error).await
    }
}
