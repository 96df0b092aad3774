mod backfill;
mod doctor;
mod lists;
mod moves;
mod plan;
mod progress;
mod repair;
mod status;
mod verify;

use clap::{Args, Subcommand};
use partita_migration::{Migration, MigrationError, Refusal};
use partita_model::TenantId;
use partita_store::schema::{self, MigrationState};

use crate::config::{Config, ConfigArgs};
use crate::failure::{Exit, Failure};
use crate::output::Format;

/// Move a live table: backfill, proof, phases, and the way back.
#[derive(Debug, Args)]
pub(crate) struct MigrationArgs {
    /// Who acts: noted with what is changed
    #[arg(long, env = "USER", value_name = "NAME", default_value = "partita-cli", global = true)]
    by: String,
    #[command(subcommand)]
    command: MigrationCommand,
}

#[derive(Debug, Subcommand)]
enum MigrationCommand {
    /// Check a legacy table that Partita did not make: what blocks its adoption, and what it costs to mend
    Doctor(doctor::DoctorArgs),
    #[command(flatten)]
    Step(StepCommand),
}

/// What needs the schema.
#[derive(Debug, Subcommand)]
enum StepCommand {
    /// Tell where it stands: phase, progress, what throttles it, what blocks, which processes serve
    Status(status::StatusArgs),
    /// List the months that a backfill would look at; changes nothing
    Plan,
    /// Copy history from the legacy table to the partitioned one
    Backfill(backfill::BackfillArgs),
    /// List the rows that could not be copied
    Quarantine,
    /// Prove that both tables hold the same; exit code 3 where they do not
    Verify(verify::VerifyArgs),
    /// List the differences that are open
    Mismatches(lists::MismatchArgs),
    /// Mend what a command can mend, and print the SQL for what it must not
    Repair(repair::RepairArgs),
    /// Let the legacy table refuse whoever does not write both tables
    Fence(moves::MoveArgs),
    /// Take the fence down
    Unfence(moves::MoveArgs),
    /// Leave the legacy table behind
    Finalize(moves::MoveArgs),
    /// Bring the legacy table back: both are written again, and it is filled up and compared
    Restore(moves::RestoreArgs),
}

/// Works on the database that the configuration names, without a server.
pub(crate) async fn run(args: MigrationArgs, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    match args.command {
        MigrationCommand::Doctor(args) => doctor::run(args, config, format).await,
        MigrationCommand::Step(command) => step(command, &args.by, config, format).await,
    }
}

async fn step(command: StepCommand, by: &str, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    let url = Config::load(config, Config::default())?.database_url()?;
    check_schema(&url).await?;
    let migration = &Migration::new(url.clone());
    match command {
        StepCommand::Status(args) => status::run(args, migration, format).await,
        StepCommand::Plan => plan::run(migration, format).await,
        StepCommand::Backfill(args) => backfill::run(args, migration, url, by, format).await,
        StepCommand::Quarantine => lists::quarantine(migration, format).await,
        StepCommand::Verify(args) => verify::run(args, migration, format).await,
        StepCommand::Mismatches(args) => lists::mismatches(args, migration, format).await,
        StepCommand::Repair(args) => repair::run(args, migration, by, format).await,
        StepCommand::Fence(args) => moves::fence(args, migration, by, format).await,
        StepCommand::Unfence(args) => moves::unfence(args, migration, by, format).await,
        StepCommand::Finalize(args) => moves::finalize(args, migration, by, format).await,
        StepCommand::Restore(args) => moves::restore(args, migration, by, format).await,
    }
}

/// Every statement leans on the schema: a migration that is missing is told as such, not as a table that is not there.
async fn check_schema(url: &partita_store::DatabaseUrl) -> Result<(), Failure> {
    let status = schema::status(url).await.map_err(|error| super::migrate::failure("cannot tell", &error))?;
    match status.iter().filter(|migration| migration.state == MigrationState::Pending).count() {
        0 => Ok(()),
        pending => Err(Failure::refused(format!("the schema lacks {pending} migrations"))
            .next("run `partita migrate up`")),
    }
}

/// How the migration's trouble ends the program.
fn failure(what: &str, error: &MigrationError) -> Failure {
    match error {
        MigrationError::Refused(refusal) => refused(what, refusal),
        MigrationError::Unreachable(_) | MigrationError::Busy(_) => {
            Failure::new(Exit::Unreachable, format!("{what}: {error}")).because_of(error)
        }
        MigrationError::Database(_) => Failure::internal(format!("{what}: {error}")).because_of(error),
        MigrationError::Unknown(_) => Failure::refused(format!("{what}: {error}")),
    }
}

fn refused(what: &str, refusal: &Refusal) -> Failure {
    Failure::refused(format!("{what}: {refusal}")).fact("reason", refusal.code()).next(refusal.mend())
}

fn parse_tenant(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text)
}
