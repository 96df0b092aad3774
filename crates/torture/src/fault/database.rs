//! What happens to PostgreSQL.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use partita_proof::connect;
use rand::RngExt as _;
use sqlx::{Connection as _, PgConnection};

use crate::plan::Dice;
use crate::stage::{POLL_INTERVAL, SETTLE_LIMIT, Stage};

/// Sessions of services, those in a transaction first.
const SESSIONS: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name LIKE 'partita%' ORDER BY state = 'idle', random()";
/// More than PostgreSQL has.
const CONNECTIONS_TAKEN_MAX: usize = 200;
/// How often the disk is filled.
const FILLED: u64 = 3;
const LANES_WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'partita lane' AND wait_event_type = 'Lock'";

/// Ends sessions of services as an administrator does, several times over. Gives how many.
pub(super) async fn end_sessions(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut admin = stage.connect().await?;
    let mut ended = 0;
    for _ in 0..8 {
        ended += end_some(&mut admin, dice).await?;
        stage.wait(dice, 20..200).await;
    }
    Ok(ended)
}

async fn end_some(admin: &mut PgConnection, dice: &mut Dice) -> anyhow::Result<u64> {
    let victims = sessions(admin).await?;
    let count = dice.random_range(1..=victims.len().max(1));
    let mut ended = 0;
    for victim in victims.into_iter().take(count) {
        let end = sqlx::query_scalar::<_, bool>("SELECT pg_terminate_backend($1)").bind(victim);
        ended += u64::from(end.fetch_one(&mut *admin).await?);
    }
    Ok(ended)
}

/// Kills the backend of a session: the postmaster takes its shared memory for broken, ends all others, and recovers.
pub(super) async fn kill_backend(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut admin = stage.connect().await?;
    // One that ended by itself between the look and the signal is none.
    while !signal(some_sessions(&mut admin).await?[0], Signal::SIGKILL) {}
    drop(admin);
    stage.wait(dice, 50..300).await;
    stage.database_answers().await?;
    stage.ensure_services().await?;
    Ok(1)
}

/// Kills the server itself, and starts it again after a while.
pub(super) async fn kill_postmaster(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    stage.cluster.kill().await;
    stage.wait(dice, 0..1_000).await;
    stage.cluster.restart().await?;
    stage.ensure_services().await?;
    Ok(1)
}

/// Has the server end at once, without a word to anybody, and starts it again.
pub(super) async fn restart_at_once(stage: &mut Stage<'_>) -> anyhow::Result<u64> {
    let pid = stage.cluster.pid().and_then(|pid| i32::try_from(pid).ok()).context("no postmaster")?;
    kill(Pid::from_raw(pid), Signal::SIGQUIT).context("the postmaster could not be signalled")?;
    stage.cluster.restart().await?;
    stage.ensure_services().await?;
    Ok(1)
}

/// Restarts the server in order: its sessions are ended, what they do is rolled back.
pub(super) async fn restart(stage: &mut Stage<'_>) -> anyhow::Result<u64> {
    stage.cluster.restart().await?;
    stage.ensure_services().await?;
    Ok(1)
}

/// Stops backends in their tracks, and lets them go on. Gives how many were stopped.
pub(super) async fn stop_backends(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut admin = stage.connect().await?;
    let victims = some_sessions(&mut admin).await?;
    let count = dice.random_range(1..=victims.len());
    let victims: Vec<i32> = victims.into_iter().take(count).collect();
    let mut stopped = 0;
    for victim in &victims {
        // One that stays stopped would outlive its postmaster, should this process be killed now.
        stage.watchdog.watch(victim.unsigned_abs());
        stopped += u64::from(signal(*victim, Signal::SIGSTOP));
    }
    stage.wait(dice, 200..3_000).await;
    for victim in &victims {
        signal(*victim, Signal::SIGCONT);
        stage.watchdog.release(victim.unsigned_abs());
    }
    stage.ensure_services().await?;
    Ok(stopped)
}

/// Stops the postmaster in its tracks, ends sessions meanwhile, and lets it go on: whoever lost his session gets no other
/// until then, and no answer either. Gives how many sessions were ended.
pub(super) async fn stop_postmaster(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut admin = stage.connect().await?;
    let pid = stage.cluster.pid().and_then(|pid| i32::try_from(pid).ok()).context("no postmaster")?;
    // The cluster's watchdog kills it like any other, should this process be killed now.
    signal(pid, Signal::SIGSTOP);
    let ended = end_some(&mut admin, dice).await;
    stage.wait(dice, 300..4_000).await;
    signal(pid, Signal::SIGCONT);
    let ended = ended?;
    stage.database_answers().await?;
    stage.ensure_services().await?;
    Ok(ended)
}

/// Takes every connection there is, while the services lose theirs. Gives how many were taken.
pub(super) async fn take_connections(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let mut admin = stage.connect().await?;
    let mut taken = Vec::new();
    while taken.len() < CONNECTIONS_TAKEN_MAX
        && let Ok(one) = connect(&stage.greedy_url()).await
    {
        taken.push(one);
    }
    ensure!(taken.len() < CONNECTIONS_TAKEN_MAX, "PostgreSQL has more connections than are taken");
    for victim in sessions(&mut admin).await? {
        sqlx::query("SELECT pg_terminate_backend($1)").bind(victim).execute(&mut admin).await?;
        // Whoever is quicker has it.
        if let Ok(one) = connect(&stage.greedy_url()).await {
            taken.push(one);
        }
    }
    stage.wait(dice, 300..1_500).await;
    let count = taken.len() as u64;
    for one in taken {
        drop(one.close().await);
    }
    stage.ensure_services().await?;
    Ok(count)
}

/// Holds a tenant's row, for less or for more than appends wait for it. Gives how many lanes waited.
pub(super) async fn lock_tenant(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let (mut session, mut admin) = (stage.connect().await?, stage.connect().await?);
    let mut transaction = session.begin().await?;
    sqlx::query("SELECT 1 FROM public.event_store_tenant ORDER BY random() LIMIT 1 FOR UPDATE")
        .fetch_optional(&mut *transaction)
        .await?;
    let begun = Instant::now();
    let mut waiting = 0;
    while waiting == 0 && begun.elapsed() < SETTLE_LIMIT {
        tokio::time::sleep(POLL_INTERVAL).await;
        waiting = sqlx::query_scalar::<_, i64>(LANES_WAITING).fetch_one(&mut admin).await?;
    }
    stage.wait(dice, 200..3_500).await;
    transaction.rollback().await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(waiting.unsigned_abs())
}

/// Leaves the tables no room to grow, for a while. Gives how often that was felt.
pub(super) async fn fill_disk(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    for _ in 0..FILLED {
        let refused = || stage.load.counters().reasons().get("DATABASE_UNAVAILABLE").copied();
        let before = refused();
        let disk = stage.disk.as_ref().context("the scene has no small disk")?;
        disk.fill()?;
        let felt = async {
            while refused() == before {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        // There is room left in the pages that the tables have.
        let felt = tokio::time::timeout(SETTLE_LIMIT, felt).await;
        stage.wait(dice, 100..500).await;
        disk.empty()?;
        felt.context("no append met the full disk")?;
        stage.goes_on().await?;
    }
    Ok(FILLED)
}

async fn sessions(admin: &mut PgConnection) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar(SESSIONS).fetch_all(admin).await
}

/// One at least: the services may just have lost theirs.
async fn some_sessions(admin: &mut PgConnection) -> anyhow::Result<Vec<i32>> {
    let begun = Instant::now();
    loop {
        let found = sessions(admin).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        ensure!(begun.elapsed() < SETTLE_LIMIT, "no service has a session");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whether it was delivered: the session may have ended by itself.
fn signal(pid: i32, signal: Signal) -> bool {
    let sent = kill(Pid::from_raw(pid), signal);
    if let Err(error) = &sent {
        tracing::debug!(backend.pid = pid, %signal, %error, "signal refused");
    }
    sent.is_ok()
}
