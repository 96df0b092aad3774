//! A fleet that is replaced, one process after the other, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use partita_proto::v1::AppendRequest;
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_tests::{TestDatabase, TestServer, eventually, standing_at};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

const WRITERS: usize = 12;
/// What a client waits before it tries elsewhere.
const PAUSE: Duration = Duration::from_millis(5);

/// The processes that clients know of, as a balancer would tell them.
type Fleet = Arc<RwLock<Vec<EventStoreServiceClient<Channel>>>>;

async fn start(database: &TestDatabase) -> TestServer {
    TestServer::start_configured(
        database,
        |config| config.partitions_v1 = true,
        |config| config.shutdown_notice = Duration::from_millis(300),
    )
    .await
}

/// A client as the documentation wants it: the same ids again, elsewhere, as long as it hears UNAVAILABLE.
async fn send(fleet: &Fleet, request: &AppendRequest, first: usize, retries: &AtomicUsize) -> i32 {
    for attempt in 0.. {
        let mut client = {
            let clients = fleet.read().await;
            clients[(first + attempt) % clients.len()].clone()
        };
        match client.append(request.clone()).await {
            Ok(answer) => return answer.into_inner().last_version,
            Err(status) if status.code() == Code::Unavailable => {
                retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            Err(status) => panic!("a client that behaves must not see {status:?}"),
        }
    }
    unreachable!("attempts do not end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_shows_a_client_that_behaves_no_error() {
    let database = TestDatabase::new().await;
    let mut servers = vec![start(&database).await, start(&database).await];
    let fleet: Fleet = Arc::new(RwLock::new(servers.iter().map(TestServer::events).collect()));
    let (stop, acknowledged, retries) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (fleet, stop, acknowledged, retries) =
            (Arc::clone(&fleet), Arc::clone(&stop), Arc::clone(&acknowledged), Arc::clone(&retries));
        let template = servers[0].append("acme", "order", &writer.to_string()).event("Placed");
        writers.spawn(async move {
            let mut version = 0;
            while !stop.load(Ordering::Relaxed) {
                let call = template.clone().expected(standing_at(version));
                let mut request = call.request;
                request.events[0].event_id = Uuid::new_v4().to_string();
                // A retry of what was recorded is answered as the first time: no version is skipped, none is taken twice.
                assert_eq!(send(&fleet, &request, writer, &retries).await, version + 1);
                version += 1;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            version
        });
    }
    for _ in 0..4 {
        let now = acknowledged.load(Ordering::Relaxed);
        eventually("appends go on", async || acknowledged.load(Ordering::Relaxed) > now + 10 * WRITERS).await;
        let new = start(&database).await;
        fleet.write().await.push(new.events());
        servers.push(new);
        // The balancer hears of it while the notice runs; some clients hear later.
        let old = servers.remove(0);
        let leaving = tokio::spawn(old.stop());
        tokio::time::sleep(PAUSE).await;
        fleet.write().await.remove(0);
        leaving.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let recorded: i32 = writers.join_all().await.into_iter().sum();
    assert_eq!(database.count("event_store").await, i64::from(recorded));
    database.assert_sound(&servers[0]).await;
}
