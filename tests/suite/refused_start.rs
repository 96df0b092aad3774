//! Databases that a process must not serve: it says what is wrong and what mends it.

use partita_store::{DatabaseUrl, SCHEMA_NEWER_MAX, StartError, Store, StoreConfig, schema};
use partita_tests::{Setting, TestDatabase, TestServer};

async fn refused(database: &TestDatabase, partitions: bool) -> StartError {
    let config = StoreConfig { partitions_v1: partitions, ..StoreConfig::new(database.url()) };
    Store::connect(config).await.err().expect("the store must refuse")
}

#[tokio::test]
async fn a_legacy_table_without_a_unique_version_is_refused_until_its_index_is_made() {
    let database = TestDatabase::new().await;
    let weak = [
        "CREATE INDEX weak ON event_store (tenant_id, aggregate_type, aggregate_id, aggregate_version)",
        "CREATE UNIQUE INDEX weak ON event_store (tenant_id, aggregate_type, aggregate_id, aggregate_version) \
         WHERE event_type <> 'Legacy'",
        "CREATE UNIQUE INDEX weak ON event_store (tenant_id, aggregate_type, aggregate_id) INCLUDE (aggregate_version)",
        "CREATE UNIQUE INDEX weak ON event_store (tenant_id, event_type, aggregate_type, aggregate_id, aggregate_version)",
    ];
    database.execute("ALTER TABLE event_store DROP CONSTRAINT event_store_version_key").await;
    for index in weak {
        database.execute(index).await;
        for partitions in [true, false] {
            let error = refused(&database, partitions).await;
            let StartError::LegacyConstraintMissing { missing, .. } = error else {
                panic!("{index}: {error:?}")
            };
            assert_eq!(missing, "(tenant_id, aggregate_type, aggregate_id, aggregate_version)");
        }
        database.execute("DROP INDEX weak").await;
    }
    let error = refused(&database, true).await;
    assert!(error.to_string().contains("event_store has no unique index"), "{error}");
    let StartError::LegacyConstraintMissing { mend, .. } = error else { panic!("{error:?}") };
    database.execute(mend).await;
    TestServer::start(&database, true).await;
}

#[tokio::test]
async fn a_legacy_table_without_unique_ids_is_refused_until_its_index_is_made() {
    let database = TestDatabase::new().await;
    database.execute("ALTER TABLE event_store DROP CONSTRAINT event_store_pkey").await;
    let error = refused(&database, true).await;
    let StartError::LegacyConstraintMissing { missing, mend } = error else { panic!("{error:?}") };
    assert_eq!(missing, "(event_id)");
    database.execute(mend).await;
    TestServer::start(&database, true).await;
}

#[tokio::test]
async fn past_open_a_process_without_the_flag_is_refused_and_told_what_mends_it() {
    for (setting, phase, mend) in [
        (Setting::Fenced, "fenced", "partita migration unfence"),
        (Setting::Restoring, "restoring", "partita migration restore"),
        (Setting::Finalized, "finalized", "partita migration restore"),
    ] {
        let database = TestDatabase::in_phase(setting).await;
        let error = refused(&database, false).await;
        assert!(matches!(error, StartError::Contradiction(_)), "{error:?}");
        for part in [&format!("phase `{phase}`"), "set DB_PARTITIONS_V1=1", mend] {
            assert!(error.to_string().contains(part), "{error}");
        }
        TestServer::start(&database, true).await;
    }
}

#[tokio::test]
async fn a_phase_of_a_newer_release_is_refused_whatever_the_flag() {
    let database = TestDatabase::new().await;
    let newer = "ALTER TABLE event_store_control DROP CONSTRAINT event_store_control_phase_known; \
         UPDATE event_store_control SET phase = 'molten', fenced_at = now()";
    database.execute(newer).await;
    for partitions in [true, false] {
        let error = refused(&database, partitions).await;
        assert!(matches!(error, StartError::UnknownPhase { .. }), "{error:?}");
        assert!(error.to_string().contains("`molten`"), "{error}");
    }
}

#[tokio::test]
async fn a_schema_that_is_behind_or_changed_is_refused_and_a_newer_one_is_not() {
    let database = TestDatabase::empty().await;
    let error = refused(&database, true).await;
    assert!(matches!(error, StartError::SchemaBehind { first: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("partita migrate up"), "{error}");

    let applied = schema::up(&database.url()).await.unwrap();
    let last = applied.last().unwrap().version;
    schema::down(&database.url(), last - 1).await.unwrap();
    let error = refused(&database, true).await;
    assert!(matches!(error, StartError::SchemaBehind { pending: 1, first } if first == last), "{error:?}");

    schema::up(&database.url()).await.unwrap();
    database
        .execute(
            "INSERT INTO event_store_migration (version, description, success, checksum, execution_time) \
             VALUES (9999, 'of a newer release', true, '\\x00', 0)",
        )
        .await;
    TestServer::start(&database, true).await;
    database
        .execute(format!(
            "INSERT INTO event_store_migration (version, description, success, checksum, execution_time) \
             SELECT 9999 + n, 'of a much newer release', true, '\\x00', 0 FROM generate_series(1, {SCHEMA_NEWER_MAX}) n"
        ))
        .await;
    let error = refused(&database, true).await;
    assert!(matches!(error, StartError::SchemaAhead { newer } if newer == SCHEMA_NEWER_MAX + 1), "{error:?}");
    database.execute("DELETE FROM event_store_migration WHERE version > 9999").await;
    database.execute("UPDATE event_store_migration SET checksum = '\\x00' WHERE version = 2").await;
    let error = refused(&database, true).await;
    assert!(matches!(error, StartError::SchemaChanged { version: 2 }), "{error:?}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_named_without_its_password() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = DatabaseUrl::parse(&format!("postgres://ann:hush@127.0.0.1:{port}/events")).unwrap();
    let error = Store::connect(StoreConfig::new(url)).await.err().unwrap();
    assert!(matches!(error, StartError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("ann@127.0.0.1:{port}/events")), "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}
