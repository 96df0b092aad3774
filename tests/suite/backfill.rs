//! History is copied while everybody writes: all of it, once, with its streams' heads.

use partita_migration::{MigrationError, Refusal, RunState, Tuning};
use partita_tests::{ForeignEvent, History, TestDatabase, TestServer, UNTHROTTLED, any, eventually, exact};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// 600 events of 20 streams, from the end of one year into the next.
fn history(tenant: &str) -> History<'_> {
    History { tenant, streams: 20, versions: 30, from: "2025-11-20T00:00:00Z", step: "2 hours 7 minutes" }
}

#[tokio::test]
async fn history_of_several_months_and_tenants_is_copied_with_heads_and_positions() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    database.write_history(history("o'brien, \"äöü\"")).await;
    let plan = database.migration().plan().await.unwrap();
    assert_eq!(plan.months.len(), 2 * 3);
    assert!(plan.months.iter().all(|month| month.state.is_none() && !month.is_expired));

    let status = database.backfill().await;
    assert_eq!((status.progress.units, status.progress.units_done), (6, 6));
    assert_eq!((status.progress.rows_copied, status.progress.rows_left), (1_200, 0));
    assert_eq!((status.progress.quarantined, status.progress.units_failed), (0, 0));
    assert_eq!(status.progress.tenants_backfilled, 2);
    database.assert_moved().await;
    assert_eq!((database.history_gaps("acme").await, database.backward_positions().await), (0, 0));
    // Newest first: the feed of history ends where the live feed begins, in the order of time.
    let backwards: i64 = database
        .scalar(
            "SELECT count(*) FROM (SELECT event_timestamp, lag(event_timestamp) OVER (ORDER BY position) AS before \
             FROM event_store_partitioned WHERE tenant_id = 'acme') AS feed WHERE before > event_timestamp",
        )
        .await;
    assert_eq!(backwards, 0);
    assert_eq!(database.scalar::<i64>("SELECT max(position) FROM event_store_partitioned").await, -1);
}

#[tokio::test]
async fn copied_history_is_read_and_written_on() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    database.backfill().await;
    let server = TestServer::start_keeping_all(&database).await;
    let answer = server.read("acme", "order", "7").ok().await;
    assert_eq!((answer.versions(), answer.bounds()), ((1..=30).collect(), (1, 30)));
    assert!(answer.events.iter().all(|event| event.position.is_some_and(|position| position < 0)));
    let next = server.append("acme", "order", "7").expected(exact(30)).event("Next").ok().await;
    assert_eq!((next.last_version, next.events[0].position), (31, Some(1)));
    let events = server.read("acme", "order", "7").ok().await.events;
    assert_eq!(events[30].previous_event_hash, events[29].event_hash);
}

#[tokio::test]
async fn a_second_run_finds_nothing_and_an_empty_table_is_done_at_once() {
    let database = TestDatabase::new().await;
    assert_eq!(database.backfill().await.progress.units, 0);
    database.write_history(history("acme")).await;
    database.backfill().await;
    let kept = database.contents().await;
    let status = database.backfill().await;
    assert_eq!((status.progress.units_done, status.progress.rows_copied), (3, 0));
    // All but the instant at which nothing was found.
    let contents = database.contents().await;
    assert_eq!((&contents[..2], &contents[3..]), (&kept[..2], &kept[3..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_to_the_same_streams_and_another_program_go_on_meanwhile() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    let server = TestServer::start_keeping_all(&database).await;
    database.migration().start(UNTHROTTLED, "test").await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let server_appends: Vec<_> = (0..25)
            .map(|n| {
                server
                    .append("acme", "order", &(1 + (writer * 5 + n) % 20).to_string())
                    .expected(any())
                    .events(3)
            })
            .collect();
        writers.spawn(async move {
            for append in server_appends {
                append.ok().await;
            }
        });
    }
    let pool = database.pool().clone();
    writers.spawn(async move {
        for n in 1..=100 {
            let event = ForeignEvent {
                timestamp: Some("2026-01-04T05:06:07.123456Z"),
                ..ForeignEvent::new("acme", "foreign", n)
            };
            event.write(&pool).await.unwrap();
        }
    });
    // Pages of seven rows: hundreds of chances to meet an append.
    database.finish_backfill(7).await;
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    database.backfill().await;
    assert_eq!(database.count("event_store").await, 600 + 300 + 100);
    database.assert_moved().await;
    assert!(database.verify_tables().await.summary.is_green());
    let live = "SELECT count(*) FROM event_store_partitioned WHERE position > 0";
    assert_eq!(database.scalar::<i64>(live).await, database.last_position("acme").await);
}

#[tokio::test]
async fn rows_that_were_written_while_the_flag_was_off_are_found() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    database.backfill().await;
    for partitions in [false, true] {
        let server = TestServer::start_with(&database, |config| {
            config.partitions_v1 = partitions;
            config.retention_months = 0;
        })
        .await;
        server.append("acme", "order", "1").expected(any()).events(5).ok().await;
        server.append("acme", "order", "new").expected(any()).events(5).ok().await;
        server.stop().await;
    }
    assert_eq!(database.differing_rows().await, 10);
    assert!(!database.verify_tables().await.summary.is_green());
    database.backfill().await;
    database.assert_moved().await;
    assert!(database.verify_tables().await.summary.is_green());
}

#[tokio::test]
async fn months_below_the_floor_are_not_copied_and_their_streams_go_on() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    database
        .execute(
            "SELECT event_store_create_months('acme', ARRAY[now()]); \
             UPDATE event_store_tenant SET retention_floor = '2026-01-01 UTC'",
        )
        .await;
    let plan = database.migration().plan().await.unwrap();
    assert_eq!(plan.months.iter().map(|month| month.is_expired).collect::<Vec<_>>(), [false, true, true]);
    database.backfill().await;
    let below = "SELECT count(*) FROM event_store_partitioned WHERE event_timestamp < '2026-01-01 UTC'";
    assert_eq!(database.scalar::<i64>(below).await, 0);
    let above = "SELECT count(*) FROM event_store WHERE event_timestamp >= '2026-01-01 UTC'";
    assert_eq!(database.count("event_store_partitioned").await, database.scalar::<i64>(above).await);
    // A stream of which everything is below the floor has its head all the same.
    assert_eq!(database.count("event_store_stream").await, 20);
    assert!(database.verify_tables().await.summary.is_green());

    database
        .execute(
            "UPDATE event_store_tenant SET retention_floor = '2026-03-01 UTC'; TRUNCATE event_store_stream",
        )
        .await;
    database.backfill().await;
    let heads = "SELECT count(*) FROM event_store_stream WHERE version = 30";
    assert_eq!(database.scalar::<i64>(heads).await, 20);
}

#[tokio::test]
async fn a_run_is_paused_tuned_resumed_and_cancelled() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    let migration = database.migration();
    migration.start(Tuning { rows_per_second: Some(Some(1)), ..Tuning::default() }, "ann").await.unwrap();
    let (workers, stop) = (database.workers(100), CancellationToken::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { workers.run(&stop).await }
    });
    eventually("the rate throttles", async || {
        let status = migration.status().await.unwrap();
        status.progress.throttle.iter().any(|reason| reason.contains("the rate, 1 rows a second"))
    })
    .await;

    migration.pause("ann").await.unwrap();
    let idle = async || migration.status().await.unwrap().progress.units_copying == 0;
    eventually("the units are let go", idle).await;
    let refused = migration.pause("ann").await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::State { .. })), "{refused}");
    assert!(migration.status().await.unwrap().progress.units_done < 3);

    migration.resume("ann").await.unwrap();
    migration.cancel("ann").await.unwrap();
    eventually("the units are let go again", idle).await;
    assert_eq!(migration.orders().await.unwrap().state, RunState::Stopped);

    migration.start(Tuning::default(), "ann").await.unwrap();
    migration.tune(UNTHROTTLED, "bob").await.unwrap();
    eventually("nothing is left", async || migration.orders().await.unwrap().state == RunState::Finished)
        .await;
    drop(stop.drop_guard());
    running.await.unwrap();
    assert_eq!(migration.orders().await.unwrap().changed_by, "bob");
    database.assert_moved().await;
}

#[tokio::test]
async fn a_table_without_the_index_is_refused_with_the_statement_that_makes_it() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    database.execute("DROP INDEX event_store_tenant_time_idx").await;
    let refused = database.migration().start(UNTHROTTLED, "test").await.unwrap_err();
    let MigrationError::Refused(refusal) = refused else { panic!("{refused}") };
    assert_eq!(refusal, Refusal::IndexMissing);
    database.execute(refusal.mend()).await;
    database.backfill().await;
    database.assert_moved().await;
}

#[tokio::test]
async fn a_worker_whose_lease_was_taken_writes_nothing() {
    let database = TestDatabase::new().await;
    database.write_history(history("acme")).await;
    let migration = database.migration();
    migration.start(Tuning { rows_per_second: Some(Some(50)), ..Tuning::default() }, "test").await.unwrap();
    let (workers, stop) = (database.workers(10), CancellationToken::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { workers.run(&stop).await }
    });
    let copying =
        "SELECT count(*) FROM event_store_backfill_unit WHERE state = 'copying' AND rows_copied > 0";
    eventually("pages are copied", async || database.scalar::<i64>(copying).await > 0).await;
    // Another token, held by a session that lives: none of ours may write to these units any more.
    let mut other = database.connect().await;
    sqlx::raw_sql(
        "UPDATE event_store_backfill_unit SET state = 'copying', lease_token = gen_random_uuid(), lease_pid = pid, \
         lease_backend_start = backend_start, lease_until = now() + interval '1 hour' \
         FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    )
    .execute(&mut other)
    .await
    .unwrap();
    let copied = database.count("event_store_partitioned").await;
    migration.tune(UNTHROTTLED, "test").await.unwrap();
    // A worker that has noticed looks for another unit, finds none, and ends that transaction.
    let noticed = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita backfill' AND state = 'idle' AND query = 'COMMIT'";
    eventually("the workers have noticed", async || database.scalar::<i64>(noticed).await == 2).await;
    drop(stop.drop_guard());
    running.await.unwrap();
    assert_eq!(database.count("event_store_partitioned").await, copied);
    // The session ends, and with it the lease.
    drop(other);
    migration.start(UNTHROTTLED, "test").await.unwrap();
    database.finish_backfill(1_000).await;
    database.assert_moved().await;
}
