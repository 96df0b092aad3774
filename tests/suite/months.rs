//! The month of an event is its UTC month, whatever clocks and calendars surround it.

use std::time::Duration;

use partita_tests::{TestDatabase, TestServer, at, month, months, until_month_is_young};
use sqlx::Connection as _;

/// An instant, its month, and the bounds of the partition that it must lie in.
const EDGES: [(&str, &str, &str, &str); 10] = [
    ("2023-12-31T23:59:59.999999Z", "2023_12", "2023-12-01", "2024-01-01"),
    ("2024-01-01T00:00:00Z", "2024_01", "2024-01-01", "2024-02-01"),
    ("2024-02-01T00:00:00Z", "2024_02", "2024-02-01", "2024-03-01"),
    ("2024-02-29T00:00:00Z", "2024_02", "2024-02-01", "2024-03-01"),
    ("2024-02-29T23:59:59.999999Z", "2024_02", "2024-02-01", "2024-03-01"),
    ("2024-03-01T00:00:00Z", "2024_03", "2024-03-01", "2024-04-01"),
    // Still February in New York; already April on Kiritimati.
    ("2024-03-01T04:59:59.999999Z", "2024_03", "2024-03-01", "2024-04-01"),
    ("2024-03-31T10:00:00Z", "2024_03", "2024-03-01", "2024-04-01"),
    // Clocks go back in New York.
    ("2024-11-03T06:00:00Z", "2024_11", "2024-11-01", "2024-12-01"),
    ("2023-02-28T23:59:59.999999Z", "2023_02", "2023-02-01", "2023-03-01"),
];

/// What a database may be set to.
const SETTINGS: [&[(&str, &str)]; 4] = [
    &[("timezone", "UTC")],
    &[("timezone", "America/New_York")],
    &[("timezone", "Pacific/Kiritimati")],
    &[("timezone", "Asia/Kathmandu"), ("datestyle", "SQL, DMY"), ("standard_conforming_strings", "off")],
];

async fn database_with(settings: &[(&str, &str)]) -> TestDatabase {
    let database = TestDatabase::new().await;
    for (name, value) in settings {
        database.execute(format!("ALTER DATABASE \"{}\" SET {name} TO '{value}'", database.name())).await;
    }
    database
}

/// Each event's instant, the table it lies in, and that table's bounds: asked in UTC.
async fn places(database: &TestDatabase) -> Vec<(String, String, String)> {
    let mut connection = database.connect().await;
    sqlx::raw_sql("SET timezone TO 'UTC'; SET datestyle TO 'ISO, YMD'")
        .execute(&mut connection)
        .await
        .unwrap();
    let places = sqlx::query_as(
        "SELECT to_char(event_timestamp, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), event.tableoid::regclass::text, \
         pg_get_expr(relation.relpartbound, relation.oid) FROM event_store_partitioned AS event \
         JOIN pg_class AS relation ON relation.oid = event.tableoid ORDER BY aggregate_version",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    places
}

#[tokio::test]
async fn an_event_lies_in_its_utc_month_whatever_the_databases_time_zone() {
    for settings in SETTINGS {
        let database = database_with(settings).await;
        let server = TestServer::start_keeping_all(&database).await;
        let instants = EDGES.map(|(instant, ..)| instant);
        server.append("acme", "order", "1").events_at(&instants).ok().await;
        let places = places(&database).await;
        assert_eq!(places.len(), EDGES.len());
        for (place, (instant, name, from, to)) in places.into_iter().zip(EDGES) {
            let instant =
                if instant.contains('.') { instant.to_owned() } else { instant.replace('Z', ".000000Z") };
            let table = format!("event_store_partitions.t1_{name}");
            let bounds = format!("FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00')");
            assert_eq!(place, (instant, table, bounds), "{settings:?}");
        }
        let events = server.read("acme", "order", "1").ok().await.events;
        let read: Vec<_> = events.iter().map(|event| event.event_timestamp).collect();
        assert_eq!(read, instants.map(|instant| Some(at(instant))), "{settings:?}");
        assert_eq!(database.differing_rows().await, 0);
    }
}

#[tokio::test]
async fn one_event_a_call_lands_where_a_batch_of_them_does() {
    let database = database_with(SETTINGS[1]).await;
    let server = TestServer::start_keeping_all(&database).await;
    for (instant, ..) in EDGES {
        server.append("acme", "order", "1").events_at(&[instant]).ok().await;
    }
    let tables: Vec<_> = places(&database).await.into_iter().map(|(_, table, _)| table).collect();
    assert_eq!(tables, EDGES.map(|(_, name, ..)| format!("event_store_partitions.t1_{name}")));
}

#[tokio::test]
async fn months_made_from_psql_are_utc_months_whatever_the_sessions_time_zone() {
    for settings in SETTINGS {
        let database = database_with(settings).await;
        let server = TestServer::start(&database, true).await;
        let mut session = database.connect().await;
        let made: i32 = sqlx::query_scalar("SELECT ensure_event_store_partition('acme')")
            .fetch_one(&mut session)
            .await
            .unwrap();
        assert_eq!(made, 4);
        assert_eq!(server.months_of("acme").await, months(-1..=2), "{settings:?}");

        let start: String = sqlx::query_scalar(
            "SELECT to_char(event_store_month_start('2024-03-01 00:00:00+00') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')",
        )
        .fetch_one(&mut session)
        .await
        .unwrap();
        assert_eq!(start, "2024-03-01 00:00");
        let floor: String = sqlx::query_scalar(
            "SELECT to_char(retention_floor AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM event_store_tenant",
        )
        .fetch_one(&mut session)
        .await
        .unwrap();
        assert_eq!(floor, month(-18).start().to_string());
    }
}

/// A clock, and the months that maintenance wants then: the one before, the current one, two more; and the floor of
/// a retention of one month.
const CLOCKS: [(&str, [&str; 4], &str); 8] = [
    ("2023-12-31 23:59:59.999999Z", ["2023-11", "2023-12", "2024-01", "2024-02"], "2023-11-01"),
    ("2024-01-01 00:00:00Z", ["2023-12", "2024-01", "2024-02", "2024-03"], "2023-12-01"),
    ("2024-02-29 00:00:00Z", ["2024-01", "2024-02", "2024-03", "2024-04"], "2024-01-01"),
    ("2024-02-29 23:59:59.999999Z", ["2024-01", "2024-02", "2024-03", "2024-04"], "2024-01-01"),
    ("2024-03-01 00:00:00Z", ["2024-02", "2024-03", "2024-04", "2024-05"], "2024-02-01"),
    // 31 March: no month has so many days in April or February.
    ("2024-03-31 23:59:59.999999Z", ["2024-02", "2024-03", "2024-04", "2024-05"], "2024-02-01"),
    // The year before on Kiritimati's and the year after on New York's wall.
    ("2024-12-31 10:00:00Z", ["2024-11", "2024-12", "2025-01", "2025-02"], "2024-11-01"),
    ("2025-01-01 04:59:59.999999Z", ["2024-12", "2025-01", "2025-02", "2025-03"], "2024-12-01"),
];

#[tokio::test]
async fn months_turn_at_midnight_utc_for_maintenance_whatever_the_sessions_time_zone() {
    for settings in SETTINGS {
        let database = database_with(settings).await;
        let mut session = database.connect().await;
        for (clock, wanted, floor) in CLOCKS {
            let plan = |action: &str, column: &str| {
                format!(
                    "SELECT coalesce(string_agg(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), ' '), '') \
                     FROM event_store_partition_plan('acme', 2, 1, $1::text::timestamptz) WHERE action = '{action}'"
                )
            };
            let created = wanted.map(|month| format!("{month}-01 00:00:00.000000")).join(" ");
            let floor = format!("{floor} 00:00:00.000000");
            for (query, expected) in
                [(plan("create_month", "range_start"), created), (plan("raise_floor", "range_end"), floor)]
            {
                let found: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                    .bind(clock)
                    .fetch_one(&mut session)
                    .await
                    .unwrap();
                assert_eq!(found, expected, "{clock} {settings:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_read_between_instants_parts_months_to_the_microsecond() {
    for settings in SETTINGS {
        let database = database_with(settings).await;
        let server = TestServer::start_keeping_all(&database).await;
        let instants = EDGES.map(|(instant, ..)| instant);
        server.append("acme", "order", "1").events_at(&instants).ok().await;
        let between =
            async |from: &str, to: &str| server.read("acme", "order", "1").between(from, to).versions().await;
        assert_eq!(between("2023-12-01T00:00:00Z", "2024-01-01T00:00:00Z").await, [1], "{settings:?}");
        assert_eq!(between("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000001Z").await, [2], "{settings:?}");
        assert_eq!(between("2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z").await, [4, 5], "{settings:?}");
        assert_eq!(between("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z").await, [6, 7, 8], "{settings:?}");
    }
}

/// What all tests of the current month lean on, whenever they are run.
#[test]
fn a_test_that_begins_as_a_month_ends_waits_for_the_next_one() {
    let last = month(1).start().to_datetime();
    for (before, wait) in [(1, 1_001), (179, 179_001), (180, 0), (86_400, 0)] {
        let begins = last - Duration::from_secs(before);
        assert_eq!(until_month_is_young(begins), Duration::from_millis(wait), "{before} s before its end");
    }
    assert_eq!(until_month_is_young(last), Duration::ZERO);
}
