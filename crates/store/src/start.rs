use partita_model::{ControlPhase, Phase, PhaseContradiction};
use sqlx::PgPool;

use crate::schema::{self, MigrationState, SchemaError};
use crate::{DatabaseUrl, StoreConfig, row_security};

/// Makes event ids of legacy unique.
pub(crate) const MEND_IDS: &str =
    "CREATE UNIQUE INDEX CONCURRENTLY event_store_event_id_key ON public.event_store (event_id)";
/// Makes the versions of a stream in legacy unique.
pub(crate) const MEND_VERSIONS: &str = "CREATE UNIQUE INDEX CONCURRENTLY event_store_version_key ON public.event_store \
     (tenant_id, aggregate_type, aggregate_id, aggregate_version)";
/// How many migrations newer than this binary a schema may be. Each release keeps the schema usable for the one before
/// it, and brings fewer migrations than this: beyond it, releases were left out.
pub const SCHEMA_NEWER_MAX: usize = 16;

/// Why a process must not serve. Each says what mends it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database does not answer.
    #[error("cannot reach the database at {url}: check DATABASE_URL, and that PostgreSQL runs")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Migrations are missing.
    #[error("the schema lacks {} migrations, the first is {first}: run `partita migrate up`", .pending)]
    SchemaBehind {
        /// How many.
        pending: usize,
        /// The first.
        first: i64,
    },
    /// A migration that was applied is not the one of this binary.
    #[error(
        "migration {version} was applied from another text than this binary holds: run the release that applied it"
    )]
    SchemaChanged {
        /// Which.
        version: i64,
    },
    /// The schema is further ahead than one release.
    #[error(
        "the schema is {newer} migrations newer than this release, which knows how to live with \
         {SCHEMA_NEWER_MAX}: run a newer release"
    )]
    SchemaAhead {
        /// How many migrations this binary does not know.
        newer: usize,
    },
    /// The migrations cannot be read.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The legacy table does not keep what dual writing leans on.
    #[error("the legacy table event_store has no unique index on {missing}: {mend}")]
    LegacyConstraintMissing {
        /// Which columns.
        missing: &'static str,
        /// The statement to run.
        mend: &'static str,
    },
    /// The control row holds a phase that this binary does not know.
    #[error(
        "the control row holds the phase `{phase}`, which this release does not know: run a newer release"
    )]
    UnknownPhase {
        /// Which.
        phase: String,
    },
    /// Row security is asked for, and does not hold.
    #[error(
        "database.row_security is `require`, and login \"{login}\" reads every tenant of {tables}: log in as a member of \
         event_store_app that does not own them, and see docs/operations/roles.md for how row security is turned on"
    )]
    RowSecurityMissing {
        /// Who this process is.
        login: String,
        /// The tables on which it is free, with commas.
        tables: String,
    },
    /// Row security holds, and this process is told not to name its tenants.
    #[error(
        "database.row_security is `off`, and row security keeps login \"{login}\" to tenants that are named, so it would find \
         nothing: set it to `auto`, or run `SELECT event_store_disable_row_security()`"
    )]
    RowSecurityBinds {
        /// Who this process is.
        login: String,
    },
    /// The flag and the control row disagree.
    #[error(transparent)]
    Contradiction(#[from] PhaseContradiction),
}

impl StartError {
    /// Whether it may pass without a change to this process: somebody starts the database, or migrates it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::SchemaBehind { .. } => true,
            Self::Schema(SchemaError::Unreachable { .. }) => true,
            Self::Schema(SchemaError::Refused { .. } | SchemaError::Failed(_)) => false,
            Self::SchemaChanged { .. } | Self::SchemaAhead { .. } => false,
            Self::LegacyConstraintMissing { .. } | Self::UnknownPhase { .. } | Self::Contradiction(_) => {
                false
            }
            Self::RowSecurityMissing { .. } | Self::RowSecurityBinds { .. } => false,
        }
    }
}

/// What a process learns as it starts.
pub(crate) struct Found {
    /// What the control row holds.
    pub(crate) control: ControlPhase,
    /// Whether the database is to be told whose rows a statement is about.
    pub(crate) names_tenants: bool,
}

/// Checks all that a process needs before it serves.
pub(crate) async fn check(config: &StoreConfig, pool: &PgPool) -> Result<Found, StartError> {
    let unreachable = |source| StartError::Unreachable { url: config.database_url.to_string(), source };
    sqlx::query("SELECT").execute(pool).await.map_err(unreachable)?;
    check_schema(&config.database_url).await?;
    let found =
        sqlx::query_file!("sql/schema/inspect_legacy.sql").fetch_one(pool).await.map_err(unreachable)?;
    let control = ControlPhase::parse(&found.phase).map_err(|phase| StartError::UnknownPhase { phase })?;
    Phase::resolve(config.partitions_v1, control)?;
    if !found.ids_are_unique {
        return Err(StartError::LegacyConstraintMissing { missing: "(event_id)", mend: MEND_IDS });
    }
    if !found.versions_are_unique {
        return Err(StartError::LegacyConstraintMissing {
            missing: "(tenant_id, aggregate_type, aggregate_id, aggregate_version)",
            mend: MEND_VERSIONS,
        });
    }
    let standing = row_security::find(pool).await.map_err(unreachable)?;
    let names_tenants = standing.names_tenants(config.row_security)?;
    Ok(Found { control, names_tenants })
}

/// Migrations that this binary does not know are a newer release's: it keeps the schema usable for this one, up to
/// [`SCHEMA_NEWER_MAX`] of them.
async fn check_schema(url: &DatabaseUrl) -> Result<(), StartError> {
    let migrations = schema::status(url).await?;
    if let Some(changed) = migrations.iter().find(|migration| migration.state == MigrationState::Changed) {
        return Err(StartError::SchemaChanged { version: changed.version });
    }
    let newer = migrations.iter().filter(|migration| migration.state == MigrationState::Unknown).count();
    if newer > SCHEMA_NEWER_MAX {
        return Err(StartError::SchemaAhead { newer });
    }
    let mut pending = migrations.iter().filter(|migration| migration.state == MigrationState::Pending);
    match pending.next() {
        Some(first) => Err(StartError::SchemaBehind { first: first.version, pending: 1 + pending.count() }),
        None => Ok(()),
    }
}
