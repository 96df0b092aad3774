//! `partita-planted serve --listen ADDRESS`: a service that has the bug which `PARTITA_PLANTED_BUG` names. It is another
//! program than `partita`, so that no build of that one can have one.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use partita_server::{ServerConfig, serve};
use partita_store::{DatabaseUrl, Store, StoreConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).with_ansi(false).init();
    let address = std::env::args().skip_while(|argument| argument != "--listen").nth(1);
    let listener = TcpListener::bind(address.context("no --listen")?).await?;
    let url = DatabaseUrl::parse(&std::env::var("DATABASE_URL")?).map_err(|error| anyhow!("{error}"))?;
    let mut config = StoreConfig::new(url);
    config.partitions_v1 = std::env::var("DB_PARTITIONS_V1").is_ok_and(|flag| flag == "1");
    config.maintenance.grace_days = 0;
    let store = Store::connect(config).await?;

    let shutdown = CancellationToken::new();
    let mut ended = signal(SignalKind::terminate())?;
    let ending = shutdown.clone();
    tokio::spawn(async move {
        ended.recv().await;
        ending.cancel();
    });
    let config = ServerConfig { drain_timeout: Duration::from_secs(5), ..ServerConfig::default() };
    serve(listener, store.clone(), config, shutdown).await?;
    store.close().await;
    Ok(())
}
