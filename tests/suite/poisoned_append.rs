//! A batch that holds an append which the database refuses.

use partita_tests::{Refusal, TestDatabase, TestServer, no_stream};
use tokio::task::JoinSet;
use tonic::Code;

/// As many events as one tenant may have waiting here.
const WAITING_MAX: usize = 20;

/// The legacy table gets a rule of its own that its data alone can break.
const RULE: &str =
    "ALTER TABLE public.event_store ADD CONSTRAINT no_poison CHECK (NOT event_data ? 'poison')";

/// A service with one lane, and the tenants that the tests append to.
async fn scene() -> (TestDatabase, TestServer) {
    let database = TestDatabase::new().await;
    let change = |config: &mut partita_store::StoreConfig| {
        config.partitions_v1 = true;
        config.lanes.count = 1;
        config.lanes.tenant_queue_events_max = WAITING_MAX;
    };
    let server = TestServer::start_with(&database, change).await;
    for tenant in ["first", "mean", "good"] {
        server.append(tenant, "order", "known").event("First").ok().await;
    }
    (database, server)
}

/// The batch is decided from memory (`known`), or with a look at the database.
async fn fails_alone(stream_of_good: impl Fn(usize) -> String) {
    let (database, server) = scene().await;
    database.execute(RULE).await;
    // While the lane waits with this one, the others gather behind it.
    let hold = database.hold_tenant("first").await;
    let first = tokio::spawn(server.append("first", "order", "known").event("Second").ok());
    database.lane_waits().await;

    // Each tenant's share of the queue is filled by half of what is sent: when the other half has been turned away,
    // this half is waiting.
    let (mut mean, mut good) = (JoinSet::new(), JoinSet::new());
    for aggregate_id in ["a", "b"] {
        let call = server.append("mean", "order", aggregate_id).expected(no_stream()).events(WAITING_MAX - 1);
        let poison = call.event_with(|event| event.data = r#"{"poison": true}"#.to_owned());
        mean.spawn(poison.send());
    }
    for number in 0..2 * WAITING_MAX {
        good.spawn(server.append("good", "order", &stream_of_good(number)).event("Good").send());
    }
    let turned_away = |status| assert_eq!(Refusal::from(status).reason, "OVERLOADED");
    turned_away(mean.join_next().await.unwrap().unwrap().unwrap_err());
    for _ in 0..WAITING_MAX {
        turned_away(good.join_next().await.unwrap().unwrap().unwrap_err());
    }
    hold.release().await;

    let refusal = Refusal::from(mean.join_next().await.unwrap().unwrap().unwrap_err());
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "LEGACY_CONSTRAINT"));
    assert!(refusal.message.contains("no_poison"), "{refusal:?}");
    for answer in good.join_all().await {
        answer.unwrap();
    }
    first.await.unwrap();
    assert_eq!(database.count("event_store WHERE tenant_id = 'mean'").await, 1);
    assert_eq!(database.last_position("mean").await, 1);
    assert_eq!(database.last_position("good").await, 1 + i64::try_from(WAITING_MAX).unwrap());
    database.assert_sound(&server).await;
}

#[tokio::test]
async fn a_poisoned_append_fails_alone_in_a_batch_of_new_streams() {
    fails_alone(|number| format!("new-{number}")).await;
}

#[tokio::test]
async fn a_poisoned_append_fails_alone_in_a_batch_of_one_stream() {
    fails_alone(|_| "known".to_owned()).await;
}
