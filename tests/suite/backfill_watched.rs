//! A run that somebody waits for, while the database is away or cannot be asked.

use std::time::Duration;

use partita_migration::{MigrationError, RunState, WorkerConfig, Workers};
use partita_tests::{History, TestDatabase, UNTHROTTLED, eventually};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a run may go on after it has nothing more to wait for.
const LIMIT: Duration = Duration::from_secs(200);
const HISTORY: History<'_> =
    History { tenant: "acme", streams: 10, versions: 40, from: "2026-09-01T00:00:00Z", step: "1 hour" };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_outlives_a_restart_of_the_database() {
    let (database, mut cluster) = TestDatabase::in_private_cluster().await;
    database.write_history(HISTORY).await;
    database.migration().start(UNTHROTTLED, "test").await.unwrap();
    // One row a page: the run is in the middle when it is cut off.
    let workers = database.workers(1);
    let running = tokio::spawn(async move { workers.run_to_end(&CancellationToken::new()).await });
    let copied = "SELECT count(*) FROM event_store_partitioned";
    eventually("rows are copied", async || database.scalar::<i64>(copied).await > 10).await;
    cluster.kill().await;
    cluster.restart().await.unwrap();
    let state = timeout(LIMIT, running).await.expect("the run ends").unwrap().unwrap();
    assert_eq!(state, RunState::Finished);
    database.assert_moved().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_run_that_cannot_be_watched_ends_with_its_workers() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.migration().start(UNTHROTTLED, "test").await.unwrap();
    database.execute("ALTER TABLE event_store_backfill RENAME TO event_store_backfill_gone").await;
    let config = WorkerConfig {
        poll_interval: Duration::from_millis(20),
        page_rows_max: 100,
        ..WorkerConfig::default()
    };
    let workers = Workers::new(database.url(), config);
    let ended = timeout(LIMIT, workers.run_to_end(&CancellationToken::new())).await.expect("the run ends");
    assert!(matches!(ended, Err(MigrationError::Database(_))), "{ended:?}");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita backfill'";
    eventually("no worker is left", async || database.scalar::<i64>(sessions).await == 0).await;
}
