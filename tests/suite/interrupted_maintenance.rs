//! A maintainer that is killed, at whichever step: the next run finishes what it began, and nobody's writes fail meanwhile.

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use partita_store::{DatabaseUrl, Store, StoreConfig};
use partita_tests::{TestDatabase, TestServer, eventually, month, months};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio_util::sync::CancellationToken;

/// Names the database to the process that is killed.
const URL_VARIABLE: &str = "PARTITA_TEST_MAINTAINER_URL";
const GRACE_VARIABLE: &str = "PARTITA_TEST_MAINTAINER_GRACE_DAYS";
/// Longer than any test takes.
const LIFETIME_MAX: Duration = Duration::from_secs(300);

/// The sessions of maintenance that wait for somebody.
const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'partita' AND wait_event_type = 'Lock'";

/// Months whose detach was begun and not finished.
const PENDING: &str = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";

/// How a maintainer ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// kill -9 of its process; its session lives on until it notices.
    Process,
    /// `pg_terminate_backend` of its session; the process lives on.
    Session,
}

/// How often a scene is set that a busy machine may spoil.
const SCENES_MAX: usize = 10;

const ENDS: [End; 2] = [End::Process, End::Session];

/// A process of its own that keeps three months and maintains without a pause, until it is killed.
struct Maintainer(Child);

impl Maintainer {
    fn start(database: &TestDatabase, grace_days: u32) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["interrupted_maintenance::maintainer", "--exact", "--ignored", "--nocapture"])
            .env(URL_VARIABLE, database.connection_string())
            .env(GRACE_VARIABLE, grace_days.to_string())
            .stdout(Stdio::null())
            // It says nothing unless it fails.
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self(child)
    }

    async fn end(mut self, database: &TestDatabase, how: End) {
        match how {
            End::Process => {}
            End::Session => {
                database
                    .execute(format!("SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting"))
                    .await;
            }
        }
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        // Gone already, unless the test failed.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
#[ignore = "the process that the other tests kill"]
async fn maintainer() {
    let mut config = StoreConfig::new(DatabaseUrl::parse(&env::var(URL_VARIABLE).unwrap()).unwrap());
    config.partitions_v1 = true;
    config.retention_months = 3;
    config.maintenance.first_run_within = Duration::ZERO;
    config.maintenance.interval = Duration::from_millis(50);
    config.maintenance.grace_days = env::var(GRACE_VARIABLE).unwrap().parse().unwrap();
    let store = Store::connect(config).await.unwrap();
    // Should the one that is to kill it be killed itself.
    tokio::time::timeout(LIFETIME_MAX, store.run_maintenance(&CancellationToken::new())).await.ok();
}

/// A tenant with an event in each of the last five months, kept for ever until now, and a second tenant.
async fn five_months(database: &TestDatabase) -> TestServer {
    let server = TestServer::start_keeping_all(database).await;
    let instants = months(-4..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    for tenant in ["acme", "beta"] {
        server.append(tenant, "order", "1").events_at(&instants).ok().await;
    }
    // One tenant is enough to be interrupted at.
    database.execute("UPDATE event_store_tenant SET legal_hold = true WHERE tenant_id = 'beta'").await;
    server
}

/// Appends to each month that is kept, of both tenants: nobody may notice what maintenance does.
async fn write_everywhere(server: &TestServer) {
    let instants = months(-3..=0);
    let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
    for tenant in ["acme", "beta"] {
        server.append(tenant, "order", "beside").events_at(&instants).ok().await;
    }
}

/// A session that holds something open.
async fn holding(database: &TestDatabase, statement: &str) -> PgConnection {
    let mut session = database.connect().await;
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {statement}"))).execute(&mut session).await.unwrap();
    session
}

async fn let_go(mut session: PgConnection) {
    sqlx::raw_sql("ROLLBACK").execute(&mut session).await.unwrap();
}

async fn maintenance_waits(database: &TestDatabase) {
    eventually("maintenance waits", async || !database.column::<i32>(WAITING).await.is_empty()).await;
}

/// Runs come to the end of what the killed one began. A single one may not: the killed one's session, which lives on until it
/// notices, can detach the month between the run's look at what hangs on nothing and its look at what is still attached.
async fn next_run_finishes(database: &TestDatabase, server: &TestServer) {
    let loose = "SELECT count(*) FROM pg_class WHERE relnamespace = 'event_store_partitions'::regnamespace \
         AND relkind = 'r' AND NOT relispartition";
    let finished = async || {
        let run = server.maintain("acme", |request| request.retention_months = Some(3)).await;
        run.summary.tenants_failed == 0 && database.scalar::<i64>(loose).await == 0
    };
    eventually("a run without a failure, after which no table hangs on nothing", finished).await;
    let waiting = "SELECT count(*) FROM event_store_detached WHERE dropped_at IS NULL";
    assert_eq!(database.scalar::<i64>(waiting).await, 0);
    assert_eq!(database.scalar::<i64>("SELECT count(*) FROM event_store_partition_check()").await, 0);
    assert_eq!(server.months_of("acme").await, months(-3..=2));
    assert_eq!(server.months_of("beta").await, months(-4..=2));
    assert_eq!(server.read("acme", "order", "1").versions().await, [2, 3, 4, 5]);
    write_everywhere(server).await;
}

#[tokio::test]
async fn killed_between_the_floor_and_the_detach() {
    for how in ENDS {
        let database = TestDatabase::new().await;
        let server = five_months(&database).await;
        let parent: String =
            database.scalar("SELECT partition_name FROM event_store_tenant ORDER BY 1 LIMIT 1").await;
        let lock = format!("LOCK TABLE ONLY event_store_partitions.{parent} IN SHARE UPDATE EXCLUSIVE MODE");
        let holder = holding(&database, &lock).await;
        let maintainer = Maintainer::start(&database, 0);
        maintenance_waits(&database).await;
        let floor = format!(
            "SELECT retention_floor = '{}' FROM event_store_tenant WHERE tenant_id = 'acme'",
            month(-3).start()
        );
        assert!(database.scalar::<bool>(floor).await, "{how:?}");
        write_everywhere(&server).await;
        maintainer.end(&database, how).await;
        let_go(holder).await;
        next_run_finishes(&database, &server).await;
    }
}

#[tokio::test]
async fn killed_before_it_looks_or_as_it_raises_the_floor() {
    let look = "SELECT event_store_lock_partitions('acme')";
    let floor = "SELECT FROM event_store_tenant WHERE tenant_id = 'acme' FOR UPDATE";
    for (statement, how) in [(look, ENDS[0]), (look, ENDS[1]), (floor, ENDS[0]), (floor, ENDS[1])] {
        let database = TestDatabase::new().await;
        let server = five_months(&database).await;
        let holder = holding(&database, statement).await;
        let maintainer = Maintainer::start(&database, 0);
        maintenance_waits(&database).await;
        let raised = "SELECT count(*) FROM event_store_tenant WHERE retention_floor <> '-infinity'";
        assert_eq!(database.scalar::<i64>(raised).await, 0, "{statement}");
        // The tenant's row, which this test holds at the floor, is what its own appends need as well.
        server.append("beta", "order", "beside").event("Beside").ok().await;
        maintainer.end(&database, how).await;
        let_go(holder).await;
        next_run_finishes(&database, &server).await;
    }
}

/// Nobody has the tenant's table open any more, and somebody has the month itself.
#[tokio::test]
async fn killed_while_it_waits_for_the_month() {
    for how in ENDS {
        let database = TestDatabase::new().await;
        let server = five_months(&database).await;
        let oldest =
            "SELECT partition_name FROM event_store_partition_leaf('acme') ORDER BY range_start LIMIT 1";
        let month: String = database.scalar(oldest).await;
        let lock = format!("LOCK TABLE event_store_partitions.{month} IN ACCESS SHARE MODE");
        let holder = holding(&database, &lock).await;
        let maintainer = Maintainer::start(&database, 0);
        let wanted = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' \
             AND relation = 'event_store_partitions.{month}'::regclass"
        );
        eventually("the month is waited for", async || database.scalar::<i64>(&*wanted).await > 0).await;
        write_everywhere(&server).await;
        maintainer.end(&database, how).await;
        eventually("the session is over", async || database.column::<i32>(WAITING).await.is_empty()).await;
        assert_eq!(database.scalar::<i64>(PENDING).await, 1, "{how:?}");
        let_go(holder).await;
        next_run_finishes(&database, &server).await;
    }
}

/// An earlier run left the detach half done, and a snapshot from before is still in use.
#[tokio::test]
async fn killed_while_it_finishes_a_detach() {
    for how in ENDS {
        let database = TestDatabase::new().await;
        let server = five_months(&database).await;
        let report = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
             SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'";
        let reader = holding(&database, report).await;
        let given_up = server.maintain("acme", |request| request.retention_months = Some(3)).await;
        assert_eq!((given_up.summary.tenants_failed, database.scalar::<i64>(PENDING).await), (1, 1));
        let maintainer = Maintainer::start(&database, 0);
        maintenance_waits(&database).await;
        write_everywhere(&server).await;
        maintainer.end(&database, how).await;
        eventually("the session is over", async || database.column::<i32>(WAITING).await.is_empty()).await;
        assert_eq!(database.scalar::<i64>(PENDING).await, 1, "{how:?}");
        let_go(reader).await;
        next_run_finishes(&database, &server).await;
    }
}

#[tokio::test]
async fn killed_while_the_detach_is_pending() {
    for how in ENDS {
        let database = TestDatabase::new().await;
        let server = five_months(&database).await;
        let report = "SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'";
        let reader = holding(&database, report).await;
        let maintainer = Maintainer::start(&database, 0);
        eventually("a detach is pending", async || database.scalar::<i64>(PENDING).await == 1).await;
        maintenance_waits(&database).await;
        write_everywhere(&server).await;
        maintainer.end(&database, how).await;
        // The session gives up by itself, and leaves the detach half done.
        eventually("the session is over", async || database.column::<i32>(WAITING).await.is_empty()).await;
        assert_eq!(database.scalar::<i64>(PENDING).await, 1, "{how:?}");
        write_everywhere(&server).await;
        let_go(reader).await;
        next_run_finishes(&database, &server).await;
    }
}

#[tokio::test]
async fn killed_between_the_detach_and_its_being_written_down() {
    // A session waits for 2 s and no longer: on a busy machine the reader may not have let go by then.
    for _ in 0..SCENES_MAX {
        let database = TestDatabase::new().await;
        let server = five_months(&database).await;
        let report = "SELECT count(*) FROM event_store_partitioned WHERE tenant_id = 'acme'";
        let reader = holding(&database, report).await;
        let maintainer = Maintainer::start(&database, 0);
        eventually("a detach is pending", async || database.scalar::<i64>(PENDING).await == 1).await;
        maintenance_waits(&database).await;
        maintainer.end(&database, End::Process).await;
        // The session does not know that nobody listens any more, and detaches: the process that would write it down is dead.
        let_go(reader).await;
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'partita' AND state = 'active'";
        eventually("the session is over", async || database.scalar::<i64>(busy).await == 0).await;
        let attached = "SELECT count(*) FROM event_store_partition_leaf('acme')";
        if database.scalar::<i64>(attached).await > 6 {
            continue;
        }
        assert_eq!(database.count("event_store_detached").await, 0);
        write_everywhere(&server).await;
        next_run_finishes(&database, &server).await;
        return;
    }
    panic!("the session gave up before the reader let go, {SCENES_MAX} times");
}

#[tokio::test]
async fn killed_between_the_detach_and_the_drop() {
    for how in ENDS {
        let database = TestDatabase::new().await;
        let server = five_months(&database).await;
        let waiting_months = "SELECT count(*) FROM event_store_detached WHERE dropped_at IS NULL";
        let first = Maintainer::start(&database, 7);
        eventually("the month is detached", async || database.scalar::<i64>(waiting_months).await == 1).await;
        first.end(&database, how).await;
        let detached: String = database.scalar("SELECT partition_name FROM event_store_detached").await;
        let lock = format!("LOCK TABLE event_store_partitions.{detached} IN ACCESS SHARE MODE");
        let holder = holding(&database, &lock).await;
        database.execute("UPDATE event_store_detached SET drop_after = now()").await;
        let second = Maintainer::start(&database, 7);
        maintenance_waits(&database).await;
        write_everywhere(&server).await;
        second.end(&database, how).await;
        let_go(holder).await;
        next_run_finishes(&database, &server).await;
    }
}
