//! Between detaching and dropping: a month waits, comes back if it is asked for, and is never forgotten.

use partita_proto::v1::partition_action::Kind;
use partita_proto::v1::{RestorePartitionRequest, RestorePartitionResponse};
use partita_store::StoreConfig;
use partita_tests::{Refusal, TestDatabase, TestServer, month, months};

/// How many months wait.
const WAITING: &str = "SELECT count(*) FROM event_store_detached WHERE dropped_at IS NULL";

/// A tenant with an event in each of the last seven months, kept for ever until now, and a grace period of a week.
async fn seven_months(database: &TestDatabase) -> TestServer {
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.retention_months = 0;
        config.maintenance.grace_days = 7;
    };
    let server = TestServer::start_with(database, change).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    server
}

/// Expires all but three months; says what was detached and what was dropped.
async fn expire(server: &TestServer) -> (Vec<String>, Vec<String>) {
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!(run.summary.tenants_failed, 0, "{run:?}");
    (run.months_of("acme", Kind::Detached), run.months_of("acme", Kind::Dropped))
}

async fn restore(server: &TestServer, offset: i32) -> Result<RestorePartitionResponse, Refusal> {
    let request = RestorePartitionRequest {
        tenant_id: "acme".to_owned(),
        month: month(offset).to_string(),
        user_id: "ann".to_owned(),
        reason: "an audit".to_owned(),
    };
    let restored = server.partitions().restore_partition(request).await;
    restored.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn let_grace_end(database: &TestDatabase) {
    database.execute("UPDATE event_store_detached SET drop_after = now() - interval '1 second'").await;
}

#[tokio::test]
async fn a_detached_month_is_dropped_when_its_grace_period_is_over_and_not_before() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    assert_eq!(expire(&server).await, (months(-6..=-4), vec![]));
    assert_eq!(database.scalar::<i64>(WAITING).await, 3);
    let days: i32 = database
        .scalar("SELECT extract(day FROM min(drop_after - detached_at))::integer FROM event_store_detached")
        .await;
    assert_eq!(days, 7);
    assert_eq!(server.read("acme", "order", "1").versions().await, [4, 5, 6, 7], "expired all the same");
    assert_eq!(expire(&server).await, (vec![], vec![]));

    let_grace_end(&database).await;
    let dry = server
        .maintain("acme", |request| {
            request.retention_months = Some(3);
            request.validate_only = true;
        })
        .await;
    assert_eq!(dry.months_of("acme", Kind::Dropped), months(-6..=-4));
    assert_eq!(expire(&server).await, (vec![], months(-6..=-4)));
    assert_eq!(database.scalar::<i64>(WAITING).await, 0);
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'event_store_partitions'::regnamespace \
         AND relkind = 'r' AND NOT relispartition";
    assert_eq!(database.scalar::<i64>(left).await, 0);
}

#[tokio::test]
async fn a_restored_month_comes_back_with_those_after_it_and_the_floor_comes_down_on_the_record() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    expire(&server).await;
    let restored = restore(&server, -5).await.unwrap();
    assert_eq!(restored.months_restored, 2);
    assert_eq!(restored.retention_floor, Some(partita_tests::at(&month(-5).start().to_string())));
    assert_eq!(server.months_of("acme").await, months(-5..=2));
    assert_eq!(server.read("acme", "order", "1").versions().await, (2..=7).collect::<Vec<_>>());
    let record: String = database
        .scalar(
            "SELECT concat_ws(' ', tenant_id, changed_by, reason, to_char(floor_from AT TIME ZONE 'UTC', \
             'YYYY-MM'), to_char(floor_to AT TIME ZONE 'UTC', 'YYYY-MM')) FROM event_store_floor_change",
        )
        .await;
    assert_eq!(record, format!("acme ann an audit {} {}", month(-3), month(-5)));

    // A legal hold keeps what came back; without it, it expires again.
    database.execute("UPDATE event_store_tenant SET legal_hold = true").await;
    assert_eq!(expire(&server).await, (vec![], vec![]));
    database.execute("UPDATE event_store_tenant SET legal_hold = false").await;
    assert_eq!(expire(&server).await, (months(-5..=-4), vec![]));
    assert_eq!(restore(&server, -6).await.unwrap().months_restored, 3);
    assert_eq!(server.read("acme", "order", "1").versions().await, (1..=7).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_dropped_or_was_never_detached_cannot_be_restored() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    expire(&server).await;
    for offset in [-7, -3, 0] {
        let refusal = restore(&server, offset).await.unwrap_err();
        assert_eq!(refusal.reason, "PARTITION_NOT_FOUND");
        assert_eq!(refusal.fact("month"), month(offset).to_string());
    }
    // The month after it is gone: it would come back with a hole behind it.
    let gone = month(-5).start();
    database
        .execute(format!("UPDATE event_store_detached SET drop_after = now() WHERE range_start = '{gone}'"))
        .await;
    assert_eq!(expire(&server).await, (vec![], months([-5])));
    let before = database.contents().await;
    for offset in [-6, -5] {
        assert_eq!(restore(&server, offset).await.unwrap_err().reason, "PARTITION_NOT_FOUND");
    }
    assert_eq!(database.contents().await, before);
    assert_eq!(database.count("event_store_floor_change").await, 0);
    assert_eq!(restore(&server, -4).await.unwrap().months_restored, 1);
}

/// A report that has the tenant's months open.
async fn reading(database: &TestDatabase) -> sqlx::PgConnection {
    let mut report = database.connect().await;
    let read = "BEGIN; SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'";
    sqlx::raw_sql(read).execute(&mut report).await.unwrap();
    report
}

#[tokio::test]
async fn a_month_that_psql_dropped_keeps_older_ones_from_coming_back() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(4)).await;
    assert_eq!(run.months_of("acme", Kind::Detached), months([-6, -5]));
    // There is no grace period in psql.
    let call = "SELECT ensure_event_store_partition('acme', 2, 2)";
    assert_eq!(database.scalar::<i32>(call).await, 2);
    let before = database.contents().await;
    for offset in [-6, -5, -4, -3] {
        assert_eq!(restore(&server, offset).await.unwrap_err().reason, "PARTITION_NOT_FOUND", "{offset}");
    }
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn a_month_whose_detach_is_under_way_comes_back_with_the_older_ones() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(5)).await;
    assert_eq!(run.months_of("acme", Kind::Detached), months([-6]));
    let mut report = reading(&database).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!(run.summary.tenants_failed, 1, "{run:?}");
    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    assert_eq!(database.scalar::<i64>(pending).await, 1);
    // It cannot be finished yet, and so nothing is restored.
    let refused = restore(&server, -6).await.unwrap_err();
    assert_eq!(
        (refused.reason.as_str(), database.count("event_store_floor_change").await),
        ("PARTITION_UNAVAILABLE", 0)
    );
    sqlx::raw_sql("ROLLBACK").execute(&mut report).await.unwrap();

    assert_eq!(restore(&server, -6).await.unwrap().months_restored, 2);
    assert_eq!(database.scalar::<i64>(pending).await, 0);
    assert_eq!(server.months_of("acme").await, months(-6..=2));
    assert_eq!(server.read("acme", "order", "1").versions().await, (1..=7).collect::<Vec<_>>());
    assert_eq!(expire(&server).await, (months(-6..=-4), vec![]));
}

#[tokio::test]
async fn a_detach_that_waits_does_not_keep_what_is_due() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(5)).await;
    assert_eq!(run.months_of("acme", Kind::Detached), months([-6]));
    let_grace_end(&database).await;
    let _report = reading(&database).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!((run.summary.tenants_failed, run.months_of("acme", Kind::Dropped)), (1, months([-6])));
}

#[tokio::test]
async fn a_month_that_a_killed_process_detached_and_nobody_wrote_down_is_restored_at_once() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    expire(&server).await;
    database.execute("DELETE FROM event_store_detached").await;
    assert_eq!(restore(&server, -5).await.unwrap().months_restored, 2);
    assert_eq!(server.months_of("acme").await, months(-5..=2));
    // The one before it was not asked for, and has its whole grace period when maintenance finds it.
    assert_eq!(database.scalar::<i64>(WAITING).await, 0);
    server.maintain("acme", |request| request.retention_months = Some(5)).await;
    let days = "SELECT extract(day FROM drop_after - now())::integer FROM event_store_detached";
    assert_eq!(database.column::<i32>(days).await, [6]);
}

#[tokio::test]
async fn a_month_that_a_killed_process_detached_is_found_and_has_its_grace_period() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    // What it leaves behind: the floor raised, the month detached, nothing written down.
    let oldest: String = database
        .scalar("SELECT partition_name FROM event_store_partition_leaf('acme') ORDER BY range_start LIMIT 1")
        .await;
    let parent: String = database.scalar("SELECT partition_name FROM event_store_tenant").await;
    database
        .execute(format!(
            "UPDATE event_store_tenant SET retention_floor = '{}'; ALTER TABLE event_store_partitions.{parent} \
             DETACH PARTITION event_store_partitions.{oldest}; \
             CREATE TABLE event_store_partitions.{parent}_2001_01 (somebody text)",
            month(-5).start()
        ))
        .await;
    let run = server.maintain("acme", |_| {}).await;
    assert!(run.actions("acme").is_empty(), "{run:?}");
    assert_eq!(database.column::<String>("SELECT partition_name FROM event_store_detached").await, [oldest]);
    assert_eq!(restore(&server, -6).await.unwrap().months_restored, 1);
    assert_eq!(server.read("acme", "order", "1").versions().await, (1..=7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_legal_hold_keeps_a_month_whose_grace_period_is_over() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    expire(&server).await;
    let_grace_end(&database).await;
    database.execute("UPDATE event_store_tenant SET legal_hold = true").await;
    assert_eq!(expire(&server).await, (vec![], vec![]));
    assert_eq!(restore(&server, -6).await.unwrap().months_restored, 3);
}

#[tokio::test]
async fn a_restore_must_say_what_who_and_why() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let refused =
        server.partitions().restore_partition(RestorePartitionRequest::default()).await.unwrap_err();
    assert_eq!(Refusal::from(refused).fields, ["tenant_id", "month", "user_id", "reason"]);
}
