//! Hundreds of readers who take what they asked for slowly, or not at all.

use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::{ReadStreamRequest, ReadStreamResponse};
use partita_tests::{TestDatabase, TestServer, any, eventually, messages};
use tonic::Streaming;
use tonic::transport::Endpoint;

const READERS: usize = 500;
const EVENTS: usize = 6_000;
const EVENT_BYTES: usize = 2_000;
/// What HTTP/2 gives a call where nobody says otherwise. tonic's clients take in 2 MiB, which is not what is measured here.
const STREAM_WINDOW_BYTES: u32 = 65_535;
/// The most that HTTP/2 knows.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// What a reader may cost, client and service together: the page of 1 MiB that waits to be sent, and the messages before it.
/// Each asks for four times as much.
const READER_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What this process occupies, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_readers_who_take_nothing_hold_little_memory_and_no_connection() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let data = format!("\"{}\"", "x".repeat(EVENT_BYTES - 2));
    for _ in 0..EVENTS / 500 {
        let call = server.append("acme", "order", "long").expected(any());
        (0..500).fold(call, |call, _| call.event_with(|event| event.data = data.clone())).ok().await;
    }
    // A client holds up all calls of its connection when it takes too little of one: this one has room for all that its
    // calls may have on their way, which is little for each.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
    let channel = endpoint
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .connect_lazy();
    let mut client = EventStoreServiceClient::new(channel);
    let before = resident();
    let mut readers: Vec<Streaming<ReadStreamResponse>> = Vec::new();
    for _ in 0..READERS {
        let request = ReadStreamRequest {
            tenant_id: "acme".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id: "long".to_owned(),
            ..ReadStreamRequest::default()
        };
        readers.push(client.read_stream(request).await.unwrap().into_inner());
    }
    // Others are served as ever: their appends, and their reads.
    for number in 0..50 {
        server.append("acme", "order", "short").expected(any()).event("Placed").ok().await;
        server.append("globex", "order", &number.to_string()).event("Placed").ok().await;
    }
    assert_eq!(server.read("acme", "order", "short").versions().await.len(), 50);
    // Their first pages may still be under way; then nobody does anything.
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita' AND state <> 'idle'";
    let is_idle = async || database.scalar::<i64>(busy).await == 0;
    eventually("no reader that takes nothing holds a connection", is_idle).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < READERS * READER_BYTES_MAX, "{} MiB", grown / 1024 / 1024);

    // A reader who wakes up finds all of it.
    let reader = readers.pop().unwrap();
    let mut left = 0;
    for message in messages(reader).await.unwrap() {
        left += message.events.len();
    }
    assert_eq!(left, EVENTS);
}
