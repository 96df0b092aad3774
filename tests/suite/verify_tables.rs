//! The proof that both tables hold the same: green where they do, red with a name where they do not.

use partita_migration::{MigrationError, MismatchReason, Move, Refusal, VerifyOptions, VerifyReport};
use partita_model::TenantId;
use partita_tests::{History, TestDatabase, eventually};

async fn moved() -> TestDatabase {
    let database = TestDatabase::new().await;
    for tenant in ["acme", "globex"] {
        let history = History {
            tenant,
            streams: 5,
            versions: 40,
            from: "2026-01-10T00:00:00Z",
            step: "9 hours 1 minute",
        };
        database.write_history(history).await;
    }
    database.backfill().await;
    database
}

fn whole() -> VerifyOptions {
    VerifyOptions { tenant: None, sample_percent: 100.0, workers: 1, only_unverified: false }
}

async fn verified_tenants(database: &TestDatabase) -> Vec<String> {
    database
        .column("SELECT tenant_id::text FROM event_store_tenant WHERE verified_at IS NOT NULL ORDER BY 1")
        .await
}

#[tokio::test]
async fn one_byte_of_one_payload_turns_it_red_and_is_named() {
    let database = moved().await;
    assert!(database.verify_tables().await.summary.is_green());
    assert_eq!(verified_tenants(&database).await, ["acme", "globex"]);

    let change = "UPDATE event_store_partitioned SET event_data = jsonb_set(event_data, '{price}', '1.51') \
         WHERE tenant_id = 'acme' AND aggregate_id = '3' AND aggregate_version = 17";
    database.tamper(change).await;
    let red = database.verify_tables().await;
    assert_eq!((red.summary.differences, red.summary.units_differing, red.differences.len()), (1, 1, 1));
    let found = &red.differences[0];
    assert_eq!(
        (found.reason, &found.columns),
        (MismatchReason::ColumnsDiffer, &vec!["event_data".to_owned()])
    );
    let place = (found.tenant_id.as_str(), found.aggregate_id.as_deref(), found.aggregate_version);
    assert_eq!(place, ("acme", Some("3"), Some(17)));
    assert_eq!(verified_tenants(&database).await, ["globex"]);
    let open = database.migration().mismatches(0, 10, None).await.unwrap();
    assert_eq!((open.len(), &open[0].event_id), (1, &found.event_id));

    // Found twice, it is listed once; mended, it is closed.
    database.verify_tables().await;
    assert_eq!(database.migration().mismatches(0, 10, None).await.unwrap().len(), 1);
    let repair = database.migration().look_at_repair(None).await.unwrap();
    assert_eq!((repair.units_to_copy, repair.steps.len()), (0, 1));
    database.execute(repair.steps[0].statements.clone()).await;
    assert!(database.verify_tables().await.summary.is_green());
    assert_eq!(database.migration().mismatches(0, 10, None).await.unwrap(), []);
    assert_eq!(verified_tenants(&database).await, ["acme", "globex"]);
    database.assert_moved().await;
}

#[tokio::test]
async fn what_only_looks_the_same_is_told_apart() {
    let changes = [
        ("event_data", "event_data = jsonb_set(event_data, '{price}', '1.5')"),
        ("event_metadata", "event_metadata = NULL"),
        ("created_at", "created_at = created_at + interval '1 microsecond'"),
        ("event_hash", "event_hash = event_hash || ' '"),
        ("correlation_id", "correlation_id = ''"),
        ("ip_address", "ip_address = '10.1.2.3/31'"),
    ];
    let database = moved().await;
    for (version, (_, change)) in (1..).zip(changes) {
        database
            .tamper(format!(
                "UPDATE event_store_partitioned SET {change} \
                 WHERE tenant_id = 'acme' AND aggregate_id = '1' AND aggregate_version = {version}"
            ))
            .await;
    }
    let mut found: Vec<_> = database.verify_tables().await.differences;
    found.sort_by_key(|mismatch| mismatch.aggregate_version);
    let columns: Vec<_> = found.iter().map(|mismatch| mismatch.columns.join(",")).collect();
    assert_eq!(columns, changes.map(|(column, _)| column));
}

#[tokio::test]
async fn rows_that_are_missing_on_either_side_are_named_and_a_missing_copy_is_repaired() {
    let database = moved().await;
    database
        .tamper("DELETE FROM event_store_partitioned WHERE aggregate_id = '2' AND aggregate_version = 5")
        .await;
    database.tamper("DELETE FROM event_store WHERE tenant_id = 'globex' AND aggregate_version = 6 AND aggregate_id = '4'").await;
    let red = database.verify_tables().await;
    let mut reasons: Vec<_> =
        red.differences.iter().map(|found| (found.tenant_id.as_str(), found.reason)).collect();
    reasons.sort_by_key(|(tenant, reason)| (*tenant, reason.as_str()));
    assert_eq!(
        reasons,
        [
            ("acme", MismatchReason::MissingInPartitioned),
            ("globex", MismatchReason::MissingInLegacy),
            ("globex", MismatchReason::MissingInPartitioned)
        ]
    );

    let migration = database.migration();
    let repair = migration.look_at_repair(None).await.unwrap();
    assert_eq!((repair.units_to_copy, repair.steps.len()), (2, 1));
    assert_eq!(migration.repair(None, "test").await.unwrap(), 2);
    database.finish_backfill(1_000).await;
    let red = database.verify_tables().await;
    assert_eq!(red.differences.len(), 1);
    database.execute(repair.steps[0].statements.clone()).await;
    assert!(database.verify_tables().await.summary.is_green());
    let nothing = migration.repair(None, "test").await.unwrap_err();
    assert!(matches!(nothing, MigrationError::Refused(Refusal::NothingToRepair)), "{nothing}");
}

#[tokio::test]
async fn a_head_that_is_not_the_last_event_is_named() {
    let database = moved().await;
    database
        .execute("UPDATE event_store_stream SET version = 39 WHERE tenant_id = 'acme' AND aggregate_id = '1'")
        .await;
    database
        .execute(
            "UPDATE event_store_stream SET last_hash = 'x' WHERE tenant_id = 'acme' AND aggregate_id = '2'",
        )
        .await;
    database.execute("DELETE FROM event_store_stream WHERE tenant_id = 'acme' AND aggregate_id = '3'").await;
    let red = database.verify_tables().await;
    assert_eq!((red.summary.differences, red.summary.tenants_verified), (3, 1));
    let open = database.migration().mismatches(0, 10, None).await.unwrap();
    assert!(open.iter().all(|mismatch| mismatch.reason == MismatchReason::HeadDiffers));
    let streams: Vec<_> = open.iter().filter_map(|mismatch| mismatch.aggregate_id.as_deref()).collect();
    assert_eq!(streams, ["1", "2", "3"]);
    // Their rows are copied: the backfill has nothing to do with them, their statements have.
    database.backfill().await;
    assert_eq!(database.verify_tables().await.summary.differences, 3);
    for step in database.migration().look_at_repair(None).await.unwrap().steps {
        database.execute(step.statements).await;
    }
    assert!(database.verify_tables().await.summary.is_green());
    database.assert_moved().await;
}

#[tokio::test]
async fn a_tenant_alone_and_a_sample_say_only_what_they_looked_at() {
    let database = moved().await;
    let whole = whole();
    let acme = VerifyOptions { tenant: Some(TenantId::parse("acme").unwrap()), ..whole.clone() };
    assert_eq!(database.verify_with(acme).await.summary.tenants, 1);
    assert_eq!(verified_tenants(&database).await, ["acme"]);
    let sample = VerifyOptions { sample_percent: 99.9, ..whole.clone() };
    let sampled = database.verify_with(sample).await.summary;
    assert_eq!((sampled.tenants, sampled.tenants_verified, sampled.is_green()), (2, 0, true));
    assert_eq!(verified_tenants(&database).await, ["acme"]);

    let nobody = VerifyOptions { tenant: Some(TenantId::parse("nobody").unwrap()), ..whole };
    let (reports, _incoming) = tokio::sync::mpsc::channel(1);
    let refused = database.migration().verify(&nobody, &reports).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::TenantUnknown(_))), "{refused}");
}

#[tokio::test]
async fn a_record_whose_timestamps_leave_events_out_is_named_and_its_statement_mends_it() {
    let database = moved().await;
    let changes =
        ["first_timestamp = first_timestamp + interval '40 days'", "last_timestamp = first_timestamp"];
    for (stream, change) in (1..).zip(changes) {
        let record = format!("WHERE tenant_id = 'acme' AND aggregate_id = '{stream}'");
        database.execute(format!("UPDATE event_store_stream SET {change} {record}")).await;
    }
    let red = database.verify_tables().await;
    assert_eq!((red.summary.differences, verified_tenants(&database).await), (2, vec!["globex".to_owned()]));
    let migration = database.migration();
    let open = migration.mismatches(0, 10, None).await.unwrap();
    let found: Vec<_> =
        open.iter().map(|found| (found.aggregate_id.as_deref().unwrap(), found.reason)).collect();
    assert_eq!(found, [("1", MismatchReason::HeadDiffers), ("2", MismatchReason::HeadDiffers)]);
    // The backfill passes over rows that are there; their records are a person's.
    database.backfill().await;
    assert!(!database.verify_tables().await.summary.is_green());
    for step in migration.look_at_repair(None).await.unwrap().steps {
        database.execute(step.statements).await;
    }
    assert!(database.verify_tables().await.summary.is_green());
    assert_eq!(verified_tenants(&database).await, ["acme", "globex"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_that_is_restored_beside_a_verification_is_not_marked_as_looked_at() {
    let database = moved().await;
    database.execute("UPDATE event_store_tenant SET retention_floor = '2026-02-01 UTC'").await;
    let options = VerifyOptions { tenant: Some(TenantId::parse("acme").unwrap()), ..whole() };
    let (reports, mut incoming) = tokio::sync::mpsc::channel(1);
    let verifying = tokio::spawn({
        let (migration, options) = (database.migration(), options.clone());
        async move { migration.verify(&options, &reports).await }
    });
    let Some(VerifyReport::Planned { units }) = incoming.recv().await else { panic!("no plan") };
    assert!(units >= 3, "{units}");
    // It has begun, and cannot end: nobody takes its reports.
    assert!(matches!(incoming.recv().await, Some(VerifyReport::Unit(_))));
    // What a restore of a month does.
    let restored = "UPDATE event_store_tenant SET retention_floor = '2026-01-01 UTC', verified_at = NULL \
         WHERE tenant_id = 'acme'";
    database.execute(restored).await;
    while incoming.recv().await.is_some() {}
    let summary = verifying.await.unwrap().unwrap();
    assert_eq!((summary.differences, summary.tenants_verified), (0, 0));
    assert_eq!(verified_tenants(&database).await, [""; 0]);
    assert_eq!(database.verify_with(options).await.summary.tenants_verified, 1);
    assert_eq!(verified_tenants(&database).await, ["acme"]);
}

#[tokio::test]
async fn a_run_over_what_is_not_verified_goes_on_where_another_ended() {
    let database = moved().await;
    let rest = VerifyOptions { only_unverified: true, ..whole() };
    let looked_at = async || database.verify_with(rest.clone()).await.summary.tenants;
    let change = "UPDATE event_store_partitioned SET user_id = 'x' \
         WHERE tenant_id = 'acme' AND aggregate_id = '3' AND aggregate_version = 17";
    database.tamper(change).await;
    assert_eq!(looked_at().await, 2);
    assert_eq!(looked_at().await, 1);
    assert_eq!(database.migration().mismatches(0, 10, None).await.unwrap().len(), 1);
    database.tamper(change.replace("'x'", "'monolith'")).await;
    assert_eq!((looked_at().await, looked_at().await), (1, 0));
    assert_eq!(database.migration().mismatches(0, 10, None).await.unwrap(), []);
    // What was proved before the fence does not count behind it.
    database.migration().change(Move::Fence, "ann").await.unwrap();
    assert_eq!((looked_at().await, looked_at().await), (2, 0));
    assert_eq!(verified_tenants(&database).await, ["acme", "globex"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_outlasts_a_month_that_is_held_longer_than_it_waits_for_a_lock() {
    let database = moved().await;
    let leaf: String = database
        .scalar("SELECT oid::regclass::text FROM pg_class WHERE relname LIKE 't%2026_02' AND relkind = 'r' LIMIT 1")
        .await;
    let mut holder = database.connect().await;
    let held = format!("BEGIN; LOCK TABLE {leaf} IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(held)).execute(&mut holder).await.unwrap();
    let verifying = tokio::spawn({
        let migration = database.migration();
        let (reports, unheard) = tokio::sync::mpsc::channel(1);
        drop(unheard);
        async move { migration.verify(&whole(), &reports).await }
    });
    let waiting = "SELECT max(xact_start)::text FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita verify' AND wait_event_type = 'Lock'";
    let waits_since = async || database.scalar::<Option<String>>(waiting).await;
    eventually("it waits", async || waits_since().await.is_some()).await;
    let first = waits_since().await;
    eventually("it waits again", async || waits_since().await.is_some_and(|since| Some(since) > first)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    let summary = verifying.await.unwrap().unwrap();
    assert_eq!((summary.is_green(), summary.tenants_verified), (true, 2));
}
