//! Hundreds of readers who take what they asked for slowly, or not at all.

use std::time::Duration;

use partita_model::{Direction, ReadStream, StreamId, TenantId};
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::{AppendPipelineRequest, AppendRequest, ReadStreamRequest, ReadStreamResponse};
use partita_store::{Store, StoreConfig};
use partita_tests::{TestDatabase, TestServer, any, eventually, messages};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

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

/// What a page may weigh: its bound of 4 MiB, and the event of 1 MiB that passes it.
const PAGE_BYTES_MAX: usize = 5 * 1024 * 1024;
const SMALL_EVENTS: usize = 300;
const LARGE_EVENTS: usize = 14;

/// Straight at the store: what is sent is cut into messages, whatever a page weighs.
#[tokio::test]
async fn a_page_is_bounded_by_what_it_weighs_where_small_events_are_followed_by_large_ones() {
    for partitions_v1 in [true, false] {
        let database = TestDatabase::new().await;
        let server = TestServer::start(&database, partitions_v1).await;
        server.append("acme", "order", "1").expected(any()).events(SMALL_EVENTS).ok().await;
        let data = format!("\"{}\"", "x".repeat(1_000_000));
        for _ in 0..LARGE_EVENTS / 2 {
            let call = server.append("acme", "order", "1").expected(any());
            (0..2).fold(call, |call, _| call.event_with(|event| event.data = data.clone())).ok().await;
        }
        let config = StoreConfig { partitions_v1, ..StoreConfig::new(database.url()) };
        let store = Store::connect(config).await.unwrap();
        let all: Vec<i32> = (1..).take(SMALL_EVENTS + LARGE_EVENTS).collect();
        for direction in [Direction::Forwards, Direction::Backwards] {
            let read = ReadStream {
                tenant: TenantId::parse("acme").unwrap(),
                stream: StreamId::from_row("order".to_owned(), "1".to_owned()),
                from_version: None,
                direction,
                max_count: None,
                from_timestamp: None,
                to_timestamp: None,
            };
            let mut reader = store.read_stream(read, None).await.unwrap();
            let mut versions = Vec::new();
            while let Some(page) = reader.next_page().await.unwrap() {
                let bytes: usize = page.iter().map(|event| event.data.len()).sum();
                assert!(bytes <= PAGE_BYTES_MAX, "a page of {} events weighs {bytes} bytes", page.len());
                versions.extend(page.iter().map(|event| event.version.get()));
            }
            if direction == Direction::Backwards {
                versions.reverse();
            }
            assert_eq!(versions, all);
            assert_eq!(reader.state().first_version.get(), 1);
        }
        store.close().await;
    }
}

/// A client with as little room as HTTP/2 gives a call where nobody says otherwise.
fn client(server: &TestServer) -> EventStoreServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
    EventStoreServiceClient::new(endpoint.initial_stream_window_size(STREAM_WINDOW_BYTES).connect_lazy())
}

async fn of_one_place(database: &TestDatabase) -> TestServer {
    TestServer::start_configured(
        database,
        |config| config.partitions_v1 = true,
        |config| {
            config.limits.calls_max = 1;
            config.limits.stream_idle = Duration::from_millis(300);
        },
    )
    .await
}

#[tokio::test]
async fn a_reader_who_takes_nothing_for_too_long_leaves_his_place_to_others() {
    let database = TestDatabase::new().await;
    let server = of_one_place(&database).await;
    let data = format!("\"{}\"", "x".repeat(500_000));
    server.append("acme", "order", "1").event_with(|event| event.data = data).ok().await;
    let request = ReadStreamRequest {
        tenant_id: "acme".to_owned(),
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        ..ReadStreamRequest::default()
    };
    // The place of the append is free only when its answer was sent.
    let mut answer = None;
    eventually("the read begins", async || {
        answer = client(&server).read_stream(request.clone()).await.ok();
        answer.is_some()
    })
    .await;
    let is_served =
        async || server.append("acme", "order", "2").expected(any()).event("Placed").send().await.is_ok();
    eventually("another is served", is_served).await;
    drop(answer);
}

#[tokio::test]
async fn a_pipeline_whose_client_takes_no_answers_leaves_its_place_to_others() {
    let database = TestDatabase::new().await;
    let server = of_one_place(&database).await;
    let append = server.append("acme", "order", "1").expected(any()).event("Placed").request;
    // Streams of their own, so that many are recorded at once.
    let requests = (1..=20_000).map(move |sequence: u64| {
        let append = AppendRequest { aggregate_id: sequence.to_string(), ..append.clone() };
        AppendPipelineRequest { sequence, append: Some(append) }
    });
    let answers = client(&server).append_pipeline(tokio_stream::iter(requests)).await.unwrap();
    let is_served =
        async || server.append("acme", "order", "2").expected(any()).event("Placed").send().await.is_ok();
    eventually("another is served", is_served).await;
    drop(answers);
}
