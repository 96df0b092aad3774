//! Rows that were changed, taken or swapped behind the service's back.

use partita_proto::v1::chain_finding::{Fault, Table};
use partita_tests::{Found, TestDatabase, TestServer};

/// Every column that both tables have, and how to change it so that the row is still accepted.
const CHANGES: [(&str, &str); 23] = [
    ("event_id", "gen_random_uuid()"),
    ("event_type", "event_type || 'x'"),
    ("aggregate_type", "'Order'"),
    ("aggregate_id", "'9'"),
    ("aggregate_version", "aggregate_version + 100"),
    ("event_data", "'{\"n\": 2.0}'"),
    ("event_metadata", "'{}'"),
    ("tenant_id", "'beta'"),
    ("user_id", "'bob'"),
    ("correlation_id", "'x'"),
    ("causation_id", "gen_random_uuid()"),
    ("legal_basis", "''"),
    ("data_classification", "'x'"),
    ("retention_policy", "'x'"),
    ("ip_address", "'10.0.0.2'"),
    ("user_agent", "'x'"),
    ("session_id", "'x'"),
    ("request_id", "'x'"),
    ("event_hash", "'p1:' || repeat('A', 43)"),
    ("event_hash", "repeat('0', 64)"),
    ("previous_event_hash", "'p1:' || repeat('A', 43)"),
    ("event_timestamp", "event_timestamp + interval '1 microsecond'"),
    ("created_at", "created_at - interval '1 microsecond'"),
];
/// Changes of these say of another row, or of none, that something is wrong.
const KEYS: [&str; 7] = [
    "event_id",
    "aggregate_type",
    "aggregate_id",
    "aggregate_version",
    "tenant_id",
    "event_hash",
    "position",
];

const TABLES: [(&str, Table); 2] =
    [("event_store", Table::Legacy), ("event_store_partitioned", Table::Partitioned)];

/// A stream of three events in both tables, among others.
async fn recorded(database: &TestDatabase) -> TestServer {
    let server = TestServer::start(database, true).await;
    server.append("acme", "order", "0").events(2).ok().await;
    server.append("acme", "order", "1").events(3).ok().await;
    server.append("acme", "order", "2").events(2).ok().await;
    server.append("beta", "order", "b").event("First").ok().await;
    assert_eq!(server.verify("").await.summary.findings, 0);
    server
}

fn found(event: &str, table: Table, fault: Fault) -> Found {
    (event.to_owned(), table, fault)
}

async fn keep(database: &TestDatabase) {
    for (table, _) in TABLES {
        database.execute(format!("CREATE TABLE kept_{table} AS TABLE {table}")).await;
    }
}

async fn restore(database: &TestDatabase) {
    for (table, _) in TABLES {
        database.tamper(format!("DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table}")).await;
    }
}

#[tokio::test]
async fn a_change_of_any_column_of_either_table_is_found() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    keep(&database).await;
    for (table, named) in TABLES {
        for (column, value) in CHANGES {
            for version in 1..=3 {
                let row =
                    format!("aggregate_id = '1' AND aggregate_version = {version} AND tenant_id = 'acme'");
                database.tamper(format!("UPDATE {table} SET {column} = {value} WHERE {row}")).await;
                let verification = server.verify("").await;
                let what = format!("{table}.{column} of version {version}: {:?}", verification.found());
                assert!(!verification.findings.is_empty(), "{what}");
                // The changed row itself is named where it is still to be recognised.
                let place = format!("order/1@{version}");
                let is_named = [Fault::Changed, Fault::Unlinked]
                    .iter()
                    .any(|fault| verification.has(&place, named, *fault));
                assert!(KEYS.contains(&column) || is_named, "{what}");
                restore(&database).await;
            }
        }
    }
    assert_eq!(server.verify("").await.summary.findings, 0);
}

#[tokio::test]
async fn a_changed_position_is_found() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    keep(&database).await;
    for position in [-1, 0, 1_000] {
        let set = format!("SET position = {position} WHERE tenant_id = 'acme' AND position = 4");
        database.tamper(format!("UPDATE event_store_partitioned {set}")).await;
        assert_ne!(server.verify("acme").await.summary.findings, 0, "{position}");
        restore(&database).await;
    }
}

#[tokio::test]
async fn a_position_that_two_months_have_is_found() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_keeping_all(&database).await;
    let months = ["2024-05-10T00:00:00Z", "2024-06-10T00:00:00Z", "2024-07-10T00:00:00Z"];
    server.append("acme", "order", "1").events_at(&months).ok().await;
    database.tamper("UPDATE event_store_partitioned SET position = 1 WHERE position = 2").await;
    let mut found = server.verify("acme").await.found();
    found.sort_by_key(|(_, _, fault)| *fault);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], self::found("position 2 is missing", Table::Partitioned, Fault::PositionMissing));
    // Which of the two is the other's double cannot be told.
    assert_eq!(found[1].2, Fault::PositionRepeated);
}

#[tokio::test]
async fn a_row_that_is_missing_from_one_table_is_found_there() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    keep(&database).await;
    for (table, named) in TABLES {
        for version in 1..=3 {
            let row = format!("aggregate_id = '1' AND aggregate_version = {version} AND tenant_id = 'acme'");
            database.tamper(format!("DELETE FROM {table} WHERE {row}")).await;
            let verification = server.verify("acme").await;
            assert!(
                verification.has(&format!("order/1@{version}"), named, Fault::NoCopy),
                "{verification:?}"
            );
            restore(&database).await;
        }
    }
}

#[tokio::test]
async fn the_last_events_of_a_tenant_are_missed_in_the_partitioned_table() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    database.tamper("DELETE FROM event_store_partitioned WHERE aggregate_id = '2'").await;
    let missing =
        [1, 2].map(|version| found(&format!("order/2@{version}"), Table::Partitioned, Fault::NoCopy));
    assert_eq!(server.verify("acme").await.found(), missing);
    // Where nothing ever expires, the feed alone proves it.
    database.execute("UPDATE event_store_tenant SET retention_floor = '-infinity'").await;
    let first = found("positions 6 to 7 are missing", Table::Partitioned, Fault::PositionMissing);
    assert_eq!(server.verify("acme").await.found(), [vec![first], missing.to_vec()].concat());
}

#[tokio::test]
async fn rows_that_are_missing_from_both_tables_are_found() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    keep(&database).await;
    let cases = [
        ("= 1", "order/1@2", Fault::Missing),
        ("= 2", "order/1@3", Fault::Missing),
        ("= 3", "order/1@3", Fault::WrongEnd),
        (">= 2", "order/1@3", Fault::WrongEnd),
        (">= 1", "order/1@3", Fault::WrongEnd),
    ];
    for (versions, event, fault) in cases {
        for (table, _) in TABLES {
            let rows = format!("aggregate_id = '1' AND aggregate_version {versions} AND tenant_id = 'acme'");
            database.tamper(format!("DELETE FROM {table} WHERE {rows}")).await;
        }
        assert_eq!(server.verify("").await.found(), [found(event, Table::Legacy, fault)], "{versions}");
        restore(&database).await;
    }
}

#[tokio::test]
async fn two_rows_that_were_swapped_are_found() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    keep(&database).await;
    for (table, named) in TABLES {
        for swapped in ["aggregate_version", "event_data"] {
            let (one, other) = ("aggregate_version = 2", "aggregate_version = 3");
            let rows = "aggregate_id = '1' AND tenant_id = 'acme'";
            let set = match swapped {
                "aggregate_version" => format!(
                    "UPDATE {table} SET aggregate_version = aggregate_version + 100 WHERE {rows} AND ({one} OR {other}); \
                     UPDATE {table} SET aggregate_version = 105 - aggregate_version WHERE {rows} AND \
                     aggregate_version > 100"
                ),
                _ => format!(
                    "UPDATE {table} AS changed SET event_data = kept.event_data FROM kept_{table} AS kept \
                     WHERE changed.aggregate_id = '1' AND changed.tenant_id = 'acme' AND kept.aggregate_id = '1' \
                     AND kept.tenant_id = 'acme' AND changed.aggregate_version > 1 \
                     AND kept.aggregate_version = 5 - changed.aggregate_version"
                ),
            };
            database.tamper(set).await;
            let verification = server.verify("acme").await;
            for version in [2, 3] {
                let place = format!("order/1@{version}");
                let is_found = [Fault::Changed, Fault::Unlinked]
                    .iter()
                    .any(|fault| verification.has(&place, named, *fault));
                assert!(is_found, "{table} {swapped} {place}: {:?}", verification.found());
            }
            restore(&database).await;
        }
    }
}

#[tokio::test]
async fn a_copy_that_was_replaced_together_with_its_hash_is_found() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    // Foreign hashes cannot be recomputed; the copies are compared all the same.
    for (table, _) in TABLES {
        let rows = "aggregate_id = '2' AND aggregate_version = 2";
        database.tamper(format!("UPDATE {table} SET event_hash = 'of another program' WHERE {rows}")).await;
    }
    database
        .tamper("UPDATE event_store_stream SET last_hash = 'of another program' WHERE aggregate_id = '2'")
        .await;
    assert_eq!(server.verify("acme").await.summary.foreign, 1);
    assert_eq!(server.verify("acme").await.summary.findings, 0);
    let rows = "aggregate_id = '2' AND aggregate_version = 2";
    database.tamper(format!("UPDATE event_store_partitioned SET user_id = 'bob' WHERE {rows}")).await;
    let differs = found("order/2@2", Table::Partitioned, Fault::CopyDiffers);
    assert_eq!(server.verify("acme").await.found(), [differs]);
}

#[tokio::test]
async fn a_row_that_was_added_to_one_table_is_found() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    database
        .tamper(
            "INSERT INTO event_store_partitioned SELECT (jsonb_populate_record(copied, jsonb_build_object( \
             'event_id', gen_random_uuid(), 'aggregate_version', 4, 'position', 8))).* \
             FROM event_store_partitioned AS copied WHERE tenant_id = 'acme' AND position = 5",
        )
        .await;
    let verification = server.verify("acme").await;
    assert!(verification.has("order/1@4", Table::Legacy, Fault::NoCopy), "{verification:?}");
    assert!(verification.has("order/1@4", Table::Partitioned, Fault::PositionUnknown), "{verification:?}");
}

#[tokio::test]
async fn a_streams_record_that_hides_its_events_is_found() {
    let database = TestDatabase::new().await;
    let server = recorded(&database).await;
    for change in ["version = 2", "last_timestamp = '2020-01-01'", "last_hash = 'p1:x'"] {
        database.execute("CREATE TABLE kept AS TABLE event_store_stream").await;
        database.execute(format!("UPDATE event_store_stream SET {change} WHERE aggregate_id = '1'")).await;
        assert_ne!(server.verify("acme").await.summary.findings, 0, "{change}");
        database
            .execute(
                "TRUNCATE event_store_stream; INSERT INTO event_store_stream TABLE kept; DROP TABLE kept",
            )
            .await;
    }
    assert_eq!(server.verify("acme").await.summary.findings, 0);
}
