//! Legacy tables that Partita did not make: one oddity a test, each found before it does harm.

use partita_store::adoption::{Adoption, Finding, Severity, examine};
use partita_store::schema;
use partita_tests::{ForeignEvent, TestDatabase, TestServer, no_stream};

/// A table as migration 1 makes it, to be spoilt in one way by each test.
const SOUND: &str = "CREATE TABLE event_store (
    event_id uuid PRIMARY KEY, event_type varchar(100) NOT NULL, aggregate_type varchar(100) NOT NULL,
    aggregate_id varchar(255) NOT NULL, aggregate_version integer NOT NULL, event_data jsonb NOT NULL,
    event_metadata jsonb, tenant_id varchar(255) NOT NULL, user_id varchar(255) NOT NULL,
    correlation_id varchar(255), causation_id uuid, legal_basis varchar(50), data_classification varchar(50),
    retention_policy varchar(100), ip_address inet, user_agent text, session_id varchar(255),
    request_id varchar(255), event_hash varchar(64) NOT NULL, previous_event_hash varchar(64),
    event_timestamp timestamptz NOT NULL DEFAULT now(), created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT versions UNIQUE (tenant_id, aggregate_type, aggregate_id, aggregate_version));
    CREATE INDEX by_time ON event_store (tenant_id, event_timestamp);";

/// A sound table, two events in it, and then what a test does to it.
async fn spoilt(statements: &str) -> TestDatabase {
    let database = TestDatabase::empty().await;
    database.execute(SOUND).await;
    for version in 1..=2 {
        ForeignEvent::new("acme", "1", version).write(database.pool()).await.unwrap();
    }
    if !statements.is_empty() {
        database.execute(statements).await;
    }
    database
}

async fn examined(database: &TestDatabase) -> Adoption {
    examine(&database.url(), false).await.unwrap()
}

async fn scanned(database: &TestDatabase) -> Adoption {
    let adoption = examine(&database.url(), true).await.unwrap();
    assert!(adoption.scans.iter().all(|scan| scan.is_done), "{:?}", adoption.scans);
    adoption
}

fn rules(adoption: &Adoption) -> Vec<(&str, &str)> {
    adoption.findings.iter().map(|finding| (finding.rule, finding.subject.as_str())).collect()
}

/// The one finding of a rule.
fn finding<'a>(adoption: &'a Adoption, rule: &str) -> &'a Finding {
    let mut found = adoption.findings.iter().filter(|finding| finding.rule == rule);
    let first = found.next().unwrap_or_else(|| panic!("no {rule} in {:#?}", adoption.findings));
    assert!(found.next().is_none(), "{rule} is there twice");
    first
}

/// The table has one finding, a blocker, and none after what it says was run.
async fn is_mended(database: &TestDatabase, rule: &str) -> Finding {
    let adoption = examined(database).await;
    let found = finding(&adoption, rule).clone();
    assert_eq!((found.severity, adoption.findings.len()), (Severity::Blocks, 1), "{:#?}", adoption.findings);
    assert!(found.cost.is_some(), "{found:?}");
    database.execute(found.mend.clone().unwrap()).await;
    assert_eq!(rules(&examined(database).await), []);
    found
}

#[tokio::test]
async fn a_sound_table_has_no_finding_before_and_after_the_migrations() {
    let database = spoilt("").await;
    assert_eq!(rules(&scanned(&database).await), []);
    schema::up(&database.url()).await.unwrap();
    let adoption = scanned(&database).await;
    assert_eq!((rules(&adoption), adoption.rows), (vec![], Some(2)));
}

#[tokio::test]
async fn a_fresh_table_of_partita_has_nothing_that_blocks() {
    let database = TestDatabase::new().await;
    let adoption = scanned(&database).await;
    assert!(adoption.findings.iter().all(|it| it.severity == Severity::Notes), "{:#?}", adoption.findings);
    let triggers = adoption.findings.iter().filter(|it| it.rule == "trigger_on_purge").count();
    assert_eq!(triggers, 2);
}

#[tokio::test]
async fn a_database_without_the_table_is_no_trouble() {
    let adoption = examined(&TestDatabase::empty().await).await;
    assert!(!adoption.exists && adoption.findings.is_empty());
}

#[tokio::test]
async fn looking_changes_no_row() {
    let database = spoilt("").await;
    let rows =
        "SELECT string_agg(kept::text || kept.xmin || kept.xmax || kept.ctid, ',') FROM event_store AS kept";
    let before: String = database.scalar(rows).await;
    scanned(&database).await;
    assert_eq!(database.scalar::<String>(rows).await, before);
}

#[tokio::test]
async fn a_missing_column_blocks_and_the_mend_adds_it() {
    let database = spoilt("ALTER TABLE event_store DROP COLUMN session_id").await;
    let scan = examine(&database.url(), true).await.unwrap().scans.remove(0);
    assert!(!scan.is_done && scan.obstacle.unwrap().ends_with("session_id"));
    assert_eq!(is_mended(&database, "column_missing").await.subject, "session_id");
}

#[tokio::test]
async fn a_missing_tenant_blocks_and_the_mend_gives_every_row_one() {
    let database = spoilt("ALTER TABLE event_store DROP COLUMN tenant_id").await;
    let adoption = examined(&database).await;
    let column = finding(&adoption, "column_missing");
    database.execute(column.mend.clone().unwrap()).await;
    assert_eq!(database.count("event_store WHERE tenant_id = 'main'").await, 2);
    // The indexes went with the column; the one that is mended serves as both.
    let mend = finding(&examined(&database).await, "unique_versions").mend.clone().unwrap();
    database.execute(mend).await;
    assert_eq!(rules(&examined(&database).await), []);
}

#[tokio::test]
async fn a_column_of_the_platforms_own_that_needs_a_value_blocks() {
    let database =
        spoilt("ALTER TABLE event_store ADD shard integer NOT NULL DEFAULT 1, ADD note text; ALTER TABLE event_store ALTER shard DROP DEFAULT").await;
    let adoption = examined(&database).await;
    assert_eq!(rules(&adoption), [("column_extra_needed", "shard"), ("column_extra", "note")]);
    database.execute(finding(&adoption, "column_extra_needed").mend.clone().unwrap()).await;
    assert_eq!(rules(&examined(&database).await), [("column_extra", "shard"), ("column_extra", "note")]);
}

#[tokio::test]
async fn json_instead_of_jsonb_blocks() {
    let database =
        spoilt("ALTER TABLE event_store ALTER event_metadata TYPE json USING event_metadata::json").await;
    assert_eq!(is_mended(&database, "column_type").await.subject, "event_metadata");
}

#[tokio::test]
async fn ids_that_are_text_block() {
    let database = spoilt("ALTER TABLE event_store ALTER event_id TYPE text").await;
    assert!(is_mended(&database, "column_type").await.found.contains("is text, must be uuid"));
}

#[tokio::test]
async fn a_time_without_a_zone_blocks_and_the_mend_rewrites_no_row() {
    let database =
        spoilt("SET timezone = 'UTC'; ALTER TABLE event_store ALTER event_timestamp TYPE timestamp").await;
    let file = "SELECT pg_relation_filenode('event_store')::bigint";
    let before: i64 = database.scalar(file).await;
    is_mended(&database, "column_type").await;
    assert_eq!(database.scalar::<i64>(file).await, before);
}

#[tokio::test]
async fn a_hash_column_that_is_too_short_blocks_and_another_one_hurts() {
    let database = spoilt(
        "ALTER TABLE event_store ALTER event_hash TYPE varchar(32); ALTER TABLE event_store ALTER user_id TYPE varchar(40)",
    )
    .await;
    let adoption = examined(&database).await;
    assert_eq!(rules(&adoption), [("column_shorter", "event_hash"), ("column_shorter", "user_id")]);
    assert_eq!(adoption.findings[1].severity, Severity::Hurts);
    for finding in &adoption.findings {
        database.execute(finding.mend.clone().unwrap()).await;
    }
    assert_eq!(rules(&examined(&database).await), []);
}

#[tokio::test]
async fn a_column_that_generates_its_values_blocks() {
    let database = spoilt(
        "ALTER TABLE event_store DROP COLUMN user_agent, \
         ADD COLUMN user_agent text GENERATED ALWAYS AS ('by ' || event_type) STORED",
    )
    .await;
    assert_eq!(is_mended(&database, "column_generated").await.subject, "user_agent");
}

#[tokio::test]
async fn missing_unique_indexes_block_and_a_missing_index_by_tenant_hurts() {
    let database = spoilt(
        "ALTER TABLE event_store DROP CONSTRAINT event_store_pkey, DROP CONSTRAINT versions; DROP INDEX by_time; \
         CREATE UNIQUE INDEX partial ON event_store (event_id) WHERE event_type <> 'x'",
    )
    .await;
    let adoption = examined(&database).await;
    let found: Vec<_> = adoption.findings.iter().map(|it| (it.rule, it.severity)).collect();
    assert_eq!(
        found,
        [
            ("unique_ids", Severity::Blocks),
            ("unique_versions", Severity::Blocks),
            ("index_by_tenant", Severity::Hurts)
        ]
    );
    for finding in &adoption.findings {
        database.execute(finding.mend.clone().unwrap()).await;
    }
    assert_eq!(rules(&examined(&database).await), []);
}

#[tokio::test]
async fn a_unique_index_without_the_tenant_is_enough() {
    let database = spoilt(
        "ALTER TABLE event_store DROP CONSTRAINT versions, ADD UNIQUE (aggregate_type, aggregate_id, aggregate_version)",
    )
    .await;
    assert_eq!(rules(&examined(&database).await), []);
}

#[tokio::test]
async fn a_trigger_that_could_change_an_append_blocks_and_one_on_deletes_is_a_note() {
    let database = spoilt(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_id := ''x''; RETURN NEW; END'; \
         CREATE TRIGGER meddles BEFORE INSERT ON event_store FOR EACH ROW EXECUTE FUNCTION meddle(); \
         CREATE TRIGGER forbids BEFORE DELETE ON event_store FOR EACH ROW EXECUTE FUNCTION meddle(); \
         CREATE TRIGGER tells AFTER INSERT ON event_store FOR EACH ROW EXECUTE FUNCTION meddle(); \
         CREATE TRIGGER sleeps BEFORE INSERT ON event_store FOR EACH ROW EXECUTE FUNCTION meddle(); \
         ALTER TABLE event_store DISABLE TRIGGER sleeps",
    )
    .await;
    let adoption = examined(&database).await;
    let expected = [
        ("trigger_before_insert", "meddles"),
        ("trigger_after_insert", "tells"),
        ("trigger_on_purge", "forbids"),
    ];
    assert_eq!(rules(&adoption), expected);
    database.execute(adoption.findings[0].mend.clone().unwrap()).await;
    assert_eq!(rules(&examined(&database).await), expected[1..]);
}

#[tokio::test]
async fn a_rule_on_insert_blocks() {
    let database = spoilt("CREATE RULE swallow AS ON INSERT TO event_store DO INSTEAD NOTHING").await;
    assert_eq!(is_mended(&database, "rule_on_insert").await.subject, "swallow");
}

#[tokio::test]
async fn row_security_blocks() {
    let database = spoilt("ALTER TABLE event_store ENABLE ROW LEVEL SECURITY").await;
    is_mended(&database, "row_security").await;
}

#[tokio::test]
async fn an_unlogged_table_blocks() {
    let database = spoilt("ALTER TABLE event_store SET UNLOGGED").await;
    is_mended(&database, "table_unlogged").await;
}

#[tokio::test]
async fn a_table_that_others_inherit_from_blocks() {
    let database = spoilt("CREATE TABLE older () INHERITS (event_store)").await;
    assert_eq!(rules(&examined(&database).await), [("table_inherited", "event_store")]);
}

#[tokio::test]
async fn a_table_that_is_partitioned_already_blocks() {
    let database = TestDatabase::empty().await;
    let parted = SOUND
        .replace("event_id uuid PRIMARY KEY", "event_id uuid NOT NULL")
        .replace("UNIQUE (tenant_id, ", "UNIQUE (event_timestamp, tenant_id, ")
        .replace("aggregate_version));", "aggregate_version)) PARTITION BY RANGE (event_timestamp);");
    database.execute(parted).await;
    let adoption = examined(&database).await;
    assert_eq!(adoption.findings[0].rule, "table_kind");
    assert!(adoption.findings.iter().any(|it| it.rule == "unique_ids"), "{:#?}", adoption.findings);
}

#[tokio::test]
async fn constraints_of_the_platforms_own_are_told() {
    let database = spoilt(
        "CREATE TABLE tenants (id varchar(255) PRIMARY KEY); INSERT INTO tenants VALUES ('acme'); \
         ALTER TABLE event_store ADD CONSTRAINT of_a_tenant FOREIGN KEY (tenant_id) REFERENCES tenants, \
         ADD CONSTRAINT short CHECK (length(event_type) < 50); \
         CREATE TABLE outbox (event_id uuid CONSTRAINT hangs_on REFERENCES event_store)",
    )
    .await;
    let mut found = rules(&examined(&database).await)
        .into_iter()
        .map(|(rule, name)| (rule.to_owned(), name.to_owned()))
        .collect::<Vec<_>>();
    found.sort();
    let found: Vec<_> = found.iter().map(|(rule, name)| (rule.as_str(), name.as_str())).collect();
    assert_eq!(
        found,
        [("check", "short"), ("foreign_key", "of_a_tenant"), ("foreign_key_of_another", "hangs_on")]
    );
}

#[tokio::test]
async fn nulls_where_a_value_is_needed_are_counted_by_the_scan() {
    let database = spoilt(
        "ALTER TABLE event_store ALTER user_id DROP NOT NULL; \
         UPDATE event_store SET user_id = NULL WHERE aggregate_version = 2",
    )
    .await;
    let nullable = finding(&examined(&database).await, "column_nullable").clone();
    assert_eq!((nullable.subject.as_str(), nullable.severity), ("user_id", Severity::Hurts));
    let adoption = scanned(&database).await;
    assert!(finding(&adoption, "null").found.starts_with("1 rows are NULL"));
    database.execute("UPDATE event_store SET user_id = 'unknown' WHERE user_id IS NULL").await;
    database.execute(nullable.mend.unwrap()).await;
    assert_eq!(rules(&scanned(&database).await), []);
}

#[tokio::test]
async fn duplicate_ids_and_versions_are_found_by_the_scan_where_no_index_forbids_them() {
    let database = spoilt(
        "ALTER TABLE event_store DROP CONSTRAINT event_store_pkey, DROP CONSTRAINT versions; \
         INSERT INTO event_store SELECT * FROM event_store WHERE aggregate_version = 1",
    )
    .await;
    let adoption = scanned(&database).await;
    assert!(finding(&adoption, "duplicate_ids").found.starts_with("1 ids are there more than once"));
    assert!(finding(&adoption, "duplicate_versions").found.contains("such as acme/order/1/1:"));
}

#[tokio::test]
async fn rows_that_belong_to_no_month_are_counted_by_the_scan() {
    let database = spoilt("").await;
    let times = [
        "infinity",
        "-infinity",
        "0044-03-15 12:00:00+00 BC",
        "10000-01-01 00:00:00+00",
        "2999-01-01 00:00:00+00",
    ];
    for (place, time) in times.into_iter().enumerate() {
        let timestamp = Some(time);
        let version = i32::try_from(place).unwrap() + 3;
        let event = ForeignEvent { timestamp, ..ForeignEvent::new("acme", "1", version) };
        event.write(database.pool()).await.unwrap();
    }
    let adoption = scanned(&database).await;
    assert!(finding(&adoption, "time_infinite").found.starts_with("2 rows"));
    assert!(finding(&adoption, "time_out_of_years").found.starts_with("2 rows"));
    let far = finding(&adoption, "time_far_ahead");
    assert_eq!((far.severity, far.found.starts_with("1 rows")), (Severity::Hurts, true), "{far:?}");
}

#[tokio::test]
async fn rows_with_odd_versions_empty_tenants_and_long_texts_are_counted_by_the_scan() {
    let database = spoilt("ALTER TABLE event_store ALTER user_id TYPE text").await;
    ForeignEvent::new("", "1", 0).write(database.pool()).await.unwrap();
    database.execute("UPDATE event_store SET user_id = repeat('x', 256) WHERE aggregate_version = 1").await;
    let adoption = scanned(&database).await;
    for rule in ["tenant_empty", "version_out_of_range", "text_too_long"] {
        assert!(finding(&adoption, rule).found.starts_with("1 rows"), "{rule}");
    }
    assert_eq!(finding(&adoption, "column_longer").severity, Severity::Notes);
}

#[tokio::test]
async fn json_that_jsonb_would_change_or_refuse_is_found_by_the_scan() {
    let database = spoilt("ALTER TABLE event_store ALTER event_data TYPE json USING event_data::json").await;
    let documents =
        [r#"{"a": 1, "b": {"c": 1, "c": 2}}"#, r#"{"text": "\u0000"}"#, "[1e9000000]", r#"{"a": "\\u0000"}"#];
    for (place, document) in documents.into_iter().enumerate() {
        let version = i32::try_from(place).unwrap() + 3;
        let id = ForeignEvent::new("acme", "1", version).write(database.pool()).await.unwrap();
        sqlx::query("UPDATE event_store SET event_data = $1::json WHERE event_id = $2")
            .bind(document)
            .bind(id)
            .execute(database.pool())
            .await
            .unwrap();
    }
    let adoption = scanned(&database).await;
    assert!(finding(&adoption, "json_refused").found.starts_with("2 documents"), "{:#?}", adoption.findings);
    assert!(finding(&adoption, "json_changed").found.starts_with("1 documents"), "{:#?}", adoption.findings);
    assert_eq!(finding(&adoption, "column_type").subject, "event_data");
}

#[tokio::test]
async fn a_table_without_blockers_can_be_served_with_the_flag_on() {
    let database = spoilt("ALTER TABLE event_store ADD note text, ALTER tenant_id TYPE text").await;
    assert!(scanned(&database).await.findings.iter().all(|it| it.severity != Severity::Blocks));
    schema::up(&database.url()).await.unwrap();
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "2").expected(no_stream()).events(2).ok().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2]);
}

#[tokio::test]
async fn what_blocks_does_refuse_reads_with_the_flag_on() {
    // The claim of `column_type`: union reads fail. If they ever do not, the doctor cries wolf.
    let database = spoilt("ALTER TABLE event_store ALTER event_data TYPE json USING event_data::json").await;
    schema::up(&database.url()).await.unwrap();
    let server = TestServer::start(&database, true).await;
    server.read("acme", "order", "1").refused().await;
}
