use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::refusal::Written;

/// How long the fate of a transaction is looked for before its callers are told that it is unknown.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks.
pub(super) const RESOLVE_PAUSE: Duration = Duration::from_millis(100);
/// What `pg_xact_status` answers for an id that was not given out yet: the crash took the transaction with it.
const INVALID_PARAMETER_VALUE: &str = "22023";

/// What became of a transaction whose COMMIT was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its events are there.
    Committed,
    /// It is over, and its events are not there.
    RolledBack,
    /// Not to be told, or not yet.
    Unknown,
}

/// Asks until the transaction is over or the time is up. Its session may outlive the connection, and commit later:
/// that an event is not there proves nothing while the transaction is in progress.
pub(super) async fn resolve(connection: &mut PgConnection, written: &Written, until: Instant) -> Fate {
    loop {
        match look(connection, written).await {
            Ok(Fate::Unknown) if Instant::now() < until => sleep(RESOLVE_PAUSE).await,
            Ok(fate) => return fate,
            Err(error) => {
                tracing::warn!(%error, "the outcome of a commit cannot be looked up");
                return Fate::Unknown;
            }
        }
    }
}

async fn look(connection: &mut PgConnection, written: &Written) -> sqlx::Result<Fate> {
    let found = sqlx::query_file!(
        "sql/append/find_outcome.sql",
        written.transaction_id,
        written.tenant.as_str(),
        written.event_id
    )
    .fetch_one(connection)
    .await;
    match found {
        Ok(found) if found.recorded => Ok(Fate::Committed),
        Ok(found) => Ok(match found.status.as_deref() {
            Some("aborted") => Fate::RolledBack,
            // Committed after this statement took its snapshot, in progress, or too old to be known.
            _ => Fate::Unknown,
        }),
        Err(error) => match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some(INVALID_PARAMETER_VALUE) => Ok(Fate::RolledBack),
            _ => Err(error),
        },
    }
}
