//! What an operator meets in psql: the two functions, the two views, the plans.

use partita_tests::{ForeignEvent, TestDatabase, TestServer, month, months};

#[tokio::test]
async fn the_functions_are_callable_by_position_by_name_and_with_their_defaults() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let calls = [
        ("SELECT ensure_event_store_partition('a')", 4),
        ("SELECT ensure_event_store_partition('a')", 0),
        ("SELECT ensure_event_store_partition('b', 0)", 2),
        ("SELECT ensure_event_store_partition('b', 3, 0)", 3),
        (
            "SELECT ensure_event_store_partition(tenant_id => 'c', months_ahead => 1, retention_months => 12)",
            3,
        ),
        ("SELECT ensure_event_store_partition(retention_months => NULL, tenant_id => 'd')", 4),
        ("SELECT ensure_event_store_partitions_for_all()", 4),
        ("SELECT ensure_event_store_partitions_for_all(months_ahead => 5, retention_months => 0)", 4),
    ];
    for (call, answer) in calls {
        assert_eq!(database.scalar::<i32>(call).await, answer, "{call}");
    }
    assert_eq!(server.months_of("c").await, months(-1..=5));
    let kept: i64 = database
        .scalar(
            "SELECT count(*) FROM event_store_tenant WHERE retention_floor = '-infinity' AND tenant_id = 'd'",
        )
        .await;
    assert_eq!(kept, 0, "the run over all tenants raised the floor that was left at -infinity");
}

#[tokio::test]
async fn the_function_refuses_what_it_cannot_mean() {
    let database = TestDatabase::new().await;
    for bad in
        ["''", "NULL", "repeat('x', 256)", "'a', -1", "'a', 121", "'a', 2, -1", "'a', 2, 1201", "'a', NULL"]
    {
        let call = format!("SELECT ensure_event_store_partition({bad})");
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(call)).execute(database.pool()).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
        assert_eq!(code.as_deref(), Some("22023"), "{bad}: {error}");
    }
    assert_eq!(database.count("event_store_tenant").await, 0);
}

#[tokio::test]
async fn the_function_drops_what_lies_below_the_floor_and_raises_it() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_keeping_all(&database).await;
    let instants = months(-4..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    let call = "SELECT ensure_event_store_partition('acme', retention_months => 2)";
    assert_eq!(database.scalar::<i32>(call).await, 2);
    assert_eq!(server.months_of("acme").await, months(-2..=2));
    assert_eq!(server.read("acme", "order", "1").versions().await, [3, 4, 5]);
    assert_eq!(database.scalar::<i32>(call).await, 0);
}

#[tokio::test]
async fn a_tenants_table_of_the_platform_decides_who_is_maintained() {
    let database = TestDatabase::new().await;
    ForeignEvent::new("of-legacy", "1", 1).write(database.pool()).await.unwrap();
    let all = "SELECT ensure_event_store_partitions_for_all()";
    assert_eq!(database.scalar::<i32>(all).await, 1);
    database.execute("CREATE TABLE tenants (id uuid, tenant_id text); INSERT INTO tenants VALUES (NULL, 'x'), (NULL, 'y')").await;
    ForeignEvent::new("unlisted", "1", 1).write(database.pool()).await.unwrap();
    assert_eq!(database.scalar::<i32>(all).await, 3);
    let registered: Vec<String> =
        database.column("SELECT tenant_id::text FROM event_store_tenant ORDER BY tenant_number").await;
    assert_eq!(registered, ["of-legacy", "x", "y"]);
}

#[tokio::test]
async fn a_tenant_that_the_platforms_table_has_forgotten_expires_all_the_same() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_keeping_all(&database).await;
    let instants = months(-4..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    for tenant in ["gone-1", "gone-2"] {
        server.append(tenant, "order", "1").events_at(&instants).ok().await;
    }
    database
        .execute("CREATE TABLE tenants (id text PRIMARY KEY); INSERT INTO tenants VALUES ('known')")
        .await;
    assert_eq!(database.scalar::<i32>("SELECT ensure_event_store_partitions_for_all(2, 3)").await, 3);
    assert_eq!(server.months_of("gone-1").await, months(-3..=2));
    server.maintain("", |request| request.retention_months = Some(2)).await;
    assert_eq!(server.months_of("gone-2").await, months(-2..=2));
    assert_eq!(server.months_of("known").await, months(-1..=2));
}

#[tokio::test]
async fn a_month_that_is_in_use_keeps_neither_the_floor_nor_those_before_it() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_keeping_all(&database).await;
    let instants = months(-4..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    let second = format!(
        "SELECT partition_name FROM event_store_partition_leaf('acme') WHERE range_start = '{}'",
        month(-3).start()
    );
    let second: String = database.scalar(second).await;
    let mut reindex = database.connect().await;
    let lock = format!("BEGIN; LOCK TABLE event_store_partitions.{second} IN SHARE UPDATE EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut reindex).await.unwrap();

    let call = "SELECT ensure_event_store_partition('acme', retention_months => 1)";
    assert_eq!(database.scalar::<i32>(call).await, 1);
    assert_eq!(server.months_of("acme").await, months(-3..=2));
    assert_eq!(server.read("acme", "order", "1").versions().await, [4, 5], "expired is expired");
    sqlx::raw_sql("ROLLBACK").execute(&mut reindex).await.unwrap();
    assert_eq!(database.scalar::<i32>(call).await, 2);
    assert_eq!(server.months_of("acme").await, months(-1..=2));
}

#[tokio::test]
async fn the_views_work_as_they_stand() {
    let database = TestDatabase::new().await;
    let overview = "SELECT partitions FROM event_store_partition_overview";
    assert_eq!(database.scalar::<i64>(overview).await, 0);
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(200).ok().await;
    server.append("other", "order", "1").event("First").ok().await;

    let largest = "SELECT * FROM event_store_partition_metrics ORDER BY total_bytes DESC LIMIT 10";
    let names: Vec<String> =
        database.column(format!("SELECT partition_name FROM ({largest}) AS largest")).await;
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], format!("t1_{}", month(0).to_string().replace('-', "_")));
    let odd = "SELECT count(*) FROM event_store_partition_metrics WHERE tenant_id NOT IN ('acme', 'other') \
         OR total_bytes <> heap_bytes + index_bytes OR total_size <> pg_size_pretty(total_bytes) \
         OR range_end <> range_start + interval '1 month' OR state <> 'attached'";
    assert_eq!(database.scalar::<i64>(odd).await, 0);
    let counted =
        "SELECT concat_ws(' ', tenants, partitions, empty_partitions) FROM event_store_partition_overview";
    assert_eq!(database.scalar::<String>(counted).await, "2 8 6");
}

#[tokio::test]
async fn a_query_by_tenant_and_time_looks_at_that_tenants_month_alone() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for tenant in ["acme", "other"] {
        server.append(tenant, "order", "1").events(3).ok().await;
    }
    let (from, to) = (month(0).start(), month(1).start());
    let plan = |bounds: String| {
        let query = format!(
            "EXPLAIN (COSTS OFF) SELECT * FROM event_store_partitioned WHERE tenant_id = 'other'{bounds}"
        );
        database.column::<String>(query)
    };
    let leaves = |plan: Vec<String>| {
        let tables = plan.into_iter().filter_map(|line| Some(line.split_once(" on ")?.1.to_owned()));
        tables.map(|table| table.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let leaf = format!("t2_{}", month(0).to_string().replace('-', "_"));
    let bounds = format!(" AND event_timestamp >= '{from}' AND event_timestamp < '{to}'");
    let named: Vec<String> =
        leaves(plan(bounds).await).into_iter().filter(|name| name.starts_with('t')).collect();
    assert_eq!(named, [leaf]);
    // The test can tell: without a time there are four, and never one of another tenant.
    let named: Vec<String> =
        leaves(plan(String::new()).await).into_iter().filter(|name| name.starts_with('t')).collect();
    assert_eq!(named.len(), 4);
    assert!(named.iter().all(|name| name.starts_with("t2_")));
}
