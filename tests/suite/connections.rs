//! Connections, and what arrives on them: how many, how much, and for how long.

use std::time::Duration;

use partita_server::ServerConfig;
use partita_tests::{AppendCall, TestDatabase, TestServer, any, eventually, metric};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::codegen::Bytes;
use tonic::codegen::http;

async fn serve(database: &TestDatabase, change: impl FnOnce(&mut ServerConfig)) -> TestServer {
    TestServer::start_configured(database, |config| config.partitions_v1 = true, change).await
}

type Client = h2::client::SendRequest<Bytes>;

/// A connection without a client's library: it is what the service makes of it, and ends when the service ends it.
async fn connect(server: &TestServer) -> (Client, JoinHandle<()>) {
    let tcp = TcpStream::connect(server.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    (client, tokio::spawn(async move { drop(connection.await) }))
}

/// An append that so many bytes say.
fn append_of(server: &TestServer, bytes: usize) -> AppendCall {
    let data = format!("\"{}\"", "x".repeat(bytes));
    server.append("acme", "order", "1").expected(any()).event_with(|event| event.data = data)
}

#[tokio::test]
async fn a_message_that_finds_no_room_to_arrive_is_told_when_to_come_back_and_leaves_what_it_took() {
    let database = TestDatabase::new().await;
    let server = serve(&database, |config| config.limits.arriving_bytes_max = 500_000).await;
    let shed = "partita_shed_total{limit=\"arriving\"}";
    for _ in 0..5 {
        let before = metric(shed);
        let refusal = append_of(&server, 600_000).refused().await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
        assert!(refusal.retry_after.is_some_and(|pause| !pause.is_zero()), "{refusal:?}");
        assert!(metric(shed) > before);
        // Most of the room: nothing is left of those before.
        append_of(&server, 400_000).ok().await;
    }
    assert_eq!(database.count("event_store").await, 5);
}

#[tokio::test]
async fn a_connection_too_many_is_closed_at_once_and_the_place_of_one_that_goes_is_free() {
    let database = TestDatabase::new().await;
    let server = serve(&database, |config| config.limits.connections_max = 2).await;
    server.append("acme", "order", "1").event("Placed").ok().await;
    let (_client, second) = connect(&server).await;
    let mut third = TcpStream::connect(server.address()).await.unwrap();
    // Closed, or reset: it did not even look at what may have been sent.
    assert!(matches!(third.read(&mut [0; 64]).await, Ok(0) | Err(_)));
    // Those that are open are served.
    server.append("acme", "order", "1").event("Placed").ok().await;

    second.abort();
    let has_place = async || {
        let mut tcp = TcpStream::connect(server.address()).await.unwrap();
        // The service speaks first to whom it lets in, once he has greeted it.
        let greeted = tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.is_ok();
        greeted && matches!(tcp.read(&mut [0; 64]).await, Ok(1..))
    };
    eventually("there is a place again", has_place).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_said_is_closed() {
    let database = TestDatabase::new().await;
    let server = serve(&database, |_| {}).await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    let mut heard = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), silent.read_to_end(&mut heard)).await;
    assert!(end.is_ok(), "it is still open");
}

#[tokio::test]
async fn a_connection_of_age_takes_no_new_call_and_ends_with_the_last_that_is_open() {
    let database = TestDatabase::new().await;
    let age = Duration::from_millis(200);
    let server = serve(&database, |config| config.limits.connection_age = Some(age)).await;
    let (client, driven) = connect(&server).await;
    let uri = format!("http://{}/partita.v1.EventStoreService/Append", server.address());
    let request =
        http::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    let mut open = client.clone().ready().await.unwrap();
    let (answer, mut sent) = open.send_request(request.body(()).unwrap(), false).unwrap();
    eventually("no new call is taken", async || client.clone().ready().await.is_err()).await;

    let message = server.append("acme", "order", "1").event("Placed").request.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    sent.send_data(frame.into(), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    while body.data().await.is_some() {}
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    eventually("the connection ends", async || driven.is_finished()).await;
    assert_eq!(database.count("event_store").await, 1);
}
