//! How a long-running command is told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// A token that is cancelled by Ctrl-C (SIGINT) or SIGTERM. From this call on, the first of them begins an orderly stop;
/// the second one ends the process at once, by the exit code that a shell gives to one that a signal ended.
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
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => ("SIGINT", 130),
                _ = terminate.recv() => ("SIGTERM", 143),
            }
        };
        let (signal, _) = next().await;
        tracing::info!(signal, "stopping, a second signal ends the process at once");
        token.cancel();
        let (signal, exit_code) = next().await;
        tracing::warn!(signal, "ended by a second signal, calls may be cut");
        std::process::exit(exit_code);
    });
    Ok(shutdown)
}
