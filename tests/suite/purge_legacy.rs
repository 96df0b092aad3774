//! Expired events leave the legacy table by command: in batches, never more than may go, and streams go on.

use partita_proto::v1::chain_finding::{Fault, Table};
use partita_proto::v1::purge_legacy_response::Report;
use partita_proto::v1::{PurgeLegacyRequest, PurgeProgress, PurgeSummary};
use partita_store::StoreConfig;
use partita_tests::{Refusal, TestDatabase, TestServer, exact, messages, month, months};

/// A tenant with two streams of an event in each of the last seven months, of which the older one ended three months ago.
async fn two_streams(database: &TestDatabase, grace_days: u32) -> TestServer {
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.retention_months = 0;
        config.maintenance.grace_days = grace_days;
    };
    let server = TestServer::start_with(database, change).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "old").events_at(&instants[..3]).ok().await;
    server.append("acme", "order", "live").events_at(&instants).ok().await;
    server.append("other", "order", "old").events_at(&instants[..3]).ok().await;
    server
}

async fn expire(server: &TestServer) {
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!(run.summary.tenants_failed, 0, "{run:?}");
}

async fn purge(
    server: &TestServer,
    change: impl FnOnce(&mut PurgeLegacyRequest),
) -> Result<(Vec<PurgeProgress>, PurgeSummary), Refusal> {
    let mut request = PurgeLegacyRequest {
        tenant_id: "acme".to_owned(),
        execute: true,
        user_id: "ann".to_owned(),
        reason: "space".to_owned(),
        ..Default::default()
    };
    change(&mut request);
    let stream = server.partitions().purge_legacy(request).await.map_err(Refusal::from)?;
    let (mut reports, mut summary) = (Vec::new(), None);
    for message in messages(stream.into_inner()).await.map_err(Refusal::from)? {
        match message.report {
            Some(Report::Progress(progress)) => reports.push(progress),
            Some(Report::Summary(last)) => summary = Some(last),
            None => panic!("a message without a report"),
        }
    }
    Ok((reports, summary.unwrap()))
}

async fn allow(database: &TestDatabase) {
    database.execute("ALTER TABLE event_store DISABLE TRIGGER event_store_refuse_change").await;
}

const LEFT: &str =
    "SELECT concat_ws(' ', tenant_id, aggregate_id, aggregate_version) FROM event_store ORDER BY 1";

#[tokio::test]
async fn what_would_be_purged_is_counted_and_nothing_is_changed() {
    let database = TestDatabase::new().await;
    let server = two_streams(&database, 0).await;
    let (_, none) = purge(&server, |request| request.execute = false).await.unwrap();
    assert_eq!((none.expired, none.purged), (0, 0), "nothing expired yet");
    expire(&server).await;
    let before = database.contents().await;
    let (reports, summary) = purge(&server, |request| request.execute = false).await.unwrap();
    // Three months of two streams, less the last event of the one that ended.
    assert_eq!((summary.tenants, summary.expired, summary.purged, summary.executed), (1, 6, 5, false));
    assert_eq!(summary.delete_triggers, ["event_store_refuse_change"]);
    assert!(reports.last().unwrap().finished);
    assert_eq!(database.contents().await, before);
    assert_eq!(database.count("event_store_retention_change").await, 0);
}

#[tokio::test]
async fn a_trigger_that_forbids_it_is_named_with_the_statements_that_allow_it() {
    let database = TestDatabase::new().await;
    let server = two_streams(&database, 0).await;
    expire(&server).await;
    let before = database.contents().await;
    let refusal = purge(&server, |_| {}).await.unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.fact("triggers")),
        ("DATABASE_FORBIDS", "event_store_refuse_change")
    );
    let allowing = "ALTER TABLE public.event_store DISABLE TRIGGER \"event_store_refuse_change\"";
    assert!(refusal.message.contains(allowing), "{refusal:?}");

    // One that says nothing and keeps the rows.
    allow(&database).await;
    database
        .execute(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER keep_all BEFORE DELETE ON event_store FOR EACH ROW EXECUTE FUNCTION keep()",
        )
        .await;
    let refusal = purge(&server, |_| {}).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.fact("triggers")), ("DATABASE_FORBIDS", "keep_all"));
    assert_eq!(database.contents().await, before);
    assert_eq!(database.count("event_store_retention_change").await, 0);
}

#[tokio::test]
async fn a_purge_takes_the_expired_in_batches_and_every_stream_goes_on() {
    let database = TestDatabase::new().await;
    let server = two_streams(&database, 0).await;
    expire(&server).await;
    allow(&database).await;
    let (reports, summary) = purge(&server, |request| request.batch_rows = 2).await.unwrap();
    let counted: Vec<(i64, i64)> = reports.iter().map(|report| (report.expired, report.purged)).collect();
    assert_eq!(counted, [(2, 2), (4, 4), (6, 5), (6, 5)]);
    assert_eq!((summary.expired, summary.purged), (6, 5));
    let live = ["acme live 4", "acme live 5", "acme live 6", "acme live 7", "acme old 3"];
    let other = ["other old 1", "other old 2", "other old 3"];
    assert_eq!(database.column::<String>(LEFT).await, [&live[..], &other].concat());
    let record: String = database
        .scalar(
            "SELECT string_agg(concat_ws(' ', tenant_id, action, rows_purged, changed_by, reason), ';') \
             FROM event_store_retention_change",
        )
        .await;
    assert_eq!(record, "acme purge_legacy 5 ann space");

    // Readers saw none of it before, and see none of it now; versions go on in every process.
    assert_eq!(server.read("acme", "order", "live").versions().await, [4, 5, 6, 7]);
    let flag_off = TestServer::start(&database, false).await;
    for (server, version) in [(&server, 3), (&flag_off, 4)] {
        let next = server.append("acme", "order", "old").expected(exact(version)).event("Next").ok().await;
        assert_eq!(next.last_version, version + 1);
    }
    let (_, again) = purge(&server, |_| {}).await.unwrap();
    assert_eq!((again.expired, again.purged), (1, 1), "the last event of then is no longer the last");
}

#[tokio::test]
async fn last_events_go_only_where_the_streams_own_record_knows_their_version() {
    let database = TestDatabase::new().await;
    let server = two_streams(&database, 0).await;
    expire(&server).await;
    allow(&database).await;
    database
        .execute("DELETE FROM event_store_stream WHERE tenant_id = 'acme' AND aggregate_id = 'old'")
        .await;
    let last_events = |request: &mut PurgeLegacyRequest| request.last_events = true;
    assert_eq!(purge(&server, last_events).await.unwrap().1.purged, 5, "nobody else knows version 3");
    database
        .execute(
            "INSERT INTO event_store_stream SELECT tenant_id, aggregate_type, aggregate_id, 3, event_hash, \
             event_timestamp, event_timestamp FROM event_store WHERE tenant_id = 'acme' AND aggregate_id = 'old'",
        )
        .await;
    assert_eq!(purge(&server, last_events).await.unwrap().1.purged, 1);
    let next = server.append("acme", "order", "old").expected(exact(3)).event("Next").ok().await;
    assert_eq!(next.last_version, 4);
}

#[tokio::test]
async fn a_legal_hold_and_a_month_that_may_come_back_keep_the_rows() {
    let database = TestDatabase::new().await;
    let server = two_streams(&database, 7).await;
    expire(&server).await;
    allow(&database).await;
    assert_eq!(purge(&server, |_| {}).await.unwrap().1.purged, 0, "restorable");
    database.execute("UPDATE event_store_tenant SET legal_hold = true").await;
    let restorable = |request: &mut PurgeLegacyRequest| request.include_restorable = true;
    let (reports, summary) = purge(&server, restorable).await.unwrap();
    assert!(reports[0].legal_hold && reports[0].finished);
    assert_eq!((summary.tenants_held, summary.purged), (1, 0));
    database.execute("UPDATE event_store_tenant SET legal_hold = false").await;
    assert_eq!(purge(&server, restorable).await.unwrap().1.purged, 5);
}

#[tokio::test]
async fn a_month_that_is_still_attached_keeps_the_rows_below_the_floor() {
    let database = TestDatabase::new().await;
    let server = two_streams(&database, 0).await;
    allow(&database).await;
    database
        .execute(format!("UPDATE event_store_tenant SET retention_floor = '{}'", month(-3).start()))
        .await;
    let (_, summary) = purge(&server, |request| request.tenant_id.clear()).await.unwrap();
    assert_eq!((summary.tenants, summary.expired, summary.purged), (2, 9, 0));
}

#[tokio::test]
async fn a_purge_must_say_who_and_why() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let refusal = purge(&server, |request| *request = PurgeLegacyRequest::default()).await.unwrap_err();
    assert_eq!(refusal.fields, ["user_id", "reason"]);
    let refusal = purge(&server, |request| request.tenant_id = "nobody".to_owned()).await.unwrap_err();
    assert_eq!(refusal.reason, "TENANT_NOT_FOUND");
}

#[tokio::test]
async fn a_verification_knows_the_purge_and_still_finds_what_is_missing_above_the_floor() {
    for last_events in [false, true] {
        let database = TestDatabase::new().await;
        let server = two_streams(&database, 0).await;
        expire(&server).await;
        allow(&database).await;
        let (_, summary) = purge(&server, |request| request.last_events = last_events).await.unwrap();
        assert_eq!(summary.purged, if last_events { 6 } else { 5 });
        let verification = server.verify("").await;
        assert!(verification.findings.is_empty(), "{:#?}", verification.findings);

        database
            .tamper("DELETE FROM event_store WHERE aggregate_id = 'live' AND aggregate_version = 5")
            .await;
        let verification = server.verify("acme").await;
        assert!(verification.has("order/live@6", Table::Legacy, Fault::Missing), "{verification:?}");
    }
}

#[tokio::test]
async fn what_nobody_purged_by_command_is_missing() {
    let database = TestDatabase::new().await;
    let server = two_streams(&database, 0).await;
    expire(&server).await;
    database.tamper("DELETE FROM event_store WHERE aggregate_id = 'live' AND aggregate_version = 1").await;
    let verification = server.verify("acme").await;
    assert!(verification.has("order/live@2", Table::Legacy, Fault::Missing), "{verification:?}");
}
