//! More appends than the service takes in.

use partita_proto::v1::AppendResponse;
use partita_store::{LaneConfig, StoreConfig};
use partita_tests::{Refusal, TenantHold, TestDatabase, TestServer};
use tokio::task::JoinSet;
use tonic::{Code, Status};

/// As many events as a tenant may have waiting here, and as all of a lane may.
const TENANT_MAX: usize = 4;
const LANE_MAX: usize = 10;

type Calls = JoinSet<Result<AppendResponse, Status>>;

/// A service whose only lane waits for a lock with an append of tenant `flood`.
async fn scene(also: impl FnOnce(&mut StoreConfig)) -> (TestDatabase, TestServer, TenantHold, Calls) {
    let database = TestDatabase::new().await;
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.lanes.count = 1;
        config.lanes.tenant_queue_events_max = TENANT_MAX;
        config.lanes.queue_events_max = LANE_MAX;
        also(config);
    };
    let server = TestServer::start_with(&database, change).await;
    for tenant in ["flood", "calm", "quiet"] {
        server.append(tenant, "order", "1").event("First").ok().await;
    }
    let hold = database.hold_tenant("flood").await;
    let mut calls = JoinSet::new();
    calls.spawn(server.append("flood", "order", "1").event("UnderWay").send());
    database.lane_waits().await;
    (database, server, hold, calls)
}

fn assert_overloaded(status: Status) {
    let refusal = Refusal::from(status);
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(refusal.retry_after.is_some_and(|pause| !pause.is_zero()), "{refusal:?}");
}

/// Sends so many appends at once. So many of them must be turned away before anything else is answered; the others wait.
async fn send(server: &TestServer, tenant: &str, count: usize, turned_away: usize) -> Calls {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        calls.spawn(server.append(tenant, "order", "1").event("Sent").send());
    }
    for _ in 0..turned_away {
        assert_overloaded(calls.join_next().await.unwrap().unwrap().unwrap_err());
    }
    calls
}

async fn assert_recorded(calls: Calls, count: usize) {
    let answers = calls.join_all().await;
    assert_eq!(answers.len(), count);
    for answer in answers {
        answer.unwrap();
    }
}

#[tokio::test]
async fn what_is_turned_away_is_told_when_to_come_back_and_is_not_recorded() {
    let (database, server, hold, under_way) = scene(|_| {}).await;
    let waiting = send(&server, "flood", 10, 10 - TENANT_MAX).await;
    hold.release().await;
    assert_recorded(under_way, 1).await;
    assert_recorded(waiting, TENANT_MAX).await;
    assert_eq!(database.last_position("flood").await, 2 + i64::try_from(TENANT_MAX).unwrap());
    database.assert_sound(&server).await;
}

#[tokio::test]
async fn a_flood_of_one_tenant_leaves_room_for_others_until_the_lane_is_full() {
    let (database, server, hold, under_way) = scene(|_| {}).await;
    let flood = send(&server, "flood", 20, 20 - TENANT_MAX).await;
    let calm = send(&server, "calm", 5, 5 - TENANT_MAX).await;
    // Of the lane's room there is left less than a tenant's share.
    let quiet = send(&server, "quiet", 4, 2).await;
    // An append that is larger than what is left is turned away as a whole.
    let large = server.append("large", "order", "1").events(2).send().await;
    assert_overloaded(large.unwrap_err());
    hold.release().await;
    assert_recorded(under_way, 1).await;
    assert_recorded(flood, TENANT_MAX).await;
    assert_recorded(calm, TENANT_MAX).await;
    assert_recorded(quiet, LANE_MAX - 2 * TENANT_MAX).await;
    assert_eq!(database.count("event_store_tenant").await, 3);
    database.assert_sound(&server).await;
}

#[tokio::test]
async fn an_append_that_waits_too_long_for_a_lock_is_not_recorded_and_the_lane_goes_on() {
    let given_up = |config: &mut StoreConfig| config.lanes.lock_timeout = LaneConfig::default().lock_timeout;
    let (database, server, hold, mut under_way) = scene(given_up).await;
    let calm = send(&server, "calm", 2, 0).await;
    // Nobody lets go: the lane gives up after its own limit.
    assert_overloaded(under_way.join_next().await.unwrap().unwrap().unwrap_err());
    assert_recorded(calm, 2).await;
    hold.release().await;
    assert_eq!(database.last_position("flood").await, 1);
    server.append("flood", "order", "1").expected(partita_tests::exact(1)).event("Next").ok().await;
    database.assert_sound(&server).await;
}
