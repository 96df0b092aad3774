pub(super) mod ops;
mod start;

use std::net::SocketAddr;

use clap::Args;
use partita_migration::{Migration, Shadow, WorkerConfig, Workers};
use partita_server::{Probes, ServerConfig};
use partita_store::{DatabaseUrl, StartError, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigArgs};
use crate::failure::{Exit, Failure};
use crate::{lifecycle, telemetry};

/// Serve gRPC.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on, over the configuration's `listen`
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Serves until Ctrl-C or SIGTERM, then drains.
pub(crate) async fn run(args: ServeArgs, config: &ConfigArgs) -> Result<(), Failure> {
    let mut config = Config::load(config, Config::default())?;
    config.listen = args.listen.unwrap_or(config.listen);
    let database_url = config.database_url()?;
    let probes = Probes::default();
    // Mistakes are told before anything starts.
    let server = config.server(config.listen, probes.clone())?;
    let telemetry = telemetry::start(&config.log, &config.trace)?;
    let shutdown = lifecycle::shutdown_signal()?;
    let listener = listen(config.listen, "--listen").await?;
    let _ops = ops::start(&config, &probes, &telemetry).await?;
    let served = match start::store(&config, &database_url, &probes, &shutdown).await {
        Ok(Some(store)) => {
            let server = ServerConfig { shadow: shadow(&config, &database_url), ..server };
            serve(listener, store, workers(&config, database_url), server, shutdown).await
        }
        // Told to stop before the database was there.
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    telemetry.flush().await;
    served
}

/// Serves on a listener, with maintenance, the workers of a backfill and the shadow of reads beside it, and closes the store when all are over.
pub(crate) async fn serve(
    listener: TcpListener,
    store: Store,
    workers: Workers,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(listen = %address, phase = phase(&store), "serving");
    // Cancelled also where serving ends by itself: a server that failed must not leave a maintainer behind.
    let ending = shutdown.child_token();
    let maintenance = tokio::spawn({
        let (store, ending) = (store.clone(), ending.clone());
        async move { store.run_maintenance(&ending).await }
    });
    let observer = tokio::spawn({
        let (store, ending) = (store.clone(), ending.clone());
        async move { store.run_observer(&ending).await }
    });
    let figures = tokio::spawn({
        let migration = Migration::new(store.database_url().clone());
        async move { migration.run_figures().await }
    });
    let backfill = tokio::spawn({
        let ending = ending.clone();
        async move { workers.run(&ending).await }
    });
    let shadow = tokio::spawn({
        let (shadow, ending) = (config.shadow.clone(), ending.clone());
        async move {
            if let Some(shadow) = shadow {
                shadow.run(&ending).await;
            }
        }
    });
    let served = partita_server::serve(listener, store.clone(), config, shutdown).await;
    ending.cancel();
    observer.abort();
    figures.abort();
    if let Err(error) = shadow.await {
        tracing::error!(%error, "the shadow of reads was cut off");
    }
    if let Err(error) = maintenance.await {
        tracing::error!(%error, "maintenance was cut off");
    }
    if let Err(error) = backfill.await {
        tracing::error!(%error, "backfill was cut off");
    }
    store.close().await;
    tracing::info!("stopped");
    served.map_err(|error| Failure::internal(format!("the server ended: {error}")).because_of(&error))
}

/// Which tables the store writes and reads, in a word.
pub(crate) fn phase(store: &Store) -> String {
    store.phase().map_or_else(|contradiction| contradiction.to_string(), |phase| phase.to_string())
}

/// What this process does for a backfill: nothing where it does not write partitions itself.
pub(crate) fn workers(config: &Config, database_url: DatabaseUrl) -> Workers {
    let workers_max = if config.partitions_enabled { config.backfill.workers_max } else { 0 };
    Workers::new(database_url, WorkerConfig { workers_max, ..config.backfill })
}

/// What compares some of the reads of this process: nothing where it does not read partitions itself.
pub(crate) fn shadow(config: &Config, database_url: &DatabaseUrl) -> Option<Shadow> {
    let is_on = config.partitions_enabled && config.shadow.sample_percent > 0;
    is_on.then(|| Shadow::new(database_url.clone(), config.shadow))
}

/// Takes the port; `flag` is how the user names another.
pub(crate) async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::usage(format!("cannot listen on {address}")).because(error);
        failure.next(format!("name another with {flag}, or stop the program that has it"))
    })
}

/// Opens the store, or says which command makes it ready.
pub(crate) async fn open_store(config: &Config, database_url: DatabaseUrl) -> Result<Store, Failure> {
    Store::connect(config.store(database_url)).await.map_err(|error| refused_start(&error))
}

fn refused_start(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Unreachable { .. } => Exit::Unreachable,
        StartError::Schema(error) => return super::migrate::failure("cannot serve", error),
        StartError::SchemaBehind { .. } | StartError::SchemaChanged { .. } => Exit::Refused,
        StartError::SchemaAhead { .. } => Exit::Refused,
        StartError::LegacyConstraintMissing { .. } | StartError::UnknownPhase { .. } => Exit::Refused,
        StartError::Contradiction(_) => Exit::Refused,
        StartError::RowSecurityMissing { .. } | StartError::RowSecurityBinds { .. } => Exit::Refused,
    };
    Failure::new(exit, format!("cannot serve: {error}")).because_of(error)
}
