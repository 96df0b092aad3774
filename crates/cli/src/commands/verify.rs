mod chain;

use clap::{Args, Subcommand};

use crate::client::{self, ServerArgs};
use crate::failure::Failure;
use crate::output::Format;

/// Prove that what is stored is what was recorded.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(subcommand)]
    command: VerifyCommand,
}

#[derive(Debug, Subcommand)]
enum VerifyCommand {
    /// Recompute the hash chains, compare the two tables, check positions
    Chain(chain::ChainArgs),
}

/// Runs it through the admin API.
pub(crate) async fn run(args: VerifyArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    let client = client::partitions(client::connect(server).await?);
    match args.command {
        VerifyCommand::Chain(args) => chain::run(args, client, format).await,
    }
}
