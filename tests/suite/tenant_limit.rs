//! A cap on tenants that make themselves: one too many is told so, leaves nothing behind, and is in nobody's way.

use std::time::Duration;

use partita_store::StoreConfig;
use partita_tests::{Refusal, TestDatabase, TestServer, month, months};
use tokio::task::JoinSet;
use tonic::Code;

async fn server(database: &TestDatabase, change: impl FnOnce(&mut StoreConfig)) -> TestServer {
    let limited = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        change(config);
    };
    TestServer::start_with(database, limited).await
}

#[tokio::test]
async fn a_tenant_too_many_is_refused_and_nothing_is_made_for_it() {
    let database = TestDatabase::new().await;
    let servers = [
        server(&database, |config| config.tenants_max = 2).await,
        server(&database, |config| config.tenants_max = 2).await,
    ];
    servers[0].append("first", "order", "1").event("First").ok().await;
    servers[1].append("second", "order", "1").event("First").ok().await;
    let before = database.contents().await;
    for server in &servers {
        let refusal = server.append("third", "order", "1").event("First").refused().await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "TENANT_LIMIT"));
        assert_eq!((refusal.fact("tenant_id"), refusal.fact("limit")), ("third", "2"));
        assert_eq!(refusal.retry_after, None, "waiting does not help: {refusal:?}");
    }
    assert_eq!(database.contents().await, before);

    // The limit is for new tenants: those that are there go on, into other months too.
    servers[1].append("first", "order", "1").events_at(&[&month(-9).start().to_string()]).ok().await;
    assert_eq!(servers[0].months_of("first").await, months([-9, -1, 0, 1, 2]));
}

#[tokio::test]
async fn an_operator_makes_a_tenant_whatever_the_limits_say() {
    let database = TestDatabase::new().await;
    let server = server(&database, |config| {
        config.tenants_max = 0;
        config.new_tenants_per_minute = 0;
    })
    .await;
    for tenant in ["by-maintenance", "by-sql"] {
        let refusal = server.append(tenant, "order", "1").event("First").refused().await;
        assert_eq!(refusal.reason, "TENANT_LIMIT");
    }
    server.maintain("by-maintenance", |_| {}).await;
    database.execute("SELECT ensure_event_store_partition('by-sql')").await;
    for tenant in ["by-maintenance", "by-sql"] {
        server.append(tenant, "order", "1").event("First").ok().await;
        assert_eq!(server.months_of(tenant).await, months(-1..=2));
    }
}

#[tokio::test]
async fn too_many_new_tenants_within_a_minute_are_told_when_to_come_back() {
    let database = TestDatabase::new().await;
    let hasty = server(&database, |config| config.new_tenants_per_minute = 2).await;
    for tenant in ["first", "second"] {
        hasty.append(tenant, "order", "1").event("First").ok().await;
    }
    let before = database.contents().await;
    let refusal = hasty.append("third", "order", "1").event("First").refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "TENANT_LIMIT"));
    let wait = refusal.retry_after.expect("waiting helps");
    assert!(wait > Duration::ZERO && wait <= Duration::from_mins(1), "{wait:?}");
    assert_eq!(database.contents().await, before);
    hasty.append("first", "order", "1").event("Next").ok().await;

    // Each process counts for itself.
    let other = server(&database, |config| config.new_tenants_per_minute = 2).await;
    other.append("third", "order", "1").event("First").ok().await;
    // Made by somebody else, it is not new any more.
    hasty.append("third", "order", "1").event("Next").ok().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_new_tenants_at_once_fill_the_limit_and_do_not_pass_it() {
    let database = TestDatabase::new().await;
    let servers = [
        server(&database, |config| config.tenants_max = 5).await,
        server(&database, |config| config.tenants_max = 5).await,
    ];
    let mut calls = JoinSet::new();
    for writer in 0..24 {
        calls.spawn(
            servers[writer % 2].append(&format!("tenant-{writer}"), "order", "1").event("First").send(),
        );
    }
    let mut recorded = 0;
    while let Some(answer) = calls.join_next().await {
        match answer.unwrap() {
            Ok(_) => recorded += 1,
            Err(status) => assert_eq!(Refusal::from(status).reason, "TENANT_LIMIT"),
        }
    }
    assert_eq!(recorded, 5);
    assert_eq!(database.count("event_store_tenant").await, 5);
    assert_eq!(database.differing_rows().await, 0);
}
