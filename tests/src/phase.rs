use std::time::Instant;

use sqlx::AssertSqlSafe;

use crate::TestDatabase;
use crate::wait::LIMIT;

/// A change of the phase, as an operator makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseChange {
    /// `open` to `fenced`.
    RaiseFence,
    /// `fenced` to `open`.
    LowerFence,
    /// `fenced` to `finalized`.
    Finalize,
    /// `finalized` to `restoring`.
    BeginRestore,
    /// `restoring` to `open`.
    EndRestore,
}

impl PhaseChange {
    /// The statement.
    pub fn statement(self) -> &'static str {
        match self {
            Self::RaiseFence => "SELECT event_store_raise_fence('test')",
            Self::LowerFence => "SELECT event_store_lower_fence('test')",
            Self::Finalize => "SELECT event_store_finalize('test')",
            Self::BeginRestore => "SELECT event_store_begin_restore('test')",
            Self::EndRestore => "SELECT event_store_end_restore('test')",
        }
    }
}

impl TestDatabase {
    /// Changes the phase, as often as it takes to get the locks.
    pub async fn change_phase(&self, change: PhaseChange) {
        let begun = Instant::now();
        loop {
            let changed = sqlx::raw_sql(AssertSqlSafe(change.statement())).execute(self.pool()).await;
            let Err(error) = changed else { return };
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("55P03"), "{change:?}: {error}");
            assert!(begun.elapsed() < LIMIT, "{change:?} not within {} s: {error}", LIMIT.as_secs());
        }
    }

    /// Marks every tenant as proved equal just now.
    pub async fn verify_tenants(&self) {
        self.execute("UPDATE event_store_tenant SET verified_at = clock_timestamp()").await;
    }

    /// Fills the legacy table up with the events that it lacks, as the way back from `finalized` does.
    pub async fn fill_legacy(&self) {
        let columns = "event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, \
             event_metadata, tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, \
             retention_policy, ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, \
             event_timestamp, created_at";
        self.execute(format!(
            "SET partita.dual_write = 'on'; \
             INSERT INTO event_store ({columns}) SELECT {columns} FROM event_store_partitioned AS recorded \
             WHERE NOT EXISTS (SELECT FROM event_store AS legacy WHERE legacy.event_id = recorded.event_id); \
             RESET partita.dual_write"
        ))
        .await;
    }
}
