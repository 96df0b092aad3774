use std::time::Duration;

use clap::{Args, Subcommand};
use partita_migration::{Migration, RunState, Tuning, WorkerConfig, Workers};
use partita_store::DatabaseUrl;

use super::failure;
use super::progress::Bar;
use super::status::{StatusDocument, describe};
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::{self, Format};

/// How often `run` looks how far it has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    #[command(subcommand)]
    command: BackfillCommand,
}

#[derive(Debug, Subcommand)]
enum BackfillCommand {
    /// Plan anew and let the workers of the processes that serve begin; what is done is looked at again
    Start(LimitArgs),
    /// The same, with workers in this process, until nothing is left: for when no server runs
    Run(LimitArgs),
    /// Let the workers stop after their pages
    Pause,
    /// Let them go on
    Resume,
    /// Change the limits while it runs
    Tune(LimitArgs),
    /// Let the workers stop for good; what is copied stays
    Cancel,
}

/// The limits of all workers together; what is not named stays as it is.
#[derive(Debug, Args)]
struct LimitArgs {
    /// Months that are copied at a time, over all processes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=64))]
    workers: Option<i32>,
    /// Most rows a second
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i32).range(1..=10_000_000))]
    rate: Option<i32>,
    /// As many rows a second as it can
    #[arg(long, conflicts_with = "rate")]
    unthrottled: bool,
    /// Wait while a replica lags by more; 0: do not look
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(i32).range(0..=86_400_000))]
    lag_ms: Option<i32>,
    /// Wait while more sessions than these wait for locks; 0: do not look
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=100_000))]
    lock_waits: Option<i32>,
}

impl LimitArgs {
    fn tuning(&self) -> Tuning {
        let or_none = |limit: i32| (limit != 0).then_some(limit);
        Tuning {
            workers: self.workers,
            rows_per_second: if self.unthrottled { Some(None) } else { self.rate.map(Some) },
            lag_ms_max: self.lag_ms.map(or_none),
            lock_waits_max: self.lock_waits.map(or_none),
        }
    }
}

pub(super) async fn run(
    args: BackfillArgs,
    migration: &Migration,
    url: DatabaseUrl,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    let changed = match &args.command {
        BackfillCommand::Start(limits) | BackfillCommand::Run(limits) => {
            migration.start(limits.tuning(), by).await
        }
        BackfillCommand::Pause => migration.pause(by).await,
        BackfillCommand::Resume => migration.resume(by).await,
        BackfillCommand::Tune(limits) => migration.tune(limits.tuning(), by).await,
        BackfillCommand::Cancel => migration.cancel(by).await,
    };
    changed.map_err(|error| failure("backfill not changed", &error))?;
    match args.command {
        BackfillCommand::Run(_) => work(migration, url, format).await,
        BackfillCommand::Start(_)
        | BackfillCommand::Pause
        | BackfillCommand::Resume
        | BackfillCommand::Tune(_)
        | BackfillCommand::Cancel => report(migration, format).await,
    }
}

/// Copies in this process until nothing is left. Ctrl-C lets go of the units and pauses the run for a `resume` or a `run`.
async fn work(migration: &Migration, url: DatabaseUrl, format: Format) -> Result<(), Failure> {
    let broken = |error| failure("backfill stopped", &error);
    let shutdown = lifecycle::shutdown_signal()?;
    let orders = migration.orders().await.map_err(broken)?;
    let config = WorkerConfig {
        workers_max: orders.limits.workers.unsigned_abs(),
        poll_interval: LOOK_INTERVAL,
        ..WorkerConfig::default()
    };
    let workers = Workers::new(url, config);
    let mut bar = Bar::new();
    let state = {
        let mut running = std::pin::pin!(workers.run_to_end(&shutdown));
        loop {
            tokio::select! {
                state = &mut running => break state.map_err(broken)?,
                () = tokio::time::sleep(LOOK_INTERVAL) => {
                    let progress = migration.status().await.map_err(broken)?.progress;
                    bar.show(progress.rows_copied, progress.rows_total, &describe(&progress));
                }
            }
        }
    };
    bar.finish();
    report(migration, format).await?;
    let progress = migration.status().await.map_err(broken)?.progress;
    if state != RunState::Finished {
        let failure = Failure::refused(format!("the backfill is {state}, and not at its end"));
        return Err(failure.next("`partita migration backfill run` goes on where it was"));
    }
    if progress.units_failed > 0 {
        let failure = Failure::refused(format!("{} units failed", progress.units_failed));
        return Err(failure.next("`partita migration status` tells why; mend it, then run again"));
    }
    if progress.quarantined > 0 {
        let failure = Failure::refused(format!(
            "{} rows are in quarantine: they could not be copied",
            progress.quarantined
        ));
        return Err(failure.next("`partita migration quarantine` lists them"));
    }
    Ok(())
}

async fn report(migration: &Migration, format: Format) -> Result<(), Failure> {
    let status = migration.status().await.map_err(|error| failure("cannot tell", &error))?;
    match format {
        Format::Json => output::json(&StatusDocument::from(status)),
        Format::Table => {
            output::line(&format!("backfill {}: {}", status.orders.state, describe(&status.progress)))
        }
    }
}
