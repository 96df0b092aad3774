//! The whole move of a live table, and the way back, while processes, sessions and the server are killed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use partita_migration::{
    Migration, MigrationError, Move, RunState, Tuning, VerifyOptions, VerifySummary, WorkerConfig,
};
use partita_proof::Tables;
use rand::RngExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{database, service};
use crate::plan::Dice;
use crate::stage::Stage;

/// How long a step may take: a process that was killed is missed for half a minute, and the unit of a worker that was killed
/// is taken up by another when its lease is over.
const STEP_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
/// As fast as it goes, whoever waits for locks meanwhile.
const UNTHROTTLED: Tuning =
    Tuning { workers: None, rows_per_second: Some(None), lag_ms_max: Some(None), lock_waits_max: Some(None) };
/// Who acts.
const BY: &str = "torture";

/// Backfills, fences, proves and finalizes, and mostly restores. Some of the fleet has the flag off, and another program
/// writes to legacy alone, until the fence stops them. Gives how many changes of the phase came about.
pub(super) async fn lead_through(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let migration = Migration::new(stage.database_url()?);
    start_backfill(&migration).await?;
    disturb(stage, dice).await?;
    finish_backfill(&migration).await?;
    raise_flags(stage).await?;

    change(&migration, Move::Fence, "fenced").await?;
    stage.goes_on().await?;
    // What was written to legacy alone until then.
    start_backfill(&migration).await?;
    database::end_sessions(stage, dice).await?;
    finish_backfill(&migration).await?;
    let summary = verify(&migration).await?;
    if !summary.is_green() {
        bail!("the tables differ after a backfill: {summary:?}");
    }
    stage.goes_on().await?;

    change(&migration, Move::Finalize, "finalized").await?;
    stage.tables = Tables::Partitioned;
    disturb(stage, dice).await?;
    stage.goes_on().await?;
    if dice.random_bool(0.3) {
        return Ok(2);
    }
    restore(stage, &migration).await?;
    stage.tables = Tables::Restored;
    stage.goes_on().await?;
    // By way of the phase in which legacy is filled up.
    Ok(4)
}

/// One of the faults that end something.
async fn disturb(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    match dice.random_range(0..4) {
        0 => service::kill(stage, dice).await,
        1 => database::kill_backend(stage, dice).await,
        2 => database::kill_postmaster(stage, dice).await,
        _ => database::end_sessions(stage, dice).await,
    }
}

async fn start_backfill(migration: &Migration) -> anyhow::Result<()> {
    insist("start the backfill", || migration.start(UNTHROTTLED, BY)).await
}

/// The workers of the services do it.
async fn finish_backfill(migration: &Migration) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let orders = insist("look at the backfill", || migration.orders()).await?;
        match orders.state {
            RunState::Finished => return Ok(()),
            RunState::Running if begun.elapsed() < STEP_LIMIT => tokio::time::sleep(POLL).await,
            state @ (RunState::Running | RunState::Stopped | RunState::Paused) => {
                let progress = migration.status().await?.progress;
                bail!("the backfill does not end: it is {state}, {progress:?}");
            }
        }
    }
}

/// Restarts with the flag whatever has it off.
async fn raise_flags(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for service in stage.services.iter_mut().filter(|service| !service.options().partitions_v1) {
        service.terminate(STEP_LIMIT).await?;
        service.set_partitions_v1(true);
    }
    stage.ensure_services().await
}

/// Changes the phase as soon as its conditions hold. A change whose answer is lost shows in the phase.
async fn change(migration: &Migration, wanted: Move, target: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let Err(error) = migration.change(wanted, BY).await else { return Ok(()) };
        match migration.status().await {
            Ok(status) if status.phase == target => return Ok(()),
            _ if begun.elapsed() < STEP_LIMIT && may_pass(&error) => tokio::time::sleep(POLL).await,
            _ => return Err(error).with_context(|| format!("{wanted} does not come about")),
        }
    }
}

async fn verify(migration: &Migration) -> anyhow::Result<VerifySummary> {
    let options = VerifyOptions { tenant: None, sample_percent: 100.0, workers: 2, only_unverified: false };
    let (unheard, _) = mpsc::channel(1);
    insist("compare the tables", || migration.verify(&options, &unheard)).await
}

/// Goes back, and loses the server in the middle of it.
async fn restore(stage: &mut Stage<'_>, migration: &Migration) -> anyhow::Result<()> {
    let config = WorkerConfig {
        workers_max: 2,
        poll_interval: Duration::from_millis(50),
        page_rows_max: 200,
        ..WorkerConfig::default()
    };
    let shutdown = CancellationToken::new();
    let (unheard, _) = mpsc::channel(1);
    let begun = Instant::now();
    let mut is_disturbed = false;
    loop {
        let restoring = migration.restore(config, BY, &unheard, &shutdown);
        let restored = if is_disturbed {
            restoring.await
        } else {
            is_disturbed = true;
            let (restored, disturbed) = tokio::join!(restoring, database::restart_at_once(stage));
            disturbed?;
            restored
        };
        let Err(error) = restored else { return Ok(()) };
        match migration.status().await {
            Ok(status) if status.phase == "open" => return Ok(()),
            _ if begun.elapsed() < STEP_LIMIT && may_pass(&error) => tokio::time::sleep(POLL).await,
            _ => return Err(error).context("the restore does not end"),
        }
    }
}

/// Until it is done, or fails for good.
async fn insist<T, F>(what: &'static str, attempt: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, MigrationError>>,
{
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if begun.elapsed() < STEP_LIMIT && may_pass(&error) => tokio::time::sleep(POLL).await,
            Err(error) => return Err(error).context(what),
        }
    }
}

fn may_pass(error: &MigrationError) -> bool {
    match error {
        MigrationError::Unreachable(_) | MigrationError::Busy(_) | MigrationError::Refused(_) => true,
        MigrationError::Database(_) | MigrationError::Unknown(_) => false,
    }
}
