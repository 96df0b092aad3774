use std::time::Duration;

use partita_migration::{
    Migration, Mismatch, RunState, Status, Tuning, VerifyOptions, VerifyReport, VerifySummary, WorkerConfig,
    Workers,
};
use partita_proof::within;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::TestDatabase;
use crate::server::CALL_LIMIT;

/// Positions that were given twice, or never drawn.
const ODD_POSITIONS: &str = "SELECT count(*) FROM (\
     SELECT position, tenant_id, count(*) OVER (PARTITION BY tenant_id, position) AS times \
     FROM event_store_partitioned) AS feed JOIN event_store_tenant AS tenant USING (tenant_id) \
     WHERE times > 1 OR position NOT BETWEEN history_position AND last_position OR position = 0";

/// Events whose position lies before the one of an earlier event of their stream.
const BACKWARD_POSITIONS: &str = "SELECT count(*) FROM (\
     SELECT aggregate_version, \
     lag(aggregate_version) OVER (PARTITION BY tenant_id, aggregate_type, aggregate_id ORDER BY position) AS before \
     FROM event_store_partitioned) AS feed WHERE before >= aggregate_version";

/// The last event of each stream, as the legacy table has it and the stream's record has not.
const ODD_HEADS: &str = "SELECT count(*) FROM (\
     SELECT DISTINCT ON (tenant_id, aggregate_type, aggregate_id) * FROM event_store \
     ORDER BY tenant_id, aggregate_type, aggregate_id, aggregate_version DESC) AS last \
     LEFT JOIN event_store_stream AS stream USING (tenant_id, aggregate_type, aggregate_id) \
     WHERE (stream.version, stream.last_hash) IS DISTINCT FROM (last.aggregate_version, last.event_hash)";

/// As fast as it goes, whoever waits for locks meanwhile.
pub const UNTHROTTLED: Tuning =
    Tuning { workers: None, rows_per_second: Some(None), lag_ms_max: Some(None), lock_waits_max: Some(None) };

/// What a verification came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Its numbers.
    pub summary: VerifySummary,
    /// The differences of rows, in the order of their months.
    pub differences: Vec<Mismatch>,
}

/// History that another program wrote, long before: streams of type `order`, of ids 1, 2, 3 …, whose events come one after
/// another in turn.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The owner.
    pub tenant: &'a str,
    /// How many streams.
    pub streams: i32,
    /// How many events each of them has.
    pub versions: i32,
    /// When the first event happened, as PostgreSQL reads it.
    pub from: &'a str,
    /// From one event of the tenant to the next; PostgreSQL's interval.
    pub step: &'a str,
}

impl TestDatabase {
    /// The migration of this database.
    pub fn migration(&self) -> Migration {
        Migration::new(self.url())
    }

    /// Workers for this database, with pages of so many rows at most.
    pub fn workers(&self, page_rows_max: u32) -> Workers {
        let config = WorkerConfig {
            workers_max: 2,
            poll_interval: Duration::from_millis(20),
            page_rows_max,
            ..WorkerConfig::default()
        };
        Workers::new(self.url(), config)
    }

    /// Backfills unthrottled until nothing is left, and says where that ended.
    pub async fn backfill(&self) -> Status {
        self.migration().start(UNTHROTTLED, "test").await.unwrap();
        self.finish_backfill(1_000).await
    }

    /// Lets two workers go on until nothing is left.
    pub async fn finish_backfill(&self, page_rows_max: u32) -> Status {
        let (workers, unheard) = (self.workers(page_rows_max), CancellationToken::new());
        let state = within(CALL_LIMIT, "the end of a backfill", workers.run_to_end(&unheard)).await.unwrap();
        assert_eq!(state.unwrap(), RunState::Finished);
        self.migration().status().await.unwrap()
    }

    /// Compares the tables of all tenants.
    pub async fn verify_tables(&self) -> Verified {
        self.verify_with(VerifyOptions {
            tenant: None,
            sample_percent: 100.0,
            workers: 2,
            only_unverified: false,
        })
        .await
    }

    /// Compares what the options say.
    pub async fn verify_with(&self, options: VerifyOptions) -> Verified {
        let (reports, mut incoming) = mpsc::channel(1_024);
        let collect = async {
            let mut differences = Vec::new();
            while let Some(report) = incoming.recv().await {
                if let VerifyReport::Unit(unit) = report {
                    differences.extend(unit.differences);
                }
            }
            differences
        };
        let migration = self.migration();
        let work = async move { migration.verify(&options, &reports).await };
        let both = async { tokio::join!(work, collect) };
        let (summary, mut differences) = within(CALL_LIMIT, "the end of a verification", both).await.unwrap();
        differences.sort_by(|one, other| (&one.month, &one.event_id).cmp(&(&other.month, &other.event_id)));
        Verified { summary: summary.unwrap(), differences }
    }

    /// Writes history into the legacy table, as a program that knows nothing of partitions did.
    pub async fn write_history(&self, history: History<'_>) {
        sqlx::query(
            "INSERT INTO public.event_store (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, \
             event_data, event_metadata, tenant_id, user_id, correlation_id, ip_address, event_hash, \
             previous_event_hash, event_timestamp, created_at) \
             SELECT gen_random_uuid(), 'Happened', 'order', (1 + n % $2)::text, 1 + n / $2, \
             jsonb_build_object('n', n, 'price', 1.50), '{\"source\": \"monolith\"}', $1, 'monolith', 'c-' || n, \
             '10.1.2.3', 'old-' || n, CASE WHEN n >= $2 THEN 'old-' || n - $2 END, \
             $4::timestamptz + n * $5::interval, $4::timestamptz + n * $5::interval + interval '3 microseconds' \
             FROM generate_series(0, $2 * $3 - 1) AS n",
        )
        .bind(history.tenant)
        .bind(history.streams)
        .bind(history.versions)
        .bind(history.from)
        .bind(history.step)
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// Fails the test unless both tables hold the same rows, each once, every stream's record stands at its last event, and
    /// positions are given once.
    pub async fn assert_moved(&self) {
        assert_eq!(self.differing_rows().await, 0, "rows that differ between the tables");
        let doubled = "SELECT count(*) - count(DISTINCT (tenant_id, event_id)) FROM event_store_partitioned";
        assert_eq!(self.scalar::<i64>(doubled).await, 0, "events that were copied twice");
        assert_eq!(self.scalar::<i64>(ODD_HEADS).await, 0, "streams whose record is not at their last event");
        assert_eq!(self.scalar::<i64>(ODD_POSITIONS).await, 0, "odd positions");
    }

    /// How many events stand before an earlier one of their stream in the feed: those that were found by a later run than
    /// the events before them.
    pub async fn backward_positions(&self) -> i64 {
        self.scalar(BACKWARD_POSITIONS).await
    }

    /// Positions of history that were drawn and stand nowhere.
    pub async fn history_gaps(&self, tenant: &str) -> i64 {
        self.scalar(format!(
            "SELECT -history_position - (SELECT count(*) FROM event_store_partitioned AS event \
             WHERE event.tenant_id = tenant.tenant_id AND position < 0) \
             FROM event_store_tenant AS tenant WHERE tenant_id = '{tenant}'"
        ))
        .await
    }
}
