//! The sessions that the migration works with.

use std::time::Duration;

use partita_store::DatabaseUrl;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::timeout;

use crate::Direction;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What all of them have in common. Each plans its statements anew: a generic plan would lock every partition of every tenant.
fn session(url: &DatabaseUrl, name: &str) -> PgConnectOptions {
    url.connect_options().application_name(name).options([
        ("timezone", "UTC"),
        ("plan_cache_mode", "force_custom_plan"),
        ("jit", "off"),
        ("max_parallel_workers_per_gather", "0"),
        ("idle_in_transaction_session_timeout", "30000"),
        ("tcp_keepalives_idle", "60"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "5"),
    ])
}

/// Options for a worker. Pages are index scans and probes, whatever the statistics of a leaf that is being filled say.
///
/// `lock_timeout` lies below `deadlock_timeout` (1 s): of a worker and an append that wait for each other, the worker gives
/// way. A commit that is not flushed loses the rows and the progress together, so nobody needs to wait for the disk.
fn worker_options(url: &DatabaseUrl, direction: Direction) -> PgConnectOptions {
    let options = session(url, "partita backfill").options([
        ("lock_timeout", "250"),
        ("statement_timeout", "60000"),
        ("synchronous_commit", "off"),
        ("work_mem", "32MB"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
    ]);
    match direction {
        Direction::Forward => options,
        // What the fence of the legacy table asks for.
        Direction::Restore => options.options([("partita.dual_write", "on")]),
    }
}

/// A worker's own connection.
pub(crate) async fn connect_worker(url: &DatabaseUrl, direction: Direction) -> sqlx::Result<PgConnection> {
    let options = worker_options(url, direction);
    timeout(CONNECT_TIMEOUT, options.connect()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// The pool for orders, plans, status and changes of the phase. Connections are made when they are needed.
pub(crate) fn control_pool(url: &DatabaseUrl) -> PgPool {
    let options =
        session(url, "partita migration").options([("lock_timeout", "2000"), ("statement_timeout", "0")]);
    PgPoolOptions::new().max_connections(4).acquire_timeout(CONNECT_TIMEOUT).connect_lazy_with(options)
}

/// The pool for verification: its statements read months whole, and may take as long as that takes.
pub(crate) fn verify_pool(url: &DatabaseUrl, connections: u32) -> PgPool {
    let options = session(url, "partita verify").options([
        ("lock_timeout", "2000"),
        ("statement_timeout", "0"),
        ("work_mem", "64MB"),
    ]);
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_lazy_with(options)
}

/// The one session of the shadow of reads. It gives way at once, has seconds for a comparison, and is let go while nothing is
/// compared. It does not grow old either: a session never forgets what it learnt of a table.
pub(crate) fn shadow_pool(url: &DatabaseUrl) -> PgPool {
    let options = session(url, "partita shadow").options([
        ("lock_timeout", "250"),
        ("statement_timeout", "5000"),
        ("work_mem", "16MB"),
        ("enable_sort", "off"),
    ]);
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .idle_timeout(Duration::from_mins(1))
        .max_lifetime(Duration::from_mins(5))
        .connect_lazy_with(options)
}
