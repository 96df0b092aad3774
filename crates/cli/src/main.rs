//! `partita`: the server, its operations and its small clients, in one binary.

mod args;
mod client;
mod commands;
mod config;
mod document;
mod failure;
mod lifecycle;
mod output;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::internal("cannot start the runtime").because(error))?;
    runtime.block_on(commands::run(cli))
}
