//! The PostgreSQL of this process: booted once, on a thread and a runtime of its own, because those of a test end
//! with the test.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use etcetera::BaseStrategy as _;
use partita_cluster::{Cluster, ClusterOptions, DATABASE, Search};
use partita_proof::connect;
use partita_store::{DatabaseUrl, schema};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::runtime::{Builder, Handle};

/// Names a PostgreSQL to use instead of a private one.
const URL_VARIABLE: &str = "DATABASE_URL";
/// Names the bin folder of the PostgreSQL to boot.
const BIN_VARIABLE: &str = "PARTITA_POSTGRES_BIN";
/// Where downloads go as root: PostgreSQL then runs as another user, whom root's home is closed to.
const DOWNLOADS_OF_ROOT: &str = "/var/cache/partita/postgresql";

/// What getting, booting and migrating it may take; a download is part of it.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// A test holds up to about 30 connections, and there are as many tests at once as processors.
const CONNECTIONS_MAX: &str = "500";

/// Where databases are made.
pub(crate) struct Postgres {
    /// A database to connect to in order to make others.
    admin_url: String,
    /// What the names of this run's databases begin with: another run may use the same PostgreSQL.
    prefix: String,
    runtime: Handle,
}

/// The PostgreSQL of this process, which is booted by the first call. Blocks until it is ready.
pub(crate) fn postgres() -> &'static Postgres {
    // A failure is kept as well: a hundred tests need not find out one by one that there is no PostgreSQL.
    static POSTGRES: OnceLock<Result<Postgres, String>> = OnceLock::new();
    match POSTGRES.get_or_init(start) {
        Ok(postgres) => postgres,
        Err(reason) => panic!("no PostgreSQL to test with: {reason}"),
    }
}

impl Postgres {
    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        let (server, options) = match self.admin_url.split_once('?') {
            Some((server, options)) => (server, format!("?{options}")),
            None => (self.admin_url.as_str(), String::new()),
        };
        let authority = server.find("://").map_or(0, |scheme| scheme + 3);
        let server = match server[authority..].find('/') {
            Some(path) => &server[..authority + path],
            None => server,
        };
        format!("{server}/{database}{options}")
    }

    /// The URL for those who reach it at another address, without TLS.
    pub(crate) fn url_through(&self, url: &str, address: SocketAddr) -> String {
        let url = url.replacen(self.authority(), &address.to_string(), 1);
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}sslmode=disable")
    }

    /// The URL of one of its databases for another login.
    pub(crate) fn url_as(&self, database: &str, login: &str, password: &str) -> String {
        let url = self.url(database);
        match (url.find("://"), url.find('@')) {
            (Some(scheme), Some(at)) => format!("{}{login}:{password}{}", &url[..scheme + 3], &url[at..]),
            _ => url.replacen("://", &format!("://{login}:{password}@"), 1),
        }
    }

    /// Host and port, as they stand in its URL.
    pub(crate) fn authority(&self) -> &str {
        let server = self.admin_url.split_once("://").map_or("", |(_, server)| server);
        let server = server.split(['/', '?']).next().unwrap_or_default();
        server.rsplit('@').next().unwrap_or_default()
    }

    /// The name of a database of this run.
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}_{suffix}", self.prefix)
    }

    /// The migrated database that others are copied from.
    pub(crate) fn template(&self) -> String {
        self.name("template")
    }

    /// Makes a database; `options` are those of the statement.
    pub(crate) async fn create(&self, name: &str, options: &str) -> sqlx::Result<()> {
        self.run(format!(r#"CREATE DATABASE "{name}" {options}"#)).await
    }

    /// Whether it can sort by language, as most installations do and ours does not.
    pub(crate) async fn knows_languages(&self) -> sqlx::Result<bool> {
        let mut connection = connect(&self.admin_url).await?;
        sqlx::query_scalar(
            "SELECT current_setting('server_version_num')::int >= 150000 \
             AND EXISTS (SELECT FROM pg_collation WHERE collname = 'en-US-x-icu')",
        )
        .fetch_one(&mut connection)
        .await
    }

    /// Removes logins of a database that goes, and what they own in it; as [`remove`](Self::remove).
    pub(crate) fn remove_with_logins(&'static self, name: &str, logins: Vec<String>) {
        let database = format!(r#"DROP DATABASE IF EXISTS "{name}" WITH (FORCE)"#);
        self.runtime.spawn(async move {
            self.run(database).await.ok();
            for login in logins {
                self.run(format!(r#"DROP ROLE IF EXISTS "{login}""#)).await.ok();
            }
        });
    }

    /// Removes a database whoever is still connected to it, and does not wait: PostgreSQL waits for sessions that
    /// are just being opened, and it may be the caller's own runtime that opens them.
    pub(crate) fn remove(&'static self, name: &str) {
        let statement = format!(r#"DROP DATABASE IF EXISTS "{name}" WITH (FORCE)"#);
        // One that stays is in nobody's way: no other test has its name.
        self.runtime.spawn(async move { self.run(statement).await.ok() });
    }

    /// Runs statements from outside of the database that they are about.
    pub(crate) async fn run(&self, statement: String) -> sqlx::Result<()> {
        let mut connection = connect(&self.admin_url).await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await
    }
}

/// A PostgreSQL that a test may kill and restart, for as long as it keeps the cluster.
pub(crate) async fn private() -> (&'static Postgres, Cluster) {
    let cluster = boot_cluster().await.unwrap();
    let (admin_url, runtime) = (cluster.url(DATABASE), Handle::current());
    let postgres = Postgres { admin_url, prefix: "partita_test".to_owned(), runtime };
    // A database holds on to it as to the common one, which lives as long as the process.
    (Box::leak(Box::new(postgres)), cluster)
}

fn start() -> Result<Postgres, String> {
    let (ready, wait) = sync_channel(1);
    let serve = move || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(hold(&ready)),
        Err(error) => drop(ready.send(Err(error.to_string()))),
    };
    thread::Builder::new().name("postgres".to_owned()).spawn(serve).map_err(|error| error.to_string())?;
    wait.recv_timeout(BOOT_LIMIT).unwrap_or_else(|error| Err(format!("it is not booted: {error}")))
}

/// Boots, tells, and holds the cluster until the process ends; its watchdog then ends it, also after `kill -9`.
async fn hold(ready: &SyncSender<Result<Postgres, String>>) {
    match boot().await {
        Ok((postgres, _cluster)) => {
            drop(ready.send(Ok(postgres)));
            std::future::pending::<()>().await;
        }
        Err(reason) => drop(ready.send(Err(reason))),
    }
}

async fn boot() -> Result<(Postgres, Option<Cluster>), String> {
    let (admin_url, cluster) = match env::var(URL_VARIABLE) {
        Ok(url) if !url.is_empty() => (url, None),
        _ => {
            let cluster = boot_cluster().await?;
            (cluster.url(DATABASE), Some(cluster))
        }
    };
    let run = uuid::Uuid::new_v4().simple().to_string();
    let postgres =
        Postgres { admin_url, prefix: format!("partita_test_{}", &run[..8]), runtime: Handle::current() };
    let template = postgres.template();
    let failed = |error: sqlx::Error| format!("cannot create a database, is the role allowed to? {error}");
    postgres.create(&template, "").await.map_err(failed)?;
    let url = DatabaseUrl::parse(&postgres.url(&template))?;
    schema::up(&url).await.map_err(|error| format!("cannot migrate the template: {error:?}"))?;
    Ok((postgres, cluster))
}

async fn boot_cluster() -> Result<Cluster, String> {
    let search = Search {
        wanted: env::var_os(BIN_VARIABLE).map(PathBuf::from),
        fetch_dir: downloads(),
        ..Search::new(BIN_VARIABLE, env::var_os("PATH"))
    };
    let installation = search.find_or_fetch().await.map_err(|error| error.to_string())?;
    let mut options = ClusterOptions::temporary();
    options.settings.push(("max_connections".to_owned(), CONNECTIONS_MAX.to_owned()));
    Cluster::start(installation, options).await.map_err(|error| error.to_string())
}

/// Where a PostgreSQL is kept that had to be fetched; it outlives `cargo clean`.
fn downloads() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from(DOWNLOADS_OF_ROOT));
    }
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("partita").join("postgresql"))
}
