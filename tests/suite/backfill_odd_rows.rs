//! Rows that no plan thought of: copied exactly, or counted and named.

use partita_migration::{MigrationError, MismatchReason, Move, QuarantinedRow, Refusal, VerifyOptions};
use partita_store::schema;
use partita_tests::{ForeignEvent, TestDatabase};

/// A table as no migration of ours would make it: columns that may be NULL, documents as json, no length anywhere.
const LENIENT: &str = "CREATE TABLE event_store (
    event_id uuid PRIMARY KEY, event_type text, aggregate_type text, aggregate_id text, aggregate_version integer,
    event_data json, event_metadata json, tenant_id text, user_id text, correlation_id text, causation_id uuid,
    legal_basis text, data_classification text, retention_policy text, ip_address text, user_agent text,
    session_id text, request_id text, event_hash text, previous_event_hash text, event_timestamp timestamptz,
    created_at timestamptz DEFAULT now(), UNIQUE (tenant_id, aggregate_type, aggregate_id, aggregate_version));
    CREATE INDEX ON event_store (tenant_id, event_timestamp)";

/// Writes a row whose columns are as given, those that are not are as in any other.
async fn write(database: &TestDatabase, version: i32, change: &str) {
    database
        .execute(format!(
            "INSERT INTO event_store SELECT (jsonb_populate_record(NULL::event_store, jsonb_build_object(\
             'event_id', gen_random_uuid(), 'event_type', 'Odd', 'aggregate_type', 'order', 'aggregate_id', '1', \
             'aggregate_version', {version}, 'event_data', '{{}}'::jsonb, 'tenant_id', 'acme', 'user_id', 'u', \
             'event_hash', 'h{version}', 'event_timestamp', '2026-03-04 05:06:07.123456+00', \
             'created_at', '2026-03-04 05:06:07.123457+00') || {change})).*"
        ))
        .await;
}

async fn lenient() -> TestDatabase {
    let database = TestDatabase::empty().await;
    database.execute(LENIENT).await;
    schema::up(&database.url()).await.unwrap();
    database
}

async fn quarantined(database: &TestDatabase) -> Vec<(Option<String>, String)> {
    let rows: Vec<QuarantinedRow> = database.migration().quarantine(0, 1_000).await.unwrap();
    let mut rows: Vec<_> = rows.into_iter().map(|row| (row.aggregate_version, row.code)).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn each_row_that_cannot_be_copied_is_quarantined_alone_and_the_others_are_copied() {
    let database = lenient().await;
    for version in 1..=40 {
        write(&database, version, "'{}'").await;
    }
    write(&database, 50, "'{\"user_id\": null}'").await;
    write(&database, 51, "'{\"event_type\": null, \"event_data\": null}'").await;
    write(&database, 52, "jsonb_build_object('event_type', repeat('x', 101))").await;
    write(&database, 53, "'{\"ip_address\": \"nowhere\"}'").await;
    database
        .execute(
            "UPDATE event_store SET event_data = '{\"text\": \"a\\u0000b\"}' WHERE aggregate_version = 7",
        )
        .await;
    write(&database, 0, "'{}'").await;
    database.backfill().await;

    let found = quarantined(&database).await;
    let version = |version: &str, code: &str| (Some(version.to_owned()), code.to_owned());
    let expected =
        [("0", "23514"), ("50", "23502"), ("51", "23502"), ("52", "22001"), ("53", "22P02"), ("7", "22P05")];
    assert_eq!(found, expected.map(|(number, code)| version(number, code)));
    assert_eq!(database.count("event_store_partitioned").await, 39);
    let status = database.migration().status().await.unwrap();
    assert_eq!(
        (status.progress.quarantined, status.progress.rows_left, status.progress.tenants_backfilled),
        (6, 0, 0)
    );
    assert!(!database.verify_tables().await.summary.is_green());

    // Mended, the next run copies them and the quarantine is empty.
    database
        .execute(
            "UPDATE event_store SET event_data = '{}', user_id = 'u', event_type = 'Mended', ip_address = NULL, \
             aggregate_version = nullif(aggregate_version, 0) WHERE aggregate_version IN (7, 50, 51, 52, 53); \
             UPDATE event_store SET aggregate_version = 54 WHERE aggregate_version = 0",
        )
        .await;
    database.backfill().await;
    assert_eq!(quarantined(&database).await, []);
    assert_eq!(database.count("event_store_partitioned").await, 45);
    let verified = database.verify_tables().await.summary;
    // The versions 41 to 49 never were: told, not failed.
    assert!(verified.is_green() && verified.streams_with_gaps == 1, "{verified:?}");
}

#[tokio::test]
async fn numbers_instants_and_texts_are_copied_exactly() {
    let database = lenient().await;
    write(&database, 1, "'{}'").await;
    write(&database, 2, "'{\"event_timestamp\": \"2026-03-31 23:59:59.999999+00\"}'").await;
    write(
        &database,
        3,
        "'{\"event_timestamp\": \"2026-04-01 00:00:00+00\", \"ip_address\": \"fe80::1/64\"}'",
    )
    .await;
    database
        .execute(
            "UPDATE event_store SET event_data = '{\"huge\": 1e400, \"exact\": 1.50, \"tiny\": 1e-300}' \
             WHERE aggregate_version = 1",
        )
        .await;
    database.backfill().await;
    assert_eq!(quarantined(&database).await, []);
    let data: String = database
        .scalar("SELECT event_data ->> 'exact' FROM event_store_partitioned WHERE aggregate_version = 1")
        .await;
    assert_eq!(data, "1.50");
    let huge = "SELECT (event_data ->> 'huge')::numeric = 1e400 FROM event_store_partitioned \
         WHERE aggregate_version = 1";
    assert!(database.scalar::<bool>(huge).await);
    let same = "SELECT count(*) FROM event_store_partitioned AS copy JOIN event_store USING (event_id) \
         WHERE copy.event_timestamp = event_store.event_timestamp AND copy.created_at = event_store.created_at";
    assert_eq!(database.scalar::<i64>(same).await, 3);
    assert!(database.verify_tables().await.summary.is_green());
}

#[tokio::test]
async fn rows_of_no_tenant_and_of_no_month_are_named_and_block() {
    let database = lenient().await;
    write(&database, 1, "'{}'").await;
    write(&database, 2, "'{\"tenant_id\": null}'").await;
    write(&database, 3, "'{\"tenant_id\": \"\"}'").await;
    write(&database, 4, "'{\"event_timestamp\": null}'").await;
    write(&database, 5, "'{\"event_timestamp\": \"infinity\"}'").await;
    write(&database, 6, "'{\"event_timestamp\": \"0044-03-15 12:00:00+00 BC\"}'").await;
    database.backfill().await;
    let codes: Vec<_> = quarantined(&database).await;
    assert_eq!(codes.len(), 5);
    assert!(
        codes.iter().all(|(version, code)| version.as_deref() != Some("1") && code == "odd"),
        "{codes:?}"
    );
    assert_eq!(database.count("event_store_partitioned").await, 1);
    let verified = database.verify_tables().await;
    assert!(!verified.summary.is_green());
    let listed = database.migration().mismatches(0, 100, None).await.unwrap();
    let outside = listed.iter().filter(|mismatch| mismatch.reason == MismatchReason::OutsideOfMonths).count();
    assert_eq!(outside, 3);

    database.execute("DELETE FROM event_store WHERE aggregate_version > 1").await;
    database.backfill().await;
    assert_eq!(quarantined(&database).await, []);
    assert!(database.verify_tables().await.summary.is_green());
}

#[tokio::test]
async fn a_version_that_another_copy_has_is_quarantined_and_named() {
    let database = TestDatabase::new().await;
    for version in 1..=20 {
        let event = ForeignEvent {
            timestamp: Some("2026-03-04T00:00:00Z"),
            ..ForeignEvent::new("acme", "1", version)
        };
        event.write(database.pool()).await.unwrap();
    }
    database.backfill().await;
    // As if somebody had replaced an event in legacy by hand, under another id.
    database
        .tamper("UPDATE event_store SET event_id = '00000000-0000-4000-8000-000000000001' WHERE aggregate_version = 9")
        .await;
    database.backfill().await;
    assert_eq!(quarantined(&database).await, [(Some("9".to_owned()), "23505".to_owned())]);
    let reasons: Vec<_> =
        database.verify_tables().await.differences.into_iter().map(|mismatch| mismatch.reason).collect();
    assert!(reasons.contains(&MismatchReason::MissingInPartitioned), "{reasons:?}");
    assert!(reasons.contains(&MismatchReason::MissingInLegacy), "{reasons:?}");
}

#[tokio::test]
async fn many_rows_of_one_instant_are_walked_through_in_pages() {
    let database = TestDatabase::new().await;
    for version in 1..=50 {
        let event = ForeignEvent {
            timestamp: Some("2026-03-04T00:00:00Z"),
            ..ForeignEvent::new("acme", "1", version)
        };
        event.write(database.pool()).await.unwrap();
    }
    database.migration().start(partita_tests::UNTHROTTLED, "test").await.unwrap();
    database.finish_backfill(7).await;
    database.assert_moved().await;
    assert_eq!((database.history_gaps("acme").await, database.backward_positions().await), (0, 0));
}

#[tokio::test]
async fn a_row_of_no_tenant_that_came_behind_the_last_backfill_is_met_before_finalize() {
    let database = lenient().await;
    write(&database, 1, "'{}'").await;
    database.backfill().await;
    write(&database, 2, "'{\"tenant_id\": null}'").await;
    let migration = database.migration();
    migration.change(Move::Fence, "ann").await.unwrap();
    let tenant = Some(partita_model::TenantId::parse("acme").unwrap());
    let acme = VerifyOptions { tenant, sample_percent: 100.0, workers: 1, only_unverified: false };
    assert_eq!(database.verify_with(acme).await.summary.tenants_verified, 1);
    let refused = migration.change(Move::Finalize, "ann").await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::Tenantless)), "{refused}");

    let whole = database.verify_tables().await.summary;
    assert_eq!((whole.is_green(), whole.quarantined), (false, 1));
    assert_eq!(quarantined(&database).await, [(Some("2".to_owned()), "odd".to_owned())]);
    let refused = migration.change(Move::Finalize, "ann").await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::Quarantine { rows: 1 })), "{refused}");
    database.execute("DELETE FROM event_store WHERE tenant_id IS NULL").await;
    database.backfill().await;
    assert!(database.verify_tables().await.summary.is_green());
    migration.change(Move::Finalize, "ann").await.unwrap();
}
