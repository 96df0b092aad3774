//! A legacy table that was there before: adopted as it stands, with its history.

use partita_store::schema;
use partita_tests::{ForeignEvent, TestDatabase, TestServer, exact, no_stream};
use tonic::Code;

/// A table as it is found in the field: no tenant in its unique index, and an index or two of its own.
const FOUND: &str = "CREATE TABLE event_store (
    event_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_type varchar(100) NOT NULL,
    aggregate_type varchar(100) NOT NULL, aggregate_id varchar(255) NOT NULL,
    aggregate_version integer NOT NULL, event_data jsonb NOT NULL, event_metadata jsonb,
    tenant_id varchar(255) NOT NULL, user_id varchar(255) NOT NULL, correlation_id varchar(255),
    causation_id uuid, legal_basis varchar(50), data_classification varchar(50),
    retention_policy varchar(100), ip_address inet, user_agent text, session_id varchar(255),
    request_id varchar(255), event_hash varchar(64) NOT NULL, previous_event_hash varchar(64),
    event_timestamp timestamptz NOT NULL DEFAULT now(), created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (aggregate_type, aggregate_id, aggregate_version));
    CREATE INDEX found_by_time ON event_store (event_timestamp);
    COMMENT ON TABLE event_store IS 'the platform''s own'";

/// Everything about the table that a migration could have altered.
async fn description(database: &TestDatabase) -> Vec<String> {
    let query = "SELECT format('%s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, \
         pg_get_expr(adbin, adrelid)) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
         WHERE attrelid = 'event_store'::regclass AND attnum > 0 \
         UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'event_store'::regclass \
         UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'event_store'::regclass \
         UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'event_store'::regclass \
         UNION ALL SELECT obj_description('event_store'::regclass, 'pg_class') \
         UNION ALL SELECT md5(string_agg(kept::text, '' ORDER BY event_id)) FROM event_store AS kept";
    let mut description: Vec<String> = database.column(query).await;
    description.sort();
    description
}

async fn adopted() -> TestDatabase {
    let database = TestDatabase::empty().await;
    database.execute(FOUND).await;
    for version in 1..=3 {
        ForeignEvent::new("acme", "1", version).write(database.pool()).await.unwrap();
    }
    database
}

#[tokio::test]
async fn adoption_alters_nothing_and_neither_does_the_way_back() {
    let database = adopted().await;
    let found = description(&database).await;
    assert!(found.len() > 22);
    schema::up(&database.url()).await.unwrap();
    assert_eq!(description(&database).await, found);
    schema::down(&database.url(), 0).await.unwrap();
    assert_eq!(description(&database).await, found);
}

#[tokio::test]
async fn an_adopted_table_is_read_and_written_on() {
    let database = adopted().await;
    schema::up(&database.url()).await.unwrap();
    for partitions in [true, false] {
        let server = TestServer::start(&database, partitions).await;
        let at = server.read("acme", "order", "1").ok().await.state.version;
        let next = server.append("acme", "order", "1").expected(exact(at)).events(2).ok().await;
        assert_eq!(next.first_version, at + 1);
        server.append("acme", "order", "1").expected(exact(at)).event("Stale").refused().await;
        server.stop().await;
    }
    let server = TestServer::start(&database, true).await;
    let events = server.read("acme", "order", "1").ok().await.events;
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    for pair in events[2..].windows(2) {
        assert_eq!(pair[1].previous_event_hash, pair[0].event_hash);
    }
    assert_eq!(database.count("event_store_partitioned").await, 2);
}

#[tokio::test]
async fn an_aggregate_that_another_tenant_owns_is_a_legacy_constraint() {
    let database = adopted().await;
    schema::up(&database.url()).await.unwrap();
    for partitions in [true, false] {
        let server = TestServer::start(&database, partitions).await;
        server.append("other", "order", &format!("own-{partitions}")).event("First").ok().await;
        let before = database.contents().await;
        let call = server.append("other", "order", "1").expected(no_stream()).event("First");
        let refusal = call.refused().await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "LEGACY_CONSTRAINT"));
        assert!(!format!("{refusal:?}").contains("acme"), "{refusal:?}");
        assert_eq!(database.contents().await, before);
    }
}

#[tokio::test]
async fn maintenance_of_all_covers_registered_tenants_where_no_index_leads_to_the_others() {
    let database = adopted().await;
    schema::up(&database.url()).await.unwrap();
    let server = TestServer::start(&database, true).await;
    server.append("other", "order", "2").event("First").ok().await;
    let run = server.maintain("", |_| {}).await;
    assert_eq!(run.tenants.iter().map(|one| one.tenant_id.as_str()).collect::<Vec<_>>(), ["other"]);
}
