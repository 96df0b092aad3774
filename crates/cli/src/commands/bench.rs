//! `partita bench`: a load generator for whoever sizes a machine. `docs/performance.md` tells how to read its figures.

mod append;
mod caller;
mod draft;
mod figures;
mod load;
mod read;
mod report;
mod sample;
mod stream;

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::client::{self, Channel, ServerArgs};
use crate::failure::Failure;
use crate::output::Format;

/// Calls that share a connection: beyond this many, the one task that drives a connection is what is measured.
const CLIENTS_PER_CONNECTION: usize = 32;

/// Measure what a server does on this machine.
///
/// WARNING: what it appends stays. Events are immutable, and no command takes them back: use a scratch database. They
/// are in tenants `bench-0`, `bench-1`, …, in streams of type `bench`.
///
/// Each client waits for an answer before its next call. Generator and server share the processors when both run on
/// one machine. Exit code 3 when any call failed.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Append to many streams; the events stay
    Append(append::BenchAppendArgs),
    /// Read whole streams, which it appends first; the events stay
    Read(read::BenchReadArgs),
}

/// What both loads have in common.
#[derive(Debug, Clone, Args)]
struct LoadArgs {
    /// Clients that call at the same time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = bounded(1, 4_096))]
    clients: u32,
    /// Streams in all, each written by one client only
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = bounded(1, 1_000_000))]
    streams: u32,
    /// Tenants that the streams are spread over; no more than streams are used
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = bounded(1, 1_000))]
    tenants: u32,
    /// Size of an event's data, a JSON document, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 300, value_parser = bounded(64, 1_000_000))]
    payload_bytes: u32,
    /// How long a run measures
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = bounded(1, 86_400))]
    duration: u32,
    /// How long each run calls before it measures
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = bounded(0, 3_600))]
    warm_up: u32,
    /// Runs, one after the other; the median and the spread of them are told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = bounded(1, 100))]
    runs: u32,
}

impl LoadArgs {
    fn schedule(&self) -> load::Schedule {
        load::Schedule {
            warm_up: Duration::from_secs(self.warm_up.into()),
            duration: Duration::from_secs(self.duration.into()),
            runs: self.runs,
        }
    }

    /// As many connections as the clients need, all of them open.
    async fn connect(&self, server: &ServerArgs) -> Result<Vec<Channel>, Failure> {
        let count = (self.clients as usize).div_ceil(CLIENTS_PER_CONNECTION);
        let mut channels = Vec::with_capacity(count);
        for _ in 0..count {
            channels.push(client::connect(server).await?);
        }
        Ok(channels)
    }
}

fn bounded(least: i64, most: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(least..=most)
}

/// Prepares, measures, reports.
pub(crate) async fn run(args: BenchArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    match args.command {
        BenchCommand::Append(args) => append::run(args, server, format).await,
        BenchCommand::Read(args) => read::run(args, server, format).await,
    }
}
