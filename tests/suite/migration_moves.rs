//! The phases past dual: each behind its conditions, and the way back.

use partita_migration::{MigrationError, Move, Refusal, Tuning, WorkerConfig};
use partita_tests::{ForeignEvent, History, PhaseChange, TestDatabase, UNTHROTTLED, eventually};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const HISTORY: History<'_> = History {
    tenant: "acme",
    streams: 5,
    versions: 40,
    from: "2026-01-10T00:00:00Z",
    step: "9 hours 1 minute",
};

async fn refusal(database: &TestDatabase, wanted: Move) -> Refusal {
    let checked = database.migration().check(wanted).await.unwrap_err();
    let changed = database.migration().change(wanted, "test").await.unwrap_err();
    match (checked, changed) {
        (MigrationError::Refused(checked), MigrationError::Refused(changed)) => {
            assert_eq!(checked, changed);
            assert!(!checked.mend().is_empty() && !checked.code().is_empty());
            checked
        }
        errors => panic!("{errors:?}"),
    }
}

async fn phase(database: &TestDatabase) -> String {
    database.scalar("SELECT phase FROM event_store_control").await
}

#[tokio::test]
async fn the_fence_goes_up_only_when_nothing_is_left_to_copy() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    assert!(matches!(
        refusal(&database, Move::Fence).await,
        Refusal::NotBackfilled { units: 3, first: Some(_) }
    ));
    database.migration().start(Tuning::default(), "test").await.unwrap();
    assert!(matches!(refusal(&database, Move::Fence).await, Refusal::NotBackfilled { units: 3, .. }));
    database.backfill().await;

    // A month that came since is one that no backfill has seen.
    let late =
        ForeignEvent { timestamp: Some("2026-07-01T00:00:00Z"), ..ForeignEvent::new("acme", "late", 1) };
    late.write(database.pool()).await.unwrap();
    assert!(matches!(refusal(&database, Move::Fence).await, Refusal::NotBackfilled { units: 1, .. }));
    database.backfill().await;

    database.tamper("UPDATE event_store_partitioned SET user_id = 'x' WHERE aggregate_version = 1").await;
    database.verify_tables().await;
    assert!(matches!(refusal(&database, Move::Fence).await, Refusal::Mismatches { rows: 6 }));
    database
        .tamper(
            "UPDATE event_store_partitioned AS copy SET user_id = legacy.user_id FROM event_store AS legacy \
         WHERE legacy.event_id = copy.event_id",
        )
        .await;
    // What somebody has written since is the tail, which is copied and proved behind the fence.
    let tail =
        ForeignEvent { timestamp: Some("2026-07-02T00:00:00Z"), ..ForeignEvent::new("acme", "late", 2) };
    tail.write(database.pool()).await.unwrap();
    assert!(!database.verify_tables().await.differences.is_empty());

    database.migration().change(Move::Fence, "ann").await.unwrap();
    let refused = ForeignEvent::new("acme", "late", 3).write(database.pool()).await.unwrap_err();
    assert!(refused.to_string().contains("fenced"), "{refused}");
    assert!(matches!(refusal(&database, Move::Fence).await, Refusal::Phase { .. }));
    database.migration().change(Move::Unfence, "ann").await.unwrap();
    ForeignEvent::new("acme", "late", 3).write(database.pool()).await.unwrap();
    assert_eq!(phase(&database).await, "open");
}

#[tokio::test]
async fn rows_in_quarantine_and_processes_with_the_flag_off_hold_up_the_fence() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    let instance = "INSERT INTO event_store_instance (id, host, pid, version, flag, phase) \
         VALUES (gen_random_uuid(), 'db-1', 7, '0.1.0', false, 'legacy')";
    database.execute(instance).await;
    let Refusal::Instances { count: 1, first } = refusal(&database, Move::Fence).await else {
        panic!("not refused")
    };
    assert!(first.contains("process 7 on db-1"), "{first}");
    // Without a sign of life for half a minute it counts no more.
    database.execute("UPDATE event_store_instance SET heartbeat_at = now() - interval '31 seconds'").await;
    database.migration().check(Move::Fence).await.unwrap();
    database
        .execute(
            "INSERT INTO event_store_quarantine (row_key, code, reason) VALUES ('k', '23502', 'violates')",
        )
        .await;
    assert_eq!(refusal(&database, Move::Fence).await, Refusal::Quarantine { rows: 1 });
}

#[tokio::test]
async fn finalize_wants_every_tenant_verified_since_the_fence_and_restore_brings_legacy_back() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    assert!(matches!(refusal(&database, Move::Finalize).await, Refusal::Phase { .. }));
    assert!(database.verify_tables().await.summary.is_green());
    let migration = database.migration();
    migration.change(Move::Fence, "ann").await.unwrap();
    // Verified before the fence went up is not verified since.
    let not_verified = refusal(&database, Move::Finalize).await;
    assert_eq!(not_verified, Refusal::NotVerified { tenants: 1, first: "acme".to_owned() });
    migration.start(UNTHROTTLED, "ann").await.unwrap();
    database.finish_backfill(1_000).await;
    assert!(database.verify_tables().await.summary.is_green());
    migration.change(Move::Finalize, "ann").await.unwrap();
    assert_eq!(phase(&database).await, "finalized");
    let refused = migration.start(Tuning::default(), "ann").await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::Phase { .. })), "{refused}");

    // Events that are recorded from then on are in the partitioned table alone.
    database
        .execute(
            "INSERT INTO event_store_partitioned SELECT gen_random_uuid(), event_type, aggregate_type, aggregate_id, \
             41, event_data, event_metadata, tenant_id, user_id, correlation_id, causation_id, legal_basis, \
             data_classification, retention_policy, ip_address, user_agent, session_id, request_id, 'new', event_hash, \
             event_timestamp, created_at, aggregate_id::bigint FROM event_store_partitioned WHERE aggregate_version = 40; \
             UPDATE event_store_stream SET version = 41, last_hash = 'new'; \
             UPDATE event_store_tenant SET last_position = 5",
        )
        .await;
    let config =
        WorkerConfig { poll_interval: std::time::Duration::from_millis(20), ..WorkerConfig::default() };
    let (reports, _unheard) = mpsc::channel(1_000);
    migration.restore(config, "ann", &reports, &CancellationToken::new()).await.unwrap();
    assert_eq!(phase(&database).await, "open");
    assert_eq!(database.count("event_store").await, 205);
    database.assert_moved().await;
    assert!(database.verify_tables().await.summary.is_green());
    ForeignEvent::new("acme", "free", 1).write(database.pool()).await.unwrap();
}

#[tokio::test]
async fn a_restore_that_cannot_copy_a_row_stays_where_it_is_and_goes_on_later() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    let migration = database.migration();
    migration.change(Move::Fence, "ann").await.unwrap();
    assert!(database.verify_tables().await.summary.is_green());
    migration.change(Move::Finalize, "ann").await.unwrap();
    // Another event took the place of one in legacy.
    database
        .tamper("UPDATE event_store SET event_id = gen_random_uuid() WHERE aggregate_version = 7 AND aggregate_id = '1'")
        .await;
    let config =
        WorkerConfig { poll_interval: std::time::Duration::from_millis(20), ..WorkerConfig::default() };
    let (reports, _unheard) = mpsc::channel(1_000);
    let stop = CancellationToken::new();
    let refused = migration.restore(config, "ann", &reports, &stop).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::Uncopied { rows: 1 })), "{refused}");
    assert_eq!(phase(&database).await, "restoring");
    database.tamper("DELETE FROM event_store WHERE aggregate_version = 7 AND aggregate_id = '1'").await;
    migration.restore(config, "ann", &reports, &stop).await.unwrap();
    assert_eq!(phase(&database).await, "open");
    database.assert_moved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_goes_while_finalize_waits_for_its_locks_holds_it_up() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    let migration = database.migration();
    migration.change(Move::Fence, "ann").await.unwrap();
    assert!(database.verify_tables().await.summary.is_green());
    migration.check(Move::Finalize).await.unwrap();
    // As a restored month takes it, in a transaction that is not over when the conditions are looked at.
    let mut restoring = database.connect().await;
    let begun = "BEGIN; LOCK TABLE event_store IN SHARE UPDATE EXCLUSIVE MODE; \
         UPDATE event_store_tenant SET verified_at = NULL";
    sqlx::raw_sql(begun).execute(&mut restoring).await.unwrap();
    let finalizing = tokio::spawn({
        let migration = migration.clone();
        async move { migration.change(Move::Finalize, "ann").await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock' AND query LIKE '%event_store_finalize(%'";
    eventually("finalize waits", async || database.scalar::<i64>(waiting).await > 0).await;
    sqlx::raw_sql("COMMIT").execute(&mut restoring).await.unwrap();
    let refused = finalizing.await.unwrap().unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::NotVerified { tenants: 1, .. })), "{refused}");
    assert_eq!(phase(&database).await, "fenced");
    assert!(database.verify_tables().await.summary.is_green());
    migration.change(Move::Finalize, "ann").await.unwrap();
}

#[tokio::test]
async fn a_change_that_somebody_else_made_first_is_told_at_once_as_another_phase() {
    let database = TestDatabase::new().await;
    let migration = database.migration();
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT event_store_raise_fence('bob')").execute(&mut other).await.unwrap();
    let fencing = tokio::spawn({
        let migration = migration.clone();
        async move { migration.change(Move::Fence, "ann").await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock' AND query LIKE '%event_store_raise_fence(%'";
    eventually("the fence waits", async || database.scalar::<i64>(waiting).await > 0).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let refused = fencing.await.unwrap().unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::Phase { .. })), "{refused}");
}

#[tokio::test]
async fn a_repair_does_not_turn_a_restore_round() {
    let database = TestDatabase::new().await;
    database.write_history(HISTORY).await;
    database.backfill().await;
    for change in [PhaseChange::RaiseFence, PhaseChange::Finalize, PhaseChange::BeginRestore] {
        database.change_phase(change).await;
    }
    database.tamper("DELETE FROM event_store_partitioned WHERE aggregate_version = 7").await;
    assert!(!database.verify_tables().await.differences.is_empty());
    let migration = database.migration();
    database.execute("UPDATE event_store_backfill SET direction = 'restore', state = 'paused'").await;
    let refused = migration.repair(None, "ann").await.unwrap_err();
    assert!(matches!(refused, MigrationError::Refused(Refusal::OtherDirection(_))), "{refused}");
    assert_eq!(migration.orders().await.unwrap().direction, partita_migration::Direction::Restore);
    migration.cancel("ann").await.unwrap();
    assert_eq!(migration.repair(None, "ann").await.unwrap(), 1);
}
