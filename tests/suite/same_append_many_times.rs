//! One append, sent again and again: at once, after restarts, to servers with another flag.

use partita_proto::v1::{AppendRequest, AppendResponse};
use partita_tests::{TestDatabase, TestServer, exact, standing_at};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Sends the same request to each server in turn, all at once.
async fn send_fifty(servers: &[TestServer], request: &AppendRequest) -> Vec<AppendResponse> {
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let call = servers[number % servers.len()].append("acme", "order", "1");
        calls.spawn(call.with(|sent| *sent = request.clone()).ok());
    }
    calls.join_all().await
}

/// What the answers have in common in every phase: positions are told by servers with the flag only.
fn places(answer: &AppendResponse) -> Vec<(String, i32, Option<prost_types::Timestamp>)> {
    let events = answer.events.iter();
    events.map(|event| (event.event_id.clone(), event.version, event.event_timestamp)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_append_is_one_event_over_servers_restarts_and_flags() {
    // A new stream, whose tenant is new as well, and one that the servers remember.
    for version in [0, 1] {
        let database = TestDatabase::new().await;
        let servers = [TestServer::start(&database, true).await, TestServer::start(&database, true).await];
        for number in 0..version {
            servers[number % 2].append("acme", "order", "1").event("Learnt").ok().await;
        }
        let call =
            servers[0].append("acme", "order", "1").expected(standing_at(i32::try_from(version).unwrap()));
        let request = call.event_with(|event| event.event_id = Uuid::new_v4().to_string()).request;
        let mut answers = send_fifty(&servers, &request).await;
        answers.sort_by_key(|answer| answer.replayed);
        let first = answers.remove(0);
        let again = AppendResponse { replayed: true, ..first.clone() };
        assert!(!first.replayed);
        assert!(answers.iter().all(|answer| *answer == again), "{answers:?}");
        let contents = database.contents().await;
        for server in servers {
            server.stop().await;
        }
        for flag in [true, false, true] {
            let servers = [TestServer::start(&database, flag).await];
            for answer in send_fifty(&servers, &request).await {
                assert!(answer.replayed);
                assert_eq!(places(&answer), places(&first));
                assert!(!flag || answer == again, "{answer:?} is not {again:?}");
            }
            let [server] = servers;
            server.stop().await;
        }
        assert_eq!(database.contents().await, contents);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_first_recorded_without_partitions_stays_one_event_with_them() {
    let database = TestDatabase::new().await;
    let servers = [TestServer::start(&database, false).await, TestServer::start(&database, true).await];
    let call = servers[0].append("acme", "order", "1").event("Other");
    call.ok().await;
    let call = servers[0].append("acme", "order", "1").expected(exact(1));
    let request = call.event_with(|event| event.event_id = Uuid::new_v4().to_string()).request;
    // Which of the two is first is open: they do not wait for the same tenant's row.
    let answers = send_fifty(&servers, &request).await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| places(answer) == places(&answers[0])), "{answers:?}");
    assert_eq!(database.count("event_store").await, 2);
    assert_eq!(servers[1].read("acme", "order", "1").versions().await, [1, 2]);
}
