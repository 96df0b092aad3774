//! The doctor: everything that is worth knowing of a database before a process serves on it, in the order in which to
//! mend it. It asks, and changes nothing.

mod check;
mod clock;
mod connections;
mod legacy;
mod locks;
mod partitions;
mod roles;
mod server;
mod settings;
mod snapshots;

use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};
use tokio::time::timeout;

use self::check::{Answer, Checks};
pub use self::check::{Check, Verdict};
use crate::connect::{CONNECT_TIMEOUT, doctor_options};
use crate::schema::{self, MigrationState};
use crate::{DatabaseUrl, StoreConfig};

/// Longest wait for one answer. The database itself gives up on a statement earlier, after 30 s.
const CHECK_TIMEOUT: Duration = Duration::from_secs(40);

/// Looks at all of it. A check that leans on one that failed is skipped, and says so; a question that the database does
/// not answer is a failed check, never an error.
pub async fn examine(config: &StoreConfig) -> Vec<Check> {
    let mut checks = Checks::new(CHECK_TIMEOUT);
    let mut connection = match connect(&config.database_url).await {
        Ok(connection) => connection,
        Err(answer) => {
            checks.note("reachable", answer);
            return checks.into_vec();
        }
    };
    checks.note("reachable", Answer::ok(config.database_url.to_string()));

    checks.ask("version", server::check_version(&mut connection)).await;
    checks.ask("writable", server::check_writable(&mut connection)).await;
    checks.ask("encoding", server::check_encoding(&mut connection)).await;
    checks.ask("clock", clock::check(&mut connection)).await;
    checks.ask("durability", settings::check_durability(&mut connection)).await;
    checks.ask("session_settings", settings::check_session(&mut connection)).await;
    checks.ask("statistics", settings::check_statistics(&mut connection)).await;
    checks.ask("connections", connections::check(&mut connection, config)).await;
    checks.ask("old_snapshots", snapshots::check(&mut connection)).await;

    let schema = check_schema(&config.database_url).await;
    let is_there = schema.verdict != Verdict::Fail;
    checks.note("schema", schema);
    if is_there {
        checks.ask("phase", legacy::check_phase(&mut connection, config)).await;
        checks.ask("legacy_unique_ids", legacy::check_ids(&mut connection)).await;
        checks.ask("legacy_unique_versions", legacy::check_versions(&mut connection)).await;
        checks.ask("legacy_index_by_tenant", legacy::check_leading_tenant(&mut connection)).await;
        checks.ask("privileges", roles::check_privileges(&mut connection)).await;
        checks.ask("role", roles::check_role(&mut connection, config)).await;
        checks.ask("row_security", roles::check_row_security(&mut connection, config)).await;
        checks.ask("months_ahead", partitions::check_months(&mut connection, config)).await;
        checks.ask("pending_detaches", partitions::check_pending(&mut connection, config)).await;
        checks.ask("stray_tables", partitions::check_strays(&mut connection)).await;
        checks.ask("lock_table", locks::check(&mut connection)).await;
    } else {
        for name in SCHEMA_CHECKS {
            checks.note(name, Answer::skip("the schema is not as this release needs it"));
        }
    }
    checks.into_vec()
}

/// Checks that ask the tables and functions of the schema.
const SCHEMA_CHECKS: [&str; 11] = [
    "phase",
    "legacy_unique_ids",
    "legacy_unique_versions",
    "legacy_index_by_tenant",
    "privileges",
    "role",
    "row_security",
    "months_ahead",
    "pending_detaches",
    "stray_tables",
    "lock_table",
];

async fn connect(url: &DatabaseUrl) -> Result<PgConnection, Answer> {
    let fix = "check DATABASE_URL, that PostgreSQL runs, and that pg_hba.conf lets this host in";
    let unreachable =
        |cause: String| Answer::fail(format!("{url} does not let this host in: {cause}"), fix.to_owned());
    match timeout(CONNECT_TIMEOUT, doctor_options(url).connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
    }
}

/// As a process asks when it starts.
async fn check_schema(url: &DatabaseUrl) -> Answer {
    let migrations = match schema::status(url).await {
        Ok(migrations) => migrations,
        Err(error) => {
            return Answer::fail(error.to_string(), "run `partita migrate status`".to_owned());
        }
    };
    let of = |state| migrations.iter().filter(move |migration| migration.state == state);
    if let Some(changed) = of(MigrationState::Changed).next() {
        let found =
            format!("migration {:04} was applied from another text than this binary holds", changed.version);
        return Answer::fail(found, "run the release that applied it".to_owned());
    }
    if let Some(first) = of(MigrationState::Pending).next() {
        let pending = of(MigrationState::Pending).count();
        let found = format!("{pending} migrations are pending, the first is {:04}", first.version);
        return Answer::fail(found, "partita migrate up".to_owned());
    }
    let applied = of(MigrationState::Applied).count();
    match of(MigrationState::Unknown).count() {
        0 => Answer::ok(format!("{applied} migrations applied")),
        newer => Answer::ok(format!("{applied} migrations applied, and {newer} of a newer release")),
    }
}
