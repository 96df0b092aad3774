//! What the service does for partitions by itself: in one process, as it is told, and never more than it is told.

use std::time::Duration;

use partita_store::{MaintenanceMode, StoreConfig};
use partita_tests::{ForeignEvent, TestDatabase, TestServer, eventually, month, months};

/// The session that leads.
const LEADER: &str = "SELECT coalesce(max(held.pid), 0) FROM pg_locks AS held \
     JOIN pg_stat_activity AS activity USING (pid) WHERE held.locktype = 'advisory' AND held.granted \
     AND activity.application_name = 'partita maintenance' AND activity.datname = current_database()";

/// A tenant with an event in each of the last seven months, kept for ever until now.
async fn seven_months(database: &TestDatabase, tenant: &str) {
    let server = TestServer::start_keeping_all(database).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append(tenant, "order", "1").events_at(&instants).ok().await;
    server.stop().await;
}

/// A process that keeps three months, and maintains without a pause to speak of.
async fn keeping_three(database: &TestDatabase, change: impl FnOnce(&mut StoreConfig)) -> TestServer {
    let hasty = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.retention_months = 3;
        config.maintenance.interval = Duration::from_millis(50);
        config.maintenance.first_run_within = Duration::ZERO;
        change(config);
    };
    TestServer::start_with(database, hasty).await
}

/// Waits until whole runs must have ended: the leader's session is asked whether it still leads before each tenant.
async fn runs_pass(database: &TestDatabase) {
    let asked = "SELECT coalesce(max(query_start)::text, '') FROM pg_stat_activity \
         WHERE application_name = 'partita maintenance' AND datname = current_database()";
    let mut seen: Vec<String> = Vec::new();
    eventually("several runs", async || {
        let at: String = database.scalar(asked).await;
        if !at.is_empty() && seen.last() != Some(&at) {
            seen.push(at);
        }
        seen.len() > 8
    })
    .await;
}

#[tokio::test]
async fn months_come_and_go_without_anybody_asking() {
    let database = TestDatabase::new().await;
    seven_months(&database, "acme").await;
    let server = keeping_three(&database, |config| config.months_ahead = 4).await;
    let (_stop, _running) = server.maintain_by_itself();
    eventually("maintenance", async || server.months_of("acme").await == months(-3..=4)).await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [4, 5, 6, 7]);
}

#[tokio::test]
async fn a_process_that_does_not_write_partitions_or_is_told_not_to_does_nothing() {
    let database = TestDatabase::new().await;
    seven_months(&database, "acme").await;
    let before = database.contents().await;
    let legacy = keeping_three(&database, |config| config.partitions_v1 = false).await;
    let disabled = keeping_three(&database, |config| config.maintenance.enabled = false).await;
    for server in [legacy, disabled] {
        let (_stop, running) = server.maintain_by_itself();
        running.await.unwrap();
    }
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn observing_changes_nothing() {
    let database = TestDatabase::new().await;
    seven_months(&database, "acme").await;
    ForeignEvent::new("history", "1", 1).write(database.pool()).await.unwrap();
    let before = database.contents().await;
    let server = keeping_three(&database, |config| {
        config.months_ahead = 4;
        config.maintenance.mode = MaintenanceMode::Observe;
    })
    .await;
    let (_stop, _running) = server.maintain_by_itself();
    runs_pass(&database).await;
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn each_switch_holds_back_its_own_part() {
    let database = TestDatabase::new().await;
    seven_months(&database, "acme").await;
    let all = months(-6..=2);

    let server = keeping_three(&database, |config| {
        config.months_ahead = 4;
        config.maintenance.create = false;
        config.maintenance.detach = false;
    })
    .await;
    let (stop, running) = server.maintain_by_itself();
    runs_pass(&database).await;
    assert_eq!(server.months_of("acme").await, all);
    assert_eq!(server.read("acme", "order", "1").versions().await, (1..=7).collect::<Vec<_>>());
    drop(stop);
    running.await.unwrap();

    let server = keeping_three(&database, |config| config.maintenance.drop = false).await;
    let (_stop, _running) = server.maintain_by_itself();
    eventually("the detaches", async || server.months_of("acme").await == months(-3..=2)).await;
    runs_pass(&database).await;
    let kept = "SELECT count(*) FROM pg_class WHERE relnamespace = 'event_store_partitions'::regnamespace \
         AND relkind = 'r' AND NOT relispartition";
    assert_eq!(database.scalar::<i64>(kept).await, 3);
}

#[tokio::test]
async fn one_process_leads_and_another_takes_over() {
    let database = TestDatabase::new().await;
    let servers = [keeping_three(&database, |_| {}).await, keeping_three(&database, |_| {}).await];
    let [(first_stop, first), (_stop, _second)] = servers.each_ref().map(TestServer::maintain_by_itself);
    let leader = async || database.scalar::<i32>(LEADER).await;
    eventually("a leader", async || leader().await != 0).await;

    // The session is lost, as after kill -9 of its process.
    let lost = leader().await;
    database.execute(format!("SELECT pg_terminate_backend({lost})")).await;
    eventually("another leader", async || ![0, lost].contains(&leader().await)).await;

    drop(first_stop);
    first.await.unwrap();
    eventually("a leader that is left", async || leader().await != 0).await;
    let holders = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity AS activity USING (pid) \
         WHERE locktype = 'advisory' AND application_name = 'partita maintenance' \
         AND activity.datname = current_database()";
    assert_eq!(database.scalar::<i64>(holders).await, 1);
}

#[tokio::test]
async fn a_tenant_that_is_held_open_does_not_stop_the_rest() {
    let database = TestDatabase::new().await;
    for tenant in ["acme", "beta"] {
        seven_months(&database, tenant).await;
    }
    let mut reader = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'")
        .execute(&mut reader)
        .await
        .unwrap();
    let server = keeping_three(&database, |_| {}).await;
    let (_stop, _running) = server.maintain_by_itself();
    eventually("the other tenant", async || server.months_of("beta").await == months(-3..=2)).await;
    assert!(server.months_of("acme").await.contains(&month(-5).start().to_string()));
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    eventually("the tenant itself", async || server.months_of("acme").await == months(-3..=2)).await;
}

#[tokio::test]
async fn tenants_of_the_legacy_table_are_made_up_to_the_limit() {
    let database = TestDatabase::new().await;
    for tenant in ["history-1", "history-2", "history-3"] {
        ForeignEvent::new(tenant, "1", 1).write(database.pool()).await.unwrap();
    }
    let server = keeping_three(&database, |config| config.tenants_max = 2).await;
    let (_stop, _running) = server.maintain_by_itself();
    eventually("two tenants", async || database.count("event_store_tenant").await == 2).await;
    runs_pass(&database).await;
    assert_eq!(database.count("event_store_tenant").await, 2);
}
