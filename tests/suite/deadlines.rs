//! Deadlines: what a caller may assume who has stopped waiting, and what the database does for him from then on: nothing.

use std::time::Duration;

use partita_model::{Direction, ReadStream, StreamId, TenantId};
use partita_proto::v1::{AppendRequest, ReadStreamRequest};
use partita_store::{DatabaseUrl, Store, StoreConfig, StoreError};
use partita_tests::{Refusal, TestDatabase, TestServer, eventually};
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::codegen::http;
use tonic::{Code, Status};

/// A call without a client's library, which would keep the deadline by itself and not wait for the answer.
async fn call(server: &TestServer, method: &str, message: &impl Message, timeout: &str) -> Status {
    let address = server.address();
    let tcp = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    let driven = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::post(format!("http://{address}/partita.v1.EventStoreService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(())
        .unwrap();
    let (response, mut sent) = client.send_request(request, false).unwrap();
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    // The answer may be there before the message is.
    sent.send_data(frame.into(), true).ok();
    let response = response.await.unwrap();
    let status = match Status::from_header_map(response.headers()) {
        Some(status) => status,
        None => {
            let mut body = response.into_body();
            while body.data().await.is_some() {}
            let trailers = body.trailers().await.unwrap().expect("a status in the trailers");
            Status::from_header_map(&trailers).unwrap()
        }
    };
    driven.abort();
    status
}

fn read_of(tenant: &str) -> ReadStreamRequest {
    ReadStreamRequest {
        tenant_id: tenant.to_owned(),
        aggregate_type: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        ..ReadStreamRequest::default()
    }
}

#[tokio::test]
async fn a_deadline_of_a_nanosecond_is_told_as_missed_and_nothing_is_recorded() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let before = database.contents().await;
    let append: AppendRequest = server.append("acme", "order", "1").event("Second").request;
    for _ in 0..20 {
        for status in [
            call(&server, "Append", &append, "1n").await,
            call(&server, "ReadStream", &read_of("acme"), "1n").await,
        ] {
            let refusal = Refusal::from(status);
            let told = (refusal.code, refusal.reason.as_str());
            assert_eq!(told, (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{refusal:?}");
        }
    }
    // A lane answers a tenant's appends in their order: none is under way behind this one.
    assert_eq!(server.append("acme", "order", "2").event("Last").ok().await.last_version, 1);
    assert_eq!(server.read("acme", "order", "1").versions().await, [1]);
    assert_eq!(database.count("event_store").await, 2);
    assert_ne!(database.contents().await, before);
}

/// Reads of whoever does not own the tables never end, but for a timeout; each leaves its own behind, in milliseconds, as the
/// number of a lock that its session keeps.
async fn hold_up(database: &TestDatabase) {
    database
        .execute(
            "CREATE FUNCTION public.hold_up() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_try_advisory_lock_shared(4711, \
             (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::integer); \
             PERFORM pg_sleep(600); RETURN true; END $$; \
             CREATE POLICY hold_up ON event_store_stream AS RESTRICTIVE FOR SELECT USING (hold_up())",
        )
        .await;
}

/// Sessions of reads in which a statement goes on.
const HELD_UP: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'partita' AND state = 'active'";

async fn timeouts(database: &TestDatabase) -> Vec<i32> {
    let left = "SELECT objid::bigint::integer FROM pg_locks WHERE locktype = 'advisory' AND classid = 4711 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY objid";
    database.column(left).await
}

async fn behind_a_hold_up() -> (TestDatabase, DatabaseUrl) {
    let database = TestDatabase::new().await;
    let owner = TestServer::start(&database, true).await;
    owner.append("acme", "order", "1").event("First").ok().await;
    let (url, _) = database.login("event_store_app").await;
    hold_up(&database).await;
    (database, url)
}

#[tokio::test]
async fn a_read_whose_deadline_passes_ends_in_the_database_too() {
    let (database, url) = behind_a_hold_up().await;
    let change = |config: &mut StoreConfig| {
        config.database_url = url;
        config.partitions_v1 = true;
        config.read_connections_max = 1;
    };
    let server = TestServer::start_with(&database, change).await;
    let refusal = Refusal::from(call(&server, "ReadStream", &read_of("acme"), "700m").await);
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    let over = async || database.scalar::<i64>(HELD_UP).await == 0;
    eventually("no statement goes on", over).await;
    // That it is over would be true after the 30 s of any statement as well.
    let left = timeouts(&database).await;
    assert!(matches!(left[..], [1..=701]) || left.is_empty(), "{left:?}");

    database.execute("DROP POLICY hold_up ON event_store_stream").await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1]);
}

#[tokio::test]
async fn a_read_that_the_database_cuts_off_is_told_as_overdue() {
    let (database, url) = behind_a_hold_up().await;
    let change = |config: &mut StoreConfig| {
        config.database_url = url.clone();
        config.partitions_v1 = true;
    };
    let server = TestServer::start_with(&database, change).await;
    let reading = tokio::spawn(server.read("acme", "order", "1").refused());
    let held = async || timeouts(&database).await == [30_000];
    eventually("the read is held up, with all the time there is", held).await;
    database
        .execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'partita' AND state = 'active'",
        )
        .await;
    let refusal = reading.await.unwrap();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));

    // Without the layers of the service before it: the store alone, which is cut off by its own word.
    let store = Store::connect(StoreConfig { partitions_v1: true, ..StoreConfig::new(url) }).await.unwrap();
    let read = ReadStream {
        tenant: TenantId::parse("acme").unwrap(),
        stream: StreamId::from_row("order".to_owned(), "1".to_owned()),
        from_version: None,
        direction: Direction::Forwards,
        max_count: None,
        from_timestamp: None,
        to_timestamp: None,
    };
    let deadline = Instant::now() + Duration::from_millis(300);
    let cut = store.read_stream(read, Some(deadline)).await.err().expect("no answer");
    assert!(matches!(cut, StoreError::ReadTimeout), "{cut:?}");
    store.close().await;
}

/// Sessions that are there, of those in which a read was held up.
fn session_of(pid: i32) -> String {
    format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")
}

#[tokio::test]
async fn a_read_whose_client_goes_away_ends_in_the_database_and_its_session_with_it() {
    let (database, url) = behind_a_hold_up().await;
    let change = |config: &mut StoreConfig| {
        config.database_url = url;
        config.partitions_v1 = true;
        config.read_connections_max = 1;
    };
    let server = TestServer::start_with(&database, change).await;
    let reading = tokio::spawn(server.read("acme", "order", "1").refused());
    let held = async || database.scalar::<i64>(HELD_UP).await == 1;
    eventually("the read is held up", held).await;
    let pid: i32 = database.scalar(&HELD_UP.replace("count(*)", "min(pid)")).await;
    reading.abort();
    // Where its time ran out instead, the session would be there still, for the next one.
    let gone = async || database.scalar::<i64>(&session_of(pid)).await == 0;
    eventually("the session is gone", gone).await;

    database.execute("DROP POLICY hold_up ON event_store_stream").await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1]);
}
