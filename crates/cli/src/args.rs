//! The command line, as `--help` tells it. What a command's flags mean in detail stands with the command.

use clap::{Args, Parser, Subcommand};

use crate::client::ServerArgs;
use crate::commands::append::AppendArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::config::ConfigCommandArgs;
use crate::commands::dev::DevArgs;
use crate::commands::doctor::DoctorArgs;
use crate::commands::drill::DrillArgs;
use crate::commands::errors::ErrorsArgs;
use crate::commands::health::HealthArgs;
use crate::commands::import::ImportArgs;
use crate::commands::man::ManArgs;
use crate::commands::migrate::MigrateArgs;
use crate::commands::migration::MigrationArgs;
use crate::commands::partitions::PartitionsArgs;
use crate::commands::read::ReadArgs;
use crate::commands::recorded::RecordedArgs;
use crate::commands::reference::ReferenceArgs;
use crate::commands::serve::ServeArgs;
use crate::commands::verify::VerifyArgs;
use crate::config::ConfigArgs;
use crate::output::Output;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a defect, or trouble of this machine
  2  the command line or the configuration is wrong
  3  something was refused, or found that should not be there
  4  the server or the database cannot be reached, or takes no work now
  5  conflict: the stream stands elsewhere, or an event id is taken";

/// An event store on PostgreSQL, served over gRPC.
///
/// New here: `partita dev` runs it all on this machine.
#[derive(Debug, Parser)]
#[command(name = "partita", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Output,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant a command, each with a file in `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: a private PostgreSQL, history in the legacy table, the server
    Dev(WithConfig<DevArgs>),
    /// Serve gRPC on the database that DATABASE_URL names
    Serve(WithConfig<ServeArgs>),
    /// Bring the database's schema up, down, or tell where it stands
    Migrate(WithConfig<MigrateArgs>),
    /// Examine the database: what is wrong with it, or will be, each with what mends it
    Doctor(WithConfig<DoctorArgs>),
    /// Move a live table: backfill, proof, phases, and the way back, on the database that DATABASE_URL names
    Migration(WithConfig<MigrationArgs>),
    /// Rehearse a migration on a PostgreSQL of its own: load, kills, every phase and back, and an account of it
    Drill(DrillArgs),
    /// Check, show or explain the configuration
    Config(WithConfig<ConfigCommandArgs>),
    /// Make, expire, restore, check and list partitions, through a server
    Partitions(WithServer<PartitionsArgs>),
    /// Append events to a stream, through a server
    Append(Box<WithServer<AppendArgs>>),
    /// Read a stream, through a server
    Read(WithServer<ReadArgs>),
    /// Tell which events are recorded, by their ids, through a server
    Recorded(WithServer<RecordedArgs>),
    /// Prove that what is stored is what was recorded, through a server
    Verify(WithServer<VerifyArgs>),
    /// Append the events of a file of JSON lines, through a server
    Import(WithServer<ImportArgs>),
    /// Explain the reasons of errors, or one of them
    Errors(ErrorsArgs),
    /// Print a page of reference, as docs/ has it
    #[command(hide = true)]
    Reference(ReferenceArgs),
    /// Ask a server how it is; exit code 0 when it serves, else 4
    Health(WithServer<HealthArgs>),
    /// Measure what a server does: appends and reads under load; leaves its events behind
    Bench(WithServer<BenchArgs>),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Write the manual pages, one a command
    Man(ManArgs),
}

/// A command that needs the configuration.
#[derive(Debug, Args)]
pub(crate) struct WithConfig<A: Args> {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) args: A,
}

/// A command that is a client.
#[derive(Debug, Args)]
pub(crate) struct WithServer<A: Args> {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) args: A,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_behind_the_subcommand() {
        let line = ["partita", "partitions", "list", "--server", "http://db:1", "-o", "json"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.output, Output::Json);
        assert!(matches!(cli.command, Command::Partitions(with) if with.server.url == "http://db:1"));
    }

    #[test]
    fn an_append_must_say_what_it_expects() {
        let line = [
            "partita", "append", "--tenant", "a", "--type", "t", "--id", "1", "--event", "E", "--data", "{}",
        ];
        assert!(Cli::try_parse_from(line).unwrap_err().to_string().contains("--expected"));
    }
}
