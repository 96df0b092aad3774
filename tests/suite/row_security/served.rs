//! What the service does behind the wall: it names whom it serves, and nobody else's is left behind.

use std::fmt::Write as _;

use partita_migration::{MigrationError, Refusal as Obstacle, Workers};
use partita_store::StoreConfig;
use partita_tests::{
    ForeignEvent, History, TestDatabase, TestServer, UNTHROTTLED, at, eventually, month, months,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{guarded, serving};

/// Names that a list of names could stumble over.
const ODD_NAMES: [&str; 8] =
    ["a,b", "{brace}", "}", "\"quoted\"", "back\\slash", "NULL", " spaced ", "quote's"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_many_tenants_names_them_all() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |config| config.lanes.count = 1).await;
    for tenant in ODD_NAMES {
        server.append(tenant, "order", "1").event("First").ok().await;
    }
    for round in 0..3 {
        // What comes while the lane waits is one batch; what it remembers is recorded from memory, the rest by a look.
        let hold = database.hold_tenant(ODD_NAMES[0]).await;
        let first = tokio::spawn(server.append(ODD_NAMES[0], "order", "1").event("Held").ok());
        database.lane_waits().await;
        let mut sent = JoinSet::new();
        for tenant in ODD_NAMES {
            sent.spawn(server.append(tenant, "order", "1").event("Known").ok());
            sent.spawn(server.append(tenant, "order", &format!("new-{round}")).event("New").ok());
        }
        hold.release().await;
        first.await.unwrap();
        sent.join_all().await;
    }
    let commits: i64 = database.scalar("SELECT count(DISTINCT xmin::text) FROM event_store").await;
    assert!(commits < database.count("event_store").await, "no batch held two appends");
    for tenant in ODD_NAMES {
        let versions = server.read(tenant, "order", "1").versions().await;
        assert_eq!(versions.len(), if tenant == ODD_NAMES[0] { 7 } else { 4 }, "{tenant}");
        assert_eq!(server.verify(tenant).await.found(), [], "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_many_tenants_by_one_session_never_see_each_others() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let change = |config: &mut StoreConfig| {
        config.read_connections_max = 1;
        config.retention_months = 0;
    };
    let server = std::sync::Arc::new(serving(&database, &url, change).await);
    let instants = months(-2..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    for (place, tenant) in ODD_NAMES.into_iter().enumerate() {
        // The same stream for all, of another length and writer for each, over several months and in legacy alone.
        server.append(tenant, "order", "1").events_at(&instants).ok().await;
        let mut other = database.connect().await;
        for version in 0..i32::try_from(place).unwrap() {
            ForeignEvent::new(tenant, "1", 4 + version).write(&mut other).await.unwrap();
        }
    }
    let mut readers = JoinSet::new();
    for (place, tenant) in ODD_NAMES.into_iter().enumerate() {
        let server = server.clone();
        readers.spawn(async move {
            for _ in 0..10 {
                let answer = server.read(tenant, "order", "1").ok().await;
                assert_eq!(answer.events.len(), 3 + place, "{tenant}");
                let other = server.read(tenant, "order", "2").refused().await;
                assert_eq!(other.reason, "STREAM_NOT_FOUND");
            }
        });
    }
    readers.join_all().await;
}

/// What a statement that is about nobody would find in its session; a new one, which the pool makes now and then, has been told
/// nothing yet.
async fn leave_traces(database: &TestDatabase) {
    database
        .execute(
            "CREATE OR REPLACE FUNCTION public.event_store_partition_check(\
             p_tenant_id text DEFAULT NULL, p_months_ahead integer DEFAULT 2, p_now timestamptz DEFAULT now()) \
             RETURNS TABLE (finding text, tenant_id text, partition_name text, range_start timestamptz, \
             range_end timestamptz, detail text) LANGUAGE sql AS $$ SELECT 'gap', NULL, NULL, NULL::timestamptz, \
             NULL::timestamptz, concat_ws('|', current_setting('statement_timeout'), \
             coalesce(current_setting('partita.tenants', true), '')) $$",
        )
        .await;
}

async fn traces(server: &TestServer) -> Vec<String> {
    let request = partita_proto::v1::CheckPartitionsRequest::default();
    let mut stream = server.partitions().check_partitions(request).await.unwrap().into_inner();
    let mut details = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        let mut text = String::new();
        write!(text, "{message:?}").unwrap();
        details.push(text);
    }
    details
}

#[tokio::test]
async fn a_session_of_the_pool_keeps_neither_the_tenant_nor_the_deadline_of_its_last_call() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |config| config.read_connections_max = 1).await;
    server.append("acme", "order", "1").event("First").ok().await;
    leave_traces(&database).await;
    let untouched = traces(&server).await;
    assert!(untouched[0].contains("30s|"), "{untouched:?}");
    for _ in 0..5 {
        let request = server.read("acme", "order", "1").within(std::time::Duration::from_secs(25));
        assert_eq!(request.versions().await, [1]);
        let found = traces(&server).await;
        assert_eq!(found.len(), untouched.len());
        for text in &found {
            assert!(!text.contains("acme"), "{text}");
        }
        assert!(found[0].contains("30s|"), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_a_backfill_name_the_tenant_of_each_month() {
    let database = guarded().await;
    let from = month(-2).start().to_string();
    for tenant in ["acme", "globex", "a,b"] {
        let history = History { tenant, streams: 3, versions: 20, from: &from, step: "20 hours" };
        database.write_history(history).await;
    }
    database.migration().start(UNTHROTTLED, "test").await.unwrap();
    let (url, _) = database.login("event_store_app").await;
    let refused =
        partita_migration::Migration::new(url.clone()).start(UNTHROTTLED, "test").await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Obstacle::RowSecurity)), "{refused}");
    let config = partita_migration::WorkerConfig {
        workers_max: 2,
        poll_interval: std::time::Duration::from_millis(20),
        page_rows_max: 7,
        ..partita_migration::WorkerConfig::default()
    };
    Workers::new(url, config).run_to_end(&CancellationToken::new()).await.unwrap();
    let verified = database.verify_tables().await;
    assert_eq!((verified.summary.tenants_verified, verified.differences.len()), (3, 0));
    assert_eq!(database.count("event_store_partitioned").await, 3 * 3 * 20);
    let unmarked = "SELECT count(*) FROM event_store_tenant WHERE backfilled_at IS NULL";
    assert_eq!(database.scalar::<i64>(unmarked).await, 0);
}

#[tokio::test]
async fn what_expired_is_gone_and_streams_go_on_behind_it() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |config| config.retention_months = 0).await;
    let instants = months([-4, -3, 0]);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    server.append("acme", "order", "old").events_at(&instants[..1]).ok().await;
    let owner = TestServer::start(&database, true).await;
    owner.maintain("acme", |request| request.retention_months = Some(2)).await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [3]);
    let answer = server.read("acme", "order", "old").ok().await;
    assert_eq!((answer.events.len(), answer.bounds()), (0, (2, 1)));
    assert_eq!(server.append("acme", "order", "old").event("Next").ok().await.last_version, 2);
    let late =
        server.append("acme", "order", "1").event_with(|event| event.event_timestamp = Some(at(instants[0])));
    assert_eq!(late.refused().await.reason, "BELOW_FLOOR");
}

#[tokio::test]
async fn the_wall_outlives_a_session_that_is_ended() {
    let database = guarded().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |_| {}).await;
    for version in 1..=5 {
        server.append("acme", "order", "1").event("Next").ok().await;
        server.append("globex", "order", "1").event("Next").ok().await;
        database.end_lanes().await;
        let known = async || server.read("acme", "order", "1").versions().await.len() == version;
        eventually("the event is read", known).await;
    }
}
