//! Workers that are killed, again and again, in the middle of whatever they do.

use partita_migration::RunState;
use partita_tests::{History, TestDatabase, TestServer, UNTHROTTLED, any, eventually};
use tokio_util::sync::CancellationToken;

const KILLS: usize = 50;
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE datname = current_database() AND application_name = 'partita backfill'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_fifty_times_beside_appends_it_loses_and_doubles_nothing() {
    let database = TestDatabase::new().await;
    let history = History {
        tenant: "acme",
        streams: 30,
        versions: 200,
        from: "2026-01-20T00:00:00Z",
        step: "21 minutes",
    };
    database.write_history(history).await;
    let server = TestServer::start_keeping_all(&database).await;
    let migration = database.migration();
    migration.start(UNTHROTTLED, "test").await.unwrap();

    let scanned = "SELECT coalesce(sum(rows_scanned), 0)::bigint FROM event_store_backfill_unit";
    for kill in 0..KILLS {
        let before = database.scalar::<i64>(scanned).await;
        let workers = database.workers(2);
        let running = tokio::spawn(async move { workers.run(&CancellationToken::new()).await });
        server.append("acme", "order", &(1 + kill % 30).to_string()).expected(any()).events(2).ok().await;
        eventually("a page is copied", async || {
            database.scalar::<i64>(scanned).await > before
                || migration.orders().await.unwrap().state == RunState::Finished
        })
        .await;
        // In turn the task, which leaves its session behind in the middle of a statement, and the session alone.
        if kill % 2 == 0 {
            running.abort();
        } else {
            database.scalar::<i64>(TERMINATE).await;
            running.abort();
        }
        running.await.ok();
    }
    assert_eq!(
        migration.orders().await.unwrap().state,
        RunState::Running,
        "finished before it was killed so often"
    );
    let status = database.finish_backfill(1_000).await;
    assert_eq!((status.progress.units_failed, status.progress.quarantined), (0, 0));
    assert_eq!(database.count("event_store").await, 6_000 + 2 * 50);
    database.assert_moved().await;
    assert!(database.verify_tables().await.summary.is_green());
    assert_eq!(server.verify("acme").await.found(), []);
}

#[tokio::test]
async fn a_month_that_expires_while_it_is_copied_does_not_come_back() {
    let database = TestDatabase::new().await;
    let history =
        History { tenant: "acme", streams: 10, versions: 100, from: "2026-05-01T00:00:00Z", step: "1 hour" };
    database.write_history(history).await;
    let server = TestServer::start_keeping_all(&database).await;
    let migration = database.migration();
    migration.start(UNTHROTTLED, "test").await.unwrap();
    let workers = database.workers(3);
    let running = tokio::spawn(async move { workers.run(&CancellationToken::new()).await });
    let copied = "SELECT count(*) FROM event_store_partitioned";
    eventually("rows are copied", async || database.scalar::<i64>(copied).await > 10).await;
    let floor = "(SELECT retention_floor FROM event_store_tenant)";
    let below = format!("SELECT count(*) FROM event_store_partitioned WHERE event_timestamp < {floor}");
    // A run leaves to the next one what another session holds, and a month that was made as it raised the floor.
    eventually("what has expired is gone", async || {
        server.maintain("acme", |request| request.retention_months = Some(2)).await;
        database.scalar::<i64>(&*below).await == 0
    })
    .await;
    eventually("nothing is left", async || migration.orders().await.unwrap().state == RunState::Finished)
        .await;
    running.abort();

    assert_eq!(database.scalar::<i64>(&*below).await, 0);
    let live = format!("SELECT count(*) FROM event_store WHERE event_timestamp >= {floor}");
    assert_eq!(database.count("event_store_partitioned").await, database.scalar::<i64>(live).await);
    assert_eq!(database.count("event_store_stream").await, 10);
    assert!(database.verify_tables().await.summary.is_green());
}
