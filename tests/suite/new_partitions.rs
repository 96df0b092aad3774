//! Partitions that make themselves: with a tenant's first write, online, whoever else writes.

use partita_store::StoreConfig;
use partita_tests::{AppendCall, TestDatabase, TestServer, eventually, month, months};
use sqlx::Connection as _;
use tokio::task::JoinSet;

#[tokio::test]
async fn the_first_write_makes_the_previous_the_current_and_the_next_two_months() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    assert_eq!(server.months_of("acme").await, months(-1..=2));
    let floor: String = database
        .scalar(
            "SELECT to_char(retention_floor AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
             FROM event_store_tenant",
        )
        .await;
    assert_eq!(floor, month(-18).start().to_string());
}

#[tokio::test]
async fn an_event_of_another_month_makes_that_month_alone() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let long_ago = month(-7).start().to_string();
    server.append("acme", "order", "1").events_at(&[&long_ago]).ok().await;
    assert_eq!(server.months_of("acme").await, months([-7, -1, 0, 1, 2]));
    assert_eq!(database.differing_rows().await, 0);
}

#[tokio::test]
async fn a_first_write_of_a_month_of_its_own_is_recorded_at_once() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let instants = months([-10, 2, -5]);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3]);
    assert_eq!(server.months_of("acme").await, months([-10, -5, -1, 0, 1, 2]));
}

#[tokio::test]
async fn a_first_write_whose_partitions_are_cut_off_by_a_restart_is_told_to_try_again() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    // Readers and lanes pass, the maker of partitions waits.
    let mut blocker = database.connect().await;
    let hold = "BEGIN; LOCK TABLE public.event_store_tenant IN SHARE MODE";
    sqlx::raw_sql(hold).execute(&mut blocker).await.unwrap();
    let sent = tokio::spawn(server.append("acme", "order", "1").event("First").refused());
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita first write' AND wait_event_type = 'Lock'";
    eventually("the maker waits, and is ended", async || database.scalar::<i64>(end).await > 0).await;
    assert_eq!(sent.await.unwrap().reason, "DATABASE_UNAVAILABLE");
    blocker.close().await.unwrap();
    server.append("acme", "order", "1").event("First").ok().await;
}

#[tokio::test]
async fn a_first_write_that_cannot_have_its_lock_says_so_and_names_nobody() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    // As an ANALYZE of the whole table does, for as long as it runs.
    let mut analyze = database.connect().await;
    let lock = "BEGIN; LOCK TABLE ONLY event_store_partitioned IN SHARE UPDATE EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut analyze).await.unwrap();
    let refusal = server.append("newcomer", "order", "1").event("First").refused().await;
    assert_eq!(refusal.reason, "PARTITION_UNAVAILABLE");
    assert!(refusal.retry_after.is_some() && !refusal.message.contains("pid"), "{refusal:?}");
    server.append("acme", "order", "1").events_at(&[&month(-7).start().to_string()]).ok().await;
    sqlx::raw_sql("ROLLBACK").execute(&mut analyze).await.unwrap();
    server.append("newcomer", "order", "1").event("First").ok().await;
    assert_eq!(server.read("newcomer", "order", "1").versions().await, [1]);
}

/// More than can be answered, one after the other, while a first write waits for a connection.
const READERS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_write_does_not_wait_for_readers_who_have_every_connection() {
    let database = TestDatabase::new().await;
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.read_connections_max = 1;
    };
    let server = TestServer::start_with(&database, change).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let leaf = format!("event_store_partitions.t1_{}", month(0).to_string().replace('-', "_"));
    let mut holder = database.connect().await;
    let lock = format!("BEGIN; LOCK TABLE {leaf} IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut holder).await.unwrap();
    let mut reads: JoinSet<_> = (0..READERS).map(|_| server.read("acme", "order", "1").refused()).collect();
    let reading = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita' AND wait_event_type = 'Lock'";
    eventually("a reader waits", async || database.scalar::<i64>(reading).await == 1).await;

    server.append("newcomer", "order", "1").event("First").ok().await;
    server.append("newcomer", "order", "1").events_at(&[&month(-7).start().to_string()]).ok().await;
    reads.abort_all();
    while reads.join_next().await.is_some() {}
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_eq!(server.months_of("newcomer").await, months([-7, -1, 0, 1, 2]));
}

#[tokio::test]
async fn each_leaf_keeps_versions_and_positions_unique_and_there_is_no_default_partition() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let keys: Vec<String> = database
        .column(
            "SELECT DISTINCT pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE conrelid IN (SELECT leaf FROM event_store_partition_leaf('acme')) AND contype IN ('p', 'u') ORDER BY 1",
        )
        .await;
    let expected = [
        "PRIMARY KEY (tenant_id, event_id, event_timestamp)",
        "UNIQUE (tenant_id, \"position\")",
        "UNIQUE (tenant_id, aggregate_type, aggregate_id, aggregate_version)",
    ];
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, expected);
    let defaults = "SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0";
    assert_eq!(database.scalar::<i64>(defaults).await, 0);
    let indexes = "SELECT max(count) FROM (SELECT count(*) FROM pg_index \
         WHERE indrelid IN (SELECT leaf FROM event_store_partition_leaf('acme')) GROUP BY indrelid) AS a_leaf";
    assert_eq!(database.scalar::<i64>(indexes).await, 3);
}

#[tokio::test]
async fn a_new_tenant_is_made_while_a_writer_holds_the_table_open() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    // An uncommitted row in another tenant's partition: ROW EXCLUSIVE on the root until the end of the test.
    let mut writer = database.connect().await;
    let mut open = writer.begin().await.unwrap();
    let copied = sqlx::raw_sql(
        "INSERT INTO event_store_partitioned SELECT gen_random_uuid(), event_type, aggregate_type, 'open', \
         aggregate_version, event_data, event_metadata, tenant_id, user_id, correlation_id, causation_id, \
         legal_basis, data_classification, retention_policy, ip_address, user_agent, session_id, request_id, \
         event_hash, previous_event_hash, event_timestamp, created_at, 1000 FROM event_store_partitioned",
    );
    assert_eq!(copied.execute(&mut *open).await.unwrap().rows_affected(), 1);
    server.append("newcomer", "order", "1").event("First").ok().await;
    server.append("acme", "order", "2").events_at(&[&month(-9).start().to_string()]).ok().await;
    assert_eq!(server.months_of("newcomer").await.len(), 4);
    open.rollback().await.unwrap();
}

#[tokio::test]
async fn making_a_tenant_takes_no_lock_on_the_root_that_readers_or_writers_meet() {
    let database = TestDatabase::new().await;
    let mut session = database.connect().await;
    let mut open = session.begin().await.unwrap();
    let made: i32 = sqlx::query_scalar("SELECT ensure_event_store_partition('acme')")
        .fetch_one(&mut *open)
        .await
        .unwrap();
    assert_eq!(made, 4);
    let mut modes: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND granted \
         AND relation = 'public.event_store_partitioned'::regclass",
    )
    .fetch_all(&mut *open)
    .await
    .unwrap();
    modes.retain(|mode| !["AccessShareLock", "RowShareLock", "RowExclusiveLock"].contains(&mode.as_str()));
    assert_eq!(modes, ["ShareUpdateExclusiveLock"]);
    open.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_writes_at_once_make_each_tenant_once() {
    let database = TestDatabase::new().await;
    let servers = [TestServer::start(&database, true).await, TestServer::start(&database, true).await];
    let mut calls = JoinSet::new();
    for writer in 0..40 {
        let tenant = format!("tenant-{}", writer % 5);
        calls.spawn(servers[writer % 2].append(&tenant, "order", "1").event("First").ok());
    }
    while let Some(answer) = calls.join_next().await {
        answer.unwrap();
    }
    for tenant in 0..5 {
        let tenant = format!("tenant-{tenant}");
        assert_eq!(servers[0].read(&tenant, "order", "1").versions().await, (1..=8).collect::<Vec<_>>());
        assert_eq!(servers[0].months_of(&tenant).await, months(-1..=2));
        assert_eq!(database.last_position(&tenant).await, 8);
    }
    assert_eq!(database.count("event_store_tenant").await, 5);
    assert_eq!(database.differing_rows().await, 0);
}

/// Sends all of them at once; each must be recorded.
async fn all_recorded(database: &TestDatabase, calls: impl Iterator<Item = AppendCall>) {
    let mut calls: JoinSet<_> = calls.map(AppendCall::ok).collect();
    while let Some(answer) = calls.join_next().await {
        answer.unwrap();
    }
    assert_eq!(database.differing_rows().await, 0);
}

/// PostgreSQL ended nobody's transaction for a deadlock. A session tells what it counted at its end at the latest.
async fn no_deadlock(database: &TestDatabase, servers: [TestServer; 2]) {
    for server in servers {
        server.stop().await;
    }
    let left = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'partita%'";
    eventually("the sessions are gone", async || database.scalar::<i64>(left).await == 0).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(database.scalar::<i64>(deadlocks).await, 0);
}

/// How many leaves there are, and of how many different months.
const LEAVES: &str = "SELECT count(*) || ' months, ' || count(DISTINCT range_start) || ' different' \
     FROM event_store_partition_leaf()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_first_writes_of_one_new_tenant_at_once_make_it_once() {
    let database = TestDatabase::new().await;
    let servers = [TestServer::start(&database, true).await, TestServer::start(&database, true).await];
    let call = |writer: usize| servers[writer % 2].append("acme", "order", &format!("stream-{writer}"));
    all_recorded(&database, (0..50).map(|writer| call(writer).event("First"))).await;
    assert_eq!(servers[0].months_of("acme").await, months(-1..=2));
    assert_eq!(database.scalar::<String>(LEAVES).await, "4 months, 4 different");
    assert_eq!(database.last_position("acme").await, 50);
    // Nobody left a table behind that it had made in vain.
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'event_store_partitions'::regnamespace \
         AND relkind IN ('r', 'p')";
    assert_eq!(database.scalar::<i64>(tables).await, 5);
    no_deadlock(&database, servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_new_tenants_at_once_are_all_made_and_recorded() {
    let database = TestDatabase::new().await;
    let servers = [TestServer::start(&database, true).await, TestServer::start(&database, true).await];
    let call = |writer: usize| servers[writer % 2].append(&format!("tenant-{writer}"), "order", "1");
    all_recorded(&database, (0..50).map(|writer| call(writer).event("First"))).await;
    assert_eq!(database.count("event_store_tenant").await, 50);
    assert_eq!(database.scalar::<String>(LEAVES).await, "200 months, 4 different");
    for tenant in 0..50 {
        let tenant = format!("tenant-{tenant}");
        assert_eq!(servers[0].read(&tenant, "order", "1").versions().await, [1], "{tenant}");
        assert_eq!(database.last_position(&tenant).await, 1, "{tenant}");
    }
    no_deadlock(&database, servers).await;
}
