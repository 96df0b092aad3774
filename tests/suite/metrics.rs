//! What is measured is what happened.

use partita_server::Probes;
use partita_tests::{Ops, TestDatabase, TestServer, eventually, metric, no_stream};

const APPEND: &str = "rpc_method=\"partita.v1.EventStoreService/Append\"";

/// Other tests of this process count as well: more is fine, less is not.
fn calls(code: u32) -> f64 {
    metric(&format!("rpc_server_call_duration_seconds_count{{{APPEND},rpc_grpc_status_code=\"{code}\"}}"))
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code_and_errors_by_reason() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let (ok, aborted) = (calls(0), calls(10));
    let conflicts = "partita_errors_total{reason=\"VERSION_CONFLICT\"}";
    let conflicts_before = metric(conflicts);
    let append = || server.append("acme", "order", "1").expected(no_stream()).event("First");
    append().ok().await;
    append().refused().await;
    eventually("counted", async || calls(0) > ok && calls(10) > aborted).await;
    assert!(metric(conflicts) > conflicts_before);
    assert!(metric("partita_appended_events_total") >= 1.0);
    assert!(metric("partita_first_write_partitions_total") >= 1.0);
}

#[tokio::test]
async fn nothing_that_a_caller_chose_becomes_a_label() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let (tenant, stream) = ("unmistakable-tenant", "unmistakable-stream");
    server.append(tenant, "unmistakable-type", stream).event("UnmistakableEvent").ok().await;
    server.read(tenant, "unmistakable-type", stream).versions().await;
    let mut client = tonic::client::Grpc::new(server.channel());
    client.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/unmistakable.Service/Method");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    client.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    let page = Ops::start(Probes::default()).await.get("/metrics").await.1;
    assert!(page.contains("rpc_method=\"_OTHER\""), "{page}");
    assert!(!page.to_lowercase().contains("unmistakable"), "{page}");
}
