//! One file a command; each has its arguments and a `run`.

pub(crate) mod append;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod drill;
pub(crate) mod errors;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod man;
pub(crate) mod migrate;
pub(crate) mod migration;
pub(crate) mod partitions;
pub(crate) mod read;
pub(crate) mod recorded;
pub(crate) mod reference;
pub(crate) mod serve;
pub(crate) mod verify;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// Runs the command that the user named.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let output = cli.output;
    match cli.command {
        Command::Dev(with) => dev::run(with.args, &with.config).await,
        Command::Serve(with) => serve::run(with.args, &with.config).await,
        Command::Migrate(with) => migrate::run(with.args, &with.config, output.plain()?).await,
        Command::Doctor(with) => doctor::run(with.args, &with.config, output.plain()?).await,
        Command::Drill(args) => drill::run(args, output.plain()?).await,
        Command::Migration(with) => migration::run(with.args, &with.config, output.plain()?).await,
        Command::Config(with) => config::run(&with.args, &with.config, output.plain()?),
        Command::Partitions(with) => partitions::run(with.args, &with.server, output).await,
        Command::Append(with) => append::run(with.args, &with.server, output.plain()?).await,
        Command::Read(with) => read::run(with.args, &with.server, output.plain()?).await,
        Command::Recorded(with) => recorded::run(with.args, &with.server, output.plain()?).await,
        Command::Verify(with) => verify::run(with.args, &with.server, output.plain()?).await,
        Command::Errors(args) => errors::run(&args, output.plain()?),
        Command::Reference(args) => reference::run(&args),
        Command::Bench(with) => bench::run(with.args, &with.server, output.plain()?).await,
        Command::Health(with) => health::run(with.args, &with.server, output.plain()?).await,
        Command::Import(with) => import::run(with.args, &with.server, output.plain()?).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
