//! What is too large or too much is refused by a typed error, and changes nothing.

use partita_model::limits::EVENT_BYTES_MAX;
use partita_tests::{TestDatabase, TestServer};
use tonic::Code;

/// gRPC's usual limit, which is ours.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[tokio::test]
async fn what_is_beyond_a_limit_is_refused_with_its_reason() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let append = || server.append("acme", "order", "1");
    let data = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let cases = [
        (
            "a message of 4 MiB and 1",
            append().event_with(|event| event.data = data(MESSAGE_BYTES_MAX)),
            Code::OutOfRange,
        ),
        (
            "an event over its limit",
            append().event_with(|event| event.data = data(EVENT_BYTES_MAX + 1)),
            Code::InvalidArgument,
        ),
        ("10,000 events", append().events(10_000), Code::InvalidArgument),
    ];
    for (case, call, code) in cases {
        let refusal = call.refused().await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, "INVALID_ARGUMENT"), "{case}");
        assert!(!refusal.descriptions.is_empty(), "{case}");
    }
    append().event_with(|event| event.data = data(EVENT_BYTES_MAX)).ok().await;
    assert_eq!(database.count("event_store").await, 1);
}
