//! What Kubernetes asks over HTTP, while the database comes and goes.

use std::time::Duration;

use partita_server::Probes;
use partita_tests::{Ops, TestDatabase, TestServer, eventually, exact, no_stream};
use sqlx::Connection as _;
use tokio::task::JoinSet;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const READERS: usize = 20;
/// So many reads that waited for the lock, 2 s each.
const REFUSALS: usize = 4;

async fn start(database: &TestDatabase) -> (TestServer, Ops) {
    let probes = Probes::default();
    let ops = Ops::start(probes.clone()).await;
    assert_eq!(ops.probes().await, [200, 503, 503]);
    let change = |config: &mut partita_store::StoreConfig| config.partitions_v1 = true;
    (TestServer::start_configured(database, change, |config| config.probes = probes).await, ops)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_take_every_connection_do_not_make_a_process_look_dead() {
    let database = TestDatabase::new().await;
    let probes = Probes::default();
    let ops = Ops::start(probes.clone()).await;
    let server = TestServer::start_configured(
        &database,
        |config| config.read_connections_max = 1,
        |config| {
            config.probes = probes;
            config.ping_interval = Duration::from_millis(50);
        },
    )
    .await;
    server.append("acme", "order", "1").expected(no_stream()).event("First").ok().await;
    eventually("ready", async || ops.probes().await == [200, 200, 200]).await;

    let mut held = database.connect().await;
    let mut lock = held.begin().await.unwrap();
    sqlx::query("LOCK TABLE event_store IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let mut reads = JoinSet::new();
    for _ in 0..READERS {
        let read = server.read("acme", "order", "1");
        reads.spawn(async move { read.refused().await });
    }
    // Each waits for the lock before the next one has the connection: longer together than pings are forgiven.
    for _ in 0..REFUSALS {
        tokio::select! {
            refused = reads.join_next() => { refused.unwrap().unwrap(); }
            () = always_ready(&ops) => {}
        }
    }
    lock.rollback().await.unwrap();
}

async fn always_ready(ops: &Ops) {
    loop {
        assert_eq!(ops.probes().await, [200, 200, 200]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn grpc(server: &TestServer, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(server.channel()).check(request).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stops_and_comes_back_costs_readiness_and_nothing_else() {
    let (database, mut cluster) = TestDatabase::in_private_cluster().await;
    let (server, ops) = start(&database).await;
    eventually("ready", async || ops.probes().await == [200, 200, 200]).await;
    server.append("acme", "order", "1").expected(no_stream()).event("First").ok().await;

    cluster.kill().await;
    eventually("not ready", async || ops.probes().await == [200, 503, 200]).await;
    assert_eq!(ops.get("/readyz").await.1, "the database does not answer\n");
    for (name, status) in [
        ("", ServingStatus::NotServing),
        ("readiness", ServingStatus::NotServing),
        ("liveness", ServingStatus::Serving),
        ("startup", ServingStatus::Serving),
    ] {
        assert_eq!(grpc(&server, name).await, status, "{name}");
    }
    let refusal = server.append("acme", "order", "1").expected(exact(1)).event("Lost").refused().await;
    assert_eq!(refusal.reason, "DATABASE_UNAVAILABLE");

    cluster.restart().await.unwrap();
    eventually("ready again", async || ops.probes().await == [200, 200, 200]).await;
    server.append("acme", "order", "1").expected(exact(1)).event("Second").ok().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_process_that_leaves_is_alive_and_not_ready_to_its_end() {
    let database = TestDatabase::new().await;
    let (server, ops) = start(&database).await;
    eventually("ready", async || ops.probes().await == [200, 200, 200]).await;
    server.stop().await;
    assert_eq!(ops.probes().await, [200, 503, 200]);
    assert_eq!(ops.get("/readyz").await.1, "shutting down\n");
    assert_eq!(ops.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn a_process_without_the_flag_behind_the_fence_is_not_ready_and_says_why_and_what_mends_it() {
    let database = TestDatabase::new().await;
    let probes = Probes::default();
    let ops = Ops::start(probes.clone()).await;
    let server = TestServer::start_configured(&database, |_| {}, |config| config.probes = probes).await;
    eventually("ready", async || ops.probes().await == [200, 200, 200]).await;
    database.execute("SELECT event_store_raise_fence('test')").await;
    eventually("not ready", async || ops.probes().await == [200, 503, 200]).await;
    let told = ops.get("/readyz").await.1;
    assert!(told.contains("DB_PARTITIONS_V1"), "{told}");
    database.execute("SELECT event_store_lower_fence('test')").await;
    eventually("ready again", async || ops.probes().await == [200, 200, 200]).await;
    drop(server);
}
