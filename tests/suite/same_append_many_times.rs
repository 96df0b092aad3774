//! One append, sent again and again: at once, after restarts, to servers with another flag.

use partita_proto::v1::{AppendRequest, AppendResponse};
use partita_tests::{TestDatabase, TestServer, standing_at};
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

/// Fifty at once to two servers, in a stream that is at `version`, then fifty to each of a row of later servers.
async fn is_one_event(version: usize, flags: [bool; 2], later: [bool; 3]) {
    let database = TestDatabase::new().await;
    let servers =
        [TestServer::start(&database, flags[0]).await, TestServer::start(&database, flags[1]).await];
    for number in 0..version {
        servers[number % 2].append("acme", "order", "1").event("Learnt").ok().await;
    }
    let expected = standing_at(i32::try_from(version).unwrap());
    let call = servers[0].append("acme", "order", "1").expected(expected);
    let request = call.event_with(|event| event.event_id = Uuid::new_v4().to_string()).request;
    let mut answers = send_fifty(&servers, &request).await;
    answers.sort_by_key(|answer| answer.replayed);
    let first = answers.remove(0);
    assert!(!first.replayed);
    assert!(answers.iter().all(|answer| answer.replayed && places(answer) == places(&first)), "{answers:?}");
    if flags[0] == flags[1] {
        assert!(answers.iter().all(|answer| answer.events == first.events), "{answers:?}");
    }
    let contents = database.contents().await;
    for server in servers {
        server.stop().await;
    }
    for flag in later {
        let servers = [TestServer::start(&database, flag).await];
        for answer in send_fifty(&servers, &request).await {
            assert!(answer.replayed);
            assert_eq!(places(&answer), places(&first));
            assert!(flags != [flag; 2] || answer.events == first.events, "{answer:?} is not {first:?}");
        }
        let [server] = servers;
        server.stop().await;
    }
    assert_eq!(database.contents().await, contents);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_append_of_a_tenant_sent_fifty_times_is_one_event() {
    is_one_event(0, [true, true], [true, false, true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_to_a_stream_sent_fifty_times_is_one_event() {
    is_one_event(1, [true, true], [true, false, true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_without_partitions_sent_fifty_times_is_one_event() {
    is_one_event(1, [false, false], [false, true, false]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_sent_fifty_times_to_servers_with_and_without_partitions_is_one_event() {
    is_one_event(1, [true, false], [false, true, false]).await;
}
