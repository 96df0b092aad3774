use partita_server::{Probes, serve_ops};
use tokio_util::task::AbortOnDropHandle;

use super::listen;
use crate::config::Config;
use crate::failure::Failure;
use crate::telemetry::Telemetry;

/// Serves probes and metrics until the handle is dropped, from before the database is there until everything is over.
/// None where there is to be no such port.
///
/// # Errors
/// When the port is taken.
pub(in crate::commands) async fn start(
    config: &Config,
    probes: &Probes,
    telemetry: &Telemetry,
) -> Result<Option<AbortOnDropHandle<()>>, Failure> {
    let Some(address) = config.ops_listen else { return Ok(None) };
    let listener = listen(address, "ops.listen").await?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(ops.listen = %address, "probes and metrics");
    let serving = serve_ops(listener, probes.clone(), telemetry.metrics());
    let task = tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the port of probes and metrics was lost");
        }
    });
    Ok(Some(AbortOnDropHandle::new(task)))
}
