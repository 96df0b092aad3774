use partita_model::{TenantId, Timestamp};

use super::plan::raised_to;
use super::{Partitions, integer, is_contention, is_not_found, store_error};
use crate::StoreError;

/// How long a tenant's events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Its own, in months, 0 for ever; none: it inherits the configuration's.
    pub own_months: Option<u32>,
    /// What maintenance by this process goes by, in months; 0: for ever.
    pub months: u32,
    /// Whether nothing of it may go.
    pub legal_hold: bool,
    /// Below which its events are gone; none: it keeps them for ever.
    pub retention_floor: Option<Timestamp>,
    /// What the next maintenance raises the floor to; none: it stays.
    pub next_floor: Option<Timestamp>,
}

impl Partitions {
    /// Sets how many months a tenant keeps, 0 for ever, none to inherit the configuration's. Who did it and why is
    /// written down in `event_store_retention_change`. The floor moves with the next maintenance, and only upwards.
    ///
    /// # Errors
    /// `TenantNotFound` for a tenant that is not registered; `PartitionUnavailable` when other sessions hold locks: nothing
    /// was changed.
    pub async fn set_retention(
        &self,
        tenant: &TenantId,
        months: Option<u32>,
        changed_by: &str,
        reason: &str,
    ) -> Result<Retention, StoreError> {
        let set = sqlx::query_file!(
            "sql/partitions/set_retention.sql",
            tenant.as_str(),
            months.map(integer),
            changed_by,
            reason
        );
        match set.fetch_one(&self.pool).await {
            Ok(_) => {}
            Err(error) => return Err(self.refused(tenant, &error).await),
        }
        tracing::warn!(%tenant, retention.months = months, changed.by = changed_by, "retention of a tenant changed");
        self.retention(tenant).await
    }

    /// Puts a tenant under legal hold, or releases it. Who did it and why is written down likewise. Once it is held,
    /// nothing of it goes any more.
    ///
    /// # Errors
    /// As [`set_retention`](Self::set_retention).
    pub async fn set_legal_hold(
        &self,
        tenant: &TenantId,
        legal_hold: bool,
        changed_by: &str,
        reason: &str,
    ) -> Result<Retention, StoreError> {
        let set = sqlx::query_file!(
            "sql/partitions/set_legal_hold.sql",
            tenant.as_str(),
            legal_hold,
            changed_by,
            reason
        );
        match set.fetch_one(&self.pool).await {
            Ok(_) => {}
            Err(error) => return Err(self.refused(tenant, &error).await),
        }
        tracing::warn!(%tenant, legal_hold, changed.by = changed_by, "legal hold of a tenant changed");
        self.retention(tenant).await
    }

    /// How long a tenant's events are kept.
    pub(super) async fn retention(&self, tenant: &TenantId) -> Result<Retention, StoreError> {
        let failed = |error: sqlx::Error| store_error(&error, Some(tenant));
        let row = sqlx::query_file!("sql/partitions/find_retention.sql", tenant.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?
            .ok_or_else(|| StoreError::TenantNotFound { tenant: tenant.clone() })?;
        let own_months = row.retention_months.and_then(|months| u32::try_from(months).ok());
        // Asked of the one place that knows, not worked out a second time.
        let plan = self.plan(tenant, &self.defaults()).await.map_err(failed)?;
        Ok(Retention {
            own_months,
            months: own_months.unwrap_or(self.retention_months),
            legal_hold: row.legal_hold,
            retention_floor: row.retention_floor.map(Timestamp::from_datetime),
            next_floor: plan.iter().find_map(raised_to),
        })
    }

    /// Sorts the error of a command that names a tenant.
    pub(super) async fn refused(&self, tenant: &TenantId, error: &sqlx::Error) -> StoreError {
        if is_not_found(error) {
            return StoreError::TenantNotFound { tenant: tenant.clone() };
        }
        if is_contention(error) {
            self.explain(tenant, error).await
        } else {
            store_error(error, Some(tenant))
        }
    }
}
