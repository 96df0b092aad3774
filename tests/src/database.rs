use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use partita_cluster::Cluster;
use partita_proof::{connect, session_options};
use partita_store::{DatabaseUrl, schema};
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow, Postgres as Driver};
use sqlx::{AssertSqlSafe, Decode, PgConnection, Type};
use time::OffsetDateTime;

use crate::Setting;
use crate::instant::until_month_is_young;
use crate::login::is_behind_row_security;
use crate::postgres::{Postgres, postgres, private};
use crate::watch::Watch;

/// Longest name of a database in PostgreSQL, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The columns that both tables of events have, those that have no order of their own as text.
const SHARED_COLUMNS: &str = "event_id, event_type, aggregate_type, aggregate_id, aggregate_version, \
     event_data::text, event_metadata::text, tenant_id, user_id, correlation_id, causation_id, legal_basis, \
     data_classification, retention_policy, ip_address::text, user_agent, session_id, request_id, event_hash, \
     previous_event_hash, event_timestamp, created_at";

/// A database of one test. It goes when the test has passed, and stays to be looked at when the test has failed.
pub struct TestDatabase {
    postgres: &'static Postgres,
    name: String,
    pool: PgPool,
    /// Roles that were made for it, and go with it.
    pub(crate) logins: Mutex<Vec<String>>,
    /// Where services log in; none: where the tests do.
    service_url: Option<String>,
    setting: Setting,
    _watch: Watch,
}

impl TestDatabase {
    /// A database with the whole schema.
    pub async fn new() -> Self {
        let mut database = Self::create(&format!("TEMPLATE \"{}\"", postgres().template())).await;
        if is_behind_row_security() {
            database.execute("SELECT event_store_guard_legacy(true)").await;
            database.service_url = Some(database.login_url("event_store_app").await);
        }
        database
    }

    /// A database with the whole schema, in a phase.
    pub async fn in_phase(setting: Setting) -> Self {
        let mut database = Self::new().await;
        database.enter(setting).await;
        database
    }

    /// Goes to a phase, from the one that every database begins in.
    pub async fn enter(&mut self, setting: Setting) {
        self.execute(setting.statements()).await;
        self.setting = setting;
    }

    /// A database without any table.
    pub async fn empty() -> Self {
        Self::create("").await
    }

    /// A database with the whole schema that sorts text by language, not by bytes; `None` where PostgreSQL cannot.
    pub async fn sorting_by_language() -> Option<Self> {
        if !postgres().knows_languages().await.unwrap() {
            return None;
        }
        let options = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        let database = Self::create(options).await;
        schema::up(&database.url()).await.unwrap();
        Some(database)
    }

    /// A database with the whole schema, in a PostgreSQL that the test may kill and restart.
    pub async fn in_private_cluster() -> (Self, Cluster) {
        let (postgres, cluster) = private().await;
        let database = Self::create_in(postgres, "").await;
        schema::up(&database.url()).await.unwrap();
        (database, cluster)
    }

    async fn create(options: &str) -> Self {
        Self::create_in(postgres(), options).await
    }

    async fn create_in(postgres: &'static Postgres, options: &str) -> Self {
        tokio::time::sleep(until_month_is_young(OffsetDateTime::now_utc())).await;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let thread = thread::current();
        // The phase last, where there is one: a long name is cut there.
        let mut test = thread.name().unwrap_or_default().rsplit("::");
        let (last, before) = (test.next().unwrap_or_default(), test.next().unwrap_or_default());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut name = postgres.name(&format!("{count}_{before}_{last}"));
        name.truncate(NAME_BYTES_MAX);
        postgres.create(&name, options).await.unwrap();
        let url = postgres.url(&name);
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(session_options(&url).unwrap());
        let (logins, setting, watch) = (Mutex::default(), Setting::Dual, Watch::start(url));
        Self { postgres, name, pool, logins, service_url: None, setting, _watch: watch }
    }

    /// The phase that it was brought into.
    pub(crate) fn setting(&self) -> Setting {
        self.setting
    }

    /// Where it is, for a store or a migration.
    pub fn url(&self) -> DatabaseUrl {
        DatabaseUrl::parse(&self.postgres.url(&self.name)).unwrap()
    }

    /// Where it is for services.
    pub(crate) fn service_url(&self) -> DatabaseUrl {
        self.service_url.as_ref().map_or_else(|| self.url(), |url| DatabaseUrl::parse(url).unwrap())
    }

    /// Whether services log in with the app's role alone, kept to the tenants that they name.
    pub(crate) fn is_behind_row_security(&self) -> bool {
        self.service_url.is_some()
    }

    /// Where it is, for a process of its own.
    pub fn connection_string(&self) -> String {
        self.postgres.url(&self.name)
    }

    /// Where it is, for another login.
    pub(crate) fn url_as(&self, login: &str, password: &str) -> String {
        self.postgres.url_as(&self.name, login, password)
    }

    /// Where it is for services that reach its PostgreSQL at another address, without TLS.
    pub fn url_through(&self, address: SocketAddr) -> DatabaseUrl {
        let url = self.service_url.clone().unwrap_or_else(|| self.connection_string());
        DatabaseUrl::parse(&self.postgres.url_through(&url, address)).unwrap()
    }

    /// Host and port of its PostgreSQL.
    pub fn address(&self) -> String {
        self.postgres.authority().to_owned()
    }

    /// Its name, which is fit to be put between double quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connections for what a test looks at or meddles with.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A session of its own: for open transactions, and for settings of the database that changed meanwhile.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.postgres.url(&self.name)).await.unwrap()
    }

    /// Runs statements, several if they are parted by semicolons.
    pub async fn execute(&self, statements: impl Into<String>) {
        sqlx::raw_sql(AssertSqlSafe(statements.into())).execute(&self.pool).await.unwrap();
    }

    /// The one value of a query.
    pub async fn scalar<T>(&self, query: impl Into<String>) -> T
    where
        T: for<'r> Decode<'r, Driver> + Type<Driver> + Send + Unpin,
        (T,): for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(AssertSqlSafe(query.into())).fetch_one(&self.pool).await.unwrap()
    }

    /// The one column of a query, in its order.
    pub async fn column<T>(&self, query: impl Into<String>) -> Vec<T>
    where
        T: for<'r> Decode<'r, Driver> + Type<Driver> + Send + Unpin,
        (T,): for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(AssertSqlSafe(query.into())).fetch_all(&self.pool).await.unwrap()
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> i64 {
        self.scalar(format!("SELECT count(*) FROM {table}")).await
    }

    /// How many events are recorded, which must be the same in every table that the phase writes, and none in the others.
    pub async fn events(&self) -> i64 {
        let legacy = self.count("event_store").await;
        let partitioned = self.count("event_store_partitioned").await;
        match self.setting {
            Setting::Legacy => assert_eq!(partitioned, 0, "events in the partitioned table"),
            Setting::Finalized => assert_eq!(legacy, 0, "events in the legacy table"),
            Setting::Dual | Setting::Fenced | Setting::FencedVerified | Setting::Restoring => {
                assert_eq!(legacy, partitioned, "events in the legacy table, and in the partitioned one");
            }
        }
        legacy.max(partitioned)
    }

    /// Everything that the store keeps: each table with its number of rows and a digest of them, and the names of
    /// all partitions. Two of them are equal when nothing was changed in between.
    pub async fn contents(&self) -> Vec<String> {
        let tables = ["event_store", "event_store_partitioned", "event_store_tenant", "event_store_stream"];
        let mut contents = Vec::new();
        for table in tables {
            let digest = "md5(coalesce(string_agg(kept::text, chr(10) ORDER BY kept::text), ''))";
            let query = format!("SELECT count(*) || ' rows ' || {digest} FROM public.{table} AS kept");
            contents.push(format!("{table}: {}", self.scalar::<String>(query).await));
        }
        let partitions = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') \
             AND relnamespace = 'event_store_partitions'::regnamespace ORDER BY relname";
        contents.extend(self.column::<String>(partitions).await);
        contents
    }

    /// How many rows are in one table of events and not, the same in each of the 22 shared columns, in the other; in a
    /// phase that writes one table alone how many are in the other.
    pub async fn differing_rows(&self) -> i64 {
        match self.setting {
            Setting::Legacy => return self.count("event_store_partitioned").await,
            Setting::Finalized => return self.count("event_store").await,
            Setting::Dual | Setting::Fenced | Setting::FencedVerified | Setting::Restoring => {}
        }
        let rows = |table| format!("SELECT {SHARED_COLUMNS} FROM public.{table}");
        let (legacy, partitioned) = (rows("event_store"), rows("event_store_partitioned"));
        let only =
            |one: &str, other: &str| format!("(SELECT count(*) FROM ({one} EXCEPT ALL {other}) AS odd)");
        let (one, other) = (only(&legacy, &partitioned), only(&partitioned, &legacy));
        self.scalar(format!("SELECT {one} + {other}")).await
    }

    /// Lets nobody in any more, and ends every session.
    pub async fn close(&self) {
        let name = &self.name;
        self.postgres.run(format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false")).await.unwrap();
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        self.postgres.run(end).await.unwrap();
    }

    /// Ends a [`close`](Self::close).
    pub async fn reopen(&self) {
        self.postgres.run(format!("ALTER DATABASE \"{}\" ALLOW_CONNECTIONS true", self.name)).await.unwrap();
    }

    /// Fails the test unless so many positions were given to events of a tenant, in a phase that gives any.
    pub async fn assert_last_position(&self, tenant: &str, last: i64) {
        if self.setting == Setting::Legacy {
            assert_eq!(self.count("event_store_tenant").await, 0, "tenants that have positions");
        } else {
            assert_eq!(self.last_position(tenant).await, last, "the last position of {tenant}");
        }
    }

    /// The last position that was given to an event of a tenant.
    pub async fn last_position(&self, tenant: &str) -> i64 {
        let query = "SELECT last_position FROM event_store_tenant WHERE tenant_id = $1";
        sqlx::query_scalar(query).bind(tenant).fetch_one(&self.pool).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !thread::panicking() {
            let logins = std::mem::take(&mut *self.logins.lock().unwrap());
            if logins.is_empty() {
                self.postgres.remove(&self.name);
            } else {
                self.postgres.remove_with_logins(&self.name, logins);
            }
        }
    }
}
