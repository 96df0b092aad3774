use sqlx::PgConnection;

use crate::{TestDatabase, eventually};

/// A tenant's row, locked by a session of the test: whatever appends to the tenant waits, for 25 s at most.
pub struct TenantHold(PgConnection);

impl TestDatabase {
    /// Locks a tenant.
    pub async fn hold_tenant(&self, tenant: &str) -> TenantHold {
        let mut session = self.connect().await;
        sqlx::raw_sql("BEGIN").execute(&mut session).await.unwrap();
        let lock = "SELECT 1 FROM public.event_store_tenant WHERE tenant_id = $1 FOR UPDATE";
        sqlx::query(lock).bind(tenant).fetch_one(&mut session).await.unwrap();
        TenantHold(session)
    }

    /// Waits until a lane waits for a lock.
    pub async fn lane_waits(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'partita lane' AND wait_event_type = 'Lock'";
        eventually("a lane waits for a lock", async || self.scalar::<i64>(waiting).await > 0).await;
    }

    /// Ends the sessions of all lanes, as an administrator does.
    pub async fn end_lanes(&self) {
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'partita lane'",
        )
        .await;
    }
}

impl TenantHold {
    /// Lets the tenant go.
    pub async fn release(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
    }
}
