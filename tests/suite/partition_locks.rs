//! Locks: maintenance takes none that writers meet, or lets go of it soon; and the number that an append or a read takes
//! does not grow with the partitions.

use partita_store::StoreConfig;
use partita_tests::{TestDatabase, TestServer, eventually, month, months};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// Modes that an append (ROW EXCLUSIVE) and a read (ACCESS SHARE) do not wait for.
const HARMLESS: [&str; 4] =
    ["AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"];

/// The relations that the tenant's appends meet, and the mode that a session holds or wants on each: its table, its months
/// that are not detached, the root.
async fn modes_of(database: &TestDatabase, pid: i32) -> Vec<(String, String)> {
    let query = "SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = $1 AND locktype = 'relation' \
         AND relation IN (SELECT 'public.event_store_partitioned'::regclass \
         UNION SELECT tenant_table FROM event_store_partition_tenant() \
         UNION SELECT leaf FROM event_store_partition_leaf() WHERE state = 'attached') ORDER BY 1, 2";
    sqlx::query_as(query).bind(pid).fetch_all(database.pool()).await.unwrap()
}

async fn pid(session: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(session).await.unwrap()
}

/// Asserts that nothing which the session holds is met by an append or a read.
async fn assert_harmless(database: &TestDatabase, pid: i32, step: &str) {
    let modes = modes_of(database, pid).await;
    assert!(!modes.is_empty(), "{step}: the session holds nothing at all");
    for (relation, mode) in modes {
        assert!(HARMLESS.contains(&mode.as_str()), "{step}: {mode} on {relation}");
    }
}

/// Two tenants with an event in each of the last five months; a writer and a long reader of the first are in the middle of
/// their transactions.
async fn busy(database: &TestDatabase) -> (TestServer, PgConnection, PgConnection) {
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.retention_months = 0;
        config.maintenance.grace_days = 7;
    };
    let server = TestServer::start_with(database, change).await;
    let instants = months(-4..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    for tenant in ["acme", "beta"] {
        server.append(tenant, "order", "1").events_at(&instants).ok().await;
    }
    let mut reader = database.connect().await;
    let report = "BEGIN; SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'";
    sqlx::raw_sql(report).execute(&mut reader).await.unwrap();
    let mut writer = database.connect().await;
    let write = "BEGIN; INSERT INTO event_store_partitioned SELECT gen_random_uuid(), event_type, aggregate_type, \
         'open', aggregate_version, event_data, event_metadata, tenant_id, user_id, correlation_id, causation_id, \
         legal_basis, data_classification, retention_policy, ip_address, user_agent, session_id, request_id, \
         event_hash, previous_event_hash, event_timestamp, created_at, 1000 + position \
         FROM event_store_partitioned WHERE tenant_id = 'acme' AND aggregate_version = 5";
    sqlx::raw_sql(write).execute(&mut writer).await.unwrap();
    (server, writer, reader)
}

async fn write_both(server: &TestServer) {
    for tenant in ["acme", "beta"] {
        server.append(tenant, "order", "beside").event("Beside").ok().await;
    }
}

#[tokio::test]
async fn making_a_tenant_or_a_month_beside_a_writer_and_a_reader_takes_no_lock_that_either_meets() {
    let database = TestDatabase::new().await;
    let (server, writer, reader) = busy(&database).await;
    let mut maker = database.connect().await;
    let number = pid(&mut maker).await;
    for statement in [
        "SELECT ensure_event_store_partition('newcomer')".to_owned(),
        format!("SELECT event_store_create_month('acme', '{}')", month(-9).start()),
    ] {
        let mut open = maker.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut *open).await.unwrap();
        // Made, and not committed: what it holds now, it holds to the end.
        assert_harmless(&database, number, &statement).await;
        write_both(&server).await;
        open.commit().await.unwrap();
    }
    drop((writer, reader));
}

#[tokio::test]
async fn detaching_and_dropping_beside_a_writer_and_a_reader_takes_no_lock_that_either_meets() {
    let database = TestDatabase::new().await;
    let (server, mut writer, mut reader) = busy(&database).await;
    let detacher = "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%DETACH%CONCURRENTLY'";
    let run = async || server.maintain("acme", |request| request.retention_months = Some(2)).await;
    let watched = async {
        eventually("a detach waits", async || database.scalar::<i32>(detacher).await != 0).await;
        let number: i32 = database.scalar(detacher).await;
        // While it waits it may well hold nothing at all.
        for (relation, mode) in modes_of(&database, number).await {
            assert!(HARMLESS.contains(&mode.as_str()), "detach: {mode} on {relation}");
        }
        write_both(&server).await;
    };
    let (given_up, ()) = tokio::join!(run(), watched);
    assert_eq!(
        given_up.summary.tenants_failed, 1,
        "a detach waits for the transactions before it, and not for long"
    );
    for session in [&mut writer, &mut reader] {
        sqlx::raw_sql("ROLLBACK").execute(session).await.unwrap();
    }
    let done = run().await;
    assert_eq!((done.summary.tenants_failed, done.summary.detached), (0, 2), "{done:?}");

    // The drop, with a reader and a writer again.
    let report = "BEGIN; SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'";
    sqlx::raw_sql(report).execute(&mut reader).await.unwrap();
    database.execute("UPDATE event_store_detached SET drop_after = now()").await;
    let mut dropper = database.connect().await;
    let number = pid(&mut dropper).await;
    let mut open = dropper.begin().await.unwrap();
    let dropped: bool = sqlx::query_scalar(
        "SELECT bool_and(event_store_drop_detached(tenant_id, partition_name)) FROM event_store_detached",
    )
    .fetch_one(&mut *open)
    .await
    .unwrap();
    assert!(dropped);
    // It wants nothing of the tables that are left, and so holds nothing that anybody meets.
    for (relation, mode) in modes_of(&database, number).await {
        assert!(HARMLESS.contains(&mode.as_str()), "drop: {mode} on {relation}");
    }
    write_both(&server).await;
    open.commit().await.unwrap();
    assert_eq!(server.months_of("acme").await, months(-2..=2));
}

#[tokio::test]
async fn finishing_a_detach_takes_no_lock_on_what_is_left() {
    let database = TestDatabase::new().await;
    let (server, mut writer, mut reader) = busy(&database).await;
    let given_up = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!(given_up.summary.tenants_failed, 1);
    for session in [&mut writer, &mut reader] {
        sqlx::raw_sql("ROLLBACK").execute(session).await.unwrap();
    }
    let pending = "SELECT partition_name FROM event_store_partition_leaf('acme') WHERE state = 'pending'";
    let pending: String = database.scalar(pending).await;
    let mut finisher = database.connect().await;
    let number = pid(&mut finisher).await;
    let mut open = finisher.begin().await.unwrap();
    sqlx::query("SELECT event_store_finalize_detach($1)").bind(pending).execute(&mut *open).await.unwrap();
    assert_harmless(&database, number, "finalize").await;
    write_both(&server).await;
    open.commit().await.unwrap();
}

/// In psql a month is detached plainly, for a function cannot do it concurrently.
#[tokio::test]
async fn a_plain_detach_meets_its_tenant_alone_and_gives_way_to_a_writer() {
    let database = TestDatabase::new().await;
    let (server, writer, reader) = busy(&database).await;
    let expire = "SELECT ensure_event_store_partition('acme', retention_months => 2)";
    // It cannot have the tenant's table, and wants it no longer once it has found that out.
    assert_eq!(database.scalar::<i32>(expire).await, 0);
    assert_eq!(server.months_of("acme").await, months(-4..=2));
    let wanted = "SELECT count(*) FROM pg_locks WHERE NOT granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.scalar::<i64>(wanted).await, 0);
    write_both(&server).await;
    for mut session in [writer, reader] {
        sqlx::raw_sql("ROLLBACK").execute(&mut session).await.unwrap();
    }

    let mut expirer = database.connect().await;
    let number = pid(&mut expirer).await;
    let mut open = expirer.begin().await.unwrap();
    sqlx::raw_sql(expire).execute(&mut *open).await.unwrap();
    let met: Vec<(String, String)> = modes_of(&database, number).await;
    let met = met.into_iter().filter(|(_, mode)| !HARMLESS.contains(&mode.as_str()));
    let of_acme = "SELECT tenant_table::regclass::text FROM event_store_partition_tenant('acme') \
         UNION SELECT leaf::regclass::text FROM event_store_partition_leaf('acme')";
    let of_acme: Vec<String> = database.column(of_acme).await;
    let met: Vec<String> = met.map(|(relation, _)| relation).collect();
    assert!(met.len() >= 3 && met.iter().all(|relation| of_acme.contains(relation)), "{met:?}");
    server.append("beta", "order", "beside").event("Beside").ok().await;
    server.append("newcomer", "order", "1").event("First").ok().await;
    open.commit().await.unwrap();
    assert_eq!(server.months_of("acme").await, months(-2..=2));
    write_both(&server).await;
}

#[tokio::test]
async fn every_function_that_waits_for_a_lock_gives_up_within_two_seconds() {
    let database = TestDatabase::new().await;
    // Those that run DDL, lock rows or tables, or take a lock of a tenant. A GRANT waits for nobody.
    let takers = "FROM pg_proc WHERE pronamespace = 'public'::regnamespace \
         AND prosrc ~ 'EXECUTE format|LOCK TABLE|FOR UPDATE|pg_advisory_xact_lock' AND provolatile = 'v' \
         AND proname <> 'event_store_grant'";
    assert!(database.scalar::<i64>(format!("SELECT count(*) {takers}")).await >= 8);
    let patient = format!(
        "SELECT proname::text {takers} AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting (line) \
         WHERE split_part(line, '=', 1) = 'lock_timeout' \
         AND split_part(line, '=', 2)::interval BETWEEN interval '1 ms' AND interval '2 s') ORDER BY 1"
    );
    let patient: Vec<String> = database.column(patient).await;
    assert_eq!(patient, [""; 0], "functions that wait for longer");
}

/// The statement of a page, and what its parameters are in this test.
const PAGE: &str = include_str!("../../crates/store/sql/read_stream/page_union_forwards.sql");

/// How many locks a page of the stream takes, in a session as the service has it.
async fn locks_of_page(session: &mut PgConnection, executions: usize) -> i64 {
    let mut open = session.begin().await.unwrap();
    for _ in 0..executions {
        let rows: Vec<PgRow> = sqlx::query(PAGE)
            .bind("acme")
            .bind("order")
            .bind("1")
            .bind(1_i32)
            .bind(i32::MAX)
            .bind(month(-1_000).start().to_datetime())
            .bind(month(1_000).start().to_datetime())
            .bind(month(0).start().to_datetime())
            .bind(month(1).start().to_datetime())
            .bind(100_i64)
            .fetch_all(&mut *open)
            .await
            .unwrap();
        assert!(!rows.is_empty());
    }
    let locks = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' \
         AND relation <> 'pg_locks'::regclass";
    let count = sqlx::raw_sql(locks).fetch_one(&mut *open).await.unwrap().get(0);
    open.rollback().await.unwrap();
    count
}

/// How many locks a lane has when it is about to write: planned, its rows not yet written.
async fn locks_of_append(database: &TestDatabase, server: &TestServer) -> i64 {
    let hold = database.hold_tenant("acme").await;
    let append = server.append("acme", "order", "1").event("Counted").ok();
    let counted = async {
        database.lane_waits().await;
        let query = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity AS activity USING (pid) \
             WHERE activity.application_name = 'partita lane' AND activity.datname = current_database() \
             AND locktype = 'relation' AND activity.wait_event_type = 'Lock'";
        let count: i64 = database.scalar(query).await;
        hold.release().await;
        count
    };
    let (_, count) = tokio::join!(append, counted);
    count
}

/// Tenants of twenty months each, in transactions that keep within PostgreSQL's default lock table.
async fn make_leaves(database: &TestDatabase, tenants: std::ops::Range<u32>) {
    for tenant in tenants {
        database
            .execute(format!(
                "SET client_min_messages = error; SELECT event_store_create_months('tenant-{tenant}', \
                 ARRAY(SELECT event_store_month_start(now()) + make_interval(months => m) \
                 FROM generate_series(-17, 2) AS m))"
            ))
            .await;
    }
}

#[tokio::test]
async fn an_append_and_a_read_take_as_many_locks_at_2_000_partitions_as_at_one() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    database.execute(format!("SELECT event_store_create_month('acme', '{}')", month(0).start())).await;
    server.append("acme", "order", "1").event("First").ok().await;
    // As the service's own sessions are, see its options for lanes and for reads.
    let mut session = database.connect().await;
    let settings = "SET plan_cache_mode = force_custom_plan; SET enable_sort = off; SET jit = off; \
         SET max_parallel_workers_per_gather = 0; SET timezone = 'UTC'";
    sqlx::raw_sql(settings).execute(&mut session).await.unwrap();
    let leaves = "SELECT count(*) FROM event_store_partition_leaf()";
    assert_eq!(database.scalar::<i64>(leaves).await, 1);
    let page = locks_of_page(&mut session, 1).await;
    let append = locks_of_append(&database, &server).await;
    assert!(page > 0 && append > 0);

    let mut made = 0;
    for (tenants, executions) in [(5, 10), (100, 1_000)] {
        make_leaves(&database, made..tenants).await;
        made = tenants;
        assert_eq!(database.scalar::<i64>(leaves).await, i64::from(20 * tenants + 1));
        for _ in 0..executions {
            server.append("acme", "order", "1").event("Again").ok().await;
        }
        assert_eq!(locks_of_append(&database, &server).await, append, "{tenants} tenants");
        assert_eq!(locks_of_page(&mut session, executions).await, page, "{tenants} tenants");
    }
    let fresh = TestServer::start(&database, true).await;
    fresh.append("acme", "order", "1").event("First of a new process").ok().await;
    assert_eq!(locks_of_append(&database, &fresh).await, append, "planned at 2,000 partitions");
}
