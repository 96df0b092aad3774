//! Row security: whatever forgets its tenant finds nothing of others; and what does not forget it works as ever.

mod served;
mod switched;
mod wall;

use partita_store::{DatabaseUrl, StoreConfig};
use partita_tests::{TestDatabase, TestServer};
use sqlx::{AssertSqlSafe, PgConnection};

async fn guarded() -> TestDatabase {
    let database = TestDatabase::new().await;
    database.execute("SELECT event_store_guard_legacy(true)").await;
    database
}

async fn serving(
    database: &TestDatabase,
    url: &DatabaseUrl,
    change: impl FnOnce(&mut StoreConfig),
) -> TestServer {
    TestServer::start_with(database, |config| {
        config.database_url = url.clone();
        config.partitions_v1 = true;
        change(config);
    })
    .await
}

async fn run(session: &mut PgConnection, statement: &str) -> Result<u64, String> {
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(session).await;
    done.map(|done| done.rows_affected()).map_err(|error| {
        let code = error.as_database_error().and_then(|error| error.code());
        code.map(|code| code.into_owned()).unwrap_or_default()
    })
}

async fn count(session: &mut PgConnection, rows: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {rows}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(session).await.unwrap()
}

async fn name(session: &mut PgConnection, list: &str) {
    let set = format!("SELECT set_config('partita.tenants', '{list}', false)");
    run(session, &set).await.unwrap();
}

/// Three events of acme and five of globex, in both tables.
async fn two_tenants(database: &TestDatabase) -> TestServer {
    let owner = TestServer::start(database, true).await;
    owner.append("acme", "order", "1").events(3).ok().await;
    owner.append("globex", "order", "1").events(5).ok().await;
    owner
}
