use partita_model::{Month, TenantId};
use sqlx::postgres::PgDatabaseError;

use crate::Direction;

/// Why the migration did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database does not answer, or not any more.
    #[error("the database cannot be reached: check DATABASE_URL, and that PostgreSQL runs")]
    Unreachable(#[source] sqlx::Error),
    /// Other sessions held what was needed; nothing was changed.
    #[error("other sessions hold what this needs, nothing was changed: try again")]
    Busy(#[source] sqlx::Error),
    /// A condition does not hold; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A defect, or a right that the role lacks.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// The database holds something that this release does not know.
    #[error("the database holds {0}, which this release does not know: use the release that wrote it")]
    Unknown(String),
}

/// A condition that does not hold. Its text says which; [`Refusal::mend`] what mends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Pages are read by an index that is not there.
    #[error(
        "no valid index of event_store begins with (tenant_id, event_timestamp): each page would read its tenant whole"
    )]
    IndexMissing,
    /// A tenant that is not to be found in either table.
    #[error("tenant `{0}` has no events")]
    TenantUnknown(TenantId),
    /// The backfill is not in a state for it.
    #[error("the backfill is {state}, it cannot be {wanted}")]
    State {
        /// Where it is.
        state: String,
        /// What was asked.
        wanted: &'static str,
    },
    /// A backfill in the other direction is under way.
    #[error("a backfill of direction {0} is under way")]
    OtherDirection(Direction),
    /// The phase is not one for it.
    #[error("the phase is {phase}, {wanted} begins at {from}")]
    Phase {
        /// Where the fleet is.
        phase: String,
        /// What was asked.
        wanted: &'static str,
        /// Where it would have to be.
        from: &'static str,
    },
    /// There is history that no backfill has finished.
    #[error("{units} months are not backfilled{}", first.as_ref().map(|(tenant, month)| format!(", the first is {month} of tenant `{tenant}`")).unwrap_or_default())]
    NotBackfilled {
        /// How many months.
        units: u64,
        /// One of them.
        first: Option<(String, Month)>,
    },
    /// More rows were left by the last look than may be.
    #[error("the last look left {rows} rows uncopied: another program writes to event_store alone")]
    TailTooLong {
        /// How many.
        rows: u64,
    },
    /// Rows could not be copied.
    #[error("{rows} rows are in quarantine: they could not be copied")]
    Quarantine {
        /// How many.
        rows: u64,
    },
    /// Rows that no tenant owns.
    #[error("event_store has rows without a tenant: no partition can hold them")]
    Tenantless,
    /// Rows could not be copied back.
    #[error("{rows} rows are in quarantine: event_store refuses them")]
    Uncopied {
        /// How many.
        rows: u64,
    },
    /// The tables differ.
    #[error("{rows} differences between the tables are open")]
    Mismatches {
        /// How many.
        rows: u64,
    },
    /// Tenants that are not proved equal since the fence went up.
    #[error("{tenants} tenants are not verified since the fence went up, the first is `{first}`")]
    NotVerified {
        /// How many.
        tenants: u64,
        /// One of them.
        first: String,
    },
    /// Processes that would not follow.
    #[error("{count} of the processes that serve are not ready: {first}")]
    Instances {
        /// How many.
        count: u64,
        /// One of them, and what is wrong with it.
        first: String,
    },
    /// Row security keeps the login from tenants that are not named, and this is about all of them.
    #[error("row security keeps this login from tenants that are not named, and this looks at all of them")]
    RowSecurity,
    /// Nothing was ever found to repair.
    #[error("no difference is open that a command could repair")]
    NothingToRepair,
}

impl Refusal {
    /// A word for programs, stable across releases.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IndexMissing => "INDEX_MISSING",
            Self::TenantUnknown(_) => "TENANT_UNKNOWN",
            Self::State { .. } => "BACKFILL_STATE",
            Self::OtherDirection(_) => "OTHER_DIRECTION",
            Self::Phase { .. } => "PHASE",
            Self::NotBackfilled { .. } => "NOT_BACKFILLED",
            Self::TailTooLong { .. } => "TAIL_TOO_LONG",
            Self::Quarantine { .. } | Self::Uncopied { .. } | Self::Tenantless => "QUARANTINE",
            Self::Mismatches { .. } => "MISMATCHES",
            Self::NotVerified { .. } => "NOT_VERIFIED",
            Self::Instances { .. } => "INSTANCES",
            Self::RowSecurity => "ROW_SECURITY",
            Self::NothingToRepair => "NOTHING_TO_REPAIR",
        }
    }

    /// The command or statement that mends it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::IndexMissing => {
                "CREATE INDEX CONCURRENTLY event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp)"
            }
            Self::TenantUnknown(_) => "`partita migration plan` lists the tenants",
            Self::State { .. } => "`partita migration status` tells where it stands",
            Self::OtherDirection(_) => "let it end, or `partita migration backfill cancel`",
            Self::Phase { .. } => "`partita migration status` tells the phase and the ways from it",
            Self::NotBackfilled { .. } => "`partita migration backfill start`, and let it end",
            Self::TailTooLong { .. } => {
                "set DB_PARTITIONS_V1=1 everywhere, stop what writes to event_store alone, then `partita migration backfill start`"
            }
            Self::Quarantine { .. } => {
                "`partita migration mismatches` lists them; correct the rows, then `partita migration backfill start`"
            }
            Self::Tenantless => {
                "`partita migration backfill start` puts them into quarantine, `partita migration mismatches` lists them; correct the rows"
            }
            Self::Uncopied { .. } => {
                "`partita migration mismatches` lists them; mend event_store, or leave them behind with `partita migration accept`; \
                 then `partita migration restore --execute`"
            }
            Self::Mismatches { .. } => {
                "`partita migration mismatches` lists them; `partita migration repair`, then `partita migration verify`"
            }
            Self::NotVerified { .. } => "`partita migration verify --unverified`",
            Self::Instances { .. } => {
                "restart it with DB_PARTITIONS_V1=1 and this release, or wait half a minute where it is gone"
            }
            Self::RowSecurity => {
                "use a login that is a member of event_store_maintenance or of the owner and not of event_store_app, or a process with one"
            }
            Self::NothingToRepair => "`partita migration mismatches` lists what is open",
        }
    }
}

impl MigrationError {
    /// Whether the same question may be answered a moment later: the database was away, or other sessions were in the way.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_))
    }

    /// The sessions that hold what a change of the phase needs, in words: `event_store_phase_blockers` names them. None for
    /// other errors, and where nobody knows.
    pub fn holders(&self) -> Option<&str> {
        let Self::Busy(cause) = self else { return None };
        cause.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.detail()
    }
}

/// PostgreSQL's code of an error, empty where there is none.
pub(crate) fn sqlstate(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned()).unwrap_or_default()
}

/// Whether the same statement may succeed a moment later: a lock that was not had, a deadlock, a leaf that somebody else was
/// just making or detaching, a statement that was cancelled for one of these.
pub(crate) fn is_contention(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_str(), "55P03" | "40P01" | "40001" | "55000" | "57014" | "42P07")
}

/// Whether a row is to blame: a value that the other table cannot hold, a constraint, a key that is too long for an index.
pub(crate) fn is_of_row(error: &sqlx::Error) -> bool {
    let code = sqlstate(error);
    (code.starts_with("22") || code.starts_with("23") || code.starts_with("54"))
        && !is_partition_missing(error)
}

/// A row without a partition is reported as a check violation that names no constraint.
pub(crate) fn is_partition_missing(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.code().as_deref() == Some("23514") && error.constraint().is_none()
}

impl From<sqlx::Error> for MigrationError {
    fn from(error: sqlx::Error) -> Self {
        if is_contention(&error) {
            return Self::Busy(error);
        }
        let is_lost = matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        );
        if is_lost || ["08", "57"].contains(&sqlstate(&error).get(..2).unwrap_or_default()) {
            Self::Unreachable(error)
        } else {
            Self::Database(error)
        }
    }
}
