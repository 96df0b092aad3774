//! Streams that do not stand where the caller expected them.

use partita_tests::{
    Refusal, Setting, TestDatabase, TestServer, exact, in_every_phase, no_stream, stream_exists,
};
use tonic::Code;

in_every_phase!(
    append_with_stale_version_changes_nothing,
    append_to_a_missing_stream_says_version_0_and_makes_no_tenant,
    a_conflict_draws_no_position,
);

fn assert_conflict(refusal: &Refusal, stream: &str, expected: &str, actual: &str) {
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Aborted, "VERSION_CONFLICT"));
    let facts = ["stream", "expected", "actual"].map(|key| refusal.fact(key));
    assert_eq!(facts, [stream, expected, actual]);
    for fact in facts {
        assert!(refusal.message.contains(fact), "{}", refusal.message);
    }
}

async fn append_with_stale_version_changes_nothing(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "order", "1").events(3).ok().await;
    let before = database.contents().await;
    for (expected, name) in [(exact(2), "2"), (exact(4), "4"), (no_stream(), "no_stream")] {
        let refusal = server.append("acme", "order", "1").expected(expected).event("Late").refused().await;
        assert_conflict(&refusal, "order/1", name, "3");
    }
    assert_eq!(database.contents().await, before);
}

async fn append_to_a_missing_stream_says_version_0_and_makes_no_tenant(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let before = database.contents().await;
    for (expected, name) in [(exact(1), "1"), (stream_exists(), "stream_exists")] {
        let refusal = server.append("nobody", "order", "1").expected(expected).event("Lost").refused().await;
        assert_conflict(&refusal, "order/1", name, "0");
    }
    assert_eq!(database.contents().await, before);
}

async fn a_conflict_draws_no_position(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "order", "1").event("First").ok().await;
    for _ in 0..3 {
        server.append("acme", "order", "1").expected(exact(7)).event("Lost").refused().await;
    }
    let answer = server.append("acme", "order", "1").expected(exact(1)).event("Second").ok().await;
    assert_eq!(answer.events[0].position, setting.positions([2])[0]);
}
