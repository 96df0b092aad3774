//! How a long-running command is told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// A token that is cancelled by Ctrl-C (SIGINT) or SIGTERM. From this call on, neither ends the process by itself.
///
/// # Errors
/// When the operating system refuses a signal handler.
pub(crate) fn shutdown_signal() -> Result<CancellationToken, Failure> {
    let refused = |error| Failure::internal("cannot listen for signals").because(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        tracing::info!(signal = name, "stopping");
        token.cancel();
    });
    Ok(shutdown)
}
