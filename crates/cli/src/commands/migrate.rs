use clap::{Args, Subcommand};
use partita_store::schema::{self, Applied, MigrationState, MigrationStatus, SchemaError};
use serde::Serialize;

use crate::config::{Config, ConfigArgs};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Bring the schema up or down.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Apply what is pending
    Up,
    /// Undo every migration above a version
    Down {
        /// The version to keep; 0 undoes all
        #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(i64).range(0..))]
        to: i64,
    },
    /// Tell which migrations are applied; exit code 3 if anything is pending, changed or unknown
    Status,
}

#[derive(Debug, Serialize)]
struct AppliedDocument {
    version: i64,
    description: String,
}

#[derive(Debug, Serialize)]
struct StatusDocument {
    version: i64,
    description: String,
    state: &'static str,
}

/// Works on the database that the configuration names, without a server.
pub(crate) async fn run(args: MigrateArgs, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    let url = Config::load(config, Config::default())?.database_url()?;
    match args.command {
        MigrateCommand::Up => {
            let applied = schema::up(&url).await.map_err(|error| failure("cannot migrate", &error))?;
            print_applied(applied, "applied", format)
        }
        MigrateCommand::Down { to } => {
            let undone = schema::down(&url, to).await.map_err(|error| failure("cannot undo", &error))?;
            print_applied(undone, "undone", format)
        }
        MigrateCommand::Status => {
            let status = schema::status(&url).await.map_err(|error| failure("cannot tell", &error))?;
            print_status(status, format)
        }
    }
}

fn print_applied(migrations: Vec<Applied>, verb: &str, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let documents = migrations
            .into_iter()
            .map(|Applied { version, description }| AppliedDocument { version, description });
        return output::json(&documents.collect::<Vec<_>>());
    }
    for Applied { version, description } in &migrations {
        output::line(&format!("{verb} {version:04} {description}"))?;
    }
    match migrations.len() {
        0 => output::line("nothing to do"),
        count => output::line(&format!("migrations {verb}: {count}")),
    }
}

fn print_status(status: Vec<MigrationStatus>, format: Format) -> Result<(), Failure> {
    let off = status.iter().filter(|migration| migration.state != MigrationState::Applied).count();
    let documents: Vec<_> = status.into_iter().map(StatusDocument::from).collect();
    match format {
        Format::Json => output::json(&documents)?,
        Format::Table => {
            let rows = documents
                .iter()
                .map(|it| vec![format!("{:04}", it.version), it.state.to_owned(), it.description.clone()]);
            output::table(&["version", "state", "description"], rows.collect())?;
        }
    }
    match off {
        0 => Ok(()),
        off => {
            let failure =
                Failure::refused(format!("migrations that are not as this binary wants them: {off}"));
            Err(failure.next(
                "pending: run `partita migrate up`; changed or unknown: use the release that applied them",
            ))
        }
    }
}

impl From<MigrationStatus> for StatusDocument {
    fn from(status: MigrationStatus) -> Self {
        let state = match status.state {
            MigrationState::Applied => "applied",
            MigrationState::Pending => "pending",
            MigrationState::Changed => "changed",
            MigrationState::Unknown => "unknown",
        };
        Self { version: status.version, description: status.description, state }
    }
}

/// How a migration's trouble ends the program.
pub(crate) fn failure(what: &str, error: &SchemaError) -> Failure {
    let exit = match error {
        SchemaError::Unreachable { .. } => Exit::Unreachable,
        SchemaError::Refused { .. } => Exit::Refused,
        SchemaError::Failed(_) => Exit::Internal,
    };
    Failure::new(exit, format!("{what}: {error}")).because_of(error)
}
