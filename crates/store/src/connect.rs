use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::time::timeout;

use crate::sessions::forget;
use crate::{DatabaseUrl, StoreConfig};

/// Longest wait for a connection, from the pool or anew, unless a process is told otherwise.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait of maintenance for a lock, and so the longest that a writer can be made to wait behind it.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest statement of a read or an append; a stuck one frees its connection. COMMIT is not bounded by it.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A session that was left alone for so long is looked at before it is used: a statement that is sent to a dead one is lost.
pub(crate) const IDLE_MAX: Duration = Duration::from_millis(100);
/// How many times a connection of the pool is used before it is replaced, on average. PostgreSQL never forgets what a session
/// learnt of a table until the session ends: some 0.2 MB a tenant of 20 months, 100 MB for 500 of them, in each session. At
/// one use in 250 a session that reads all 500 alike holds a third of that. The price is a connection and a first plan
/// (together some 50 ms on a busy machine) for 0.4 % of the reads, which leaves the slowest hundredth alone.
const POOL_USES: u32 = 250;

/// Most sessions of first writes: two, so that a tenant whose partitions are waited for does not keep all others waiting. New
/// tenants are attached to the root one after the other, however many sessions ask for it.
pub(crate) const FIRST_WRITE_CONNECTIONS_MAX: u32 = 2;
/// How long such a session stays when there is nothing to make, as is mostly so.
const FIRST_WRITE_IDLE_MAX: Duration = Duration::from_mins(1);
/// How long a session may take to end what it was in the middle of when it was given back. Most reads are over sooner, and
/// a new session costs more; a longer one would go on for nobody.
const GIVEN_UP_TIMEOUT: Duration = Duration::from_millis(250);
/// How often the database looks whether the other end of a session of the pool is still there while a statement runs.
const CLIENT_CHECK_INTERVAL_MS: &str = "1000";

/// What all sessions have in common.
fn session(url: &DatabaseUrl, name: &str) -> PgConnectOptions {
    let timeout_ms = STATEMENT_TIMEOUT.as_millis().to_string();
    let lock_timeout_ms = LOCK_TIMEOUT.as_millis().to_string();
    url.options().application_name(name).options([
        ("timezone", "UTC"),
        ("statement_timeout", timeout_ms.as_str()),
        ("lock_timeout", lock_timeout_ms.as_str()),
        // A vanished client must not hold a tenant's lock.
        ("idle_in_transaction_session_timeout", timeout_ms.as_str()),
    ])
}

/// Options for a lane's own connection. Its statements reach partitions only by INSERT, which opens the leaves that it
/// writes to and no other; and they find rows by keys alone. So one plan serves them all: made once, and made of index
/// probes whatever the statistics said at that time. What else they look up in partitions they do by a function that
/// plans anew.
///
/// A lane that writes both tables says so: the fence of the legacy table lets it pass.
pub(crate) fn lane_options(url: &DatabaseUrl, writes_both: bool, lock_timeout: Duration) -> PgConnectOptions {
    // 0 would mean for ever. Of two settings of one name the later one counts.
    let lock_timeout_ms = lock_timeout.as_millis().max(1).to_string();
    session(url, "partita lane").options([
        ("lock_timeout", lock_timeout_ms.as_str()),
        ("partita.dual_write", if writes_both { "on" } else { "off" }),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        // Where no index serves, what is ruled out above is planned all the same, at a cost that only compiled code seems
        // to bring down: a second of compiling for a row.
        ("jit", "off"),
    ])
}

/// Options for the session that makes a process the leader of maintenance. It idles most of the time: the database is to
/// notice within two minutes that its host is gone, and let another one lead.
pub(crate) fn leader_options(url: &DatabaseUrl) -> PgConnectOptions {
    session(url, "partita maintenance").options([
        ("tcp_keepalives_idle", "60"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "5"),
    ])
}

/// Options for the doctor's session: those of a read, so that it sees what a session of ours gets.
pub(crate) fn doctor_options(url: &DatabaseUrl) -> PgConnectOptions {
    pool_options(url).application_name("partita doctor")
}

/// Options for a look at a legacy table: it cannot write, and its scans take as long as they take.
pub(crate) fn adoption_options(url: &DatabaseUrl) -> PgConnectOptions {
    session(url, "partita migration doctor")
        .options([("statement_timeout", "0"), ("default_transaction_read_only", "on")])
}

/// Options for reads and maintenance.
///
/// A generic plan would lock every partition of every tenant, since it cannot know which one a parameter names. A plan
/// that sorts reads all of a stream for each of its pages: without statistics, the bounds of time that prune to months
/// look selective enough for it. Pages are small, so neither parallel workers nor compiled expressions pay. A statement
/// whose caller went away ends when the database sees its session closed.
fn pool_options(url: &DatabaseUrl) -> PgConnectOptions {
    session(url, "partita").options([
        ("plan_cache_mode", "force_custom_plan"),
        ("enable_sort", "off"),
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
        ("client_connection_check_interval", CLIENT_CHECK_INTERVAL_MS),
    ])
}

/// The one session of probes, and of this process's entry in the list of those that serve: callers who take all of the pool
/// would make a process that works look dead, and what it was to do would be left to others, who have no less to do.
pub(crate) fn watch_pool(config: &StoreConfig) -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(config.connect_timeout)
        .connect_lazy_with(session(&config.database_url, "partita watch"))
}

/// The pool of first writes: appends wait for what it makes, and readers who take all of the other pool are not to keep them
/// waiting.
pub(crate) fn first_write_pool(url: &DatabaseUrl) -> PgPool {
    PgPoolOptions::new()
        .max_connections(FIRST_WRITE_CONNECTIONS_MAX)
        .acquire_timeout(CONNECT_TIMEOUT)
        .idle_timeout(FIRST_WRITE_IDLE_MAX)
        .connect_lazy_with(pool_options(url).application_name("partita first write"))
}

/// The pool for reads and maintenance. Connections are made when they are needed.
pub(crate) fn pool(config: &StoreConfig) -> PgPool {
    PgPoolOptions::new()
        .max_connections(config.read_connections_max.max(1))
        .acquire_timeout(config.connect_timeout)
        // A session that was used a moment ago is taken to be alive: reads tell it whom it serves, which asks as much.
        .test_before_acquire(false)
        .before_acquire(|session, met| {
            Box::pin(async move { Ok(met.idle_for < IDLE_MAX || session.ping().await.is_ok()) })
        })
        // Drawn by lot: a pool keeps no count of a connection's uses, and connections that were made together part ways.
        .after_release(|session, _| {
            Box::pin(async {
                let is_kept = rand::random::<u32>() >= u32::MAX / POOL_USES;
                // Behind a statement that was given up, and not over by now, the session is closed.
                Ok(is_kept && matches!(timeout(GIVEN_UP_TIMEOUT, forget(session)).await, Ok(Ok(()))))
            })
        })
        .connect_lazy_with(pool_options(&config.database_url))
}
