use partita_model::{ControlPhase, Uuid};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::doubt::Doubt;
use crate::Forbidding;

/// `pg_terminate_backend`, or a fast shutdown.
const ADMIN_SHUTDOWN: &str = "57P01";

/// The fence of the legacy table (`event_store_refuse_unfenced`).
const FENCED: &str = "PTF01";

/// Classes of SQLSTATEs that say nothing of the statement: connection, resources (a full disk, memory, connections),
/// an operator's intervention, an I/O error of the server.
const UNAVAILABLE_CLASSES: [&str; 4] = ["08", "53", "57", "58"];

/// What a failed transaction means for the appends in it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Somebody else won a race, or the database chose a victim: the transaction is rolled back, and can be run
    /// again as it was.
    Race {
        /// The unique index that was lost, where it was one.
        constraint: Option<String>,
        /// The event id that is taken, where it was the key of events.
        event_id: Option<Uuid>,
    },
    /// Another session held a lock for longer than is waited for.
    Busy,
    /// A tenant or a month has no partition.
    NoPartition,
    /// The control row says something else than the transaction was made for.
    OtherPhase(ControlPhase),
    /// The legacy table is fenced, and this session does not write both tables.
    Fenced,
    /// The data are refused, and would be again.
    Refused(Refusal),
    /// The login may not.
    Forbidden(Forbidding),
    /// The database cannot work now; nothing is recorded.
    Unavailable,
    /// The connection was lost during the commit.
    InDoubt(Box<Doubt>),
    /// The database surprised us.
    Defect,
}

/// Why the data of an append are refused for good.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A value that a column cannot hold (SQLSTATE class 22).
    Value,
    /// A constraint or a trigger of the legacy table.
    Legacy(String),
}

/// Sorts the error of a statement before COMMIT: whatever it is, nothing is recorded.
pub(super) fn before_commit(error: &sqlx::Error) -> Failure {
    let failure = match database_error(error) {
        Some(error) => by_sqlstate(error),
        None if is_connection_lost(error) => Failure::Unavailable,
        None => Failure::Defect,
    };
    log(&failure, error);
    failure
}

/// Sorts the error of a commit. One that PostgreSQL itself reports has rolled the transaction back; so has the end of a
/// session by an administrator, who is told of a transaction that was committed already by a warning, not by an error.
/// Other ends of a session may come after the commit.
pub(super) fn during_commit(error: &sqlx::Error, doubt: impl FnOnce() -> Doubt) -> Failure {
    let certain = |error: &&PgDatabaseError| {
        !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) || error.code() == ADMIN_SHUTDOWN
    };
    let failure = match database_error(error).filter(certain) {
        Some(error) => by_sqlstate(error),
        None => Failure::InDoubt(Box::new(doubt())),
    };
    log(&failure, error);
    failure
}

fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref())
}

/// Whether the error means that there is no connection, or none any more.
pub(crate) fn is_connection_lost(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    )
}

/// Whether the error says that the database cannot work now, and may later: the connection is lost, or PostgreSQL reports
/// so itself.
pub(crate) fn is_unavailable(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let passing = |code: &str| UNAVAILABLE_CLASSES.iter().any(|class| code.starts_with(class));
    code.as_deref().is_some_and(passing) || is_connection_lost(error)
}

/// PostgreSQL's error codes (manual, appendix A), by what they say of the append.
fn by_sqlstate(error: &PgDatabaseError) -> Failure {
    match error.code() {
        "23505" => Failure::Race {
            constraint: error.constraint().map(str::to_owned),
            event_id: taken_event_id(error),
        },
        // Serialization failure, deadlock.
        "40001" | "40P01" => Failure::Race { constraint: None, event_id: None },
        "55P03" => Failure::Busy,
        // A row without a partition is reported as a check violation that names no constraint.
        "23514" if error.constraint().is_none() => Failure::NoPartition,
        "23502" => Failure::Refused(Refusal::Legacy(error.column().unwrap_or("NOT NULL").to_owned())),
        code if code.starts_with("23") => {
            Failure::Refused(Refusal::Legacy(error.constraint().unwrap_or(code).to_owned()))
        }
        FENCED => Failure::Fenced,
        // Where it was raised is not translated: by a policy's check, or for want of a grant.
        "42501" => Failure::Forbidden(match error.routine() {
            Some("ExecWithCheckOptions") => Forbidding::RowSecurity,
            Some(_) | None => Forbidding::Role,
        }),
        // A trigger of the legacy table raised it.
        code @ ("P0001" | "45000") => Failure::Refused(Refusal::Legacy(code.to_owned())),
        code if code.starts_with("22") => Failure::Refused(Refusal::Value),
        // 25006: a standby that is read-only.
        code if UNAVAILABLE_CLASSES.contains(&&code[..2]) || code == "25006" => Failure::Unavailable,
        _ => Failure::Defect,
    }
}

/// The id in `Key (event_id)=(…) already exists.`; the words may be translated, the value is not.
fn taken_event_id(error: &PgDatabaseError) -> Option<Uuid> {
    let detail = error.detail()?;
    let (_, value) = detail.split_once("(event_id)=(")?;
    value.split_once(')').and_then(|(id, _)| Uuid::parse_str(id).ok())
}

/// The one place where the database's own words about an append are logged.
fn log(failure: &Failure, error: &sqlx::Error) {
    match failure {
        Failure::Race { .. } | Failure::NoPartition | Failure::OtherPhase(_) | Failure::Fenced => {
            tracing::debug!(%error, "append transaction lost a race");
        }
        Failure::Refused(_) => tracing::info!(%error, "append refused by the database"),
        Failure::Forbidden(_) => tracing::warn!(%error, "the role of this process may not append"),
        Failure::Busy => tracing::warn!(%error, "append waited too long for a lock"),
        Failure::Unavailable => tracing::warn!(%error, "database not available for an append"),
        Failure::InDoubt(_) => tracing::warn!(%error, "connection lost during commit"),
        Failure::Defect => tracing::error!(%error, "append failed unexpectedly"),
    }
}
