//! The admin service within this process, on the database itself.

use partita_migration::{WorkerConfig, Workers};
use partita_server::{ServeError, serve_in_memory};
use partita_store::{DatabaseUrl, LaneConfig, RowSecurity, StartError, Store, StoreConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Channel};
use crate::commands::migrate;
use crate::config::{Config, ConfigArgs, LogConfig};
use crate::failure::{Exit, Failure};
use crate::lifecycle;
use crate::telemetry::{self, Telemetry};

/// What is logged unless the configuration says otherwise: a command tells its own story.
const QUIET_FILTER: &str = "warn,sqlx::postgres::notice=error";

/// A store and the service on it.
pub(super) struct Direct {
    store: Store,
    url: DatabaseUrl,
    /// Cancelled by Ctrl-C and SIGTERM.
    interrupted: CancellationToken,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
    telemetry: Telemetry,
}

impl Direct {
    /// Opens the database, and gives the channel that leads to its service.
    pub(super) async fn open(config: &ConfigArgs) -> Result<(Channel, Self), Failure> {
        let config = Config::load(config, Config::default())?;
        let url = config.database_url()?;
        let telemetry = telemetry::start(&log_config(&config), &config.trace)?;
        let interrupted = lifecycle::shutdown_signal()?;
        let store =
            Store::connect(store_config(&config, url.clone())).await.map_err(|error| failure(&error))?;
        let stop = CancellationToken::new();
        let (channel, serving) = serve_in_memory(&store, stop.clone());
        let serving = tokio::spawn(serving);
        Ok((client::without_credential(channel), Self { store, url, interrupted, stop, serving, telemetry }))
    }

    /// Told when the user wants an end.
    pub(super) fn interrupted(&self) -> &CancellationToken {
        &self.interrupted
    }

    /// Lets workers copy in this process, until the token is cancelled; they finish their pages then.
    pub(super) fn work(&self, workers_max: u32, stop: CancellationToken) -> JoinHandle<()> {
        let workers = Workers::new(self.url.clone(), WorkerConfig { workers_max, ..WorkerConfig::default() });
        tokio::spawn(async move { workers.run(&stop).await })
    }

    /// Ends the service and closes the connections.
    pub(super) async fn close(self) {
        self.stop.cancel();
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the service within this process failed"),
            Err(error) => tracing::warn!(%error, "the service within this process was cut off"),
        }
        self.store.close().await;
        self.telemetry.flush().await;
    }
}

/// The flag is on whatever the shell says: nothing is appended here, and every phase permits it. Nobody else is to wait for
/// this process to follow a change of the phase. What `row_security` asks of those that serve is not asked of whoever migrates.
fn store_config(config: &Config, url: DatabaseUrl) -> StoreConfig {
    StoreConfig {
        partitions_v1: true,
        is_listed: false,
        row_security: RowSecurity::Auto,
        lanes: LaneConfig { count: 1, ..config.lanes },
        ..config.store(url)
    }
}

fn failure(error: &StartError) -> Failure {
    const WHAT: &str = "cannot work on the database";
    if let StartError::Schema(error) = error {
        return migrate::failure(WHAT, error);
    }
    let exit =
        if matches!(error, StartError::Unreachable { .. }) { Exit::Unreachable } else { Exit::Refused };
    Failure::new(exit, format!("{WHAT}: {error}")).because_of(error)
}

fn log_config(config: &Config) -> LogConfig {
    let LogConfig { format, filter } = config.log.clone();
    let is_default = filter == Config::default().log.filter;
    LogConfig { format, filter: if is_default { QUIET_FILTER.to_owned() } else { filter } }
}
