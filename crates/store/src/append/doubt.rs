use std::time::Duration;

use partita_model::{Phase, TenantId, Timestamp, Uuid};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep, timeout_at};

use super::batch::Verdict;
use super::refusal::Failure;
use super::session::{Opener, Session, SessionId};

/// How long the fate of a transaction is looked for before its callers are told that it is unknown, unless a process is told
/// otherwise.
pub(crate) const DOUBT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks.
const RESOLVE_PAUSE: Duration = Duration::from_millis(100);

/// A transaction whose commit was not answered.
#[derive(Debug)]
pub(super) struct Doubt {
    /// What it wrote, unless it wrote nothing.
    pub(super) witness: Option<Witness>,
    /// What its callers are told if it was committed.
    pub(super) verdicts: Vec<Verdict>,
}

/// One event of a transaction: it recorded all of its events or none.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    pub(super) tenant: TenantId,
    pub(super) event_id: Uuid,
    pub(super) event_timestamp: Timestamp,
    /// The phase that it was written in, and so the tables where it is, if it is.
    pub(super) phase: Phase,
}

/// What became of a transaction whose commit was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its events are there, and on the synchronous standbys.
    Committed,
    /// It is over, and its events are not there.
    RolledBack,
    /// Not to be told in time.
    Unknown,
}

/// Finds out, on a new connection, what became of a transaction of `lost`, within so long. Hands over the connection where it
/// is of further use.
pub(super) async fn resolve(
    opener: &Opener,
    limit: Duration,
    names_tenants: bool,
    lost: SessionId,
    witness: &Witness,
) -> (Fate, Option<Session>) {
    let until = Instant::now() + limit;
    loop {
        if let Ok(mut session) = open(opener, names_tenants, witness).await {
            let looked = timeout_at(until, look(&mut session.connection, lost, witness)).await;
            match looked {
                Ok(Ok(Fate::Unknown)) | Err(_) => {}
                Ok(Ok(fate)) => {
                    tracing::info!(?fate, "the outcome of a commit was looked up");
                    return (fate, Some(session));
                }
                Ok(Err(error)) => tracing::warn!(%error, "the outcome of a commit cannot be looked up"),
            }
        }
        if Instant::now() >= until {
            return (Fate::Unknown, None);
        }
        sleep(RESOLVE_PAUSE).await;
    }
}

/// A session that may see the event.
async fn open(opener: &Opener, names_tenants: bool, witness: &Witness) -> Result<Session, Failure> {
    let mut session = opener.open().await?;
    if names_tenants {
        session.name_tenants(std::iter::once(&witness.tenant)).await?;
    }
    Ok(session)
}

/// A lost session may live on, and commit later: that an event is not there proves something only after its end. So the
/// session is looked at first, in a statement of its own, and the event after it.
async fn look(connection: &mut PgConnection, lost: SessionId, witness: &Witness) -> sqlx::Result<Fate> {
    let over = sqlx::query_file_scalar!("sql/append/is_session_over.sql", lost.pid, lost.started)
        .fetch_one(&mut *connection)
        .await?;
    if is_recorded(connection, witness).await? {
        // The session may have been ended while it waited for a standby: visible here is not yet safe there.
        sqlx::query_file_scalar!("sql/append/await_standbys.sql").fetch_one(&mut *connection).await?;
        return Ok(Fate::Committed);
    }
    Ok(if over { Fate::RolledBack } else { Fate::Unknown })
}

async fn is_recorded(connection: &mut PgConnection, witness: &Witness) -> sqlx::Result<bool> {
    let (tenant, event_id) = (witness.tenant.as_str(), witness.event_id);
    if !witness.phase.writes_partitioned() {
        let recorded = sqlx::query_file_scalar!("sql/append/is_recorded.sql", tenant, event_id);
        return recorded.fetch_one(connection).await;
    }
    let at = witness.event_timestamp.to_datetime();
    sqlx::query_file_scalar!("sql/append/is_recorded_partitioned.sql", tenant, event_id, at)
        .fetch_one(connection)
        .await
}
