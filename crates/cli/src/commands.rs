//! One file a command; each has its arguments and a `run`.

pub(crate) mod append;
pub(crate) mod bench;
pub(crate) mod dev;
pub(crate) mod import;
pub(crate) mod migrate;
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
        Command::Migrate(with) => migrate::run(with.args, &with.config, output).await,
        Command::Partitions(with) => partitions::run(with.args, &with.server, output).await,
        Command::Append(with) => append::run(with.args, &with.server, output).await,
        Command::Read(with) => read::run(with.args, &with.server, output).await,
        Command::Recorded(with) => recorded::run(with.args, &with.server, output).await,
        Command::Verify(with) => verify::run(with.args, &with.server, output).await,
        Command::Reference(args) => reference::run(&args),
        Command::Bench(with) => bench::run(with.args, &with.server, output).await,
        Command::Import(with) => import::run(with.args, &with.server, output).await,
    }
}
