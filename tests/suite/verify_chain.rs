//! Verification of what nobody has tampered with: it finds nothing, whatever else went on.

use partita_proto::v1::chain_finding::{Fault, Table};
use partita_tests::{ForeignEvent, TestDatabase, TestServer, Verification, any, month};
use tokio::task::JoinSet;

#[track_caller]
fn assert_sound(verification: &Verification) {
    assert!(verification.findings.is_empty(), "{:#?}", verification.findings);
}

#[tokio::test]
async fn what_was_recorded_verifies_tenant_by_tenant() {
    for partitions in [true, false] {
        let database = TestDatabase::new().await;
        let server = TestServer::start(&database, partitions).await;
        server.append("acme", "order", "1").events(700).ok().await;
        server.append("acme", "order", "2").event("Only").ok().await;
        server
            .append("beta", "order", "1")
            .event_with(|event| {
                event.data = r#"{"b": [1, 2.50, -0.0, 1e3], "a": "\ud83c\udfba"}"#.to_owned();
                event.metadata = "null".to_owned();
            })
            .context(|context| {
                context.ip_address = "::ffff:10.0.0.1".to_owned();
                context.causation_id = "0192D3A4-6F00-7000-8000-0123456789AB".to_owned();
            })
            .ok()
            .await;
        let verification = server.verify("").await;
        assert_sound(&verification);
        let summary = &verification.summary;
        assert_eq!((summary.tenants, summary.streams), (2, 3));
        assert_eq!((summary.verified, summary.foreign), (702, 0));
        assert_eq!(summary.compared, if partitions { 702 } else { 0 });
        let one = server.verify("acme").await;
        assert_eq!((one.summary.tenants, one.summary.verified), (1, 701));
        assert_eq!(server.verify("nobody").await.summary.verified, 0);
    }
}

#[tokio::test]
async fn rows_of_another_program_are_marked_and_are_no_finding() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for version in 3..=5 {
        ForeignEvent::new("acme", "1", version).write(database.pool()).await.unwrap();
    }
    server.append("acme", "order", "1").events(2).ok().await;
    ForeignEvent::new("acme", "1", 8).write(database.pool()).await.unwrap();
    ForeignEvent::new("history", "9", 1).write(database.pool()).await.unwrap();
    let verification = server.verify("").await;
    assert_sound(&verification);
    assert_eq!((verification.summary.verified, verification.summary.foreign), (2, 5));
}

#[tokio::test]
async fn a_missing_row_of_another_program_is_found() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for version in [1, 2, 4] {
        ForeignEvent::new("acme", "1", version).write(database.pool()).await.unwrap();
    }
    let verification = server.verify("acme").await;
    assert_eq!(verification.found(), [("order/1@4".to_owned(), Table::Legacy, Fault::Missing)]);
}

#[tokio::test]
async fn processes_with_and_without_the_flag_leave_a_sound_chain() {
    let database = TestDatabase::new().await;
    let [with, without] =
        [TestServer::start(&database, true).await, TestServer::start(&database, false).await];
    for round in 0..5 {
        with.append("acme", "order", "1").events(2).ok().await;
        without.append("acme", "order", "1").events(3).ok().await;
        without.append("acme", "order", &format!("new-{round}")).event("First").ok().await;
    }
    for server in [&with, &without] {
        let verification = server.verify("").await;
        assert_sound(&verification);
        assert_eq!((verification.summary.verified, verification.summary.compared), (30, 10));
    }
}

#[tokio::test]
async fn months_that_expired_leave_no_finding_wherever_their_events_stood() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_keeping_all(&database).await;
    let (old, recent) = (month(-5).start().to_string(), month(0).start().to_string());
    // Times need not rise with versions or positions: what expires leaves gaps in both.
    server.append("acme", "order", "1").events_at(&[&recent, &old, &recent]).ok().await;
    server.append("acme", "order", "2").events_at(&[&old, &old]).ok().await;
    server.append("acme", "order", "3").events_at(&[&old, &recent]).ok().await;
    server.append("acme", "order", "4").events_at(&[&recent, &old]).ok().await;
    server.append("acme", "order", "1").events_at(&[&old]).ok().await;
    let run = server.maintain("acme", |request| request.retention_months = Some(1)).await;
    assert!(run.summary.dropped > 0, "{run:?}");
    let verification = server.verify("").await;
    assert_sound(&verification);
    assert_eq!((verification.summary.verified, verification.summary.compared), (10, 4));
}

/// A month that expired took three positions; a process without the flag wrote at the same time, and never drew one.
async fn mixed_and_expired(database: &TestDatabase) -> TestServer {
    let with = TestServer::start_keeping_all(database).await;
    let without = TestServer::start(database, false).await;
    let (old, recent) = (month(-5).start().to_string(), month(0).start().to_string());
    with.append("acme", "order", "1").events_at(&[&old, &old, &old]).ok().await;
    without.append("acme", "order", "legacy-only").event("First").ok().await;
    with.append("acme", "order", "2").events_at(&[&recent, &recent]).ok().await;
    let run = with.maintain("acme", |request| request.retention_months = Some(1)).await;
    assert!(run.summary.dropped > 0, "{run:?}");
    with
}

#[tokio::test]
async fn what_a_process_without_the_flag_wrote_is_not_taken_for_lost_once_a_month_expired() {
    let database = TestDatabase::new().await;
    let server = mixed_and_expired(&database).await;
    let verification = server.verify("acme").await;
    assert_sound(&verification);
    assert_eq!((verification.summary.verified, verification.summary.compared), (6, 2));
}

#[tokio::test]
async fn a_lost_copy_is_found_though_a_month_expired_and_a_process_without_the_flag_wrote() {
    let database = TestDatabase::new().await;
    let server = mixed_and_expired(&database).await;
    database
        .tamper("DELETE FROM event_store_partitioned WHERE aggregate_id = '2' AND aggregate_version = 1")
        .await;
    let verification = server.verify("acme").await;
    assert!(verification.has("order/2@1", Table::Partitioned, Fault::NoCopy), "{verification:?}");
}

#[tokio::test]
async fn a_lost_copy_is_found_alone_where_every_process_has_the_flag() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_keeping_all(&database).await;
    let (old, recent) = (month(-5).start().to_string(), month(0).start().to_string());
    server.append("acme", "order", "1").events_at(&[&old, &old, &recent, &recent]).ok().await;
    server.maintain("acme", |request| request.retention_months = Some(1)).await;
    assert_sound(&server.verify("acme").await);
    database.tamper("DELETE FROM event_store_partitioned WHERE aggregate_version = 3").await;
    let found = server.verify("acme").await.found();
    assert_eq!(found, [("order/1@3".to_owned(), Table::Partitioned, Fault::NoCopy)]);
}

#[tokio::test]
async fn a_list_of_tenants_of_the_platforms_hides_no_tenant() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for tenant in ["acme", "beta"] {
        server.append(tenant, "order", "1").event("First").ok().await;
    }
    database.execute("CREATE TABLE tenants (tenant_id text); INSERT INTO tenants VALUES ('acme')").await;
    assert_eq!(server.verify("").await.summary.tenants, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_go_on_meanwhile_are_no_finding() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "0").events(50).ok().await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let calls: Vec<_> = (0..60)
            .map(|round| {
                server.append("acme", "order", &(round % 5).to_string()).expected(any()).events(writer + 1)
            })
            .collect();
        writers.spawn(async move {
            for call in calls {
                call.ok().await;
            }
        });
    }
    while !writers.is_empty() {
        assert_sound(&server.verify("").await);
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
    }
    assert_eq!(server.verify("").await.summary.verified, 650);
}
