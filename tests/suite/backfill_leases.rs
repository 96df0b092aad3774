//! A unit stays with its worker for as long as the work takes: the lease is kept.

use std::time::Duration;

use partita_migration::{Migration, RunState, Tuning, WorkerConfig, Workers};
use partita_tests::{History, PhaseChange, TestDatabase, UNTHROTTLED, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};

const LEASE: Duration = Duration::from_secs(1);
/// One month.
const HISTORY: History<'_> =
    History { tenant: "acme", streams: 5, versions: 20, from: "2026-03-01T00:00:00Z", step: "1 hour" };

/// The lease of the only month is good for longer than three of them last.
const OUTLIVED: &str = "SELECT count(*) FROM event_store_backfill_unit \
     WHERE state = 'copying' AND lease_until > started_at + interval '3 seconds'";

/// One worker, until dropped.
fn work(database: &TestDatabase) -> DropGuard {
    let config = WorkerConfig {
        workers_max: 1,
        poll_interval: Duration::from_millis(20),
        lease: LEASE,
        ..WorkerConfig::default()
    };
    let stop = CancellationToken::new();
    let (workers, working) = (Workers::new(database.url(), config), stop.clone());
    tokio::spawn(async move { workers.run(&working).await });
    stop.drop_guard()
}

async fn finished(migration: &Migration) {
    let is_over = async || migration.orders().await.unwrap().state == RunState::Finished;
    eventually("nothing is left", is_over).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_whose_count_takes_longer_than_a_lease_stays_with_its_worker() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    // Every count of what is not copied back waits at a gate.
    database
        .execute(
            "CREATE TABLE gate (is_open boolean); \
             CREATE FUNCTION wait_at_gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
             WHILE NOT EXISTS (SELECT FROM public.gate) LOOP PERFORM pg_sleep(0.02); END LOOP; RETURN true; END $$; \
             ALTER FUNCTION event_store_count_uncopied(text, timestamptz, boolean) RENAME TO count_at_once; \
             CREATE FUNCTION event_store_count_uncopied(text, timestamptz, boolean) RETURNS bigint \
             LANGUAGE plpgsql AS $$ BEGIN PERFORM public.wait_at_gate(); \
             RETURN public.count_at_once($1, $2, $3); END $$",
        )
        .await;
    for change in [PhaseChange::RaiseFence, PhaseChange::Finalize, PhaseChange::BeginRestore] {
        database.change_phase(change).await;
    }
    database
        .execute(
            "INSERT INTO event_store_backfill_unit (direction, tenant_id, month_start) \
             VALUES ('restore', 'acme', '2026-03-01 UTC'); \
             UPDATE event_store_backfill SET workers = 1, direction = 'restore', state = 'running'",
        )
        .await;
    let _working = work(&database);
    eventually("the count outlives a lease", async || database.scalar::<i64>(OUTLIVED).await > 0).await;
    database.execute("INSERT INTO gate VALUES (true)").await;
    finished(&database.migration()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_whose_worker_waits_for_others_longer_than_a_lease_stays_with_it() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    let migration = database.migration();
    database.execute("CREATE TABLE busy ()").await;
    let mut holder = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE busy").execute(&mut holder).await.unwrap();
    let waiting = (0..3).map(|_| {
        let pool = database.pool().clone();
        tokio::spawn(async move { sqlx::raw_sql("SELECT FROM busy").execute(&pool).await.unwrap() })
    });
    let waiting: Vec<_> = waiting.collect();
    migration.start(Tuning { lock_waits_max: Some(Some(1)), ..UNTHROTTLED }, "test").await.unwrap();
    let _working = work(&database);
    eventually("the wait outlives a lease", async || database.scalar::<i64>(OUTLIVED).await > 0).await;
    let throttle = migration.status().await.unwrap().progress.throttle;
    assert!(throttle.iter().any(|reason| reason.contains("wait for locks, more than 1")), "{throttle:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    for session in waiting {
        session.await.unwrap();
    }
    finished(&migration).await;
    database.assert_moved().await;
}
