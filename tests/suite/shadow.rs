//! Reads that are looked at once more, in both tables: what differs is found, and what need not be the same is not.

use partita_migration::{MismatchReason, Move, ShadowConfig, ShadowTally};
use partita_proto::v1::ListMismatchesRequest;
use partita_tests::{
    ForeignEvent, History, PhaseChange, TestDatabase, TestServer, TestShadow, UNTHROTTLED, eventually,
    metric, month,
};

const HISTORY: History<'_> =
    History { tenant: "acme", streams: 2, versions: 20, from: "2026-01-10T00:00:00Z", step: "1 day" };
const EVERY_READ: ShadowConfig = ShadowConfig { sample_percent: 100, reads_waiting_max: 16 };

/// A server all of whose reads are compared, over history that is backfilled.
async fn moved() -> (TestDatabase, TestServer, TestShadow) {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    let (server, mut shadow) = TestServer::start_shadowed(&database, EVERY_READ).await;
    shadow.run();
    (database, server, shadow)
}

/// The same behind the fence, and proved equal there: reads keep to the partitioned table.
async fn fenced() -> (TestDatabase, TestServer, TestShadow) {
    let (database, server, shadow) = moved().await;
    database.change_phase(PhaseChange::RaiseFence).await;
    assert!(database.verify_tables().await.summary.is_green());
    (database, server, shadow)
}

async fn read(server: &TestServer) -> Vec<i32> {
    server.read("acme", "order", "1").versions().await
}

async fn verified_tenants(database: &TestDatabase) -> i64 {
    database.scalar("SELECT count(*) FROM event_store_tenant WHERE verified_at IS NOT NULL").await
}

/// The differences that are open: version, reason and columns.
async fn open(database: &TestDatabase) -> Vec<(Option<i64>, MismatchReason, String)> {
    let open = database.migration().mismatches(0, 100, None).await.unwrap();
    open.into_iter().map(|one| (one.aggregate_version, one.reason, one.columns.join(","))).collect()
}

fn compared(reads: u64, same: u64) -> ShadowTally {
    ShadowTally { compared: reads, same, ..ShadowTally::default() }
}

#[tokio::test]
async fn equal_tables_are_compared_and_nothing_differs() {
    let (database, server, shadow) = moved().await;
    let before = metric("partita_shadow_reads_total{outcome=\"compared\"}");
    assert_eq!(read(&server).await.len(), 20);
    assert_eq!(shadow.after(1).await, compared(1, 20));
    server.append("acme", "order", "1").events(3).ok().await;
    // The part that was read is compared, and no more.
    server.read("acme", "order", "1").backwards().max_count(5).ok().await;
    assert_eq!(shadow.after(2).await, compared(2, 25));
    server.read("acme", "order", "1").from_version(23).ok().await;
    assert_eq!(shadow.after(3).await, compared(3, 26));
    server.read("acme", "order", "nowhere").refused().await;
    read(&server).await;
    assert_eq!(shadow.after(4).await, compared(4, 49));
    assert_eq!(open(&database).await, []);
    assert!(metric("partita_shadow_reads_total{outcome=\"compared\"}") >= before + 4.0);
    assert!(metric("partita_shadow_rows_total{result=\"same\"}") >= 49.0);
}

#[tokio::test]
async fn a_login_that_is_kept_to_named_tenants_compares_and_writes_down_all_the_same() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    let (url, _session) = database.login("event_store_app").await;
    let (server, mut shadow) = TestServer::start_shadowed_as(&database, url, EVERY_READ).await;
    shadow.run();
    // Bound in one of the tables, then in both.
    assert_eq!(read(&server).await.len(), 20);
    assert_eq!(shadow.after(1).await, compared(1, 20));
    database.execute("SELECT event_store_guard_legacy(true)").await;
    assert_eq!(read(&server).await.len(), 20);
    assert_eq!(shadow.after(2).await, compared(2, 40));

    let gone = "DELETE FROM event_store_partitioned WHERE aggregate_id = '1' AND aggregate_version = 3";
    database.tamper(gone).await;
    read(&server).await;
    assert_eq!(shadow.after(3).await, ShadowTally { differences: 1, ..compared(3, 59) });
    assert_eq!(open(&database).await, [(Some(3), MismatchReason::MissingInPartitioned, String::new())]);
}

#[tokio::test]
async fn one_byte_of_one_payload_is_found_by_a_read_and_blocks_the_fence() {
    let (database, server, shadow) = moved().await;
    assert!(database.verify_tables().await.summary.is_green());
    let of_reason = "partita_shadow_differences_total{reason=\"columns_differ\"}";
    let before = metric(of_reason);
    let change = "UPDATE event_store_partitioned SET event_data = jsonb_set(event_data, '{price}', '1.51') \
         WHERE aggregate_id = '1' AND aggregate_version = 17";
    database.tamper(change).await;
    server.read("acme", "order", "1").max_count(16).ok().await;
    assert_eq!(shadow.after(1).await, compared(1, 16));
    read(&server).await;
    assert_eq!(shadow.after(2).await, ShadowTally { differences: 1, ..compared(2, 35) });
    assert!(metric(of_reason) >= before + 1.0);
    let found = (Some(17), MismatchReason::ColumnsDiffer, "event_data".to_owned());
    assert_eq!(open(&database).await, std::slice::from_ref(&found));
    assert_eq!(verified_tenants(&database).await, 0);

    let listed = server.partitions().list_mismatches(ListMismatchesRequest::default()).await.unwrap();
    let listed = &listed.into_inner().mismatches[0];
    let row = "SELECT event_id::text FROM event_store WHERE aggregate_id = '1' AND aggregate_version = 17";
    assert_eq!((listed.event_id.clone(), listed.version), (database.scalar::<String>(row).await, Some(17)));
    let obstacles = database.migration().obstacles(Move::Fence).await.unwrap();
    assert!(obstacles.iter().any(|obstacle| obstacle.code() == "MISMATCHES"), "{obstacles:?}");

    // Met again it is the same one, and verify finds it where the shadow put it down.
    read(&server).await;
    shadow.after(3).await;
    database.verify_tables().await;
    assert_eq!(open(&database).await, [found]);
    let repair = database.migration().look_at_repair(None).await.unwrap();
    database.execute(repair.steps[0].statements.clone()).await;
    assert!(database.verify_tables().await.summary.is_green());
    assert_eq!(open(&database).await, []);
}

#[tokio::test]
async fn a_copy_that_is_gone_from_a_backfilled_month_is_found() {
    let (database, server, shadow) = moved().await;
    database
        .tamper("DELETE FROM event_store_partitioned WHERE aggregate_id = '1' AND aggregate_version = 5")
        .await;
    assert_eq!(read(&server).await.len(), 20);
    assert_eq!(shadow.after(1).await, ShadowTally { differences: 1, ..compared(1, 19) });
    assert_eq!(open(&database).await, [(Some(5), MismatchReason::MissingInPartitioned, String::new())]);
}

#[tokio::test]
async fn behind_the_fence_a_lost_copy_is_found_and_read_from_legacy_from_then_on() {
    let (database, server, shadow) = fenced().await;
    server.append("acme", "order", "1").event("Late").ok().await;
    assert_eq!(read(&server).await.len(), 21);
    assert_eq!(shadow.after(1).await, compared(1, 21));
    // One of history, and one that was written after the backfill: behind the fence each has to be there.
    database
        .tamper(
            "DELETE FROM event_store_partitioned WHERE aggregate_id = '1' AND aggregate_version IN (5, 21)",
        )
        .await;
    assert_eq!(read(&server).await.len(), 19);
    assert_eq!(shadow.after(2).await, ShadowTally { differences: 2, ..compared(2, 40) });
    assert_eq!(verified_tenants(&database).await, 0);
    assert_eq!(read(&server).await.len(), 21);
    let obstacles = database.migration().obstacles(Move::Finalize).await.unwrap();
    assert!(obstacles.iter().any(|obstacle| obstacle.code() == "MISMATCHES"), "{obstacles:?}");
}

#[tokio::test]
async fn a_row_that_legacy_lacks_is_found_in_each_phase_that_writes_both() {
    for is_fenced in [false, true] {
        let (database, server, shadow) = if is_fenced { fenced().await } else { moved().await };
        database.tamper("DELETE FROM event_store WHERE aggregate_id = '1' AND aggregate_version = 7").await;
        assert_eq!(read(&server).await.len(), 20);
        assert_eq!(shadow.after(1).await, ShadowTally { differences: 1, ..compared(1, 19) });
        assert_eq!(open(&database).await, [(Some(7), MismatchReason::MissingInLegacy, String::new())]);
    }
}

#[tokio::test]
async fn what_is_not_copied_yet_is_no_difference() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    let (server, mut shadow) = TestServer::start_shadowed(&database, EVERY_READ).await;
    shadow.run();
    assert_eq!(read(&server).await.len(), 20);
    assert_eq!(shadow.after(1).await, ShadowTally { not_copied: 20, ..compared(1, 0) });
    // Planned is not done.
    let migration = database.migration();
    migration.start(UNTHROTTLED, "test").await.unwrap();
    read(&server).await;
    assert_eq!(shadow.after(2).await, ShadowTally { not_copied: 40, ..compared(2, 0) });
    database.finish_backfill(1_000).await;
    read(&server).await;
    assert_eq!(shadow.after(3).await, ShadowTally { not_copied: 40, ..compared(3, 20) });

    // A program that knows nothing of partitions goes on, in a month that is done and in one that is not.
    let at = |version, timestamp| ForeignEvent {
        timestamp: Some(timestamp),
        ..ForeignEvent::new("acme", "1", version)
    };
    at(21, "2026-02-27T00:00:00Z").write(database.pool()).await.unwrap();
    at(22, "2026-07-01T00:00:00Z").write(database.pool()).await.unwrap();
    assert_eq!(read(&server).await.len(), 22);
    assert_eq!(shadow.after(4).await, ShadowTally { not_copied: 42, ..compared(4, 40) });
    database.backfill().await;
    read(&server).await;
    assert_eq!(shadow.after(5).await, ShadowTally { not_copied: 42, ..compared(5, 62) });
    assert_eq!(open(&database).await, []);
}

#[tokio::test]
async fn what_is_in_quarantine_or_below_the_floor_is_no_difference() {
    let (database, server, shadow) = moved().await;
    database
        .tamper("DELETE FROM event_store_partitioned WHERE aggregate_id = '1' AND aggregate_version = 5")
        .await;
    let quarantined = "INSERT INTO event_store_quarantine (row_key, tenant_id, code, reason) \
         SELECT event_store_row_key(tenant_id, event_id::text, aggregate_type, aggregate_id, \
         aggregate_version::text, event_timestamp::text), tenant_id, '23502', 'violates' \
         FROM event_store WHERE aggregate_id = '1' AND aggregate_version = 5";
    database.execute(format!("SET TimeZone = 'UTC'; {quarantined}; RESET TimeZone")).await;
    read(&server).await;
    assert_eq!(shadow.after(1).await, ShadowTally { not_copied: 1, ..compared(1, 19) });

    // Three of the copies below the floor are gone, and one row of legacy's.
    database
        .tamper(
            "UPDATE event_store_tenant SET retention_floor = '2026-02-01 UTC'; \
             DELETE FROM event_store_partitioned WHERE event_timestamp < '2026-01-20 UTC'; \
             DELETE FROM event_store WHERE event_timestamp = '2026-01-24 UTC'",
        )
        .await;
    let versions = read(&server).await;
    assert_eq!(versions, (12..=20).collect::<Vec<_>>());
    let after = shadow.after(2).await;
    assert_eq!(after, ShadowTally { not_copied: 1, ..compared(2, 28) });
    assert_eq!(open(&database).await, []);
}

#[tokio::test]
async fn a_full_queue_drops_and_reads_go_on() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    let (server, mut shadow) =
        TestServer::start_shadowed(&database, ShadowConfig { reads_waiting_max: 2, ..EVERY_READ }).await;
    for _ in 0..5 {
        assert_eq!(read(&server).await.len(), 20);
    }
    eventually("reads are dropped", async || shadow.tally().dropped == 3).await;
    shadow.run();
    assert_eq!(shadow.after(2).await, ShadowTally { dropped: 3, ..compared(2, 40) });
}

#[tokio::test]
async fn no_read_is_offered_where_none_is_drawn_or_one_table_is_written() {
    let database = TestDatabase::new().await;
    // Whatever is offered but the first is counted as dropped.
    let none = ShadowConfig { sample_percent: 0, reads_waiting_max: 1 };
    let (server, shadow) = TestServer::start_shadowed(&database, none).await;
    server.append("acme", "order", "1").events(3).ok().await;
    for _ in 0..50 {
        assert_eq!(read(&server).await.len(), 3);
    }
    server.stop().await;
    assert_eq!(shadow.tally(), ShadowTally::default());

    let (server, shadow) =
        TestServer::start_shadowed(&database, ShadowConfig { reads_waiting_max: 1, ..EVERY_READ }).await;
    database.change_phase(PhaseChange::RaiseFence).await;
    database.change_phase(PhaseChange::Finalize).await;
    for _ in 0..5 {
        assert_eq!(read(&server).await.len(), 3);
    }
    server.stop().await;
    assert_eq!(shadow.tally(), ShadowTally::default());
}

#[tokio::test]
async fn a_read_that_waits_while_the_phase_changes_is_not_compared() {
    let (database, server, mut shadow) = moved().await;
    shadow.stop().await;
    let (server_of_late, mut late) = TestServer::start_shadowed(&database, EVERY_READ).await;
    server.stop().await;
    database.change_phase(PhaseChange::RaiseFence).await;
    read(&server_of_late).await;
    database.change_phase(PhaseChange::Finalize).await;
    // Legacy is left behind, and filled up later: neither is a difference.
    server_of_late.append("acme", "order", "1").event("Alone").ok().await;
    late.run();
    assert_eq!(late.after(1).await, ShadowTally { skipped: 1, ..ShadowTally::default() });
    assert_eq!(open(&database).await, []);
}

#[tokio::test]
async fn a_table_that_is_locked_and_a_database_that_is_away_are_not_waited_for() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    let (server, mut shadow) = TestServer::start_shadowed(&database, EVERY_READ).await;
    read(&server).await;
    let mut session = database.connect().await;
    let lock = "BEGIN; LOCK TABLE event_store_control IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut session).await.unwrap();
    shadow.run();
    assert_eq!(shadow.after(1).await, ShadowTally { skipped: 1, ..ShadowTally::default() });
    sqlx::raw_sql("ROLLBACK").execute(&mut session).await.unwrap();
    shadow.stop().await;

    let (server, mut shadow) = TestServer::start_shadowed(&database, EVERY_READ).await;
    read(&server).await;
    database.close().await;
    shadow.run();
    assert_eq!(shadow.after(1).await, ShadowTally { skipped: 1, ..ShadowTally::default() });
    database.reopen().await;
    let answers = async || server.read("acme", "order", "1").messages().await.is_ok();
    eventually("the database answers again", answers).await;
    assert_eq!(shadow.after(2).await, ShadowTally { skipped: 1, ..compared(1, 20) });
}

#[tokio::test]
async fn a_difference_is_not_written_down_where_its_tenant_was_proved_equal_since() {
    let (database, server, shadow) = moved().await;
    database
        .tamper("DELETE FROM event_store_partitioned WHERE aggregate_id = '1' AND aggregate_version = 5")
        .await;
    database.execute("UPDATE event_store_tenant SET verified_at = now() + interval '1 hour'").await;
    read(&server).await;
    assert_eq!(shadow.after(1).await.differences, 1);
    assert_eq!(open(&database).await, []);
    assert_eq!(verified_tenants(&database).await, 1);
}

#[tokio::test]
async fn what_is_open_and_what_is_left_to_copy_is_measured() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    let migration = database.migration();
    let remaining = async || {
        migration.record_figures().await.unwrap();
        (metric("partita_backfill_rows_remaining") > 0.0, metric("partita_parity_mismatches"))
    };
    let (server, _shadow) = TestServer::start_shadowed(&database, EVERY_READ).await;
    migration.start(UNTHROTTLED, "test").await.unwrap();
    let copied = metric("partita_backfill_rows_total");
    assert_eq!(remaining().await, (true, 0.0));
    database.finish_backfill(1_000).await;
    assert_eq!(remaining().await, (false, 0.0));
    assert!(metric("partita_backfill_rows_total") >= copied + 40.0);
    database.tamper("DELETE FROM event_store_partitioned WHERE aggregate_version = 5").await;
    database.verify_tables().await;
    assert_eq!(remaining().await, (false, 2.0));
    server.stop().await;
}

/// A statement of the shadow, to be bound to the values of a test.
type Planned = sqlx::query::QueryScalar<'static, sqlx::Postgres, String, sqlx::postgres::PgArguments>;

fn explain(statement: &str) -> Planned {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}")))
}

/// The most rows that a step of each statement meets, in a session as the shadow has it, for a stream of 50 versions.
async fn rows_met(database: &TestDatabase) -> Vec<u64> {
    let time = [month(0), month(1)].map(|month| month.start().to_datetime());
    let look = explain(include_str!("../../crates/migration/sql/shadow/look_at_range.sql"));
    let find = explain(include_str!("../../crates/migration/sql/verify/find_differences.sql"));
    let list = explain(include_str!("../../crates/migration/sql/shadow/list_not_copied.sql"));
    let find = find.bind("acme").bind(time[0]).bind(time[1]).bind(2_000_i64);
    let statements = [
        look.bind("acme").bind("order").bind("1").bind(1_i32).bind(50_i32).bind(2_000_i64),
        find.bind("order").bind("1").bind(1_i64).bind(50_i64),
        list.bind("acme").bind("order").bind("1").bind(1_i32).bind(50_i32).bind(vec![7, 9]).bind(2_000_i64),
    ];
    let mut session = database.connect().await;
    let settings = "SET plan_cache_mode = force_custom_plan; SET jit = off; SET timezone = 'UTC'; \
         SET max_parallel_workers_per_gather = 0; SET enable_sort = off";
    sqlx::raw_sql(settings).execute(&mut session).await.unwrap();
    let mut met = Vec::new();
    for statement in statements {
        let plan = statement.fetch_all(&mut session).await.unwrap();
        let numbers = plan.iter().flat_map(|line| {
            let met = line.split_once("actual rows=").or_else(|| line.split_once("Removed by Filter: "));
            met.and_then(|(_, rest)| rest.split(|one: char| !one.is_ascii_digit()).next()?.parse().ok())
        });
        met.push(numbers.max().unwrap());
    }
    met
}

#[tokio::test]
async fn the_rows_of_a_stream_are_found_among_those_of_its_tenant_with_and_without_statistics() {
    let database = TestDatabase::new().await;
    let from = month(0).start().to_string();
    let many = History { streams: 40, versions: 50, from: &from, step: "1 minute", ..HISTORY };
    database.write_history(many).await;
    database.backfill().await;
    database.execute("DELETE FROM pg_statistic").await;
    // Of 2,000; a planner that knows better may meet fewer.
    let is_of_the_stream = |met: Vec<u64>| assert!(met.iter().all(|rows| (1..=50).contains(rows)), "{met:?}");
    is_of_the_stream(rows_met(&database).await);
    database.execute("ANALYZE").await;
    is_of_the_stream(rows_met(&database).await);
}
