//! One transaction over two tables: an acknowledged append is in both, a refused one in neither.

use partita_tests::{TestDatabase, TestServer, any, eventually, exact, month};
use tokio::task::JoinSet;
use tonic::Code;

#[tokio::test]
async fn an_acknowledged_append_is_in_both_tables_the_same_in_every_shared_column() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let full = server.append("acme", "order", "1").event_with(|event| {
        event.data = r#"{"amount": 12.50, "note": "caf\u00e9", "a": [1, null]}"#.to_owned();
        event.metadata = r#"{"schema": 2}"#.to_owned();
    });
    let full = full.context(|context| {
        context.correlation_id = "c-1".to_owned();
        context.causation_id = "0192d3a4-6f00-7000-8000-0123456789ab".to_owned();
        context.legal_basis = "contract".to_owned();
        context.data_classification = "pii".to_owned();
        context.retention_policy = "ten years".to_owned();
        context.ip_address = "10.1.2.3/8".to_owned();
        context.user_agent = "curl/8".to_owned();
        context.session_id = "s-1".to_owned();
        context.request_id = "r-1".to_owned();
    });
    full.ok().await;
    server.append("acme", "order", "1").events(2).ok().await;
    server.append("other", "order", "1").events(2).ok().await;

    assert_eq!(database.count("event_store").await, 5);
    assert_eq!(database.count("event_store_partitioned").await, 5);
    assert_eq!(database.differing_rows().await, 0);
    // The comparison itself: every column of the legacy table is among those that are compared.
    let columns: i64 = database
        .scalar(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' \
             AND table_name IN ('event_store', 'event_store_partitioned') AND column_name <> 'position'",
        )
        .await;
    assert_eq!(columns, 44);
}

/// Adds a rule that refuses events of type `Poison`, and shows that such an append leaves no trace.
async fn poison_leaves_no_trace(rule: String) {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(2).ok().await;
    database.execute(rule).await;
    let before = database.contents().await;

    let poisoned = server.append("acme", "order", "1").expected(exact(2)).event("Good").event("Poison");
    let refusal = poisoned.refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "LEGACY_CONSTRAINT"));
    assert_eq!(database.contents().await, before);

    let next = server.append("acme", "order", "1").expected(exact(2)).event("Good").ok().await;
    assert_eq!((next.events[0].version, next.events[0].position), (3, Some(3)));
    assert_eq!(database.differing_rows().await, 0);
}

#[tokio::test]
async fn what_a_constraint_of_the_legacy_table_refuses_is_in_neither() {
    poison_leaves_no_trace(
        "ALTER TABLE event_store ADD CONSTRAINT no_poison CHECK (event_type <> 'Poison')".to_owned(),
    )
    .await;
}

#[tokio::test]
async fn what_a_trigger_of_the_legacy_table_refuses_is_in_neither() {
    let trigger = "CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'no poison'; END $$; \
         CREATE TRIGGER no_poison BEFORE INSERT ON event_store FOR EACH ROW \
         WHEN (NEW.event_type = 'Poison') EXECUTE FUNCTION refuse_poison()";
    poison_leaves_no_trace(trigger.to_owned()).await;
}

#[tokio::test]
async fn what_a_constraint_of_a_partition_refuses_is_in_neither() {
    let leaf = format!("t1_{}", month(0).to_string().replace('-', "_"));
    poison_leaves_no_trace(format!(
        "ALTER TABLE event_store_partitions.{leaf} ADD CONSTRAINT no_poison CHECK (event_type <> 'Poison')"
    ))
    .await;
}

#[tokio::test]
async fn a_poisoned_append_fails_alone_among_many() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    database.execute("ALTER TABLE event_store ADD CONSTRAINT no_poison CHECK (event_type <> 'Poison')").await;
    let mut calls = JoinSet::new();
    for writer in 0..40 {
        let event_type = if writer % 10 == 7 { "Poison" } else { "Good" };
        let call = server.append("acme", "order", "1").expected(any()).event(event_type);
        calls.spawn(async move { (event_type, call.send().await) });
    }
    while let Some(call) = calls.join_next().await {
        let (event_type, answer) = call.unwrap();
        assert_eq!(answer.is_ok(), event_type == "Good", "{answer:?}");
    }
    assert_eq!(server.read("acme", "order", "1").versions().await, (1..=37).collect::<Vec<_>>());
    assert_eq!(database.last_position("acme").await, 37);
    assert_eq!(database.differing_rows().await, 0);
}

#[tokio::test]
async fn an_append_whose_session_is_ended_before_its_commit_is_recorded_once() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    // Readers pass, writers wait: the append stands in the middle of its transaction.
    let mut blocker = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE event_store IN SHARE MODE").execute(&mut blocker).await.unwrap();
    let waiting = tokio::spawn(server.append("acme", "order", "1").event("Second").send());
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita lane' AND wait_event_type = 'Lock'";
    eventually("the append waits, and is ended", async || database.scalar::<i64>(end).await > 0).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();

    let answer = waiting.await.unwrap().unwrap();
    assert_eq!((answer.events[0].version, answer.events[0].position), (2, Some(2)));
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2]);
    assert_eq!(database.differing_rows().await, 0);
}
