//! Every metric of Partita: one constant each, used wherever it is recorded. `docs/metrics.md` is printed from here.
//!
//! Names are as Prometheus shows them; those of calls and of the database follow OpenTelemetry's conventions. Recording
//! costs nothing to speak of where no exporter is installed. **Invariant:** no label holds a tenant, an id or anything
//! else that a caller chooses: a label's values are few and known.

mod metric;
mod page;

pub use self::metric::{Kind, Metric};
pub use self::page::page;

/// Upper bounds of buckets of durations, in seconds: from a cached read to a stuck lock.
const SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds of buckets of events in a transaction.
const EVENTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_000.0];

/// Calls that came to an end, by method and code.
pub const RPC_DURATION: Metric = Metric::histogram(
    "rpc_server_call_duration_seconds",
    SECONDS,
    &["rpc_method", "rpc_grpc_status_code"],
    "Duration of calls, streams to their last message (OpenTelemetry `rpc.server.call.duration`). The method is `_OTHER` \
     where there is no such call; the code is gRPC's number, 0 is OK.",
);
/// Calls that are open.
pub const RPC_ACTIVE: Metric =
    Metric::gauge("rpc_server_active_calls", &["rpc_method"], "Calls that are open, streams included.");
/// Errors that callers were told, by reason.
pub const ERRORS: Metric = Metric::counter(
    "partita_errors_total",
    &["reason"],
    "Errors that callers were told, by [reason](errors.md); those of single appends in a pipeline included.",
);
/// Work that was turned away before it began.
pub const SHED: Metric = Metric::counter(
    "partita_shed_total",
    &["limit"],
    "Calls, appends and connections that a [limit](limits.md) turned away: `process` (open calls in all), `tenant` (open \
     calls of a tenant), `rate` (calls of a tenant a second), `lane` (appends that wait), `arriving` (bytes of messages that \
     are not whole), `connections`.",
);
/// Connections of clients.
pub const CONNECTIONS: Metric = Metric::gauge(
    "partita_connections",
    &[],
    "Connections of clients that are open, those that still agree on TLS included.",
);

/// Database operations, by what was done.
pub const DATABASE_DURATION: Metric = Metric::histogram(
    "db_client_operation_duration_seconds",
    SECONDS,
    &["db_operation_name", "error_type"],
    "Duration of database operations (OpenTelemetry `db.client.operation.duration`): `append` is a lane's transaction, \
     `read_page` a page of a stream, `find_stream` where it stands, `ping` a probe. `error_type` is empty where it went \
     well.",
);
/// Connections of the pool.
pub const POOL_CONNECTIONS: Metric = Metric::gauge(
    "db_client_connection_count",
    &["db_client_connection_state"],
    "Connections of the pool for reads and maintenance, `idle` or `used` (OpenTelemetry `db.client.connection.count`).",
);
/// The pool's bound.
pub const POOL_MAX: Metric = Metric::gauge(
    "db_client_connection_max",
    &[],
    "Most connections of that pool (OpenTelemetry `db.client.connection.max`).",
);
/// Whether the database answers.
pub const READY: Metric =
    Metric::gauge("partita_ready", &[], "1 while this process is ready to serve, else 0.");

/// The phase.
pub const PHASE: Metric =
    Metric::gauge("partita_phase", &["phase"], "1 for the phase that this process serves in.");
/// Events that wait in a lane.
pub const LANE_DEPTH: Metric = Metric::gauge(
    "partita_lane_depth_events",
    &["lane"],
    "Events that wait in a lane for their transaction.",
);
/// Events in a transaction.
pub const BATCH_EVENTS: Metric = Metric::histogram(
    "partita_batch_events",
    EVENTS,
    &[],
    "Events of the appends that a lane took up as one transaction.",
);
/// How long a lane's transaction took.
pub const COMMIT_DURATION: Metric = Metric::histogram(
    "partita_commit_duration_seconds",
    SECONDS,
    &["outcome"],
    "Duration of a lane's transaction, from its first statement to the answer of its commit: `committed`, `refused` or \
     `unknown`.",
);
/// Appends that were recorded.
pub const APPENDED_EVENTS: Metric = Metric::counter(
    "partita_appended_events_total",
    &[],
    "Events that were recorded; those of a repeated append are not counted again.",
);
/// Leaves made because an append needed them.
pub const FIRST_WRITE_PARTITIONS: Metric = Metric::counter(
    "partita_first_write_partitions_total",
    &[],
    "Partitions that were made because an append had no place to go: maintenance was late, or the tenant is new.",
);
/// Rows that a read of phase dual found in the legacy table alone.
pub const UNION_LEGACY_ROWS: Metric = Metric::counter(
    "partita_union_legacy_rows_total",
    &[],
    "Events that reads of phase `dual` took from the legacy table: history that is not backfilled. A finished backfill \
     brings the rate to 0.",
);
/// The least of months ahead.
pub const MONTHS_AHEAD: Metric = Metric::gauge(
    "partita_months_ahead",
    &[],
    "Months after the current one that have partitions: the least of all tenants, looked up every minute. Negative: a \
     tenant lacks its current month. Absent without tenants.",
);
/// The last run of maintenance.
pub const LAST_MAINTENANCE: Metric = Metric::gauge(
    "partita_last_maintenance_timestamp_seconds",
    &[],
    "When this process last finished a run of maintenance over all tenants, in Unix seconds. One process of a fleet runs \
     it: take the greatest.",
);
/// Tenants whose maintenance failed.
pub const MAINTENANCE_FAILURES: Metric = Metric::counter(
    "partita_maintenance_failures_total",
    &[],
    "Tenants whose maintenance failed, counted once a run.",
);
/// Partition DDL that gave way.
pub const DDL_LOCK_WAITS: Metric = Metric::counter(
    "partita_ddl_lock_waits_total",
    &[],
    "Times that partition DDL gave up waiting for a lock, or gave way to another session.",
);

/// History copied by the backfill.
pub const BACKFILL_ROWS: Metric = Metric::counter(
    "partita_backfill_rows_total",
    &[],
    "Rows that this process copied from the legacy table into partitions.",
);
/// History that is left.
pub const BACKFILL_REMAINING: Metric = Metric::gauge(
    "partita_backfill_rows_remaining",
    &[],
    "Rows of history that are not in a partition yet, as far as is known: a hint, not a proof.",
);
/// Differences between both tables.
pub const PARITY_MISMATCHES: Metric = Metric::gauge(
    "partita_parity_mismatches",
    &[],
    "Differences between both tables that verification found and that still stand.",
);

/// Reads that were drawn to be compared.
pub const SHADOW_READS: Metric = Metric::counter(
    "partita_shadow_reads_total",
    &["outcome"],
    "Reads that were [drawn](operations/verify.md) to be compared: `compared`, `dropped` (too many waited), or not compared \
     because of the `phase`, or because the database was `busy` or `unavailable`, a value `unreadable`, or for another \
     reason (`failed`, which is logged).",
);
/// Rows that were compared for reads.
pub const SHADOW_ROWS: Metric = Metric::counter(
    "partita_shadow_rows_total",
    &["result"],
    "Rows of those reads: `same` in both tables, `different`, or `not_copied`, which is history that is not backfilled, and \
     what programs have written into the legacy table alone since.",
);
/// Differences that were met for reads.
pub const SHADOW_DIFFERENCES: Metric = Metric::counter(
    "partita_shadow_differences_total",
    &["reason"],
    "Differences between both tables that those reads met, each time they met one: `missing_in_partitioned`, \
     `missing_in_legacy`, `columns_differ`. Each was logged, and is listed by `partita migration mismatches`.",
);

/// Every metric, in the order of the page.
pub const ALL: &[Metric] = &[
    RPC_DURATION,
    RPC_ACTIVE,
    ERRORS,
    SHED,
    CONNECTIONS,
    DATABASE_DURATION,
    POOL_CONNECTIONS,
    POOL_MAX,
    READY,
    PHASE,
    LANE_DEPTH,
    BATCH_EVENTS,
    COMMIT_DURATION,
    APPENDED_EVENTS,
    FIRST_WRITE_PARTITIONS,
    UNION_LEGACY_ROWS,
    MONTHS_AHEAD,
    LAST_MAINTENANCE,
    MAINTENANCE_FAILURES,
    DDL_LOCK_WAITS,
    BACKFILL_ROWS,
    BACKFILL_REMAINING,
    PARITY_MISMATCHES,
    SHADOW_READS,
    SHADOW_ROWS,
    SHADOW_DIFFERENCES,
];

/// Tells the installed exporter of every metric, and lets those counters begin at 0 that have no labels.
pub fn describe() {
    for metric in ALL {
        metric.describe();
    }
}
