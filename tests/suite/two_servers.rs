//! Two servers on one database that write to the same streams, and learn of each other by what they find there.

use partita_tests::{
    ForeignEvent, Refusal, Setting, TestDatabase, TestServer, any, exact, in_every_phase, no_stream,
    standing_at,
};
use tokio::task::JoinSet;

in_every_phase!(servers_that_take_turns_follow_each_other, no_update_is_lost_between_two_servers,);

async fn two_servers(database: &TestDatabase, setting: Setting) -> [TestServer; 2] {
    [TestServer::start(database, setting.flag()).await, TestServer::start(database, setting.flag()).await]
}

async fn servers_that_take_turns_follow_each_other(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let servers = two_servers(&database, setting).await;
    // A server that was surprised once looks closely for a while: with every tenant anew it relies on its memory.
    for tenant in ["a", "b", "c", "d", "e"] {
        for version in 0..8 {
            let (server, other) = (&servers[version % 2], &servers[(version + 1) % 2]);
            let version = i32::try_from(version).unwrap();
            let append = |server: &TestServer, version| {
                server.append(tenant, "order", "1").expected(standing_at(version)).event("Turn")
            };
            assert_eq!(append(server, version).ok().await.last_version, version + 1);
            let late = append(other, version).refused().await;
            assert_eq!(
                (late.reason.as_str(), late.fact("actual")),
                ("VERSION_CONFLICT", &*(version + 1).to_string())
            );
            // Another stream of the tenant moves its position, and nothing else.
            server.append(tenant, "order", "2").expected(any()).event("Beside").ok().await;
        }
        database.assert_last_position(tenant, 16).await;
    }
    database.assert_sound(&servers[0]).await;
}

/// Counts in a stream: each event holds the number after that of the event before it. Believes what it last heard of the
/// stream until it is told otherwise.
async fn count_up(server: &TestServer, stream: &str, times: usize) {
    let mut version = 0;
    for _ in 0..times {
        loop {
            let call = server.append("acme", "counter", stream).expected(standing_at(version));
            let call = call.event_with(|event| event.data = format!("{{\"count\": {}}}", version + 1));
            match call.send().await {
                Ok(answer) => {
                    version = answer.last_version;
                    break;
                }
                Err(status) => {
                    let refusal = Refusal::from(status);
                    assert_eq!(refusal.reason, "VERSION_CONFLICT", "{refusal:?}");
                    let actual: i32 = refusal.fact("actual").parse().unwrap();
                    assert_ne!(actual, version, "a conflict with what was expected");
                    version = actual;
                }
            }
        }
    }
}

async fn no_update_is_lost_between_two_servers(setting: Setting) {
    const WRITERS: usize = 8;
    const TIMES: usize = 20;
    let database = TestDatabase::in_phase(setting).await;
    let servers = two_servers(&database, setting).await.map(std::sync::Arc::new);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let server = servers[writer % 2].clone();
        // Half of the writers of a stream are at either server.
        let stream = if writer < WRITERS / 2 { "a" } else { "b" };
        writers.spawn(async move { count_up(&server, stream, TIMES).await });
    }
    writers.join_all().await;
    for stream in ["a", "b"] {
        let answer = servers[0].read("acme", "counter", stream).ok().await;
        assert_eq!(answer.events.len(), WRITERS / 2 * TIMES);
        for event in answer.events {
            assert_eq!(event.data, format!("{{\"count\": {}}}", event.version));
        }
    }
    database.assert_sound(&servers[1]).await;
}

#[tokio::test]
async fn an_append_to_a_remembered_stream_goes_on_after_another_program() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for stream in ["any", "exact", "ahead"] {
        server.append("acme", "order", stream).expected(no_stream()).events(2).ok().await;
        server.append("acme", "order", stream).expected(exact(2)).event("Third").ok().await;
        ForeignEvent::new("acme", stream, 4).write(database.pool()).await.unwrap();
    }
    // One that expects what the other program did, one that does not care, and one that does not know.
    server.append("acme", "order", "ahead").expected(exact(4)).events(2).ok().await;
    let answer = server.append("acme", "order", "any").expected(any()).events(2).ok().await;
    assert_eq!((answer.first_version, answer.last_version), (5, 6));
    let refusal = server.append("acme", "order", "exact").expected(exact(3)).events(2).refused().await;
    assert_eq!((refusal.reason.as_str(), refusal.fact("actual")), ("VERSION_CONFLICT", "4"));
    for (stream, length) in [("any", 6), ("exact", 4), ("ahead", 6)] {
        let events = server.read("acme", "order", stream).ok().await.events;
        let versions: Vec<_> = events.iter().map(|event| event.version).collect();
        assert_eq!(versions, (1..=length).collect::<Vec<_>>());
        assert_eq!(events[3].event_type, "Foreign");
    }
    assert_eq!(database.last_position("acme").await, 13);
}
