mod doctor;

use clap::{Args, Subcommand};

use crate::config::ConfigArgs;
use crate::failure::Failure;
use crate::output::Format;

/// Move a live legacy table into partitions.
#[derive(Debug, Args)]
pub(crate) struct MigrationArgs {
    #[command(subcommand)]
    command: MigrationCommand,
}

#[derive(Debug, Subcommand)]
enum MigrationCommand {
    /// Check a legacy table that Partita did not make: what blocks its adoption, and what it costs to mend
    Doctor(doctor::DoctorArgs),
}

pub(crate) async fn run(args: MigrationArgs, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    match args.command {
        MigrationCommand::Doctor(args) => doctor::run(args, config, format).await,
    }
}
