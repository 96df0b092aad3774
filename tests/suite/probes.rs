//! What Kubernetes asks over HTTP, while the database comes and goes.

use partita_server::Probes;
use partita_tests::{Ops, TestDatabase, TestServer, eventually, exact, no_stream};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn start(database: &TestDatabase) -> (TestServer, Ops) {
    let probes = Probes::default();
    let ops = Ops::start(probes.clone()).await;
    assert_eq!(ops.probes().await, [200, 503, 503]);
    let change = |config: &mut partita_store::StoreConfig| config.partitions_v1 = true;
    (TestServer::start_configured(database, change, |config| config.probes = probes).await, ops)
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
