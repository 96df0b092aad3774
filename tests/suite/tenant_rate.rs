//! Limits of a tenant, and of the process.

use partita_tests::{Refusal, TestDatabase, TestServer, any};
use tonic::Code;

#[tokio::test]
async fn a_tenant_beyond_its_rate_is_told_when_to_come_back_and_others_are_served() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_configured(
        &database,
        |config| config.partitions_v1 = true,
        |config| config.limits.tenant_calls_per_second = 1,
    )
    .await;
    let append = |tenant: &str| server.append(tenant, "order", "1").expected(any()).event("Placed");
    append("acme").ok().await;
    // The second call may come a second later on a busy machine, but not every one of so many.
    let mut refused = 0;
    for _ in 0..50 {
        if let Err(status) = append("acme").send().await {
            let refusal = Refusal::from(status);
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
            assert!(refusal.retry_after.is_some_and(|pause| !pause.is_zero()));
            refused += 1;
        }
    }
    assert!(refused > 0);
    append("globex").ok().await;
    assert_eq!(database.count("event_store WHERE tenant_id = 'acme'").await, 51 - refused);
}

#[tokio::test]
async fn a_process_with_all_its_calls_open_turns_others_away_and_answers_probes() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_configured(
        &database,
        |config| config.partitions_v1 = true,
        |config| config.limits.calls_max = 1,
    )
    .await;
    let (requests, stream) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let open = server.events().append_pipeline(stream).await.unwrap();
    let refusal = server.append("acme", "order", "1").event("Placed").refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    let probe = tonic_health::pb::HealthCheckRequest { service: "liveness".to_owned() };
    tonic_health::pb::health_client::HealthClient::new(server.channel()).check(probe).await.unwrap();
    drop((requests, open));
    let served = async || server.append("acme", "order", "1").event("Placed").send().await.is_ok();
    partita_tests::eventually("there is room again", served).await;
}
