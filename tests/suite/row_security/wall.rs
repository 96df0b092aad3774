//! What a session of the app's login reaches, whatever its statements say.

use partita_tests::month;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{count, guarded, name, run, two_tenants};

#[tokio::test]
async fn a_session_that_names_no_tenant_finds_no_row_and_writes_none() {
    let database = guarded().await;
    let _owner = two_tenants(&database).await;
    let before = database.contents().await;
    let (_, mut session) = database.login("event_store_app").await;
    for list in [None, Some(""), Some("{}"), Some("{nobody}")] {
        if let Some(list) = list {
            name(&mut session, list).await;
        }
        for table in ["event_store", "event_store_partitioned", "event_store_stream"] {
            assert_eq!(count(&mut session, table).await, 0, "{table} {list:?}");
            let rows = format!("{table} WHERE tenant_id = 'acme'");
            assert_eq!(count(&mut session, &rows).await, 0, "{rows} {list:?}");
        }
        let locked = "(SELECT FROM event_store_tenant FOR NO KEY UPDATE) AS locked";
        assert_eq!(count(&mut session, locked).await, 0, "{list:?}");
        for write in ["event_store_tenant SET last_position = 0", "event_store_stream SET version = 0"] {
            assert_eq!(run(&mut session, &format!("UPDATE {write}")).await, Ok(0), "{write} {list:?}");
        }
        for insert in INSERTS {
            assert_eq!(run(&mut session, insert).await, Err("42501".to_owned()), "{insert} {list:?}");
        }
    }
    assert_eq!(database.contents().await, before);
}

/// A row of globex into each table that the app writes.
const INSERTS: [&str; 3] = [
    "INSERT INTO event_store_stream VALUES ('globex', 'order', 'new', 1, 'hash', now(), now())",
    "INSERT INTO event_store (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, \
     tenant_id, user_id, event_hash) \
     VALUES (gen_random_uuid(), 'Planted', 'order', 'new', 1, '{}', 'globex', 'eve', 'hash')",
    "INSERT INTO event_store_partitioned (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, \
     event_data, tenant_id, user_id, event_hash, position) \
     VALUES (gen_random_uuid(), 'Planted', 'order', 'new', 1, '{}', 'globex', 'eve', 'hash', 99)",
];

#[tokio::test]
async fn a_session_that_names_a_tenant_finds_its_rows_alone_and_moves_none_to_another() {
    let database = guarded().await;
    let _owner = two_tenants(&database).await;
    let before = database.contents().await;
    let (_, mut session) = database.login("event_store_app").await;
    name(&mut session, "{acme}").await;
    for (table, rows) in [("event_store", 3), ("event_store_partitioned", 3), ("event_store_stream", 1)] {
        assert_eq!(count(&mut session, table).await, rows, "{table}");
        let other = format!("{table} WHERE tenant_id = 'globex'");
        assert_eq!(count(&mut session, &other).await, 0, "{other}");
    }
    for insert in INSERTS {
        assert_eq!(run(&mut session, insert).await, Err("42501".to_owned()), "{insert}");
    }
    let moved = "UPDATE event_store_stream SET tenant_id = 'globex'";
    assert_eq!(run(&mut session, moved).await, Err("42501".to_owned()));
    let met = "INSERT INTO event_store_stream VALUES ('globex', 'order', '1', 9, 'hash', now(), now()) \
         ON CONFLICT (tenant_id, aggregate_type, aggregate_id) DO UPDATE SET version = 9";
    assert_eq!(run(&mut session, met).await, Err("42501".to_owned()));
    // A list that is none is a mistake, not nobody.
    name(&mut session, "acme").await;
    assert_eq!(run(&mut session, "SELECT FROM event_store_stream").await, Err("22P02".to_owned()));
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn who_owns_the_tables_or_maintains_or_reports_is_not_bound() {
    let database = guarded().await;
    let _owner = two_tenants(&database).await;
    for role in ["event_store_maintenance", "event_store_reader"] {
        let (_, mut session) = database.login(role).await;
        for table in ["event_store", "event_store_partitioned"] {
            assert_eq!(count(&mut session, table).await, 8, "{role} {table}");
        }
    }
}

#[tokio::test]
async fn plans_find_rows_by_what_the_statement_names_and_by_nothing_else() {
    let database = guarded().await;
    let owner = two_tenants(&database).await;
    owner.append("acme", "order", "1").events_at(&[&month(-1).start().to_string()]).ok().await;
    let (_, mut session) = database.login("event_store_app").await;
    name(&mut session, "{acme,globex}").await;
    run(&mut session, "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await.unwrap();
    let explain = async |session: &mut PgConnection, statement: &str| -> String {
        let statement = format!("EXPLAIN (COSTS OFF) {statement}");
        let lines: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(session).await.unwrap();
        lines.join("\n")
    };
    let read = "SELECT * FROM event_store_partitioned WHERE tenant_id = 'acme' AND aggregate_type = 'order' \
         AND aggregate_id = '1' AND event_timestamp >= date_trunc('month', now(), 'UTC') ORDER BY aggregate_version";
    let plan = explain(&mut session, read).await;
    assert!(plan.contains("version_key") && !plan.contains("->  Sort"), "{plan}");
    let other = owner.months_of("globex").await;
    assert!(!other.is_empty());
    let globex: Vec<String> =
        database.column("SELECT partition_name FROM event_store_partition_leaf('globex')").await;
    assert!(globex.iter().all(|leaf| !plan.contains(leaf.as_str())), "{plan}");
    for statement in [
        read,
        "SELECT * FROM event_store_tenant WHERE tenant_id = ANY ('{acme,globex}') FOR NO KEY UPDATE",
        "SELECT * FROM event_store_stream WHERE tenant_id = 'acme' AND aggregate_type = 'order' AND aggregate_id = '1'",
        "SELECT * FROM event_store WHERE tenant_id = 'acme' AND aggregate_type = 'order' AND aggregate_id = '1'",
    ] {
        let plan = explain(&mut session, statement).await;
        let by_policy = |line: &&str| line.contains("Index Cond") && line.contains('$');
        assert_eq!(plan.lines().find(by_policy), None, "{plan}");
        assert!(plan.contains("COALESCE"), "{plan}");
    }
}
