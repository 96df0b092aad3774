//! `partita dev`: the whole of it on one machine, for a first look and for trying things.

mod folder;
mod guide;
mod seed;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use partita_cluster::{Cluster, ClusterOptions, DATABASE, HOST, Search};
use partita_server::{Probes, ServerConfig};
use partita_store::{DatabaseUrl, Store, schema};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::commands::{migrate, serve};
use crate::config::{Config, ConfigArgs};
use crate::failure::{Exit, Failure};
use crate::{lifecycle, output, telemetry};

use self::folder::DevFolder;
use self::guide::Guide;

const PORT: u16 = 50_051;

/// Run everything on this machine.
///
/// PostgreSQL is found on this machine, or fetched. Its data stays between runs. `DB_PARTITIONS_V1` is on unless it
/// is set.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Folder for the data [default: the user's data folder; as root /var/lib/partita/dev]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Port of the gRPC server on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Delete the data of earlier runs first
    #[arg(long)]
    fresh: bool,
    /// Bin folder of PostgreSQL; without it it is looked for, then fetched
    #[arg(long, value_name = "DIR")]
    postgres_bin: Option<PathBuf>,
    /// Start PostgreSQL with a setting of its own, such as max_connections=300; may be repeated
    #[arg(long = "postgres-setting", value_name = "NAME=VALUE", value_parser = parse_setting)]
    postgres_settings: Vec<(String, String)>,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs until Ctrl-C or SIGTERM; no process is left then.
pub(crate) async fn run(args: DevArgs, config: &ConfigArgs) -> Result<(), Failure> {
    let config = Config::load(config, defaults())?;
    let telemetry = telemetry::start(&config.log, &config.trace)?;
    let shutdown = lifecycle::shutdown_signal()?;
    // Taken before anything is made: a busy port is told at once.
    let listener = serve::listen(SocketAddr::from(([127, 0, 0, 1], args.port)), "--port").await?;
    let folder = DevFolder::open(args.data_dir)?;
    if args.fresh {
        folder.empty()?;
    }

    let search = Search {
        wanted: args.postgres_bin,
        fetch_dir: Some(folder.downloads()),
        ..Search::new("--postgres-bin", std::env::var_os("PATH"))
    };
    let started = tokio::select! {
        started = start(&search, &folder, args.postgres_settings) => started,
        // A cluster that is half started ends with the future that starts it.
        () = shutdown.cancelled() => return Ok(()),
    };
    let (cluster, psql) = started?;
    let probes = Probes::default();
    let ops = serve::ops::start(&config, &probes, &telemetry).await;
    let served = match &ops {
        Ok(_) => work(&cluster, psql, listener, &config, probes, shutdown).await,
        Err(_) => Ok(()),
    };
    cluster.stop().await;
    telemetry.flush().await;
    ops.and(served)
}

/// Nobody is told to send calls elsewhere, and several may run at once: no notice before the end, no port of operations
/// unless one is asked for.
fn defaults() -> Config {
    let config = Config::default();
    Config { partitions_enabled: true, shutdown_notice: Duration::ZERO, ops_listen: None, ..config }
}

async fn start(
    search: &Search,
    folder: &DevFolder,
    settings: Vec<(String, String)>,
) -> Result<(Cluster, PathBuf), Failure> {
    let failed = |error| Failure::new(Exit::Unreachable, format!("cannot start PostgreSQL: {error}"));
    let installation = search.find_or_fetch().await.map_err(failed)?;
    let psql = Some(installation.program("psql")).filter(|psql| psql.is_file());
    tracing::info!(postgresql.version = %installation.version(), "starting postgresql");
    let options = ClusterOptions { settings, ..ClusterOptions::at(folder.cluster(), "--data-dir") };
    let cluster = Cluster::start(installation, options).await.map_err(failed)?;
    Ok((cluster, psql.unwrap_or_else(|| PathBuf::from("psql"))))
}

/// Everything that needs the database, so that the caller can stop it whatever happens here.
async fn work(
    cluster: &Cluster,
    psql: PathBuf,
    listener: TcpListener,
    config: &Config,
    probes: Probes,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let url = cluster.url(DATABASE);
    let database_url = DatabaseUrl::parse(&url)
        .map_err(|reason| Failure::internal(format!("the database on {HOST} has no usable URL: {reason}")))?;
    let prepared = prepare(&url, database_url.clone(), config);
    let Some(store) = shutdown.run_until_cancelled(prepared).await.transpose()? else {
        return Ok(());
    };
    let address = listener.local_addr();
    let address = address.map_err(|error| Failure::internal("the port was lost").because(error))?;
    let guide = Guide::new(address, url, psql, serve::phase(&store), cluster.folder());
    output::line(&guide.text())?;
    let shadow = serve::shadow(config, &database_url);
    let workers = serve::workers(config, database_url);
    let server = ServerConfig { shadow, ..config.server(address, probes)? };
    serve::serve(listener, store, workers, server, shutdown).await
}

async fn prepare(url: &str, database_url: DatabaseUrl, config: &Config) -> Result<Store, Failure> {
    let applied = schema::up(&database_url).await;
    let applied = applied.map_err(|error| migrate::failure("cannot migrate", &error))?;
    tracing::info!(migrations = applied.len(), "migrated");
    let events = seed::history(url).await?;
    tracing::info!(events, "seeded the legacy table");
    serve::open_store(config, database_url).await
}
