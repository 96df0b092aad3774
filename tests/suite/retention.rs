//! Retention and legal holds by command: on the record, and what is gone stays gone.

use partita_proto::v1::partition_action::Kind;
use partita_proto::v1::{SetLegalHoldRequest, SetRetentionRequest, SetRetentionResponse, TenantRetention};
use partita_tests::{Refusal, TestDatabase, TestServer, at, exact, month, months};

const RECORD: &str = "SELECT concat_ws(' ', tenant_id, action, coalesce(months_from::text, '-'), \
     coalesce(months_to::text, '-'), changed_by, reason) FROM event_store_retention_change ORDER BY id";

/// A tenant with an event in each of the last seven months, kept for ever until now.
async fn seven_months(database: &TestDatabase) -> TestServer {
    let server = TestServer::start_keeping_all(database).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    server
}

async fn set_retention(
    server: &TestServer,
    tenant: &str,
    months: Option<i32>,
) -> Result<TenantRetention, Refusal> {
    let request = SetRetentionRequest {
        tenant_id: tenant.to_owned(),
        retention_months: months,
        user_id: "ann".to_owned(),
        reason: "a contract".to_owned(),
    };
    let set = server.partitions().set_retention(request).await.map_err(Refusal::from)?;
    let SetRetentionResponse { retention } = set.into_inner();
    Ok(retention.unwrap())
}

async fn hold(server: &TestServer, legal_hold: bool) -> TenantRetention {
    let request = SetLegalHoldRequest {
        tenant_id: "acme".to_owned(),
        legal_hold,
        user_id: "ann".to_owned(),
        reason: "a lawsuit".to_owned(),
    };
    server.partitions().set_legal_hold(request).await.unwrap().into_inner().retention.unwrap()
}

#[tokio::test]
async fn a_tenants_own_retention_is_told_with_the_floor_that_it_leads_to() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    let set = set_retention(&server, "acme", Some(3)).await.unwrap();
    let next = Some(at(&month(-3).start().to_string()));
    assert_eq!((set.own_months, set.months, set.retention_floor, set.next_floor), (Some(3), 3, None, next));
    assert_eq!(
        server.read("acme", "order", "1").versions().await.len(),
        7,
        "nothing goes before maintenance"
    );
    let run = server.maintain("acme", |_| {}).await;
    assert_eq!(run.months_of("acme", Kind::Dropped), months(-6..=-4));

    // A longer one brings nothing back; the configuration's is for ever here.
    for longer in [Some(6), Some(0), None] {
        let set = set_retention(&server, "acme", longer).await.unwrap();
        assert_eq!((set.own_months, set.months), (longer, longer.unwrap_or_default()));
        assert_eq!((set.retention_floor, set.next_floor), (next, None));
        assert!(server.maintain("acme", |_| {}).await.actions("acme").is_empty());
    }
    assert_eq!(server.read("acme", "order", "1").versions().await, [4, 5, 6, 7]);
    assert_eq!(
        database.column::<String>(RECORD).await,
        [
            "acme retention - 3 ann a contract",
            "acme retention 3 6 ann a contract",
            "acme retention 6 0 ann a contract",
            "acme retention 0 - ann a contract",
        ]
    );
}

#[tokio::test]
async fn a_legal_hold_keeps_everything_until_it_is_released() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    set_retention(&server, "acme", Some(3)).await.unwrap();
    let held = hold(&server, true).await;
    assert_eq!((held.legal_hold, held.next_floor), (true, None));
    assert!(server.maintain("acme", |_| {}).await.actions("acme").is_empty());
    let by_psql: i32 = database.scalar("SELECT ensure_event_store_partition('acme', 2, 1)").await;
    assert_eq!(by_psql, 0);
    assert_eq!(server.months_of("acme").await, months(-6..=2));

    let released = hold(&server, false).await;
    assert_eq!((released.legal_hold, released.next_floor), (false, Some(at(&month(-3).start().to_string()))));
    let run = server.maintain("acme", |_| {}).await;
    assert_eq!(run.months_of("acme", Kind::Dropped), months(-6..=-4));
    let record = database.column::<String>(RECORD).await;
    assert_eq!(record[1..], ["acme hold - - ann a lawsuit", "acme release - - ann a lawsuit"]);
}

#[tokio::test]
async fn a_command_must_say_who_and_why_and_name_a_tenant_that_is_there() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    assert_eq!(set_retention(&server, "nobody", Some(3)).await.unwrap_err().reason, "TENANT_NOT_FOUND");
    let refused = server.partitions().set_legal_hold(SetLegalHoldRequest::default()).await.unwrap_err();
    assert_eq!(Refusal::from(refused).fields, ["tenant_id", "user_id", "reason"]);
    let refused = server.partitions().set_retention(SetRetentionRequest::default()).await.unwrap_err();
    assert_eq!(Refusal::from(refused).fields, ["tenant_id", "user_id", "reason"]);
    assert_eq!(database.count("event_store_retention_change").await, 0);
}

#[tokio::test]
async fn a_month_that_retention_took_does_not_come_back() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database).await;
    set_retention(&server, "acme", Some(1)).await.unwrap();
    server.maintain("acme", |_| {}).await;
    assert_eq!(server.months_of("acme").await, months(-1..=2));

    // Not from the legacy table, which has it still.
    assert_eq!(database.count("event_store").await, 7);
    assert_eq!(server.read("acme", "order", "1").versions().await, [6, 7]);
    // Not by those who make partitions, with whatever retention.
    set_retention(&server, "acme", None).await.unwrap();
    for call in [
        "SELECT ensure_event_store_partition('acme')",
        "SELECT ensure_event_store_partition('acme', 2, 0)",
        "SELECT ensure_event_store_partitions_for_all(2, 0)",
    ] {
        database.execute(call).await;
    }
    server.maintain("", |request| request.retention_months = Some(0)).await;
    assert_eq!(server.months_of("acme").await, months(-1..=2));
    let floor = month(-1).start();
    let asked = format!("SELECT event_store_create_month('acme', '{}')", month(-2).start());
    let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(asked)).execute(database.pool()).await.unwrap_err();
    assert!(refused.to_string().contains("below its retention floor"), "{refused}");

    // Not where the clock is days off, whatever the hour and the retention: from two days before this month to two days
    // after it, and years back. One that is slow takes the month before last for the previous one, its floor for lower.
    let wrong = |hours: &str, retention: &str| {
        format!(
            "SELECT count(*) FROM generate_series({hours}) AS hours (off), unnest(ARRAY[{retention}]) AS kept, \
             event_store_partition_plan('acme', 2, kept, event_store_month_start(now()) + make_interval(hours => off)) \
             WHERE action = 'raise_floor' AND range_end <= '{floor}' OR action = 'create_tenant' \
             OR action = 'create_month' AND range_start < '{floor}'"
        )
    };
    for hours in ["-48, 31 * 24 + 48", "-50000, 0, 500"] {
        assert_eq!(database.scalar::<i64>(wrong(hours, "0, 1, 18")).await, 0, "{hours}");
    }
    // A server that knows nothing of it, and the stream itself, which goes on.
    let other = TestServer::start_keeping_all(&database).await;
    let next = other.append("acme", "order", "1").expected(exact(7)).event("Next").ok().await;
    assert_eq!(next.last_version, 8);
    assert_eq!(other.months_of("acme").await, months(-1..=2));
}
