//! Many writers at once, in one process and in two: no version twice, no gap, no event lost.

use std::collections::HashSet;

use partita_proto::v1::AppendResponse;
use partita_tests::{Refusal, Setting, TestDatabase, TestServer, any, exact, in_every_phase, no_stream};
use tokio::task::JoinSet;

in_every_phase!(
    positions_are_gapless_in_commit_order_over_two_processes,
    of_writers_that_expect_the_same_version_exactly_one_wins,
    sixty_four_writers_of_one_stream_are_all_recorded_once,
    readers_beside_writers_see_every_version_once_up_to_where_the_stream_stood,
);

async fn two_processes(database: &TestDatabase, setting: Setting) -> [TestServer; 2] {
    [TestServer::start(database, setting.flag()).await, TestServer::start(database, setting.flag()).await]
}

async fn of_writers_that_expect_the_same_version_exactly_one_wins(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let servers = two_processes(&database, setting).await;
    for version in 0..15 {
        let expected = if version == 0 { no_stream() } else { exact(version) };
        let mut calls = JoinSet::new();
        for writer in 0..32 {
            let server = &servers[writer % 2];
            calls.spawn(server.append("acme", "order", "1").expected(expected).event("Won").send());
        }
        let mut won = 0;
        while let Some(answer) = calls.join_next().await {
            match answer.unwrap() {
                Ok(answer) => {
                    assert_eq!(answer.last_version, version + 1);
                    won += 1;
                }
                Err(status) => {
                    let refusal = Refusal::from(status);
                    assert_eq!(refusal.reason, "VERSION_CONFLICT", "{refusal:?}");
                    assert_eq!(refusal.fact("actual"), (version + 1).to_string());
                }
            }
        }
        assert_eq!(won, 1, "at version {version}");
    }
    assert_eq!(servers[0].read("acme", "order", "1").versions().await, (1..=15).collect::<Vec<_>>());
    database.assert_last_position("acme", 15).await;
    assert_eq!(database.differing_rows().await, 0);
}

/// What every snapshot must say of a tenant's positions while they are drawn: so many, from 1 to that many.
async fn positions_are_gapless(database: &TestDatabase) -> i64 {
    let query = "SELECT count(*), coalesce(min(position), 1), coalesce(max(position), 0) \
         FROM event_store_partitioned WHERE tenant_id = 'acme'";
    let (count, least, greatest): (i64, i64, i64) =
        sqlx::query_as(query).fetch_one(database.pool()).await.unwrap();
    assert_eq!((least, greatest), (1, count), "a later position was seen before an earlier one");
    count
}

async fn positions_are_gapless_in_commit_order_over_two_processes(setting: Setting) {
    if !setting.flag() {
        return;
    }
    let database = TestDatabase::in_phase(setting).await;
    let servers = two_processes(&database, setting).await;
    servers[0].append("acme", "order", "first").event("First").ok().await;
    let mut calls = JoinSet::new();
    for writer in 0..64_usize {
        let call = servers[writer % 2].append("acme", "order", &format!("stream-{}", writer % 5));
        let call = call.expected(any()).events(1 + writer % 3);
        calls.spawn(async move {
            let mut answers: Vec<AppendResponse> = Vec::new();
            for _ in 0..4 {
                answers.push(call.clone().ok().await);
            }
            answers
        });
    }
    let mut acknowledged: HashSet<String> = HashSet::new();
    let mut looks = 0;
    while !calls.is_empty() {
        while let Some(answers) = calls.try_join_next() {
            for answer in answers.unwrap() {
                // An append stands together, in its stream and in the feed.
                for pair in answer.events.windows(2) {
                    assert_eq!(pair[1].version, pair[0].version + 1);
                    assert_eq!(pair[1].position.unwrap(), pair[0].position.unwrap() + 1);
                }
                acknowledged.extend(answer.events.into_iter().map(|event| event.event_id));
            }
        }
        positions_are_gapless(&database).await;
        looks += 1;
    }
    assert!(looks > 1, "looked at it {looks} times while it was written");
    let recorded = usize::try_from(positions_are_gapless(&database).await).unwrap();
    assert_eq!(recorded, 1 + acknowledged.len());
    assert_eq!(database.last_position("acme").await, i64::try_from(recorded).unwrap());

    let mut read = HashSet::new();
    for stream in 0..5 {
        let answer = servers[stream % 2].read("acme", "order", &format!("stream-{stream}")).ok().await;
        let length = i32::try_from(answer.events.len()).unwrap();
        assert_eq!(answer.versions(), (1..=length).collect::<Vec<_>>());
        let positions: Vec<_> = answer.events.iter().map(|event| event.position.unwrap()).collect();
        assert!(positions.is_sorted(), "versions and positions of a stream rise together");
        for pair in answer.events.windows(2) {
            assert_eq!(pair[1].previous_event_hash, pair[0].event_hash);
        }
        read.extend(answer.events.into_iter().map(|event| event.event_id));
    }
    assert_eq!(read, acknowledged);
    assert_eq!(database.differing_rows().await, 0);
}

async fn sixty_four_writers_of_one_stream_are_all_recorded_once(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        calls.spawn(server.append("acme", "order", "1").expected(any()).event("Counted").ok());
    }
    let mut acknowledged = Vec::new();
    while let Some(answer) = calls.join_next().await {
        acknowledged.extend(answer.unwrap().events.into_iter().map(|event| (event.version, event.event_id)));
    }
    acknowledged.sort();
    let events = server.read("acme", "order", "1").ok().await.events;
    let read: Vec<_> = events.into_iter().map(|event| (event.version, event.event_id)).collect();
    assert_eq!(read, acknowledged);
    assert_eq!(read.len(), 64);
}

async fn readers_beside_writers_see_every_version_once_up_to_where_the_stream_stood(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let servers = two_processes(&database, setting).await;
    servers[0].append("acme", "order", "1").events(100).ok().await;
    let mut writers = JoinSet::new();
    for server in &servers {
        let call = server.append("acme", "order", "1").events(25);
        writers.spawn(async move {
            for _ in 0..10 {
                call.clone().ok().await;
            }
        });
    }
    while !writers.is_empty() {
        while let Some(writer) = writers.try_join_next() {
            writer.unwrap();
        }
        for server in &servers {
            let answer = server.read("acme", "order", "1").ok().await;
            assert_eq!(answer.versions(), (1..=answer.state.version).collect::<Vec<_>>());
        }
    }
    assert_eq!(servers[0].read("acme", "order", "1").ok().await.bounds(), (1, 600));
}
