//! The fence of the legacy table: who passes, who does not, and what it makes of reads.

use partita_tests::{ForeignEvent, PhaseChange, Setting, TestDatabase, TestServer, any, eventually, month};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn a_foreign_insert_is_refused_and_told_what_to_do_in_every_fenced_phase() {
    for setting in [Setting::Fenced, Setting::Finalized, Setting::Restoring] {
        let database = TestDatabase::in_phase(setting).await;
        let refused = ForeignEvent::new("acme", "1", 1).write(database.pool()).await.unwrap_err();
        let refused = refused.into_database_error().unwrap();
        assert_eq!(refused.code().as_deref(), Some("PTF01"), "{refused}");
        assert!(refused.message().contains("public.event_store refused: the table is fenced"), "{refused}");
        let refused = refused.downcast::<sqlx::postgres::PgDatabaseError>();
        assert!(refused.hint().unwrap().contains("partita migration unfence"), "{refused:?}");
        let mut copy = database.connect().await;
        // Refused before a row is sent, but told only when all are.
        let copied = async { copy.copy_in_raw("COPY event_store FROM STDIN").await?.finish().await };
        assert!(copied.await.is_err_and(|error| error.to_string().contains("the table is fenced")));
        assert_eq!(database.count("event_store").await, 0);
    }
}

#[tokio::test]
async fn an_adopted_legacy_table_is_fenced_as_well_and_left_as_it_was() {
    let database = TestDatabase::new().await;
    let triggers = "SELECT tgname::text FROM pg_trigger WHERE tgrelid = 'event_store'::regclass ORDER BY 1";
    database.execute("COMMENT ON TABLE event_store IS 'the platform''s own'").await;
    let before = database.column::<String>(triggers).await;
    database.change_phase(PhaseChange::RaiseFence).await;
    assert!(ForeignEvent::new("acme", "1", 1).write(database.pool()).await.is_err());
    database.change_phase(PhaseChange::LowerFence).await;
    assert_eq!(database.column::<String>(triggers).await, before);
    ForeignEvent::new("acme", "1", 1).write(database.pool()).await.unwrap();
}

#[tokio::test]
async fn the_fence_comes_down_and_goes_up_again_beside_whoever_reads_the_legacy_table_for_hours() {
    let database = TestDatabase::in_phase(Setting::Fenced).await;
    let mut reader = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM event_store").execute(&mut reader).await.unwrap();
    for version in 1..=2 {
        database.change_phase(PhaseChange::LowerFence).await;
        ForeignEvent::new("acme", "1", version).write(database.pool()).await.unwrap();
        database.change_phase(PhaseChange::RaiseFence).await;
        let refused = ForeignEvent::new("acme", "1", version + 1).write(database.pool()).await.unwrap_err();
        assert!(refused.to_string().contains("the table is fenced"), "{refused}");
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    database.change_phase(PhaseChange::LowerFence).await;
    let fences = "SELECT count(*) FROM pg_trigger WHERE tgname = 'event_store_fence'";
    assert_eq!(database.scalar::<i64>(fences).await, 0, "nobody reads: it is left as it was");
}

#[tokio::test]
async fn a_fence_that_somebody_dropped_by_hand_can_be_taken_down_all_the_same() {
    let database = TestDatabase::in_phase(Setting::Fenced).await;
    database.execute("DROP TRIGGER event_store_fence ON event_store").await;
    database.change_phase(PhaseChange::LowerFence).await;
    ForeignEvent::new("acme", "1", 1).write(database.pool()).await.unwrap();
}

#[tokio::test]
async fn a_process_without_the_flag_is_not_serving_behind_the_fence_and_serving_when_it_is_gone() {
    let database = TestDatabase::new().await;
    let [off, on] = [TestServer::start(&database, false).await, TestServer::start(&database, true).await];
    let is = async |server: &TestServer, wanted| {
        let answer = HealthClient::new(server.channel()).check(HealthCheckRequest::default()).await.unwrap();
        answer.into_inner().status() == wanted
    };
    eventually("serving", async || is(&off, ServingStatus::Serving).await).await;
    database.change_phase(PhaseChange::RaiseFence).await;
    eventually("not serving", async || is(&off, ServingStatus::NotServing).await).await;
    eventually("serving with the flag", async || is(&on, ServingStatus::Serving).await).await;
    database.change_phase(PhaseChange::LowerFence).await;
    eventually("serving again", async || is(&off, ServingStatus::Serving).await).await;
}

/// A session that lets nobody as much as look at the legacy table.
async fn close_legacy(database: &TestDatabase) -> sqlx::PgConnection {
    let mut session = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE event_store IN ACCESS EXCLUSIVE MODE")
        .execute(&mut session)
        .await
        .unwrap();
    session
}

#[tokio::test]
async fn a_verified_tenant_is_read_without_a_look_at_the_legacy_table() {
    for setting in [Setting::FencedVerified, Setting::Restoring, Setting::Finalized] {
        let database = TestDatabase::in_phase(setting).await;
        let server = TestServer::start(&database, true).await;
        server.append("acme", "order", "1").events(300).ok().await;
        let closed = close_legacy(&database).await;
        assert_eq!(server.read("acme", "order", "1").versions().await, (1..=300).collect::<Vec<_>>());
        let backwards = server.read("acme", "order", "1").backwards().from_version(130);
        assert_eq!(backwards.versions().await, (1..=130).rev().collect::<Vec<_>>());
        drop(closed);
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_verified_since_the_fence_is_read_from_both_tables() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(2).ok().await;
    database.verify_tenants().await;
    ForeignEvent::new("acme", "1", 3).write(database.pool()).await.unwrap();
    database.change_phase(PhaseChange::RaiseFence).await;
    server.append("acme", "order", "1").expected(any()).event("Fourth").ok().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3, 4]);
}

/// The names of the tables that a page statement's plan reads.
async fn tables_of(database: &TestDatabase, statement: &str, from: &str, to: &str) -> Vec<String> {
    let explain = format!("EXPLAIN (COSTS OFF) {statement}");
    let plan = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(explain))
        .bind("acme")
        .bind("order")
        .bind("1")
        .bind(1)
        .bind(100);
    let bounds: Vec<time::OffsetDateTime> = sqlx::query_scalar("SELECT unnest($1::text[])::timestamptz")
        .bind([from.to_owned(), to.to_owned()])
        .fetch_all(database.pool())
        .await
        .unwrap();
    let mut session = database.connect().await;
    sqlx::raw_sql("SET plan_cache_mode = force_custom_plan").execute(&mut session).await.unwrap();
    let lines = plan.bind(bounds[0]).bind(bounds[1]).bind(10_i64).fetch_all(&mut session).await.unwrap();
    let table = |line: &String| {
        let (_, scanned) = line.split_once(" on ").filter(|_| line.contains("Scan"))?;
        let name = scanned.split_whitespace().next()?;
        Some(name.to_owned())
    };
    let mut tables: Vec<String> = lines.iter().filter_map(table).collect();
    tables.sort();
    tables.dedup();
    tables
}

#[tokio::test]
async fn a_page_of_the_partitioned_table_reads_the_months_asked_for_and_no_legacy() {
    let database = TestDatabase::in_phase(Setting::FencedVerified).await;
    let server = TestServer::start(&database, true).await;
    for tenant in ["acme", "beta"] {
        server.append(tenant, "order", "1").events(3).ok().await;
    }
    let leaf = format!("t1_{}", month(0).to_string().replace('-', "_"));
    let (from, to) = (month(0).start().to_string(), month(1).start().to_string());
    for statement in [
        include_str!("../../crates/store/sql/read_stream/page_partitioned_forwards.sql"),
        include_str!("../../crates/store/sql/read_stream/page_partitioned_backwards.sql"),
    ] {
        let tables = tables_of(&database, statement, &from, &to).await;
        let named = |name: &str| tables.iter().any(|table| table.contains(name));
        assert!(named(&leaf), "{tables:?}");
        assert!(named("event_store_tenant"), "{tables:?}");
        assert_eq!(
            tables.iter().filter(|table| !table.contains("event_store_tenant")).count(),
            1,
            "{tables:?}"
        );
    }
}
