//! Another program that writes straight into the legacy table.

use partita_proto::v1::AppendResponse;
use partita_tests::{ForeignEvent, Refusal, TestDatabase, TestServer, any, eventually, exact, no_stream};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

/// The answers to an append that expects a version, and to one that does not.
type Outcome = (Result<AppendResponse, Status>, Result<AppendResponse, Status>);

#[tokio::test]
async fn rows_of_another_program_are_read_and_count_for_the_next_version() {
    for partitions in [true, false] {
        let database = TestDatabase::new().await;
        let server = TestServer::start(&database, partitions).await;
        for version in 1..=3 {
            ForeignEvent::new("acme", "1", version).write(database.pool()).await.unwrap();
        }
        let answer = server.read("acme", "order", "1").ok().await;
        assert_eq!((answer.versions(), answer.bounds()), (vec![1, 2, 3], (1, 3)));
        let event = &answer.events[2];
        assert_eq!((event.event_type.as_str(), event.event_hash.as_str()), ("Foreign", "foreign-1-3"));
        assert_eq!((event.position, event.data.as_str()), (None, r#"{"by": "another program"}"#));

        let refusal = server.append("acme", "order", "1").expected(no_stream()).event("Late").refused().await;
        assert_eq!((refusal.reason.as_str(), refusal.fact("actual")), ("VERSION_CONFLICT", "3"));
        server.append("acme", "order", "1").expected(exact(3)).event("Ours").ok().await;
        let events = server.read("acme", "order", "1").ok().await.events;
        assert_eq!(events.len(), 4);
        assert_eq!(events[3].previous_event_hash, "foreign-1-3");
    }
}

#[tokio::test]
async fn a_row_that_another_program_wrote_since_is_a_version_conflict() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").expected(no_stream()).events(2).ok().await;
    let foreign = ForeignEvent::new("acme", "1", 3);
    foreign.write(database.pool()).await.unwrap();
    let before = database.contents().await;

    let refusal = server.append("acme", "order", "1").expected(exact(2)).event("Late").refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Aborted, "VERSION_CONFLICT"));
    assert_eq!((refusal.fact("expected"), refusal.fact("actual")), ("2", "3"));
    assert_eq!(database.contents().await, before);

    let next = server.append("acme", "order", "1").expected(any()).event("Next").ok().await;
    assert_eq!((next.events[0].version, next.events[0].position), (4, Some(3)));
    let events = server.read("acme", "order", "1").ok().await.events;
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(events[3].previous_event_hash, foreign.hash());
}

/// Lets another program's row be committed after the append has looked and before it has written.
async fn race(partitions: bool) -> (TestDatabase, TestServer, JoinHandle<Outcome>) {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, partitions).await;
    server.append("acme", "order", "1").expected(no_stream()).event("First").ok().await;
    let mut foreign = database.connect().await;
    sqlx::raw_sql("BEGIN").execute(&mut foreign).await.unwrap();
    ForeignEvent::new("acme", "1", 2).write(&mut foreign).await.unwrap();
    let calls = (
        server.append("acme", "order", "1").expected(exact(1)).event("Exact"),
        server.append("acme", "order", "1").expected(any()).event("Any"),
    );
    let outcome = tokio::spawn(async move { tokio::join!(calls.0.send(), calls.1.send()) });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita lane' AND wait_event_type = 'Lock'";
    eventually("an append waits for the other program", async || database.scalar::<i64>(waiting).await > 0)
        .await;
    sqlx::raw_sql("COMMIT").execute(&mut foreign).await.unwrap();
    (database, server, outcome)
}

#[tokio::test]
async fn a_race_that_another_program_wins_is_a_conflict_or_the_version_after() {
    for partitions in [true, false] {
        let (database, server, outcome) = race(partitions).await;
        let (exact, any) = outcome.await.unwrap();
        let refusal = Refusal::from(exact.unwrap_err());
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Aborted, "VERSION_CONFLICT"));
        assert_eq!(refusal.fact("expected"), "1");
        let any = any.unwrap();
        assert_eq!(any.last_version, 3);
        assert_eq!(any.events[0].position, partitions.then_some(2));
        let events = server.read("acme", "order", "1").ok().await.events;
        let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
        assert_eq!(types, ["First", "Foreign", "Any"]);
        assert_eq!(database.count("event_store").await, 3);
    }
}
