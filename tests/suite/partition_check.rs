//! CheckPartitions finds what is wrong, and nothing where all is well; the list knows what waits.

use partita_proto::v1::check_partitions_response::Report;
use partita_proto::v1::partition::State;
use partita_proto::v1::partition_finding::Kind;
use partita_proto::v1::{CheckPartitionsRequest, ListPartitionsRequest, PartitionFinding};
use partita_store::StoreConfig;
use partita_tests::{Refusal, TestDatabase, TestServer, at, messages, month, months};

async fn check(server: &TestServer, tenant: &str, months_ahead: Option<i32>) -> Vec<PartitionFinding> {
    let request = CheckPartitionsRequest { tenant_id: tenant.to_owned(), months_ahead };
    let stream = server.partitions().check_partitions(request).await.unwrap().into_inner();
    let (mut findings, mut summary) = (Vec::new(), None);
    for message in messages(stream).await.unwrap() {
        assert!(summary.is_none(), "a message after the summary");
        match message.report {
            Some(Report::Finding(finding)) => findings.push(finding),
            Some(Report::Summary(last)) => summary = Some(last),
            None => panic!("a message without a report"),
        }
    }
    assert_eq!(usize::try_from(summary.unwrap().findings).unwrap(), findings.len());
    findings
}

/// Kind and tenant of each finding, and the table.
fn told(findings: &[PartitionFinding]) -> Vec<(Kind, &str, &str)> {
    findings.iter().map(|found| (found.kind(), &*found.tenant_id, &*found.partition_name)).collect()
}

/// The name of a tenant's leaf of a month.
async fn leaf(database: &TestDatabase, tenant: &str, offset: i32) -> String {
    let start = month(offset).start();
    database
        .scalar(format!(
            "SELECT partition_name FROM event_store_partition_leaf('{tenant}') WHERE range_start = '{start}'"
        ))
        .await
}

#[tokio::test]
async fn where_all_is_well_nothing_is_found() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    assert_eq!(check(&server, "", None).await, []);
    for tenant in ["acme", "o'neil \"x\""] {
        server.append(tenant, "order", "1").event("First").ok().await;
        assert_eq!(check(&server, tenant, None).await, []);
    }
    assert_eq!(check(&server, "", None).await, []);
    let request = CheckPartitionsRequest { tenant_id: "nobody".to_owned(), months_ahead: None };
    let refused = server.partitions().check_partitions(request).await.unwrap_err();
    assert_eq!(Refusal::from(refused).reason, "TENANT_NOT_FOUND");
}

#[tokio::test]
async fn months_that_are_missing_are_found_between_others_and_ahead() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    server.append("acme", "order", "1").events_at(&[&month(-6).start().to_string()]).ok().await;
    server.append("well", "order", "1").event("First").ok().await;
    let findings = check(&server, "", None).await;
    assert_eq!(told(&findings), [(Kind::Gap, "acme", "")]);
    let edges =
        |from, to| (Some(at(&month(from).start().to_string())), Some(at(&month(to).start().to_string())));
    assert_eq!((findings[0].range_start, findings[0].range_end), edges(-5, -1));

    let ahead = check(&server, "well", Some(4)).await;
    assert_eq!(told(&ahead), [(Kind::MissingMonth, "well", ""), (Kind::MissingMonth, "well", "")]);
    assert_eq!((ahead[0].range_start, ahead[0].range_end), edges(3, 4));

    // What has expired is no gap.
    database
        .execute(format!("UPDATE event_store_tenant SET retention_floor = '{}'", month(-1).start()))
        .await;
    assert_eq!(check(&server, "", None).await, []);

    // A month that was dropped by hand, now: missing, not a gap.
    let gone = leaf(&database, "well", 0).await;
    database.execute(format!("DROP TABLE event_store_partitions.{gone}")).await;
    let findings = check(&server, "", None).await;
    assert_eq!(told(&findings), [(Kind::MissingMonth, "well", "")]);
    server.maintain("well", |_| {}).await;
    assert_eq!(check(&server, "", None).await, []);
}

#[tokio::test]
async fn indexes_that_are_missing_or_not_valid_are_found() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let (first, second) = (leaf(&database, "acme", 0).await, leaf(&database, "acme", 1).await);
    database
        .execute(format!(
            "ALTER TABLE event_store_partitions.{first} DROP CONSTRAINT {first}_version_key; \
             UPDATE pg_index SET indisvalid = false \
             WHERE indexrelid = 'event_store_partitions.{second}_position_key'::regclass"
        ))
        .await;
    let findings = check(&server, "acme", None).await;
    assert_eq!(
        told(&findings),
        [(Kind::InvalidIndex, "acme", second.as_str()), (Kind::MissingIndex, "acme", first.as_str())]
    );
    assert!(findings[0].message.contains(&format!("{second}_position_key")), "{findings:?}");
    assert!(findings[1].message.contains("aggregate_version"), "{findings:?}");
}

#[tokio::test]
async fn detaches_left_pending_orphans_and_lost_tables_are_found_and_what_waits_is_not() {
    let database = TestDatabase::new().await;
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.retention_months = 0;
        config.maintenance.grace_days = 7;
    };
    let server = TestServer::start_with(&database, change).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    let run = server.maintain("acme", |request| request.retention_months = Some(4)).await;
    assert_eq!(run.summary.detached, 2);
    assert_eq!(check(&server, "", None).await, [], "months in their grace period are as they should be");

    // A detach that was given up; a table of nobody's; a month whose table somebody dropped.
    let pending = leaf(&database, "acme", -4).await;
    let parent: String = database.scalar("SELECT partition_name FROM event_store_tenant").await;
    let lost: String =
        database.scalar("SELECT partition_name FROM event_store_detached ORDER BY range_start LIMIT 1").await;
    let mut reader = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'")
        .execute(&mut reader)
        .await
        .unwrap();
    let detach = format!(
        "ALTER TABLE event_store_partitions.{parent} DETACH PARTITION event_store_partitions.{pending} CONCURRENTLY"
    );
    let mut impatient = database.connect().await;
    sqlx::raw_sql("SET lock_timeout = '100ms'").execute(&mut impatient).await.unwrap();
    let given_up = sqlx::raw_sql(sqlx::AssertSqlSafe(detach)).execute(&mut impatient).await;
    assert!(given_up.is_err());
    database
        .execute(format!(
            "DROP TABLE event_store_partitions.{lost}; CREATE TABLE event_store_partitions.stray (x integer)"
        ))
        .await;
    let findings = check(&server, "", None).await;
    assert_eq!(
        told(&findings),
        [
            (Kind::Orphan, "", "stray"),
            (Kind::DetachPending, "acme", pending.as_str()),
            (Kind::LostTable, "acme", lost.as_str()),
        ]
    );
    assert_eq!(told(&check(&server, "acme", None).await).len(), 2, "a stray table is nobody's");
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
}

#[tokio::test]
async fn a_tenant_without_a_table_and_a_table_without_a_tenant_are_found() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    database
        .execute(
            "SELECT event_store_register_tenant('early'); \
             UPDATE event_store_tenant SET tenant_id = 'renamed' WHERE tenant_id = 'acme'",
        )
        .await;
    let findings = check(&server, "", None).await;
    let kinds: Vec<(Kind, &str)> =
        findings.iter().map(|found| (found.kind(), found.tenant_id.as_str())).collect();
    assert_eq!(
        kinds,
        [(Kind::UnregisteredTable, "acme"), (Kind::MissingTable, "early"), (Kind::MissingTable, "renamed")]
    );
}

#[tokio::test]
async fn months_that_wait_are_listed_where_they_are_asked_for() {
    let database = TestDatabase::new().await;
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.retention_months = 0;
        config.maintenance.grace_days = 7;
    };
    let server = TestServer::start_with(&database, change).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    server.maintain("acme", |request| request.retention_months = Some(4)).await;
    // A month that was detached by hand, and written anew since: two tables of one month.
    let by_hand = leaf(&database, "acme", 0).await;
    let parent: String = database.scalar("SELECT partition_name FROM event_store_tenant").await;
    database
        .execute(format!(
            "ALTER TABLE event_store_partitions.{parent} DETACH PARTITION event_store_partitions.{by_hand}"
        ))
        .await;
    server.append("acme", "order", "2").event("Anew").ok().await;
    server.maintain("acme", |_| {}).await;

    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPartitionsRequest {
            tenant_id: "acme".to_owned(),
            page_size: 1,
            page_token,
            include_detached: true,
        };
        let page = server.partitions().list_partitions(request).await.unwrap().into_inner();
        listed.extend(page.partitions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let states: Vec<State> = listed.iter().map(|partition| partition.state()).collect();
    let waiting = [State::Detached; 2];
    let attached = |count| vec![State::Attached; count];
    let expected = [&waiting[..], &attached(4), &[State::Detached], &attached(3)].concat();
    assert_eq!(states, expected, "{listed:?}");
    for partition in &listed {
        assert_eq!(partition.drop_after.is_some(), partition.state() == State::Detached);
        assert!(partition.total_bytes > 0, "{partition:?}");
    }
    assert_eq!(server.list("acme").await.unwrap().len(), 7, "not asked for, not listed");
}
