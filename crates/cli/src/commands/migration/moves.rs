use std::time::Duration;

use clap::Args;
use partita_migration::{Migration, Move, Restoring, WorkerConfig};
use serde::Serialize;
use tokio::sync::mpsc;

use super::failure;
use super::progress::Bar;
use super::status::describe;
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::{self, Format};

#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// Do it; without it the conditions are checked, and what it would do is printed
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Do it; without it the conditions are checked, and what it would do is printed
    #[arg(long)]
    execute: bool,
    /// Months that are copied back at a time
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
}

#[derive(Debug, Serialize)]
struct MoveDocument {
    change: &'static str,
    executed: bool,
    changed_at: Option<String>,
    consequences: &'static [&'static str],
}

pub(super) async fn fence(
    args: MoveArgs,
    migration: &Migration,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    change(Move::Fence, args.execute, migration, by, format).await
}

/// Free at any time: it asks for no `--execute`.
pub(super) async fn unfence(
    _args: MoveArgs,
    migration: &Migration,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    change(Move::Unfence, true, migration, by, format).await
}

pub(super) async fn finalize(
    args: MoveArgs,
    migration: &Migration,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    change(Move::Finalize, args.execute, migration, by, format).await
}

async fn change(
    wanted: Move,
    execute: bool,
    migration: &Migration,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    let refused = |error| failure(&format!("{wanted} refused"), &error);
    let changed_at = if execute {
        Some(migration.change(wanted, by).await.map_err(refused)?)
    } else {
        migration.check(wanted).await.map_err(refused)?;
        None
    };
    print(wanted, changed_at.map(|at| at.to_string()), format)
}

fn print(wanted: Move, changed_at: Option<String>, format: Format) -> Result<(), Failure> {
    let consequences = wanted.consequences();
    if format == Format::Json {
        let executed = changed_at.is_some();
        return output::json(&MoveDocument { change: wanted.as_str(), executed, changed_at, consequences });
    }
    match changed_at {
        Some(at) => output::line(&format!("{wanted}: done at {at}"))?,
        None => output::line(&format!("{wanted}: all conditions hold; with --execute:"))?,
    }
    consequences.iter().try_for_each(|line| output::line(&format!("  {line}")))
}

pub(super) async fn restore(
    args: RestoreArgs,
    migration: &Migration,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    let refused = |error| failure("restore stopped", &error);
    if !args.execute {
        // One that was begun may go on; its conditions are those of its end, and come last.
        let status = migration.status().await.map_err(refused)?;
        if status.phase != "restoring" {
            migration.check(Move::BeginRestore).await.map_err(refused)?;
        }
        return print(Move::BeginRestore, None, format);
    }
    let shutdown = lifecycle::shutdown_signal()?;
    let config = WorkerConfig {
        workers_max: args.workers,
        poll_interval: Duration::from_millis(500),
        ..WorkerConfig::default()
    };
    let (reports, mut incoming) = mpsc::channel(16);
    let shutdown = &shutdown;
    let work = async move { migration.restore(config, by, &reports, shutdown).await };
    let watch = async {
        let mut bar = Bar::new();
        while let Some(report) = incoming.recv().await {
            match report {
                Restoring::Begun => bar.say("both tables are written again; copying back"),
                Restoring::Copying(progress) => {
                    bar.show(progress.rows_copied, progress.rows_total, &describe(&progress));
                }
                Restoring::Verified(summary) => bar.say(&format!(
                    "{} rows in {} months compared, {} differences",
                    summary.rows, summary.units, summary.differences
                )),
                Restoring::Ended => {}
            }
        }
        bar.finish();
    };
    let (restored, ()) = tokio::join!(work, watch);
    restored.map_err(refused)?;
    let status = migration.status().await.map_err(refused)?;
    print(Move::BeginRestore, Some(status.phase_changed_at.to_string()), format)
}
