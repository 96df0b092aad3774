//! Row security: whatever forgets its tenant finds nothing of others; and what does not forget it works as ever.

use std::fmt::Write as _;

use partita_migration::{MigrationError, Refusal as Obstacle, Workers};
use partita_store::{DatabaseUrl, RowSecurity, Store, StoreConfig, schema};
use partita_tests::{
    ForeignEvent, History, Refusal, TestDatabase, TestServer, UNTHROTTLED, at, eventually, month, months,
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// Names that a list of names could stumble over.
const ODD_NAMES: [&str; 8] =
    ["a,b", "{brace}", "}", "\"quoted\"", "back\\slash", "NULL", " spaced ", "quote's"];

async fn guarded() -> TestDatabase {
    let database = TestDatabase::new().await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    database
}

async fn serving(
    database: &TestDatabase,
    url: &DatabaseUrl,
    change: impl FnOnce(&mut StoreConfig),
) -> TestServer {
    TestServer::start_with(database, |config| {
        config.database_url = url.clone();
        config.partitions_v1 = true;
        change(config);
    })
    .await
}

async fn run(session: &mut PgConnection, statement: &str) -> Result<u64, String> {
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(session).await;
    done.map(|done| done.rows_affected()).map_err(|error| {
        let code = error.as_database_error().and_then(|error| error.code());
        code.map(|code| code.into_owned()).unwrap_or_default()
    })
}

async fn count(session: &mut PgConnection, rows: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {rows}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(session).await.unwrap()
}

async fn name(session: &mut PgConnection, list: &str) {
    let set = format!("SELECT set_config('partita.tenants', '{list}', false)");
    run(session, &set).await.unwrap();
}

/// Three events of acme and five of globex, in both tables.
async fn two_tenants(database: &TestDatabase) -> TestServer {
    let owner = TestServer::start(database, true).await;
    owner.append("acme", "order", "1").events(3).ok().await;
    owner.append("globex", "order", "1").events(5).ok().await;
    owner
}

#[tokio::test]
async fn a_session_that_names_no_tenant_finds_no_row_and_writes_none() {
    let database = guarded().await;
    let _owner = two_tenants(&database).await;
    let before = database.contents().await;
    let (_, mut session) = database.login("event_store_app").await;
    for list in [None, Some(""), Some("{}"), Some("{nobody}")] {
        if let Some(list) = list {
            name(&mut session, list).await;
        }
        for table in ["event_store", "event_store_partitioned", "event_store_stream"] {
            assert_eq!(count(&mut session, table).await, 0, "{table} {list:?}");
            let rows = format!("{table} WHERE tenant_id = 'acme'");
            assert_eq!(count(&mut session, &rows).await, 0, "{rows} {list:?}");
        }
        let locked = "(SELECT FROM event_store_tenant FOR NO KEY UPDATE) AS locked";
        assert_eq!(count(&mut session, locked).await, 0, "{list:?}");
        for write in ["event_store_tenant SET last_position = 0", "event_store_stream SET version = 0"] {
            assert_eq!(run(&mut session, &format!("UPDATE {write}")).await, Ok(0), "{write} {list:?}");
        }
        for insert in INSERTS {
            assert_eq!(run(&mut session, insert).await, Err("42501".to_owned()), "{insert} {list:?}");
        }
    }
    assert_eq!(database.contents().await, before);
}

/// A row of globex into each table that the app writes.
const INSERTS: [&str; 3] = [
    "INSERT INTO event_store_stream VALUES ('globex', 'order', 'new', 1, 'hash', now(), now())",
    "INSERT INTO event_store (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, \
     tenant_id, user_id, event_hash) \
     VALUES (gen_random_uuid(), 'Planted', 'order', 'new', 1, '{}', 'globex', 'eve', 'hash')",
    "INSERT INTO event_store_partitioned (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, \
     event_data, tenant_id, user_id, event_hash, position) \
     VALUES (gen_random_uuid(), 'Planted', 'order', 'new', 1, '{}', 'globex', 'eve', 'hash', 99)",
];

#[tokio::test]
async fn a_session_that_names_a_tenant_finds_its_rows_alone_and_moves_none_to_another() {
    let database = guarded().await;
    let _owner = two_tenants(&database).await;
    let before = database.contents().await;
    let (_, mut session) = database.login("event_store_app").await;
    name(&mut session, "{acme}").await;
    for (table, rows) in [("event_store", 3), ("event_store_partitioned", 3), ("event_store_stream", 1)] {
        assert_eq!(count(&mut session, table).await, rows, "{table}");
        let other = format!("{table} WHERE tenant_id = 'globex'");
        assert_eq!(count(&mut session, &other).await, 0, "{other}");
    }
    for insert in INSERTS {
        assert_eq!(run(&mut session, insert).await, Err("42501".to_owned()), "{insert}");
    }
    let moved = "UPDATE event_store_stream SET tenant_id = 'globex'";
    assert_eq!(run(&mut session, moved).await, Err("42501".to_owned()));
    let met = "INSERT INTO event_store_stream VALUES ('globex', 'order', '1', 9, 'hash', now(), now()) \
         ON CONFLICT (tenant_id, aggregate_type, aggregate_id) DO UPDATE SET version = 9";
    assert_eq!(run(&mut session, met).await, Err("42501".to_owned()));
    // A list that is none is a mistake, not nobody.
    name(&mut session, "acme").await;
    assert_eq!(run(&mut session, "SELECT FROM event_store_stream").await, Err("22P02".to_owned()));
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn who_owns_the_tables_or_maintains_or_reports_is_not_bound() {
    let database = guarded().await;
    let _owner = two_tenants(&database).await;
    for role in ["event_store_maintenance", "event_store_reader"] {
        let (_, mut session) = database.login(role).await;
        for table in ["event_store", "event_store_partitioned"] {
            assert_eq!(count(&mut session, table).await, 8, "{role} {table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_many_tenants_names_them_all() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |config| config.lanes.count = 1).await;
    for tenant in ODD_NAMES {
        server.append(tenant, "order", "1").event("First").ok().await;
    }
    for round in 0..3 {
        // What comes while the lane waits is one batch; what it remembers is recorded from memory, the rest by a look.
        let hold = database.hold_tenant(ODD_NAMES[0]).await;
        let first = tokio::spawn(server.append(ODD_NAMES[0], "order", "1").event("Held").ok());
        database.lane_waits().await;
        let mut sent = JoinSet::new();
        for tenant in ODD_NAMES {
            sent.spawn(server.append(tenant, "order", "1").event("Known").ok());
            sent.spawn(server.append(tenant, "order", &format!("new-{round}")).event("New").ok());
        }
        hold.release().await;
        first.await.unwrap();
        sent.join_all().await;
    }
    let commits: i64 = database.scalar("SELECT count(DISTINCT xmin::text) FROM event_store").await;
    assert!(commits < database.count("event_store").await, "no batch held two appends");
    for tenant in ODD_NAMES {
        let versions = server.read(tenant, "order", "1").versions().await;
        assert_eq!(versions.len(), if tenant == ODD_NAMES[0] { 7 } else { 4 }, "{tenant}");
        assert_eq!(server.verify(tenant).await.found(), [], "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_many_tenants_by_one_session_never_see_each_others() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let change = |config: &mut StoreConfig| {
        config.read_connections_max = 1;
        config.retention_months = 0;
    };
    let server = std::sync::Arc::new(serving(&database, &url, change).await);
    let instants = months(-2..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    for (place, tenant) in ODD_NAMES.into_iter().enumerate() {
        // The same stream for all, of another length and writer for each, over several months and in legacy alone.
        server.append(tenant, "order", "1").events_at(&instants).ok().await;
        let mut other = database.connect().await;
        for version in 0..i32::try_from(place).unwrap() {
            ForeignEvent::new(tenant, "1", 4 + version).write(&mut other).await.unwrap();
        }
    }
    let mut readers = JoinSet::new();
    for (place, tenant) in ODD_NAMES.into_iter().enumerate() {
        let server = server.clone();
        readers.spawn(async move {
            for _ in 0..10 {
                let answer = server.read(tenant, "order", "1").ok().await;
                assert_eq!(answer.events.len(), 3 + place, "{tenant}");
                let other = server.read(tenant, "order", "2").refused().await;
                assert_eq!(other.reason, "STREAM_NOT_FOUND");
            }
        });
    }
    readers.join_all().await;
}

/// What a statement that is about nobody would find in its session.
async fn leave_traces(database: &TestDatabase) {
    database
        .execute(
            "CREATE OR REPLACE FUNCTION public.event_store_partition_check(\
             p_tenant_id text DEFAULT NULL, p_months_ahead integer DEFAULT 2, p_now timestamptz DEFAULT now()) \
             RETURNS TABLE (finding text, tenant_id text, partition_name text, range_start timestamptz, \
             range_end timestamptz, detail text) LANGUAGE sql AS $$ SELECT 'gap', NULL, NULL, NULL::timestamptz, \
             NULL::timestamptz, concat_ws('|', current_setting('statement_timeout'), \
             current_setting('partita.tenants', true)) $$",
        )
        .await;
}

async fn traces(server: &TestServer) -> Vec<String> {
    let request = partita_proto::v1::CheckPartitionsRequest::default();
    let mut stream = server.partitions().check_partitions(request).await.unwrap().into_inner();
    let mut details = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        let mut text = String::new();
        write!(text, "{message:?}").unwrap();
        details.push(text);
    }
    details
}

#[tokio::test]
async fn a_session_of_the_pool_keeps_neither_the_tenant_nor_the_deadline_of_its_last_call() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |config| config.read_connections_max = 1).await;
    server.append("acme", "order", "1").event("First").ok().await;
    leave_traces(&database).await;
    let untouched = traces(&server).await;
    assert!(untouched[0].contains("30s|"), "{untouched:?}");
    for _ in 0..5 {
        let request = server.read("acme", "order", "1").within(std::time::Duration::from_secs(9));
        assert_eq!(request.versions().await, [1]);
        let found = traces(&server).await;
        assert_eq!(found.len(), untouched.len());
        for text in &found {
            assert!(!text.contains("acme"), "{text}");
        }
        assert!(found[0].contains("30s|"), "{found:?}");
    }
}

#[tokio::test]
async fn it_is_turned_on_and_off_under_processes_that_serve() {
    let database = TestDatabase::new().await;
    database.execute("SELECT event_store_disable_row_security()").await;
    let (url, mut session) = database.login("event_store_app").await;
    let server = serving(&database, &url, |_| {}).await;
    let append = async |version: i32| {
        server.append("acme", "order", "1").event("Next").ok().await;
        let versions: Vec<i32> = (1..=version).collect();
        assert_eq!(server.read("acme", "order", "1").versions().await, versions);
    };
    append(1).await;
    assert_eq!(count(&mut session, "event_store_partitioned").await, 1);
    database.execute("SELECT event_store_enable_row_security(), event_store_guard_legacy(true)").await;
    append(2).await;
    assert_eq!(count(&mut session, "event_store_partitioned").await, 0);
    assert_eq!(count(&mut session, "event_store").await, 0);
    database.execute("SELECT event_store_disable_row_security(), event_store_guard_legacy(false)").await;
    append(3).await;
    assert_eq!(count(&mut session, "event_store_partitioned").await, 3);
    assert_eq!(count(&mut session, "event_store").await, 3);
    let policies = "SELECT count(*) FROM pg_policy WHERE polrelid = 'event_store'::regclass";
    assert_eq!(database.scalar::<i64>(policies).await, 0, "legacy is as it was found");
}

#[tokio::test]
async fn legacys_own_policies_and_its_lock_are_left_to_others() {
    let database = TestDatabase::new().await;
    let mut session = database.connect().await;
    run(&mut session, "BEGIN; LOCK TABLE event_store IN ACCESS SHARE MODE").await.unwrap();
    let mut other = database.connect().await;
    let guard = "SELECT event_store_guard_legacy(true)";
    assert_eq!(run(&mut other, guard).await, Err("55P03".to_owned()));
    run(&mut session, "ROLLBACK").await.unwrap();
    database.execute("CREATE POLICY theirs ON event_store USING (user_id = current_user)").await;
    for on in ["true", "false"] {
        let guard = format!("SELECT event_store_guard_legacy({on})");
        assert_eq!(run(&mut other, &guard).await, Err("55000".to_owned()));
    }
    database.execute("DROP POLICY theirs ON event_store").await;
    assert_eq!(run(&mut other, guard).await, Ok(1));
    // Twice is once.
    assert_eq!(run(&mut other, guard).await, Ok(1));
}

#[tokio::test]
async fn a_database_in_use_is_migrated_without_it_and_a_fresh_one_with_it() {
    let on = "SELECT count(*) FROM pg_class WHERE relrowsecurity AND relname LIKE 'event\\_store%'";
    let database = TestDatabase::new().await;
    assert_eq!(database.scalar::<i64>(on).await, 3);
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    server.stop().await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    schema::down(&database.url(), 25).await.unwrap();
    assert_eq!(database.scalar::<i64>(on).await, 0);
    schema::up(&database.url()).await.unwrap();
    assert_eq!(database.scalar::<i64>(on).await, 0);
    database.execute("SELECT event_store_enable_row_security()").await;
    assert_eq!(database.scalar::<i64>(on).await, 3);
}

#[tokio::test]
async fn a_process_that_requires_it_or_rules_it_out_does_not_serve_where_it_is_otherwise() {
    let database = TestDatabase::new().await;
    let (url, _) = database.login("event_store_app").await;
    let start = async |url: DatabaseUrl, row_security| {
        let config = StoreConfig { row_security, partitions_v1: true, ..StoreConfig::new(url) };
        Store::connect(config).await.map(drop).map_err(|error| error.to_string())
    };
    let refused = start(url.clone(), RowSecurity::Require).await.unwrap_err();
    assert!(refused.contains("every tenant of event_store:"), "{refused}");
    let refused = start(database.url(), RowSecurity::Require).await.unwrap_err();
    assert!(refused.contains("event_store_partitioned"), "{refused}");
    let refused = start(url.clone(), RowSecurity::Off).await.unwrap_err();
    assert!(refused.contains("database.row_security is `off`"), "{refused}");
    start(database.url(), RowSecurity::Off).await.unwrap();

    database.execute("SELECT event_store_guard_legacy(true)").await;
    start(url.clone(), RowSecurity::Require).await.unwrap();
    database.execute("SELECT event_store_disable_row_security(), event_store_guard_legacy(false)").await;
    start(url, RowSecurity::Off).await.unwrap();
}

#[tokio::test]
async fn a_write_that_it_refuses_is_told_as_such() {
    let database = TestDatabase::new().await;
    database.execute("SELECT event_store_disable_row_security()").await;
    let (url, _) = database.login("event_store_app").await;
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = false;
        config.row_security = RowSecurity::Off;
    };
    let server = serving(&database, &url, change).await;
    server.append("acme", "order", "1").event("First").ok().await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    let refusal = server.append("acme", "order", "2").event("Second").refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "DATABASE_FORBIDS"));
    assert!(refusal.message.contains("row security"), "{}", refusal.message);
    assert_eq!(database.count("event_store").await, 1);
    database.execute("SELECT event_store_guard_legacy(false)").await;
    server.append("acme", "order", "2").event("Second").ok().await;
}

#[tokio::test]
async fn what_looks_at_all_tenants_is_refused_and_not_answered_by_too_few() {
    let database = guarded().await;
    let owner = two_tenants(&database).await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |_| {}).await;
    let request = partita_proto::v1::VerifyChainRequest { tenant_id: String::new() };
    let answer = match server.partitions().verify_chain(request).await {
        Err(status) => Err(status),
        Ok(stream) => stream.into_inner().message().await.map(drop),
    };
    assert_eq!(Refusal::from(answer.unwrap_err()).reason, "DATABASE_FORBIDS");
    let verified = server.verify("globex").await;
    assert_eq!((verified.findings.len(), verified.summary.verified), (0, 5));
    let refusal = server.compare("").await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.fact("obstacles")), ("MIGRATION_OBSTACLE", "ROW_SECURITY"));
    assert_eq!(owner.compare("").await.unwrap().1.tenants_verified, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_a_backfill_name_the_tenant_of_each_month() {
    let database = guarded().await;
    let from = month(-2).start().to_string();
    for tenant in ["acme", "globex", "a,b"] {
        let history = History { tenant, streams: 3, versions: 20, from: &from, step: "20 hours" };
        database.write_history(history).await;
    }
    database.migration().start(UNTHROTTLED, "test").await.unwrap();
    let (url, _) = database.login("event_store_app").await;
    let refused =
        partita_migration::Migration::new(url.clone()).start(UNTHROTTLED, "test").await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Obstacle::RowSecurity)), "{refused}");
    let config = partita_migration::WorkerConfig {
        workers_max: 2,
        poll_interval: std::time::Duration::from_millis(20),
        page_rows_max: 7,
    };
    Workers::new(url, config).run_to_end(&CancellationToken::new()).await.unwrap();
    let verified = database.verify_tables().await;
    assert_eq!((verified.summary.tenants_verified, verified.differences.len()), (3, 0));
    assert_eq!(database.count("event_store_partitioned").await, 3 * 3 * 20);
    let unmarked = "SELECT count(*) FROM event_store_tenant WHERE backfilled_at IS NULL";
    assert_eq!(database.scalar::<i64>(unmarked).await, 0);
}

#[tokio::test]
async fn what_expired_is_gone_and_streams_go_on_behind_it() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |config| config.retention_months = 0).await;
    let instants = months([-4, -3, 0]);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    server.append("acme", "order", "old").events_at(&instants[..1]).ok().await;
    let owner = TestServer::start(&database, true).await;
    owner.maintain("acme", |request| request.retention_months = Some(2)).await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [3]);
    let answer = server.read("acme", "order", "old").ok().await;
    assert_eq!((answer.events.len(), answer.bounds()), (0, (2, 1)));
    assert_eq!(server.append("acme", "order", "old").event("Next").ok().await.last_version, 2);
    let late =
        server.append("acme", "order", "1").event_with(|event| event.event_timestamp = Some(at(instants[0])));
    assert_eq!(late.refused().await.reason, "BELOW_FLOOR");
}

/// A policy is a filter and no way to find rows: by it a lane, which keeps its plans, would read all of its tenants.
#[tokio::test]
async fn plans_find_rows_by_what_the_statement_names_and_by_nothing_else() {
    let database = guarded().await;
    let owner = two_tenants(&database).await;
    owner.append("acme", "order", "1").events_at(&[&month(-1).start().to_string()]).ok().await;
    let (_, mut session) = database.login("event_store_app").await;
    name(&mut session, "{acme,globex}").await;
    run(&mut session, "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await.unwrap();
    let explain = async |session: &mut PgConnection, statement: &str| -> String {
        let statement = format!("EXPLAIN (COSTS OFF) {statement}");
        let lines: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(session).await.unwrap();
        lines.join("\n")
    };
    let read = "SELECT * FROM event_store_partitioned WHERE tenant_id = 'acme' AND aggregate_type = 'order' \
         AND aggregate_id = '1' AND event_timestamp >= date_trunc('month', now(), 'UTC') ORDER BY aggregate_version";
    let plan = explain(&mut session, read).await;
    assert!(plan.contains("version_key") && !plan.contains("->  Sort"), "{plan}");
    let other = owner.months_of("globex").await;
    assert!(!other.is_empty());
    let globex: Vec<String> =
        database.column("SELECT partition_name FROM event_store_partition_leaf('globex')").await;
    assert!(globex.iter().all(|leaf| !plan.contains(leaf.as_str())), "{plan}");
    for statement in [
        read,
        "SELECT * FROM event_store_tenant WHERE tenant_id = ANY ('{acme,globex}') FOR NO KEY UPDATE",
        "SELECT * FROM event_store_stream WHERE tenant_id = 'acme' AND aggregate_type = 'order' AND aggregate_id = '1'",
        "SELECT * FROM event_store WHERE tenant_id = 'acme' AND aggregate_type = 'order' AND aggregate_id = '1'",
    ] {
        let plan = explain(&mut session, statement).await;
        let by_policy = |line: &&str| line.contains("Index Cond") && line.contains('$');
        assert_eq!(plan.lines().find(by_policy), None, "{plan}");
        assert!(plan.contains("COALESCE"), "{plan}");
    }
}

#[tokio::test]
async fn the_doctors_tell_whether_it_binds() {
    let database = TestDatabase::new().await;
    let (url, _) = database.login("event_store_app").await;
    let check = async |row_security| {
        let config = StoreConfig { row_security, partitions_v1: true, ..StoreConfig::new(url.clone()) };
        let checks = partita_store::doctor::examine(&config).await;
        checks.into_iter().find(|check| check.name == "row_security").unwrap()
    };
    let open = check(RowSecurity::Auto).await;
    assert_eq!(open.verdict, partita_store::doctor::Verdict::Ok);
    assert!(open.found.contains("event_store_guard_legacy"), "{open:?}");
    assert_eq!(check(RowSecurity::Require).await.verdict, partita_store::doctor::Verdict::Fail);
    assert_eq!(check(RowSecurity::Off).await.verdict, partita_store::doctor::Verdict::Fail);
    database.execute("SELECT event_store_disable_row_security()").await;
    let off = check(RowSecurity::Auto).await;
    assert_eq!(off.verdict, partita_store::doctor::Verdict::Warn);
    database.execute(off.fix.unwrap()).await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    assert_eq!(check(RowSecurity::Require).await.verdict, partita_store::doctor::Verdict::Ok);

    let rule = async |url: DatabaseUrl| {
        let adoption = partita_store::adoption::examine(&url, false).await.unwrap();
        adoption
            .findings
            .into_iter()
            .find(|finding| finding.rule == "row_security")
            .map(|found| found.severity)
    };
    assert_eq!(rule(database.url()).await, Some(partita_store::adoption::Severity::Notes));
    assert_eq!(rule(url.clone()).await, Some(partita_store::adoption::Severity::Blocks));
    database.execute("CREATE POLICY theirs ON event_store USING (true)").await;
    assert_eq!(rule(database.url()).await, Some(partita_store::adoption::Severity::Blocks));
}

#[tokio::test]
async fn the_wall_outlives_a_session_that_is_ended() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |_| {}).await;
    for version in 1..=5 {
        server.append("acme", "order", "1").event("Next").ok().await;
        server.append("globex", "order", "1").event("Next").ok().await;
        database.end_lanes().await;
        let known = async || server.read("acme", "order", "1").versions().await.len() == version;
        eventually("the event is read", known).await;
    }
}
