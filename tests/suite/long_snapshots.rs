//! A dump or a report that is open for hours: PostgreSQL can remove no row version from after its snapshot, and each append
//! leaves one of its tenant's row behind. Appends must not pass them all.

use partita_tests::{Setting, TestDatabase, TestServer, any};
use sqlx::{AssertSqlSafe, PgConnection};

const APPENDS: i64 = 40;

/// A session with a snapshot, as of a dump that has begun and does not end.
async fn dump(database: &TestDatabase) -> PgConnection {
    let mut session = database.connect().await;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM event_store_tenant";
    sqlx::raw_sql(begin).execute(&mut session).await.unwrap();
    session
}

/// Leaves as many dead versions of the tenant's row behind as so many appends.
async fn leave_versions(database: &TestDatabase, count: u32) {
    let statement = format!(
        "DO $$ BEGIN FOR n IN 1..{count} LOOP \
             UPDATE event_store_tenant SET last_position = last_position WHERE tenant_id = 'acme'; COMMIT; \
         END LOOP; END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut database.connect().await).await.unwrap();
}

/// The blocks of the tenants' table and its indexes that sessions looked at, of those that have ended.
async fn blocks(database: &TestDatabase) -> i64 {
    let query = "SELECT (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint \
         FROM pg_statio_user_tables WHERE relname = 'event_store_tenant'";
    database.scalar(query).await
}

/// Appends one after the other, by turns of the servers, and gives how many blocks of the tenants' table they took in all.
async fn blocks_of_appends(database: &TestDatabase, servers: Vec<TestServer>) -> i64 {
    let before = blocks(database).await;
    for n in 0..APPENDS {
        let server = &servers[usize::try_from(n).unwrap() % servers.len()];
        server.append("acme", "order", &n.to_string()).expected(any()).event("Beside").ok().await;
    }
    for server in servers {
        // A session tells of its blocks when it ends.
        server.stop().await;
    }
    blocks(database).await - before
}

async fn appends_do_not_pass_dead_versions(setting: Setting, servers: usize) {
    let database = TestDatabase::in_phase(setting).await;
    let start = async || {
        let mut started = Vec::new();
        for _ in 0..servers {
            started.push(TestServer::start(&database, setting.flag()).await);
        }
        started
    };
    let servers = start().await;
    servers[0].append("acme", "order", "first").event("First").ok().await;
    let _dump = dump(&database).await;
    let few = blocks_of_appends(&database, servers).await;
    leave_versions(&database, 4000).await;
    let many = blocks_of_appends(&database, start().await).await;
    assert!(many < 2 * few, "{APPENDS} appends took {few} blocks, and {many} behind 4000 dead versions");
    database.assert_last_position("acme", 2 * APPENDS + 1).await;
}

#[tokio::test]
async fn a_lane_that_remembers_its_tenant_passes_no_dead_versions() {
    appends_do_not_pass_dead_versions(Setting::Dual, 1).await;
    appends_do_not_pass_dead_versions(Setting::Finalized, 1).await;
}

#[tokio::test]
async fn lanes_that_must_look_pass_no_dead_versions() {
    appends_do_not_pass_dead_versions(Setting::Dual, 2).await;
    appends_do_not_pass_dead_versions(Setting::Finalized, 2).await;
}

/// The version of the row that the statement locks is then not the one that it sees.
#[tokio::test]
async fn a_tenants_row_that_changes_under_an_append_is_still_moved_on() {
    for setting in [Setting::Dual, Setting::Finalized] {
        let database = TestDatabase::in_phase(setting).await;
        let server = TestServer::start(&database, setting.flag()).await;
        let append = || server.append("acme", "order", "1").expected(any()).event("Placed");
        append().ok().await;
        let mut retention = database.connect().await;
        let change = "BEGIN; UPDATE event_store_tenant SET legal_hold = true WHERE tenant_id = 'acme'";
        sqlx::raw_sql(change).execute(&mut retention).await.unwrap();
        let commit = async {
            database.lane_waits().await;
            sqlx::raw_sql("COMMIT").execute(&mut retention).await.unwrap();
        };
        let (appended, ()) = tokio::join!(append().ok(), commit);
        assert_eq!(appended.last_version, 2);
        database.assert_last_position("acme", 2).await;
        assert_eq!(append().ok().await.last_version, 3);
        database.assert_last_position("acme", 3).await;
        database.assert_sound(&server).await;
    }
}
