//! The doctor: each ill of a database is told, with the line that mends it; and the line does.

use partita_store::doctor::{Check, Verdict, examine};
use partita_store::{DatabaseUrl, StoreConfig};
use partita_tests::{TestDatabase, TestServer};

async fn examined(url: DatabaseUrl, change: impl FnOnce(&mut StoreConfig)) -> Vec<Check> {
    let mut config = StoreConfig::new(url);
    config.partitions_v1 = true;
    change(&mut config);
    examine(&config).await
}

async fn check(database: &TestDatabase, name: &str) -> Check {
    let checks = examined(database.url(), |_| {}).await;
    checks.into_iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no check {name}"))
}

/// The check fails or warns, and after its fix was run as it stands it does no more.
async fn is_mended_by_its_fix(database: &TestDatabase, name: &str, verdict: Verdict) -> Check {
    let ill = check(database, name).await;
    assert_eq!(ill.verdict, verdict, "{ill:?}");
    database.execute(ill.fix.clone().unwrap()).await;
    let mended = check(database, name).await;
    assert_eq!(mended.verdict, Verdict::Ok, "{mended:?}");
    ill
}

#[tokio::test]
async fn a_sound_database_passes_every_check_but_that_of_the_superuser() {
    let database = TestDatabase::new().await;
    let checks = examined(database.url(), |_| {}).await;
    // The tests' own PostgreSQL runs without fsync, and its only login is a superuser's.
    let odd: Vec<_> =
        checks.iter().filter(|check| check.verdict != Verdict::Ok).map(|check| check.name).collect();
    assert_eq!(odd, ["durability", "role"], "{checks:#?}");
    assert_eq!(checks.len(), 22);
    assert!(checks.iter().all(|check| (check.verdict == Verdict::Ok) == check.fix.is_none()));
}

#[tokio::test]
async fn whoever_holds_the_oldest_snapshot_is_named() {
    let database = TestDatabase::new().await;
    let mut report = database.connect().await;
    let begin = "SET application_name = 'monthly report'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    sqlx::raw_sql(begin).execute(&mut report).await.unwrap();
    for _ in 0..3 {
        database.execute("SELECT pg_current_xact_id()").await;
    }
    let snapshots = check(&database, "old_snapshots").await;
    assert_eq!(snapshots.verdict, Verdict::Ok, "{snapshots:?}");
    let holder: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut report).await.unwrap();
    assert!(
        snapshots.found.contains(&format!("session {holder} of \"monthly report\", since ")),
        "{snapshots:?}"
    );
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_one_failed_check_without_the_password() {
    let url = DatabaseUrl::parse("postgres://ann:hush@127.0.0.1:1/events").unwrap();
    let checks = examined(url, |_| {}).await;
    assert_eq!(
        checks.iter().map(|check| (check.name, check.verdict)).collect::<Vec<_>>(),
        [("reachable", Verdict::Fail)]
    );
    assert!(!format!("{checks:?}").contains("hush"));
}

#[tokio::test]
async fn a_database_without_the_schema_is_told_the_command_and_asked_no_further() {
    let database = TestDatabase::empty().await;
    let checks = examined(database.url(), |_| {}).await;
    let schema = checks.iter().position(|check| check.name == "schema").unwrap();
    assert_eq!(
        (checks[schema].verdict, checks[schema].fix.as_deref()),
        (Verdict::Fail, Some("partita migrate up"))
    );
    assert_eq!(checks.len() - schema - 1, 11);
    assert!(checks[schema + 1..].iter().all(|check| check.verdict == Verdict::Skip), "{checks:#?}");
}

#[tokio::test]
async fn a_flag_that_contradicts_the_control_row_fails() {
    let database = TestDatabase::new().await;
    assert_eq!(check(&database, "phase").await.verdict, Verdict::Ok);
    database.execute("SELECT event_store_raise_fence('test')").await;
    let checks = examined(database.url(), |config| config.partitions_v1 = false).await;
    let phase = checks.iter().find(|check| check.name == "phase").unwrap();
    assert_eq!(phase.verdict, Verdict::Fail, "{phase:?}");
    assert!(phase.fix.as_deref().unwrap().contains("DB_PARTITIONS_V1=1"), "{phase:?}");
}

#[tokio::test]
async fn missing_indexes_of_legacy_are_told_and_their_fixes_make_them() {
    let database = TestDatabase::new().await;
    database
        .execute(
            "ALTER TABLE event_store DROP CONSTRAINT event_store_pkey; \
             ALTER TABLE event_store DROP CONSTRAINT event_store_version_key; \
             DROP INDEX event_store_tenant_time_idx",
        )
        .await;
    is_mended_by_its_fix(&database, "legacy_index_by_tenant", Verdict::Warn).await;
    is_mended_by_its_fix(&database, "legacy_unique_ids", Verdict::Fail).await;
    is_mended_by_its_fix(&database, "legacy_unique_versions", Verdict::Fail).await;
}

#[tokio::test]
async fn a_tenant_without_its_months_is_told_and_the_fix_makes_them() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, false).await;
    server.append("acme", "order", "1").event("First").ok().await;
    server.stop().await;
    let ill = is_mended_by_its_fix(&database, "months_ahead", Verdict::Warn).await;
    assert!(ill.found.contains("\"acme\""), "{ill:?}");

    let current: String = database
        .scalar(
            "SELECT partition_name FROM event_store_partition_leaf('acme') \
             WHERE range_start <= now() AND range_end > now()",
        )
        .await;
    database.execute(format!("DROP TABLE event_store_partitions.{current}")).await;
    is_mended_by_its_fix(&database, "months_ahead", Verdict::Fail).await;

    let checks = examined(database.url(), |config| config.partitions_v1 = false).await;
    assert_eq!(checks.iter().find(|check| check.name == "months_ahead").unwrap().verdict, Verdict::Skip);
}

#[tokio::test]
async fn stray_tables_are_named_and_a_registered_month_is_none() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let next: String = database
        .scalar(
            "SELECT partition_name FROM event_store_partition_leaf('acme') ORDER BY range_start DESC LIMIT 1",
        )
        .await;
    let parent: String =
        database.scalar("SELECT partition_name FROM event_store_partition_tenant('acme')").await;
    database
        .execute(format!(
            "ALTER TABLE event_store_partitions.{parent} DETACH PARTITION event_store_partitions.{next}"
        ))
        .await;
    let ill = check(&database, "stray_tables").await;
    assert_eq!((ill.verdict, ill.fix.as_deref()), (Verdict::Warn, Some("partita partitions maintain")));
    assert!(ill.found.contains(&next), "{ill:?}");
    database.execute("SELECT event_store_register_detached('acme', 7)").await;
    assert_eq!(check(&database, "stray_tables").await.verdict, Verdict::Ok);

    database.execute("CREATE TABLE event_store_partitions.of_nobody ()").await;
    let ill = is_mended_by_its_fix(&database, "stray_tables", Verdict::Warn).await;
    assert!(ill.found.contains("of_nobody"), "{ill:?}");
}

#[tokio::test]
async fn a_login_that_lacks_a_privilege_is_told_the_grant() {
    let database = TestDatabase::new().await;
    let role = format!("{}_app", database.name().rsplit('_').next().unwrap());
    database
        .execute(format!(
            "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD 'hush'; \
             GRANT SELECT, INSERT ON event_store, event_store_partitioned TO {role}; \
             GRANT SELECT, UPDATE (last_position) ON event_store_tenant TO {role}; \
             GRANT SELECT ON event_store_control, event_store_migration, event_store_detached TO {role}; \
             GRANT USAGE ON SCHEMA event_store_partitions TO {role}"
        ))
        .await;
    let url =
        DatabaseUrl::parse(&format!("postgres://{role}:hush@{}/{}", database.address(), database.name()))
            .unwrap();
    let find = |checks: &[Check], name: &str| checks.iter().find(|check| check.name == name).unwrap().clone();

    let checks = examined(url.clone(), |_| {}).await;
    let privileges = find(&checks, "privileges");
    assert_eq!(privileges.verdict, Verdict::Fail, "{checks:#?}");
    for missing in ["SELECT", "INSERT", "UPDATE"] {
        assert!(
            privileges.found.contains(&format!("{missing} ON public.event_store_stream")),
            "{privileges:?}"
        );
    }
    assert!(!privileges.found.contains("event_store_tenant"), "{privileges:?}");
    let role_check = find(&checks, "role");
    assert!(role_check.found.contains("may not make partitions"), "{role_check:?}");

    database.execute(privileges.fix.unwrap()).await;
    // What docs/operations/deploy.md says to do: the group role holds all of it, and the functions that make partitions.
    database.execute(format!("GRANT event_store_app TO {role}")).await;
    let checks = examined(url.clone(), |_| {}).await;
    assert!(find(&checks, "role").found.contains("nothing expires"), "{checks:#?}");
    let checks = examined(url.clone(), |config| config.maintenance.enabled = false).await;
    assert_eq!(find(&checks, "privileges").verdict, Verdict::Ok);
    let role_check = find(&checks, "role");
    assert!(role_check.fix.as_deref().unwrap().starts_with("GRANT pg_read_all_stats TO"), "{role_check:?}");
    database.execute(role_check.fix.unwrap()).await;
    let checks = examined(url, |config| config.maintenance.enabled = false).await;
    assert_eq!(find(&checks, "role").verdict, Verdict::Ok, "{checks:#?}");
    // Such a login is also let to ask all that the doctor asks.
    assert!(checks.iter().all(|check| check.verdict != Verdict::Fail), "{checks:#?}");
    database.execute(format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn settings_that_would_hurt_are_warned_of() {
    let database = TestDatabase::new().await;
    let name = database.name();
    database
        .execute(format!(
            "ALTER DATABASE \"{name}\" SET idle_session_timeout = '10min'; \
             ALTER DATABASE \"{name}\" SET synchronous_commit = off"
        ))
        .await;
    let idle = check(&database, "session_settings").await;
    assert_eq!(idle.verdict, Verdict::Warn);
    assert!(idle.found.contains("idle_session_timeout is 600000 ms"), "{idle:?}");
    let durability = check(&database, "durability").await;
    assert!(durability.found.contains("synchronous_commit"), "{durability:?}");

    database
        .execute(format!(
            "ALTER DATABASE \"{name}\" RESET idle_session_timeout; \
             ALTER DATABASE \"{name}\" SET plan_cache_mode = force_generic_plan"
        ))
        .await;
    let plans = check(&database, "session_settings").await;
    assert_eq!(plans.verdict, Verdict::Warn);
    assert!(plans.found.contains("force_generic_plan"), "{plans:?}");
}

#[tokio::test]
async fn a_process_that_would_find_no_connection_is_warned_of() {
    let database = TestDatabase::new().await;
    let checks = examined(database.url(), |config| config.read_connections_max = 1_000).await;
    let connections = checks.iter().find(|check| check.name == "connections").unwrap();
    assert_eq!(connections.verdict, Verdict::Warn, "{connections:?}");
    assert!(connections.found.contains("up to 1007;"), "{connections:?}");
    assert!(connections.fix.as_deref().unwrap().contains("max_connections = 1507"), "{connections:?}");
}

#[tokio::test]
async fn a_detach_that_was_left_half_done_is_told() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    let last: String = database
        .scalar(
            "SELECT partition_name FROM event_store_partition_leaf('acme') ORDER BY range_start DESC LIMIT 1",
        )
        .await;
    // What DETACH … CONCURRENTLY leaves behind when it is cancelled between its two transactions.
    database
        .execute(format!(
            "UPDATE pg_inherits SET inhdetachpending = true \
             WHERE inhrelid = 'event_store_partitions.{last}'::regclass AND inhseqno = 1"
        ))
        .await;
    let pending = check(&database, "pending_detaches").await;
    assert_eq!(pending.verdict, Verdict::Warn, "{pending:?}");
    assert_eq!(pending.fix.as_deref(), Some("partita partitions maintain --tenant 'acme'"));
}
