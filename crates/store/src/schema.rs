//! The schema: migrations, embedded in the binary from `migrations/`.

use std::collections::HashMap;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::postgres::PgDatabaseError;
use sqlx::{ConnectOptions, PgConnection};

use crate::DatabaseUrl;

/// Where applied migrations are noted: a table of Partita's own, as the platform may keep one by sqlx's usual name.
const MIGRATION_TABLE: &str = "public.event_store_migration";

/// A migration of this binary, or one that the database has and this binary does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// Its name; empty when this binary does not know it.
    pub description: String,
    /// Where it stands.
    pub state: MigrationState,
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    /// It is applied.
    Applied,
    /// It is not.
    Pending,
    /// It was applied from another text than this binary holds.
    Changed,
    /// It is applied, and of a newer release.
    Unknown,
}

/// A migration that was just applied or undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub description: String,
}

/// Why the schema could not be read or moved.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database does not answer.
    #[error("cannot reach the database at {url}: check DATABASE_URL, and that PostgreSQL runs")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A migration said no, and changed nothing.
    #[error("migration {version} refused: {message}{}", hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default())]
    Refused {
        /// Which.
        version: i64,
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Anything else that went wrong with a migration.
    #[error("the schema could not be read or moved")]
    Failed(#[source] MigrateError),
}

/// Applies what is missing, each migration in a transaction of its own, and says what it applied.
///
/// # Errors
/// The migrations before the one that fails stay applied.
pub async fn up(url: &DatabaseUrl) -> Result<Vec<Applied>, SchemaError> {
    let before = status(url).await?;
    let mut connection = connect(url).await?;
    migrator().run(&mut connection).await.map_err(schema_error)?;
    changed(url, &before).await
}

/// Undoes, newest first, every migration above `to_version`, and says which.
///
/// # Errors
/// A migration refuses where an event would be lost; those above it are undone by then.
pub async fn down(url: &DatabaseUrl, to_version: i64) -> Result<Vec<Applied>, SchemaError> {
    let before = status(url).await?;
    let mut connection = connect(url).await?;
    migrator().undo(&mut connection, to_version).await.map_err(schema_error)?;
    let mut undone = changed(url, &before).await?;
    undone.reverse();
    Ok(undone)
}

/// All migrations, by number. Changes nothing, not even an empty database.
///
/// # Errors
/// When the database cannot be asked.
pub async fn status(url: &DatabaseUrl) -> Result<Vec<MigrationStatus>, SchemaError> {
    let mut connection = connect(url).await?;
    let applied = applied(&mut connection).await.map_err(schema_error)?;
    let mut applied: HashMap<i64, AppliedMigration> =
        applied.into_iter().map(|migration| (migration.version, migration)).collect();
    let migrator = migrator();
    let known = migrator.iter().filter(|migration| migration.migration_type.is_up_migration());
    let mut all: Vec<MigrationStatus> = known
        .map(|migration| MigrationStatus {
            version: migration.version,
            description: migration.description.to_string(),
            state: match applied.remove(&migration.version) {
                None => MigrationState::Pending,
                Some(applied) if applied.checksum == migration.checksum => MigrationState::Applied,
                Some(_) => MigrationState::Changed,
            },
        })
        .collect();
    all.extend(applied.into_keys().map(|version| MigrationStatus {
        version,
        description: String::new(),
        state: MigrationState::Unknown,
    }));
    all.sort_by_key(|migration| migration.version);
    Ok(all)
}

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("../../migrations");
    migrator.dangerous_set_table_name(MIGRATION_TABLE);
    // A newer release may have migrated further; what it added is not this binary's to judge.
    migrator.set_ignore_missing(true);
    migrator
}

async fn connect(url: &DatabaseUrl) -> Result<PgConnection, SchemaError> {
    let options = url.options().application_name("partita migrate").options([("lock_timeout", "5000")]);
    options.connect().await.map_err(|source| SchemaError::Unreachable { url: url.to_string(), source })
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>, MigrateError> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(MIGRATION_TABLE)
        .fetch_one(&mut *connection)
        .await?;
    if exists { connection.list_applied_migrations(MIGRATION_TABLE).await } else { Ok(Vec::new()) }
}

/// The migrations whose state is no longer what it was.
async fn changed(url: &DatabaseUrl, before: &[MigrationStatus]) -> Result<Vec<Applied>, SchemaError> {
    let after = status(url).await?;
    let moved = after.into_iter().filter(|migration| !before.contains(migration));
    Ok(moved
        .map(|migration| Applied { version: migration.version, description: migration.description })
        .collect())
}

fn schema_error(error: MigrateError) -> SchemaError {
    if let MigrateError::ExecuteMigration(sqlx::Error::Database(database), version) = &error
        && let Some(refusal) = database.try_downcast_ref::<PgDatabaseError>()
    {
        return SchemaError::Refused {
            version: *version,
            message: refusal.message().to_owned(),
            hint: refusal.hint().map(str::to_owned),
        };
    }
    SchemaError::Failed(error)
}
