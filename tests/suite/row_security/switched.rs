//! Where the wall is on, off, or somebody else's, and who tells.

use partita_store::{DatabaseUrl, RowSecurity, Store, StoreConfig, schema};
use partita_tests::{Refusal, TestDatabase, TestServer};
use tonic::Code;

use super::{count, guarded, run, serving, two_tenants};

#[tokio::test]
async fn it_is_turned_on_and_off_under_processes_that_serve() {
    let database = TestDatabase::new().await;
    database.execute("SELECT event_store_disable_row_security()").await;
    let (url, mut session) = database.login("event_store_app").await;
    let server = serving(&database, &url, |_| {}).await;
    let append = async |version: i32| {
        server.append("acme", "order", "1").event("Next").ok().await;
        let versions: Vec<i32> = (1..=version).collect();
        assert_eq!(server.read("acme", "order", "1").versions().await, versions);
    };
    append(1).await;
    assert_eq!(count(&mut session, "event_store_partitioned").await, 1);
    database.execute("SELECT event_store_enable_row_security(), event_store_guard_legacy(true)").await;
    append(2).await;
    assert_eq!(count(&mut session, "event_store_partitioned").await, 0);
    assert_eq!(count(&mut session, "event_store").await, 0);
    database.execute("SELECT event_store_disable_row_security(), event_store_guard_legacy(false)").await;
    append(3).await;
    assert_eq!(count(&mut session, "event_store_partitioned").await, 3);
    assert_eq!(count(&mut session, "event_store").await, 3);
    let policies = "SELECT count(*) FROM pg_policy WHERE polrelid = 'event_store'::regclass";
    assert_eq!(database.scalar::<i64>(policies).await, 0, "legacy is as it was found");
}

#[tokio::test]
async fn legacys_own_policies_and_its_lock_are_left_to_others() {
    let database = TestDatabase::new().await;
    let mut session = database.connect().await;
    run(&mut session, "BEGIN; LOCK TABLE event_store IN ACCESS SHARE MODE").await.unwrap();
    let mut other = database.connect().await;
    let guard = "SELECT event_store_guard_legacy(true)";
    assert_eq!(run(&mut other, guard).await, Err("55P03".to_owned()));
    run(&mut session, "ROLLBACK").await.unwrap();
    database.execute("CREATE POLICY theirs ON event_store USING (user_id = current_user)").await;
    for on in ["true", "false"] {
        let guard = format!("SELECT event_store_guard_legacy({on})");
        assert_eq!(run(&mut other, &guard).await, Err("55000".to_owned()));
    }
    database.execute("DROP POLICY theirs ON event_store").await;
    assert_eq!(run(&mut other, guard).await, Ok(1));
    // Twice is once.
    assert_eq!(run(&mut other, guard).await, Ok(1));
}

#[tokio::test]
async fn a_database_in_use_is_migrated_without_it_and_a_fresh_one_with_it() {
    let on = "SELECT count(*) FROM pg_class WHERE relrowsecurity AND relname LIKE 'event\\_store%'";
    let database = TestDatabase::new().await;
    assert_eq!(database.scalar::<i64>(on).await, 3);
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    server.stop().await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    schema::down(&database.url(), 25).await.unwrap();
    assert_eq!(database.scalar::<i64>(on).await, 0);
    schema::up(&database.url()).await.unwrap();
    assert_eq!(database.scalar::<i64>(on).await, 0);
    database.execute("SELECT event_store_enable_row_security()").await;
    assert_eq!(database.scalar::<i64>(on).await, 3);
}

#[tokio::test]
async fn a_process_that_requires_it_or_rules_it_out_does_not_serve_where_it_is_otherwise() {
    let database = TestDatabase::new().await;
    let (url, _) = database.login("event_store_app").await;
    let start = async |url: DatabaseUrl, row_security| {
        let config = StoreConfig { row_security, partitions_v1: true, ..StoreConfig::new(url) };
        Store::connect(config).await.map(drop).map_err(|error| error.to_string())
    };
    let refused = start(url.clone(), RowSecurity::Require).await.unwrap_err();
    assert!(refused.contains("every tenant of event_store:"), "{refused}");
    let refused = start(database.url(), RowSecurity::Require).await.unwrap_err();
    assert!(refused.contains("event_store_partitioned"), "{refused}");
    let refused = start(url.clone(), RowSecurity::Off).await.unwrap_err();
    assert!(refused.contains("database.row_security is `off`"), "{refused}");
    start(database.url(), RowSecurity::Off).await.unwrap();

    database.execute("SELECT event_store_guard_legacy(true)").await;
    start(url.clone(), RowSecurity::Require).await.unwrap();
    database.execute("SELECT event_store_disable_row_security(), event_store_guard_legacy(false)").await;
    start(url, RowSecurity::Off).await.unwrap();
}

#[tokio::test]
async fn a_write_that_it_refuses_is_told_as_such() {
    let database = TestDatabase::new().await;
    database.execute("SELECT event_store_disable_row_security()").await;
    let (url, _) = database.login("event_store_app").await;
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = false;
        config.row_security = RowSecurity::Off;
    };
    let server = serving(&database, &url, change).await;
    server.append("acme", "order", "1").event("First").ok().await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    let refusal = server.append("acme", "order", "2").event("Second").refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "DATABASE_FORBIDS"));
    assert!(refusal.message.contains("row security"), "{}", refusal.message);
    assert_eq!(database.count("event_store").await, 1);
    database.execute("SELECT event_store_guard_legacy(false)").await;
    server.append("acme", "order", "2").event("Second").ok().await;
}

#[tokio::test]
async fn what_looks_at_all_tenants_is_refused_and_not_answered_by_too_few() {
    let database = guarded().await;
    let owner = two_tenants(&database).await;
    let (url, _) = database.login("event_store_app").await;
    let server = serving(&database, &url, |_| {}).await;
    let request = partita_proto::v1::VerifyChainRequest { tenant_id: String::new() };
    let answer = match server.partitions().verify_chain(request).await {
        Err(status) => Err(status),
        Ok(stream) => stream.into_inner().message().await.map(drop),
    };
    assert_eq!(Refusal::from(answer.unwrap_err()).reason, "DATABASE_FORBIDS");
    let verified = server.verify("globex").await;
    assert_eq!((verified.findings.len(), verified.summary.verified), (0, 5));
    let refusal = server.compare("").await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.fact("obstacles")), ("MIGRATION_OBSTACLE", "ROW_SECURITY"));
    assert_eq!(owner.compare("").await.unwrap().1.tenants_verified, 2);
}

#[tokio::test]
async fn the_doctors_tell_whether_it_binds() {
    let database = TestDatabase::new().await;
    let (url, _) = database.login("event_store_app").await;
    let check = async |row_security| {
        let config = StoreConfig { row_security, partitions_v1: true, ..StoreConfig::new(url.clone()) };
        let checks = partita_store::doctor::examine(&config).await;
        checks.into_iter().find(|check| check.name == "row_security").unwrap()
    };
    let open = check(RowSecurity::Auto).await;
    assert_eq!(open.verdict, partita_store::doctor::Verdict::Ok);
    assert!(open.found.contains("event_store_guard_legacy"), "{open:?}");
    assert_eq!(check(RowSecurity::Require).await.verdict, partita_store::doctor::Verdict::Fail);
    assert_eq!(check(RowSecurity::Off).await.verdict, partita_store::doctor::Verdict::Fail);
    database.execute("SELECT event_store_disable_row_security()").await;
    let off = check(RowSecurity::Auto).await;
    assert_eq!(off.verdict, partita_store::doctor::Verdict::Warn);
    database.execute(off.fix.unwrap()).await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    assert_eq!(check(RowSecurity::Require).await.verdict, partita_store::doctor::Verdict::Ok);

    let rule = async |url: DatabaseUrl| {
        let adoption = partita_store::adoption::examine(&url, false).await.unwrap();
        adoption
            .findings
            .into_iter()
            .find(|finding| finding.rule == "row_security")
            .map(|found| found.severity)
    };
    assert_eq!(rule(database.url()).await, Some(partita_store::adoption::Severity::Notes));
    assert_eq!(rule(url.clone()).await, Some(partita_store::adoption::Severity::Blocks));
    database.execute("CREATE POLICY theirs ON event_store USING (true)").await;
    assert_eq!(rule(database.url()).await, Some(partita_store::adoption::Severity::Blocks));
}
