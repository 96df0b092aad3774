use std::fmt;
use std::time::Duration;

use partita_model::TenantId;

use super::Partitions;

/// Most sessions that are named: the oldest transactions are the ones to look at.
const BLOCKERS_MAX: i64 = 5;

/// A session that held what maintenance was waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its process, as `pg_stat_activity` and `pg_terminate_backend` name it.
    pub pid: i32,
    /// Its `application_name`, or what kind of process of the database it is.
    pub application: String,
    /// What it does, such as `idle in transaction`; none where that is hidden from this role.
    pub state: Option<String>,
    /// How long its transaction is open; none where that is hidden, or none is.
    pub transaction_age: Option<Duration>,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.as_deref().unwrap_or("state unknown");
        write!(f, "pid {} (`{}`, {state}", self.pid, self.application)?;
        match self.transaction_age {
            Some(age) => write!(f, ", its transaction {} s old)", age.as_secs()),
            None => f.write_str(")"),
        }
    }
}

impl Partitions {
    /// Who holds locks that maintenance of a tenant meets, right now. Nobody is ever ended: whose transaction it is, and
    /// what it is worth, is not ours to say.
    pub(super) async fn blockers(&self, tenant: &TenantId) -> Vec<Blocker> {
        let found = sqlx::query_file!("sql/partitions/find_blockers.sql", tenant.as_str(), BLOCKERS_MAX)
            .fetch_all(&self.pool)
            .await;
        let rows = found.unwrap_or_else(|error| {
            tracing::debug!(%error, "sessions that hold locks cannot be found");
            Vec::new()
        });
        let blockers = rows.into_iter().map(|row| Blocker {
            pid: row.pid,
            application: row.application,
            state: row.state,
            transaction_age: row
                .transaction_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs),
        });
        blockers.collect()
    }
}
