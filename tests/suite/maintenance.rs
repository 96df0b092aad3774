//! MaintainPartitions: what is missing is made, what has expired goes, and a dry run says so beforehand.

use partita_proto::v1::ErrorReason;
use partita_proto::v1::partition_action::Kind;
use partita_tests::{ForeignEvent, TestDatabase, TestServer, eventually, exact, month, months};

/// A tenant with an event in each of the last seven months, kept for ever until now.
async fn seven_months(database: &TestDatabase, tenants: &[&str]) -> TestServer {
    let server = TestServer::start_keeping_all(database).await;
    let instants = months(-6..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    for tenant in tenants {
        server.append(tenant, "order", "1").events_at(&instants).ok().await;
        assert_eq!(server.months_of(tenant).await, months(-6..=2));
    }
    server
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_what_the_run_then_does() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme"]).await;
    let before = database.contents().await;
    let months_wanted = |request: &mut partita_proto::v1::MaintainPartitionsRequest| {
        request.retention_months = Some(3);
        request.months_ahead = Some(4);
    };
    let dry = server
        .maintain("acme", |request| {
            months_wanted(request);
            request.validate_only = true;
        })
        .await;
    assert_eq!(database.contents().await, before);
    assert!(dry.summary.validate_only);
    assert_eq!(dry.tenant("acme").retention_floor, None);

    let run = server.maintain("acme", months_wanted).await;
    assert_eq!(run.actions("acme"), dry.actions("acme"));
    let numbers = |run: &partita_tests::Maintenance| {
        let summary = run.summary;
        (summary.tenants, summary.tenants_failed, summary.created, summary.detached, summary.dropped)
    };
    assert_eq!(numbers(&run), (1, 0, 2, 3, 3));
    assert_eq!(numbers(&dry), numbers(&run));
    assert_eq!(server.months_of("acme").await, months(-3..=4));
    assert_eq!(run.tenant("acme").partitions, server.list("acme").await.unwrap());

    let again = server.maintain("acme", months_wanted).await;
    assert!(again.actions("acme").is_empty(), "{again:?}");
}

#[tokio::test]
async fn retention_raises_the_floor_first_then_drops_what_lies_below() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme"]).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    let kinds: Vec<Kind> = run.actions("acme").iter().map(|action| action.kind()).collect();
    let a_month = [Kind::Detached, Kind::Dropped];
    assert_eq!(kinds, [&[Kind::FloorRaised][..], &a_month, &a_month, &a_month].concat());
    assert_eq!(run.months_of("acme", Kind::Dropped), months(-6..=-4));
    let floor = partita_proto::convert::timestamp_to_wire(month(-3).start());
    assert_eq!(run.tenant("acme").retention_floor, Some(floor));

    // The legacy table still has them, and yet they are gone for readers.
    assert_eq!(database.count("event_store").await, 7);
    assert_eq!(database.count("event_store_partitioned").await, 4);
    let answer = server.read("acme", "order", "1").ok().await;
    assert_eq!((answer.versions(), answer.bounds()), (vec![4, 5, 6, 7], (4, 7)));
    let below =
        server.append("acme", "order", "1").events_at(&[&month(-4).start().to_string()]).refused().await;
    assert_eq!(below.reason, "BELOW_FLOOR");
    let next = server.append("acme", "order", "1").expected(exact(7)).event("Next").ok().await;
    assert_eq!((next.last_version, next.events[0].position), (8, Some(8)));
}

#[tokio::test]
async fn a_legal_hold_and_a_retention_of_its_own_keep_a_tenants_months() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["held", "longer", "usual"]).await;
    database
        .execute(
            "UPDATE event_store_tenant SET legal_hold = true WHERE tenant_id = 'held'; \
             UPDATE event_store_tenant SET retention_months = 5 WHERE tenant_id = 'longer'",
        )
        .await;
    let run = server.maintain("", |request| request.retention_months = Some(2)).await;
    assert_eq!(run.months_of("held", Kind::Dropped), [""; 0]);
    assert_eq!(run.months_of("longer", Kind::Dropped), months([-6]));
    assert_eq!(run.months_of("usual", Kind::Dropped), months(-6..=-3));
    assert_eq!(server.read("held", "order", "1").versions().await, (1..=7).collect::<Vec<_>>());
    assert_eq!(server.read("longer", "order", "1").versions().await, (2..=7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tenant_that_is_held_open_fails_alone_and_the_next_run_finishes_it() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme", "beta"]).await;
    let mut reader = database.connect().await;
    sqlx::raw_sql("SET application_name = 'long report'; BEGIN; SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'")
        .execute(&mut reader)
        .await
        .unwrap();
    let run = server.maintain("", |request| request.retention_months = Some(3)).await;
    let failure = run.tenant("acme").failure.clone().unwrap();
    assert_eq!(failure.reason(), ErrorReason::PartitionUnavailable, "{failure:?}");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut reader).await.unwrap();
    let holder = format!("pid {pid} (`long report`, idle in transaction, its transaction ");
    assert!(failure.message.contains(&holder), "{failure:?}");
    // What was done is told all the same: the floor is up, and the months are still there.
    let kinds: Vec<Kind> = run.actions("acme").iter().map(|action| action.kind()).collect();
    assert_eq!(kinds, [Kind::FloorRaised]);
    let floor = partita_proto::convert::timestamp_to_wire(month(-3).start());
    assert_eq!(run.tenant("acme").retention_floor, Some(floor));
    assert_eq!(run.tenant("acme").partitions.len(), 9);
    assert_eq!(run.tenant("beta").failure, None);
    assert_eq!((run.summary.tenants, run.summary.tenants_failed, run.summary.dropped), (2, 1, 3));
    // Expired is expired, dropped or not; and the tenant can be written to all the while.
    assert_eq!(server.read("acme", "order", "1").versions().await, [4, 5, 6, 7]);
    server.append("acme", "order", "1").expected(exact(7)).event("Meanwhile").ok().await;

    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    let run = server.maintain("", |request| request.retention_months = Some(3)).await;
    assert_eq!((run.summary.tenants_failed, run.summary.dropped), (0, 3), "{run:?}");
    assert_eq!(server.months_of("acme").await, months(-3..=2));
    assert_eq!(server.read("acme", "order", "1").versions().await, [4, 5, 6, 7, 8]);
}

/// The oldest leaf of the tenant, and a session that holds it as an autovacuum against wraparound does, which gives way to nobody.
async fn vacuuming_the_oldest(database: &TestDatabase) -> (String, sqlx::PgConnection) {
    let oldest = "SELECT partition_name FROM event_store_partition_leaf('acme') ORDER BY range_start LIMIT 1";
    let oldest: String = database.scalar(oldest).await;
    let mut vacuum = database.connect().await;
    let lock = format!("BEGIN; LOCK TABLE event_store_partitions.{oldest} IN SHARE UPDATE EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut vacuum).await.unwrap();
    (oldest, vacuum)
}

#[tokio::test]
async fn a_month_that_is_in_use_does_not_keep_the_others() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme"]).await;
    let (_, mut vacuum) = vacuuming_the_oldest(&database).await;
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    let failure = run.tenant("acme").failure.clone().unwrap();
    assert_eq!(failure.reason(), ErrorReason::PartitionUnavailable, "{failure:?}");
    assert_eq!(run.months_of("acme", Kind::Dropped), months([-5, -4]));
    assert_eq!((run.summary.tenants_failed, run.summary.detached, run.summary.dropped), (1, 2, 2));
    assert_eq!(server.months_of("acme").await, months([-6, -3, -2, -1, 0, 1, 2]));

    sqlx::raw_sql("ROLLBACK").execute(&mut vacuum).await.unwrap();
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!((run.summary.tenants_failed, run.months_of("acme", Kind::Dropped)), (0, months([-6])));
}

#[tokio::test]
async fn a_detach_that_cannot_be_finished_does_not_keep_the_floor_down() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme"]).await;
    let mut report = database.connect().await;
    let read = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'";
    sqlx::raw_sql(read).execute(&mut report).await.unwrap();
    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    for kept in [5, 3] {
        let run = server.maintain("acme", |request| request.retention_months = Some(kept)).await;
        assert_eq!((run.summary.tenants_failed, database.scalar::<i64>(pending).await), (1, 1), "{run:?}");
        let floor = partita_proto::convert::timestamp_to_wire(month(-kept).start());
        assert_eq!(run.tenant("acme").retention_floor, Some(floor));
    }
    assert_eq!(server.read("acme", "order", "1").versions().await, [4, 5, 6, 7]);
    sqlx::raw_sql("ROLLBACK").execute(&mut report).await.unwrap();
    let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
    assert_eq!((run.summary.tenants_failed, run.months_of("acme", Kind::Dropped)), (0, months(-6..=-4)));
}

/// Sessions that wait to detach a month, or for the transactions before the detach.
const DETACHING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%DETACH%CONCURRENTLY'";

/// Has the tenant's table open as somebody has who wrote nothing: a detach waits for that, and finishing one does not.
async fn holding_the_table(database: &TestDatabase) -> sqlx::PgConnection {
    let parent: String = database.scalar("SELECT partition_name FROM event_store_tenant").await;
    let mut holder = database.connect().await;
    let lock = format!("BEGIN; LOCK TABLE ONLY event_store_partitions.{parent} IN ACCESS SHARE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut holder).await.unwrap();
    holder
}

/// Calls that give a run all the time that it needs, should nothing keep it.
const ROUND_TRIPS: usize = 20;

#[tokio::test]
async fn runs_of_one_tenant_in_a_process_wait_for_each_other() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme"]).await;
    let mut holder = holding_the_table(&database).await;
    let run = async || server.maintain("acme", |request| request.retention_months = Some(5)).await;
    let second = async {
        eventually("a detach waits", async || database.scalar::<i64>(DETACHING).await == 1).await;
        run().await
    };
    let release = async {
        eventually("a detach waits", async || database.scalar::<i64>(DETACHING).await == 1).await;
        for _ in 0..ROUND_TRIPS {
            server.list("acme").await.unwrap();
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    };
    let (first, second, ()) = tokio::join!(run(), second, release);
    assert_eq!(second.summary.tenants_failed, 0, "{second:?}");
    // On a machine so busy that the calls took two seconds the first gave up, and the second finished what it began.
    if first.summary.tenants_failed == 0 {
        assert_eq!(first.months_of("acme", Kind::Detached), months([-6]));
        assert!(second.actions("acme").is_empty(), "{second:?}");
    }
    assert_eq!(server.months_of("acme").await, months(-5..=2));
}

#[tokio::test]
async fn a_month_that_another_process_detached_first_is_no_failure() {
    let database = TestDatabase::new().await;
    let first = seven_months(&database, &["acme"]).await;
    let second = TestServer::start_with(&database, |config| {
        config.partitions_v1 = true;
        config.retention_months = 0;
        config.maintenance.grace_days = 7;
    })
    .await;
    let mut holder = holding_the_table(&database).await;
    let waiting = async || first.maintain("acme", |request| request.retention_months = Some(5)).await;
    let faster = async {
        eventually("a detach waits", async || database.scalar::<i64>(DETACHING).await == 1).await;
        let run = second.maintain("acme", |request| request.retention_months = Some(5)).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
        run
    };
    let (slow, fast) = tokio::join!(waiting(), faster);
    assert_eq!((fast.summary.tenants_failed, fast.months_of("acme", Kind::Detached)), (0, months([-6])));
    // On a machine so busy that the other took two seconds, it gave up before; that is what it says then.
    let failure = slow.tenant("acme").failure.clone();
    let failure = failure.map(|failure| failure.reason());
    assert!(matches!(failure, None | Some(ErrorReason::PartitionUnavailable)), "{slow:?}");
    assert_eq!(slow.months_of("acme", Kind::Detached), [""; 0]);
    let waiting = "SELECT count(*) FROM event_store_detached WHERE dropped_at IS NULL";
    assert_eq!(database.scalar::<i64>(waiting).await, 1);
    assert_eq!(first.months_of("acme").await, months(-5..=2));
}

#[tokio::test]
async fn a_month_that_is_wanted_back_while_its_detach_waits_comes_back() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme"]).await;
    let parent: String = database.scalar("SELECT partition_name FROM event_store_tenant").await;
    let lock =
        format!("BEGIN; LOCK TABLE ONLY event_store_partitions.{parent} IN SHARE UPDATE EXCLUSIVE MODE");
    let mut holder = database.connect().await;
    // Once more where the machine is so busy that the run does not wait for long enough.
    let put_back = async || {
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock.as_str())).execute(&mut holder).await.unwrap();
        let run = async || server.maintain("acme", |request| request.retention_months = Some(5)).await;
        let restored = async {
            eventually("the detach waits", async || database.scalar::<i64>(DETACHING).await == 1).await;
            // As a restore of an older month does.
            let lowered = format!("UPDATE event_store_tenant SET retention_floor = '{}'", month(-6).start());
            database.execute(lowered).await;
            sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
        };
        let (run, ()) = tokio::join!(run(), restored);
        assert_eq!(run.months_of("acme", Kind::Detached), [""; 0]);
        run.summary.tenants_failed == 0
    };
    eventually("a run whose detach had the lock", put_back).await;
    assert_eq!(server.months_of("acme").await, months(-6..=2));
    assert_eq!(database.count("event_store_detached").await, 0);
    assert_eq!(server.read("acme", "order", "1").versions().await, (1..=7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_new_tenant_is_made_ready_and_its_partitions_are_named() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let run = server.maintain("acme", |_| {}).await;
    assert_eq!(run.months_of("acme", Kind::Created), months(-1..=2));
    let created = run.actions("acme").iter().filter(|action| action.kind() == Kind::Created);
    let listed = server.list("acme").await.unwrap();
    assert_eq!(
        created.map(|action| action.partition_name.clone()).collect::<Vec<_>>(),
        listed.iter().map(|partition| partition.partition_name.clone()).collect::<Vec<_>>()
    );
    let answer = server.append("acme", "order", "1").event("First").ok().await;
    assert_eq!(answer.events[0].position, Some(1));
}

#[tokio::test]
async fn maintenance_of_all_covers_the_tenants_of_the_legacy_table_too() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("known", "order", "1").event("First").ok().await;
    for tenant in ["history-1", "history-2"] {
        ForeignEvent::new(tenant, "1", 1).write(database.pool()).await.unwrap();
    }
    let run = server.maintain("", |_| {}).await;
    let tenants: Vec<&str> = run.tenants.iter().map(|report| report.tenant_id.as_str()).collect();
    assert_eq!(tenants, ["history-1", "history-2", "known"]);
    assert_eq!((run.summary.tenants, run.summary.created), (3, 8));
    assert_eq!(server.months_of("history-2").await, months(-1..=2));
}

/// Takes the lock that whatever looks after a single tenant takes, for every tenant that there is.
const HOLD_ALL: &str = "BEGIN; SELECT event_store_lock_partitions(tenant_id) FROM event_store_tenant";

#[tokio::test]
async fn a_run_with_nothing_to_do_visits_no_tenant() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["acme"]).await;
    let tenants: Vec<String> = (0..20).map(|number| format!("tenant-{number:02}")).collect();
    for tenant in &tenants {
        server.maintain(tenant, |_| {}).await;
    }
    server.maintain("acme", |request| request.retention_months = Some(3)).await;
    let mut holder = database.connect().await;
    sqlx::raw_sql(HOLD_ALL).execute(&mut holder).await.unwrap();
    let idle = server.maintain("", |_| {}).await;
    let summary = (idle.summary.tenants, idle.summary.tenants_failed, idle.summary.created);
    assert_eq!(summary, (21, 0, 0), "{idle:?}");
    let floor = partita_proto::convert::timestamp_to_wire(month(-3).start());
    assert_eq!(idle.tenant("acme").retention_floor, Some(floor));

    // The lock is one that a visit meets.
    let visit = server.maintain("tenant-00", |_| {}).await;
    assert_eq!(visit.summary.tenants_failed, 1, "{visit:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    // Of many tenants the one that needs something is found.
    database.execute("UPDATE event_store_tenant SET retention_months = 1 WHERE tenant_id = 'acme'").await;
    let run = server.maintain("", |_| {}).await;
    assert_eq!((run.summary.tenants, run.summary.dropped), (21, 2));
    assert_eq!(run.months_of("acme", Kind::Dropped), months([-3, -2]));
}

/// Tenants that the survey takes for idle, though a plan, the registry or the catalogue says otherwise.
const OVERLOOKED: &str = "SELECT survey.tenant_id FROM event_store_maintenance_survey(2, 3) AS survey \
     WHERE NOT survey.is_due AND (EXISTS (SELECT FROM event_store_partition_plan(survey.tenant_id, 2, 3)) \
     OR (SELECT array_agg(partition_name ORDER BY 1) FROM event_store_detached_leaf(survey.tenant_id)) \
        IS DISTINCT FROM (SELECT array_agg(partition_name ORDER BY 1) FROM event_store_detached AS waiting \
        WHERE waiting.tenant_id = survey.tenant_id AND dropped_at IS NULL))";

#[tokio::test]
async fn the_survey_names_every_tenant_that_needs_something_and_no_other() {
    let database = TestDatabase::new().await;
    let server = seven_months(&database, &["ahead", "below", "held", "idle", "loose", "unregistered"]).await;
    for tenant in ["ahead", "held", "idle", "loose"] {
        server.maintain(tenant, |request| request.retention_months = Some(3)).await;
    }
    ForeignEvent::new("history", "1", 1).write(database.pool()).await.unwrap();
    let leaf = async |tenant: &str, offset: i32| -> String {
        let start = month(offset).start();
        let of = format!("event_store_partition_leaf('{tenant}') WHERE range_start = '{start}'");
        database.scalar(format!("SELECT partition_name FROM {of}")).await
    };
    let detach = async |tenant: &str, offset: i32| {
        let name = leaf(tenant, offset).await;
        let parent: String = database
            .scalar(format!("SELECT partition_name FROM event_store_partition_tenant('{tenant}')"))
            .await;
        let (parent, name) =
            (format!("event_store_partitions.{parent}"), format!("event_store_partitions.{name}"));
        database.execute(format!("ALTER TABLE {parent} DETACH PARTITION {name}")).await;
        name
    };
    let gone = detach("ahead", 2).await;
    database.execute(format!("DROP TABLE {gone}")).await;
    detach("loose", -3).await;
    database.execute("UPDATE event_store_tenant SET legal_hold = true WHERE tenant_id = 'held'").await;
    database.execute("UPDATE event_store_tenant SET retention_months = 1 WHERE tenant_id = 'held'").await;
    database.execute("DELETE FROM event_store_tenant WHERE tenant_id = 'unregistered'").await;
    let due = "SELECT tenant_id FROM event_store_maintenance_survey(2, 3) WHERE is_due";
    let named: Vec<String> = database.column(due).await;
    assert_eq!(named, ["ahead", "below", "history", "loose", "unregistered"]);
    assert_eq!(database.column::<String>(OVERLOOKED).await, [""; 0]);
}

#[tokio::test]
async fn maintenance_out_of_bounds_is_refused() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let request = partita_proto::v1::MaintainPartitionsRequest {
        tenant_id: "x".repeat(256),
        months_ahead: Some(121),
        retention_months: Some(-1),
        validate_only: false,
    };
    let refusal = server.partitions().maintain_partitions(request).await.unwrap_err();
    let refusal = partita_tests::Refusal::from(refusal);
    assert_eq!(refusal.fields, ["tenant_id", "months_ahead", "retention_months"]);
    assert_eq!(database.count("event_store_tenant").await, 0);
}
