use partita_model::{TenantId, Timestamp};

use super::{Partitions, integer, store_error};
use crate::StoreError;

/// Something that is not as it should be with the partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFinding {
    /// What it is.
    pub kind: FindingKind,
    /// The tenant; none where nobody knows, or where it concerns the whole table.
    pub tenant_id: Option<String>,
    /// The table, in schema `event_store_partitions`; none where there is none.
    pub partition_name: Option<String>,
    /// The first instant of the months in question.
    pub range_start: Option<Timestamp>,
    /// The first instant past them.
    pub range_end: Option<Timestamp>,
    /// The same in words, with what to do.
    pub detail: String,
}

/// What is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// A registered tenant has no table.
    MissingTable,
    /// An attached table has no registered tenant.
    UnregisteredTable,
    /// Months are missing between two that are there.
    Gap,
    /// A month that maintenance makes is missing.
    MissingMonth,
    /// A detach was begun and not finished.
    DetachPending,
    /// An index is not valid.
    InvalidIndex,
    /// A leaf lacks a unique index.
    MissingIndex,
    /// A table hangs on nothing, and is not written down as detached.
    Orphan,
    /// A month that is written down as detached has no table.
    LostTable,
}

impl FindingKind {
    fn parse(name: &str) -> sqlx::Result<Self> {
        match name {
            "missing_table" => Ok(Self::MissingTable),
            "unregistered_table" => Ok(Self::UnregisteredTable),
            "gap" => Ok(Self::Gap),
            "missing_month" => Ok(Self::MissingMonth),
            "detach_pending" => Ok(Self::DetachPending),
            "invalid_index" => Ok(Self::InvalidIndex),
            "missing_index" => Ok(Self::MissingIndex),
            "orphan" => Ok(Self::Orphan),
            "lost_table" => Ok(Self::LostTable),
            unknown => {
                let message = format!("event_store_partition_check: unknown finding `{unknown}`");
                Err(sqlx::Error::Decode(message.into()))
            }
        }
    }
}

impl Partitions {
    /// Looks for what is not as it should be, by tenant; `months_ahead` is the configuration's where it is left out.
    ///
    /// # Errors
    /// `TenantNotFound` for a tenant that is not registered; else when the database cannot be asked.
    pub async fn check(
        &self,
        tenant: Option<&TenantId>,
        months_ahead: Option<u32>,
    ) -> Result<Vec<PartitionFinding>, StoreError> {
        self.must_be_registered(tenant).await?;
        self.find(tenant, months_ahead.unwrap_or(self.months_ahead))
            .await
            .map_err(|error| store_error(&error, None))
    }

    async fn find(
        &self,
        tenant: Option<&TenantId>,
        months_ahead: u32,
    ) -> sqlx::Result<Vec<PartitionFinding>> {
        let rows = sqlx::query_file!(
            "sql/partitions/check.sql",
            tenant.map(TenantId::as_str),
            integer(months_ahead)
        )
        .fetch_all(&self.pool)
        .await?;
        let findings = rows.into_iter().map(|row| {
            Ok(PartitionFinding {
                kind: FindingKind::parse(&row.finding)?,
                tenant_id: row.tenant_id,
                partition_name: row.partition_name,
                range_start: row.range_start.map(Timestamp::from_datetime),
                range_end: row.range_end.map(Timestamp::from_datetime),
                detail: row.detail,
            })
        });
        findings.collect()
    }
}
