//! `partita-torture`: tries to make Partita lose an event, and says whether it did.
//!
//! It boots a PostgreSQL and several processes of the service, drives writers and readers through gRPC, and injects
//! faults meanwhile. Then it holds what the callers were told against what the tables hold (`partita-proof`). It goes by
//! rounds: a round has a database of its own, a fleet, a few faults, and an end at which everything is checked.
//!
//! Not shipped. `docs/reliability.md` tells what it proves and what it does not.

mod args;
mod binary;
mod disk;
mod fault;
mod plan;
mod report;
mod round;
mod session;
mod stage;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(args.log.clone())
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise was kept.
fn run(args: &Args) -> anyhow::Result<bool> {
    // Before there are threads: each would keep the mounts that it began with.
    let mounts = disk::separate_mounts();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(session::run(args, mounts))
}
