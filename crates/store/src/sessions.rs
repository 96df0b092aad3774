use std::time::Duration;

use partita_model::TenantId;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::time::Instant;

use crate::append::is_connection_lost;
use crate::connect::STATEMENT_TIMEOUT;

/// The pool, for statements about one tenant, on behalf of a caller who waits until an instant.
///
/// A session is told both before its statement, and forgets them as it goes back ([`forget`]): what lies in the pool belongs
/// to nobody, and has all the time that there is. So nothing of one caller is left for the next, and nothing has to be
/// remembered of a session.
#[derive(Debug, Clone)]
pub(crate) struct TenantSessions {
    pool: PgPool,
    tenant: TenantId,
    names_tenants: bool,
    until: Option<Instant>,
}

impl TenantSessions {
    /// `names_tenants`: whether row security may bind the login. `until`: when the caller gives up, if ever.
    pub(crate) fn new(pool: PgPool, tenant: TenantId, names_tenants: bool, until: Option<Instant>) -> Self {
        Self { pool, tenant, names_tenants, until }
    }

    /// The tenant, as statements name it.
    pub(crate) fn tenant(&self) -> &str {
        self.tenant.as_str()
    }

    /// The pool, for statements that are about nobody.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A session for the next statement.
    pub(crate) async fn session(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        match self.told().await {
            // A session that died in the pool. Nothing was asked of it yet, and the next one is another.
            Err(error) if is_connection_lost(&error) && !matches!(error, sqlx::Error::PoolTimedOut) => {
                self.told().await
            }
            session => session,
        }
    }

    async fn told(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let mut session = self.pool.acquire().await?;
        let left = self.time_left();
        if self.names_tenants || left.is_some() {
            let tenants: &[&str] = if self.names_tenants { &[self.tenant.as_str()] } else { &[] };
            tell(&mut session, tenants, left.unwrap_or(STATEMENT_TIMEOUT)).await?;
        }
        Ok(session)
    }

    /// How long the caller still waits, where that is less than any statement has.
    fn time_left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (left < STATEMENT_TIMEOUT).then_some(left)
    }
}

/// Takes back from a session of the pool whatever it was told for its last caller. A statement that he no longer waits for
/// ends first, within the time that he had; the pool has less patience.
pub(crate) async fn forget(session: &mut PgConnection) -> sqlx::Result<()> {
    tell(session, &[], STATEMENT_TIMEOUT).await
}

async fn tell(session: &mut PgConnection, tenants: &[&str], timeout: Duration) -> sqlx::Result<()> {
    // Rounded up: the caller himself is answered in time by whoever watches his clock, and 0 would mean for ever.
    let timeout_ms = timeout.as_millis() + u128::from(timeout < STATEMENT_TIMEOUT);
    sqlx::query_file!("sql/session/name_tenants.sql", tenants as _, timeout_ms.to_string())
        .fetch_one(session)
        .await?;
    Ok(())
}
