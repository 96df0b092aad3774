//! `partita drill`: the whole life of a migration, on a PostgreSQL of its own, under load and with kills, and an account of it.

mod fleet;
mod ground;
mod judge;
mod leg;
mod operator;
mod play;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::lifecycle;
use crate::output::Format;

use self::ground::Ground;

/// Rehearse a migration: a PostgreSQL, three services, writers, readers and a foreign program; every phase, and back.
///
/// legacy, dual, backfill, verify, fence, verify, finalize, restore, open, flag off: with kills of services, of sessions of
/// PostgreSQL and of PostgreSQL itself in each of them. In the end what callers were told is held against what is stored and
/// read. Exit code 3 where a promise was broken.
#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// How long each of the ten legs lasts at least, in seconds
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// The same in minutes
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: Option<u64>,
    /// What the load and the kills are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Tenants with history
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    tenants: u32,
    /// Keep database and logs in this folder, which must be new or empty; without it they are gone in the end
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Bin folder of PostgreSQL; without it it is looked for, then fetched
    #[arg(long, value_name = "DIR")]
    postgres_bin: Option<PathBuf>,
}

impl DrillArgs {
    fn leg_length(&self) -> Duration {
        Duration::from_secs(self.minutes.map_or(self.seconds, |minutes| minutes * 60))
    }
}

/// Runs all of it. Ctrl-C or SIGTERM ends it early; no process is left, whatever happens.
pub(crate) async fn run(args: DrillArgs, format: Format) -> Result<(), Failure> {
    let shutdown = lifecycle::shutdown_signal()?;
    let Some(ground) = shutdown.run_until_cancelled(Ground::prepare(&args)).await.transpose()? else {
        return Err(stopped());
    };
    let mut ground = ground;
    let played = shutdown.run_until_cancelled(play::play(&args, &mut ground)).await;
    let outcome = match played {
        Some(Ok(report)) => report.print(format).and_then(|()| report.verdict()),
        Some(Err(failure)) => Err(failure),
        None => Err(stopped()),
    };
    ground.clear(outcome).await
}

fn stopped() -> Failure {
    Failure::internal("stopped before its end: nothing is proved")
}
