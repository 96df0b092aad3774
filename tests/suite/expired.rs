//! Events below a tenant's floor: gone from both tables for readers, refused from writers. The stream goes on.

use partita_tests::{ForeignEvent, TestDatabase, TestServer, any, exact, month, no_stream, stream_exists};
use tonic::Code;

/// Three events of early 2024 in the legacy table alone, three of late 2024 in both.
async fn half_copied(database: &TestDatabase) -> TestServer {
    let old = ["2024-01-10T00:00:00Z", "2024-02-10T00:00:00Z", "2024-03-10T00:00:00Z"];
    for (version, timestamp) in (1..).zip(old) {
        let event = ForeignEvent { timestamp: Some(timestamp), ..ForeignEvent::new("acme", "1", version) };
        event.write(database.pool()).await.unwrap();
    }
    let server = TestServer::start_keeping_all(database).await;
    let late = ["2024-09-10T00:00:00Z", "2024-10-10T00:00:00Z", "2024-11-10T00:00:00Z"];
    server.append("acme", "order", "1").expected(exact(3)).events_at(&late).ok().await;
    server
}

async fn set_floor(database: &TestDatabase, floor: &str) {
    database.execute(format!("UPDATE event_store_tenant SET retention_floor = '{floor}'")).await;
}

#[tokio::test]
async fn the_floor_hides_what_lies_below_it_in_both_tables() {
    let database = TestDatabase::new().await;
    let server = half_copied(&database).await;
    let read = || server.read("acme", "order", "1");
    let cases: [(&str, Vec<i32>, i32); 6] = [
        ("-infinity", vec![1, 2, 3, 4, 5, 6], 1),
        ("2024-02-10T00:00:00Z", vec![2, 3, 4, 5, 6], 2),
        ("2024-02-10T00:00:00.000001Z", vec![3, 4, 5, 6], 3),
        ("2024-04-01T00:00:00Z", vec![4, 5, 6], 4),
        ("2024-10-10T00:00:00.000001Z", vec![6], 6),
        ("2024-12-01T00:00:00Z", vec![], 7),
    ];
    for (floor, versions, first_version) in cases {
        set_floor(&database, floor).await;
        let answer = read().ok().await;
        assert_eq!(answer.versions(), versions, "{floor}");
        assert_eq!(answer.bounds(), (first_version, 6), "{floor}");
        let backwards = read().backwards().ok().await;
        assert_eq!(backwards.versions(), versions.iter().rev().copied().collect::<Vec<_>>(), "{floor}");
        assert_eq!(backwards.bounds(), (first_version, 6), "{floor}");
        // Whatever part of the stream is asked for, the whole of it is told about.
        assert_eq!(read().from_version(6).max_count(1).ok().await.bounds(), (first_version, 6), "{floor}");
    }
}

#[tokio::test]
async fn a_stream_whose_events_have_all_expired_goes_on_at_the_next_version() {
    let database = TestDatabase::new().await;
    let server = half_copied(&database).await;
    let last_hash = server.read("acme", "order", "1").ok().await.events.pop().unwrap().event_hash;
    set_floor(&database, "2025-01-01T00:00:00Z").await;
    let answer = server.read("acme", "order", "1").ok().await;
    assert_eq!((answer.versions(), answer.bounds()), (vec![], (7, 6)));

    let refusal = server.append("acme", "order", "1").expected(no_stream()).event("Anew").refused().await;
    assert_eq!((refusal.reason.as_str(), refusal.fact("actual")), ("VERSION_CONFLICT", "6"));
    for (version, expected) in (7..).zip([stream_exists(), exact(7), any()]) {
        let next = server.append("acme", "order", "1").expected(expected).event("Next").ok().await;
        assert_eq!(next.last_version, version);
    }
    let answer = server.read("acme", "order", "1").ok().await;
    assert_eq!((answer.versions(), answer.bounds()), (vec![7, 8, 9], (7, 9)));
    assert_eq!(answer.events[0].previous_event_hash, last_hash);
}

#[tokio::test]
async fn an_append_below_the_floor_is_refused_with_the_floor_and_changes_nothing() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let floor = month(-18).start();
    server.append("acme", "order", "1").event("First").ok().await;
    let before = database.contents().await;
    let (seconds, nanos) = floor.to_unix();
    let at = |seconds, nanos| {
        server.append("acme", "order", "1").event("Good").event_with(|event| {
            event.event_timestamp = Some(prost_types::Timestamp { seconds, nanos });
        })
    };
    let refusal = at(seconds - 1, 999_999_000).refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::InvalidArgument, "BELOW_FLOOR"));
    assert_eq!(
        (refusal.fact("floor"), refusal.fields.as_slice()),
        (floor.to_string().as_str(), ["events[1].event_timestamp".to_owned()].as_slice())
    );
    assert_eq!(database.contents().await, before);

    at(seconds, nanos).ok().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3]);
}

#[tokio::test]
async fn an_append_below_the_floor_of_a_new_tenant_makes_no_tenant() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let before = database.contents().await;
    let refusal = server.append("acme", "order", "1").events_at(&["2001-01-01T00:00:00Z"]).refused().await;
    assert_eq!(refusal.reason, "BELOW_FLOOR");
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn the_floor_of_one_tenant_hides_nothing_of_another() {
    let database = TestDatabase::new().await;
    let server = half_copied(&database).await;
    server.append("other", "order", "1").events_at(&["2024-01-10T00:00:00Z"]).ok().await;
    database
        .execute("UPDATE event_store_tenant SET retention_floor = '2025-01-01Z' WHERE tenant_id = 'acme'")
        .await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [0; 0]);
    assert_eq!(server.read("other", "order", "1").versions().await, [1]);
}

#[tokio::test]
async fn a_process_without_the_flag_goes_on_behind_what_legacy_has_no_trace_of() {
    let database = TestDatabase::new().await;
    let with_flag = TestServer::start(&database, true).await;
    with_flag.append("acme", "order", "1").expected(no_stream()).events(2).ok().await;
    // As after a restore: recorded while legacy was not written, expired before it was written again.
    database
        .execute(
            "SET session_replication_role = replica; DELETE FROM event_store; \
             DELETE FROM event_store_partitioned; RESET session_replication_role",
        )
        .await;

    let server = TestServer::start(&database, false).await;
    let answer = server.read("acme", "order", "1").ok().await;
    assert_eq!((answer.versions(), answer.bounds()), (vec![], (3, 2)));
    let refusal = server.append("acme", "order", "1").expected(no_stream()).event("Anew").refused().await;
    assert_eq!((refusal.reason.as_str(), refusal.fact("actual")), ("VERSION_CONFLICT", "2"));
    server.append("acme", "order", "1").expected(exact(2)).event("Further").ok().await;
    assert_eq!(with_flag.read("acme", "order", "1").ok().await.versions(), [3]);
}
