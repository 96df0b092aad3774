use std::time::Duration;

use partita_server::{ProbeState, Probes};
use partita_store::{DatabaseUrl, Store};
use tokio_util::sync::CancellationToken;

use super::refused_start;
use crate::config::Config;
use crate::failure::Failure;

/// The first pause before another attempt; each one after it is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause: so long at most after the database is there, this process serves.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Opens the store. What may pass without a change to this process (no database, a schema that is still to be migrated)
/// is waited for, as long as it takes: whoever asks `/startupz` or reads the log is told what it is and what mends it.
/// None when the process is told to stop meanwhile.
///
/// # Errors
/// What will not pass: the process ends, and says why.
pub(super) async fn store(
    config: &Config,
    database_url: &DatabaseUrl,
    probes: &Probes,
    shutdown: &CancellationToken,
) -> Result<Option<Store>, Failure> {
    let mut pause = PAUSE_MIN;
    probes.set(ProbeState::Starting(format!("connecting to the database at {database_url}")));
    loop {
        let connecting = Store::connect(config.store(database_url.clone()));
        let Some(connected) = shutdown.run_until_cancelled(connecting).await else { return Ok(None) };
        let error = match connected {
            Ok(store) => return Ok(Some(store)),
            Err(error) if error.may_pass() => error,
            Err(error) => return Err(refused_start(&error)),
        };
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(
            retry_after_ms = pause.as_millis(),
            cause = cause.as_deref().unwrap_or_default(),
            "cannot serve yet: {error}"
        );
        probes.set(ProbeState::Starting(error.to_string()));
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(None);
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
