//! Least privilege: a login that is nothing but a member of a group role does its work, and nothing else.

use partita_store::{DatabaseUrl, MaintenanceMode, StoreConfig, schema};
use partita_tests::{TestDatabase, TestServer, exact, month, months};
use sqlx::{AssertSqlSafe, PgConnection};

async fn serving_as(database: &TestDatabase, url: DatabaseUrl) -> TestServer {
    TestServer::start_with(database, |config: &mut StoreConfig| {
        config.database_url = url;
        config.partitions_v1 = true;
        config.maintenance.mode = MaintenanceMode::Act;
    })
    .await
}

/// The SQLSTATE that a statement is refused with; empty where it is not.
async fn refused(session: &mut PgConnection, statement: &str) -> String {
    match sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(session).await {
        Ok(_) => String::new(),
        Err(error) => {
            let code = error.as_database_error().and_then(|error| error.code());
            code.map(|code| code.into_owned()).unwrap_or_default()
        }
    }
}

#[tokio::test]
async fn a_service_with_the_app_role_appends_reads_and_makes_partitions() {
    let database = TestDatabase::new().await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving_as(&database, url).await;
    server.append("acme", "order", "1").event("First").ok().await;
    server.append("acme", "order", "1").expected(exact(1)).event("Second").ok().await;
    server.append("acme", "order", "1").events_at(&[&month(-5).start().to_string()]).ok().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3]);
    assert_eq!(server.months_of("acme").await, months([-5, -1, 0, 1, 2]));
    let floor: bool = database
        .scalar(format!("SELECT retention_floor = '{}' FROM event_store_tenant", month(-18).start()))
        .await;
    assert!(floor, "a new tenant has its floor");
    database.assert_sound(&server).await;

    // What it may not, it says; and the loop of maintenance leaves it to others.
    let run = server.maintain("acme", |request| request.retention_months = Some(2)).await;
    let failure = run.tenant("acme").failure.clone().unwrap();
    assert_eq!(failure.reason().as_str_name(), "ERROR_REASON_DATABASE_FORBIDS", "{failure:?}");
    let (_stop, running) = server.maintain_by_itself();
    running.await.unwrap();
    assert_eq!(server.months_of("acme").await, months([-5, -1, 0, 1, 2]));
}

#[tokio::test]
async fn the_app_role_is_refused_everything_else() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(2).ok().await;
    let leaf: String =
        database.scalar("SELECT partition_name FROM event_store_partition_leaf('acme') LIMIT 1").await;
    let before = database.contents().await;
    let (_, mut session) = database.login("event_store_app").await;
    let forbidden = [
        "UPDATE event_store SET user_id = 'x'",
        "DELETE FROM event_store",
        "TRUNCATE event_store",
        "UPDATE event_store_partitioned SET user_id = 'x'",
        "DELETE FROM event_store_partitioned WHERE tenant_id = 'acme'",
        "TRUNCATE event_store_partitioned",
        "ALTER TABLE event_store DISABLE TRIGGER USER",
        "DROP TABLE event_store",
        "CREATE TABLE event_store_partitions.mine (x integer)",
        "CREATE INDEX mine ON event_store (user_id)",
        "SET session_replication_role = replica",
        "UPDATE event_store_tenant SET retention_floor = now()",
        "UPDATE event_store_tenant SET legal_hold = false",
        "INSERT INTO event_store_tenant (tenant_id, partition_name) VALUES ('x', 'x')",
        "DELETE FROM event_store_tenant",
        "DELETE FROM event_store_stream",
        "UPDATE event_store_control SET phase = 'finalized'",
        "DELETE FROM event_store_detached",
        "DELETE FROM event_store_floor_change",
        "INSERT INTO event_store_retention_change (tenant_id, changed_by, reason, action) VALUES ('a', 'b', 'c', 'hold')",
        "SELECT ensure_event_store_partition('acme', 2, 1)",
        "SELECT event_store_raise_floor('acme', now())",
        "SELECT event_store_set_legal_hold('acme', false, 'me', 'because')",
        "SELECT event_store_set_retention('acme', 1, 'me', 'because')",
        "SELECT event_store_restore_month('acme', now(), 'me', 'because')",
        "SELECT event_store_drop_detached('acme', 'x')",
        "SELECT event_store_purge_legacy('acme', now(), gen_random_uuid(), 1, true, true, true, NULL, 'me', 'because')",
    ];
    for statement in forbidden {
        assert_eq!(refused(&mut session, statement).await, "42501", "{statement}");
    }
    for statement in [
        format!("SELECT * FROM event_store_partitions.{leaf}"),
        format!("INSERT INTO event_store_partitions.{leaf} SELECT * FROM event_store_partitioned"),
        format!("DROP TABLE event_store_partitions.{leaf}"),
    ] {
        assert_eq!(refused(&mut session, &statement).await, "42501", "{statement}");
    }
    // What the way back reads, it may read of a month in whatever state.
    let uncopied = "SELECT event_store_count_uncopied('acme', date_trunc('month', now(), 'UTC'), true)";
    assert_eq!(refused(&mut session, uncopied).await, "");
    // What it may call does not lower, or raise, the floor of a tenant with events.
    let floor = "SELECT retention_floor::text FROM event_store_tenant";
    let kept: String = database.scalar(floor).await;
    assert_eq!(refused(&mut session, "SELECT event_store_begin_floor('acme', now())").await, "");
    assert_eq!(database.scalar::<String>(floor).await, kept);
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn the_reader_role_reads_and_is_refused_the_rest() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let (_, mut session) = database.login("event_store_reader").await;
    for readable in [
        "event_store",
        "event_store_partitioned WHERE tenant_id = 'acme'",
        "event_store_tenant",
        "event_store_stream",
        "event_store_control",
        "event_store_detached",
        "event_store_floor_change",
        "event_store_retention_change",
        "event_store_partition_metrics",
        "event_store_partition_overview",
        "event_store_partition_check()",
    ] {
        assert_eq!(refused(&mut session, &format!("SELECT * FROM {readable}")).await, "", "{readable}");
    }
    for forbidden in [
        "INSERT INTO event_store SELECT * FROM event_store",
        "INSERT INTO event_store_partitioned SELECT * FROM event_store_partitioned",
        "UPDATE event_store_tenant SET last_position = 0",
        "UPDATE event_store_stream SET version = 0",
        "SELECT event_store_admit_tenant('new', 10)",
        "SELECT event_store_create_month('acme', now())",
        "SELECT event_store_create_months('acme', ARRAY[now()])",
        "SELECT event_store_create_missing_months('acme', 12, 0)",
        "SELECT event_store_begin_floor('acme', now())",
        "SELECT event_store_kept_rows('acme', now(), 1, 1)",
    ] {
        assert_eq!(refused(&mut session, forbidden).await, "42501", "{forbidden}");
    }
}

#[tokio::test]
async fn the_maintenance_role_maintains_by_functions_and_as_a_member_of_the_owner_by_the_service() {
    let database = TestDatabase::new().await;
    let owner = TestServer::start_keeping_all(&database).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    owner.append("acme", "order", "1").events_at(&instants).ok().await;
    let (url, mut session) = database.login("event_store_maintenance").await;
    let ensure = "SELECT ensure_event_store_partition('acme', 3, 5)";
    assert_eq!(refused(&mut session, ensure).await, "");
    assert_eq!(owner.months_of("acme").await, months(-5..=3));
    assert_eq!(refused(&mut session, "DELETE FROM event_store").await, "42501");
    assert_eq!(
        refused(&mut session, "UPDATE event_store_tenant SET retention_floor = '-infinity'").await,
        "42501",
        "a floor is lowered on the record alone"
    );
    let hold = "SELECT event_store_set_legal_hold('acme', true, 'ann', 'a lawsuit')";
    assert_eq!(refused(&mut session, hold).await, "");
    let release = "SELECT event_store_set_legal_hold('acme', false, 'ann', 'settled')";
    assert_eq!(refused(&mut session, release).await, "");

    // A detach without blocking is the owner's alone.
    let server = serving_as(&database, url).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    let failure = run.tenant("acme").failure.clone().unwrap();
    assert_eq!(failure.reason().as_str_name(), "ERROR_REASON_DATABASE_FORBIDS", "{failure:?}");
    database.grant_owner_to_logins().await;
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!((run.summary.tenants_failed, run.summary.dropped), (0, 2), "{run:?}");
}

#[tokio::test]
async fn a_migrator_that_may_not_create_roles_migrates_without_them_and_grants_them_afterwards() {
    let (database, _cluster) = TestDatabase::in_private_cluster().await;
    let migrator = database.login_as_owner().await;
    schema::down(&database.url(), 0).await.unwrap();
    // What the superuser's migration left behind: the table that knows which migrations ran, and the roles.
    database
        .execute(
            "DROP TABLE event_store_migration; \
             DROP ROLE event_store_app, event_store_maintenance, event_store_reader",
        )
        .await;
    schema::up(&migrator).await.unwrap();
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'event\\_store\\_%'";
    assert_eq!(database.scalar::<i64>(roles).await, 0);

    database
        .execute(
            "CREATE ROLE event_store_app; CREATE ROLE event_store_maintenance; CREATE ROLE event_store_reader; \
             SELECT event_store_grant_roles()",
        )
        .await;
    let (url, mut session) = database.login("event_store_app").await;
    assert_eq!(refused(&mut session, "UPDATE event_store SET user_id = 'x'").await, "42501");
    let server = serving_as(&database, url).await;
    server.append("acme", "order", "1").event("First").ok().await;
}

/// As docs/operations/roles.md has it made.
#[tokio::test]
async fn a_role_without_login_owns_everything_where_the_migrator_acts_as_it() {
    let (database, _cluster) = TestDatabase::in_private_cluster().await;
    schema::down(&database.url(), 0).await.unwrap();
    let name: String = database.scalar("SELECT quote_ident(current_database())").await;
    database
        .execute(format!(
            "DROP TABLE event_store_migration; CREATE ROLE event_store_owner NOLOGIN; \
             GRANT USAGE, CREATE ON SCHEMA public TO event_store_owner; \
             GRANT CREATE ON DATABASE {name} TO event_store_owner"
        ))
        .await;
    let (migrator, mut session) = database.login("event_store_owner").await;
    let login: String =
        sqlx::query_scalar("SELECT quote_ident(current_user)").fetch_one(&mut session).await.unwrap();
    database.execute(format!("ALTER ROLE {login} IN DATABASE {name} SET role = 'event_store_owner'")).await;
    schema::up(&migrator).await.unwrap();

    let (app, _) = database.login("event_store_app").await;
    let server = serving_as(&database, app).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&instants).ok().await;
    let (maintainer, _) = database.login("event_store_maintenance").await;
    database.grant_owner_to_logins().await;
    let server = serving_as(&database, maintainer).await;
    let run = server
        .maintain("acme", |request| {
            request.retention_months = Some(3);
            request.months_ahead = Some(4);
        })
        .await;
    let summary = (run.summary.tenants_failed, run.summary.created, run.summary.dropped);
    assert_eq!(summary, (0, 2, 3), "{run:?}");
    let owners = "SELECT DISTINCT owner::regrole::text FROM (SELECT relowner FROM pg_class WHERE relnamespace IN \
         ('public'::regnamespace, 'event_store_partitions'::regnamespace) UNION ALL SELECT proowner FROM pg_proc \
         WHERE pronamespace = 'public'::regnamespace) AS made (owner)";
    assert_eq!(database.column::<String>(owners).await, ["event_store_owner"]);
}

#[tokio::test]
async fn a_tenants_table_that_the_login_may_not_read_is_none() {
    let database = TestDatabase::new().await;
    let owner = TestServer::start(&database, true).await;
    owner.append("acme", "order", "1").event("First").ok().await;
    database.execute("CREATE TABLE tenants (tenant_id text); INSERT INTO tenants VALUES ('new')").await;
    let (_, mut session) = database.login("event_store_maintenance").await;
    let known = "SELECT known FROM event_store_known_tenants() AS known ORDER BY 1";
    let named: Vec<String> = sqlx::query_scalar(known).fetch_all(&mut session).await.unwrap();
    assert_eq!(named, ["acme"]);
    database.execute("GRANT SELECT ON tenants TO event_store_maintenance").await;
    let named: Vec<String> = sqlx::query_scalar(known).fetch_all(&mut session).await.unwrap();
    assert_eq!(named, ["acme", "new"]);
}

#[tokio::test]
async fn databases_of_one_cluster_share_the_roles_and_each_keeps_its_grants() {
    // The other database of the cluster: its roles are in use.
    let other = TestDatabase::new().await;
    let (url, _) = other.login("event_store_app").await;
    let database = TestDatabase::empty().await;
    let migrator = database.login_as_owner().await;
    schema::up(&migrator).await.unwrap();
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    server.stop().await;
    schema::down(&migrator, 16).await.unwrap();
    schema::up(&migrator).await.unwrap();
    let (here, mut session) = database.login("event_store_app").await;
    assert_eq!(refused(&mut session, "SELECT FROM event_store").await, "");
    let server = serving_as(&database, here).await;
    server.append("newcomer", "order", "1").event("First").ok().await;
    let owner: String = database
        .scalar(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname = 'event_store_partitioned'",
        )
        .await;
    let made_by: Vec<String> = database
        .column(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class \
             WHERE relnamespace = 'event_store_partitions'::regnamespace",
        )
        .await;
    assert_eq!(made_by, [owner], "whoever had it made, it is the owner's");
    server.stop().await;

    let server = serving_as(&other, url).await;
    server.append("acme", "order", "1").event("First").ok().await;
}
