//! The schema up and down: from nothing, back to nothing, and never over an event that would be lost.

use partita_store::schema::{self, MigrationState, SchemaError};
use partita_tests::{PhaseChange, Setting, TestDatabase, TestServer, UNTHROTTLED, exact, no_stream};

/// Everything of the schema that a person would see.
async fn relations(database: &TestDatabase) -> Vec<String> {
    let query = "SELECT relname::text FROM pg_class WHERE relnamespace::regnamespace::text \
         IN ('public', 'event_store_partitions') UNION ALL SELECT oid::regprocedure::text FROM pg_proc \
         WHERE pronamespace = 'public'::regnamespace UNION ALL SELECT nspname::text FROM pg_namespace \
         WHERE nspname LIKE 'event_store%' ORDER BY 1";
    database.column(query).await
}

async fn states(database: &TestDatabase) -> Vec<(i64, MigrationState)> {
    let status = schema::status(&database.url()).await.unwrap();
    status.into_iter().map(|migration| (migration.version, migration.state)).collect()
}

#[tokio::test]
async fn the_schema_goes_up_from_nothing_down_to_nothing_and_up_again() {
    let database = TestDatabase::empty().await;
    let pending = states(&database).await;
    assert!(pending.len() >= 11 && pending.iter().all(|(_, state)| *state == MigrationState::Pending));
    assert_eq!(relations(&database).await, [""; 0], "asking for the status made something");
    let versions: Vec<i64> = pending.iter().map(|(version, _)| *version).collect();

    for _ in 0..2 {
        let applied: Vec<i64> =
            schema::up(&database.url()).await.unwrap().into_iter().map(|one| one.version).collect();
        assert_eq!(applied, versions);
        assert!(states(&database).await.iter().all(|(_, state)| *state == MigrationState::Applied));
        assert_eq!(schema::up(&database.url()).await.unwrap(), []);

        let undone: Vec<i64> =
            schema::down(&database.url(), 0).await.unwrap().into_iter().map(|one| one.version).collect();
        assert_eq!(undone, versions.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(states(&database).await, pending);
        let left = relations(&database).await;
        assert!(left.iter().all(|name| name.starts_with("event_store_migration")), "{left:?}");
    }
    schema::up(&database.url()).await.unwrap();
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").expected(no_stream()).event("First").ok().await;
}

#[tokio::test]
async fn each_migration_can_be_taken_back_and_applied_again_by_itself() {
    let database = TestDatabase::empty().await;
    let whole = {
        schema::up(&database.url()).await.unwrap();
        relations(&database).await
    };
    for (version, _) in states(&database).await.into_iter().rev() {
        schema::down(&database.url(), version - 1).await.unwrap();
        schema::up(&database.url()).await.unwrap();
        assert_eq!(relations(&database).await, whole, "after {version} was taken back");
    }
}

#[tokio::test]
async fn down_refuses_where_an_event_would_be_lost() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(3).ok().await;
    server.stop().await;
    database
        .execute(
            "ALTER TABLE event_store DISABLE TRIGGER USER; \
             DELETE FROM event_store WHERE aggregate_version = 3; ALTER TABLE event_store ENABLE TRIGGER USER",
        )
        .await;
    let kept = database.contents().await;
    let refused = schema::down(&database.url(), 0).await.unwrap_err();
    assert!(matches!(&refused, SchemaError::Refused { hint: Some(_), .. }), "{refused:?}");
    assert!(refused.to_string().contains("holds events"), "{refused}");

    // A column went that a migration above had brought; nothing else did.
    schema::up(&database.url()).await.unwrap();
    assert_eq!(database.contents().await, kept);
    let server = TestServer::start(&database, true).await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3]);
}

#[tokio::test]
async fn down_never_drops_a_legacy_table_that_holds_events() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(3).ok().await;
    server.stop().await;
    let refused = schema::down(&database.url(), 0).await.unwrap_err();
    assert!(matches!(&refused, SchemaError::Refused { version: 1, .. }), "{refused:?}");
    assert_eq!(database.count("event_store").await, 3);

    // The way back is open: what was dropped was a copy.
    schema::up(&database.url()).await.unwrap();
    let server = TestServer::start(&database, true).await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3]);
    let next = server.append("acme", "order", "1").expected(exact(3)).event("Next").ok().await;
    assert_eq!(next.last_version, 4);
}

#[tokio::test]
async fn down_refuses_while_the_phase_is_not_open() {
    let database = TestDatabase::new().await;
    // What came later, the phases do not need.
    schema::down(&database.url(), 20).await.unwrap();
    let whole = relations(&database).await;
    database.execute("SELECT event_store_raise_fence('test')").await;
    // Each of the migrations that the phases past dual need says no by itself.
    for version in [20, 19, 18] {
        let refused = schema::down(&database.url(), version - 1).await.unwrap_err();
        assert!(refused.to_string().contains("the phase is fenced"), "{refused}");
    }
    let refused = schema::down(&database.url(), 0).await.unwrap_err();
    assert!(refused.to_string().contains("the phase is fenced"), "{refused}");
    assert_eq!(relations(&database).await, whole);
    database.execute("SELECT event_store_lower_fence('test')").await;
    schema::down(&database.url(), 0).await.unwrap();
}

#[tokio::test]
async fn a_fence_that_was_left_behind_disabled_goes_with_the_migration_that_leaves_it() {
    let database = TestDatabase::new().await;
    database.change_phase(PhaseChange::RaiseFence).await;
    let mut reader = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM event_store").execute(&mut reader).await.unwrap();
    database.change_phase(PhaseChange::LowerFence).await;
    let fences = "SELECT count(*) FROM pg_trigger WHERE tgname = 'event_store_fence'";
    assert_eq!(database.scalar::<i64>(fences).await, 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    schema::down(&database.url(), 30).await.unwrap();
    assert_eq!(database.scalar::<i64>(fences).await, 0);
    // What is left is whole: the fence goes up and comes down.
    database.change_phase(PhaseChange::RaiseFence).await;
    schema::up(&database.url()).await.unwrap();
    database.change_phase(PhaseChange::LowerFence).await;
}

#[tokio::test]
async fn what_the_phases_past_dual_lean_on_stays_until_the_phase_is_open_again() {
    for (setting, phase) in
        [(Setting::Fenced, "fenced"), (Setting::Finalized, "finalized"), (Setting::Restoring, "restoring")]
    {
        for version in [27, 23, 22, 21, 20, 18] {
            let mut database = TestDatabase::new().await;
            // What came later does not hide whether it says no by itself.
            schema::down(&database.url(), version).await.unwrap();
            database.enter(setting).await;
            let (whole, kept) = (relations(&database).await, database.contents().await);
            let refused = schema::down(&database.url(), version - 1).await.unwrap_err();
            let SchemaError::Refused { version: by, message, hint: Some(hint) } = &refused else {
                panic!("{refused:?}")
            };
            assert_eq!(*by, version);
            assert!(message.starts_with(&format!("the phase is {phase}: ")), "{message}");
            assert!(hint.contains("partita migration unfence, or restore"), "{hint}");
            assert_eq!((relations(&database).await, database.contents().await), (whole, kept));
        }
    }
}

#[tokio::test]
async fn down_stops_at_the_first_that_the_phase_needs_and_all_of_the_way_is_open_afterwards() {
    for setting in [Setting::Fenced, Setting::Finalized, Setting::Restoring] {
        let database = TestDatabase::in_phase(setting).await;
        let server = TestServer::start(&database, true).await;
        server.append("acme", "order", "1").events(3).ok().await;
        server.stop().await;
        let refused = schema::down(&database.url(), 0).await.unwrap_err();
        assert!(matches!(&refused, SchemaError::Refused { version: 27, .. }), "{refused:?}");
        schema::up(&database.url()).await.unwrap();
        let server = TestServer::start(&database, true).await;
        assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3]);
        server.append("acme", "order", "1").expected(exact(3)).event("Next").ok().await;
        assert_eq!(database.events().await, 4);
    }
}

#[tokio::test]
async fn orders_stay_while_a_backfill_runs() {
    let database = TestDatabase::new().await;
    let migration = database.migration();
    migration.start(UNTHROTTLED, "test").await.unwrap();
    schema::down(&database.url(), 21).await.unwrap();
    let refused = schema::down(&database.url(), 20).await.unwrap_err();
    assert!(refused.to_string().contains("partita migration backfill cancel"), "{refused}");
    migration.cancel("test").await.unwrap();
    schema::down(&database.url(), 0).await.unwrap();
}

#[tokio::test]
async fn recorded_events_cannot_be_changed_or_removed_by_sql() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let kept = database.contents().await;
    for table in ["event_store", "event_store_partitioned"] {
        for change in [
            format!("UPDATE {table} SET user_id = 'x'"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(change.clone())).execute(database.pool()).await;
            let refused = refused.expect_err(&change);
            let code = refused.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("23001"), "{change}: {refused}");
        }
    }
    assert_eq!(database.contents().await, kept);
}
