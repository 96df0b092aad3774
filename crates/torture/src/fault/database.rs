//! What happens to PostgreSQL.

use std::time::Duration;

use anyhow::Context as _;
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
/// How often taking all connections is tried, and how many are taken at most.
const CONNECTIONS_TAKEN_MAX: usize = 200;

/// Ends sessions of services as an administrator does, several times over.
pub(super) async fn end_sessions(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let mut admin = stage.connect().await?;
    for _ in 0..8 {
        end_some(&mut admin, dice).await?;
        stage.wait(dice, 20..200).await;
    }
    Ok(())
}

async fn end_some(admin: &mut PgConnection, dice: &mut Dice) -> anyhow::Result<()> {
    let victims = sessions(admin).await?;
    let count = dice.random_range(1..=victims.len().max(1));
    for victim in victims.into_iter().take(count) {
        sqlx::query("SELECT pg_terminate_backend($1)").bind(victim).execute(&mut *admin).await?;
    }
    Ok(())
}

/// Kills the backend of a session: the postmaster takes its shared memory for broken, ends all others, and recovers.
pub(super) async fn kill_backend(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let mut admin = stage.connect().await?;
    if let Some(victim) = sessions(&mut admin).await?.first() {
        kill(Pid::from_raw(*victim), Signal::SIGKILL).context("a backend could not be killed")?;
    }
    drop(admin);
    stage.wait(dice, 50..300).await;
    stage.database_answers().await?;
    stage.ensure_services().await
}

/// Kills the server itself, and starts it again after a while.
pub(super) async fn kill_postmaster(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    stage.cluster.kill().await;
    stage.wait(dice, 0..1_000).await;
    stage.cluster.restart().await?;
    stage.ensure_services().await
}

/// Has the server end at once, without a word to anybody, and starts it again.
pub(super) async fn restart_at_once(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    if let Some(pid) = stage.cluster.pid().and_then(|pid| i32::try_from(pid).ok()) {
        kill(Pid::from_raw(pid), Signal::SIGQUIT).context("the postmaster could not be signalled")?;
    }
    stage.cluster.restart().await?;
    stage.ensure_services().await
}

/// Restarts the server in order: its sessions are ended, what they do is rolled back.
pub(super) async fn restart(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.cluster.restart().await?;
    stage.ensure_services().await
}

/// Stops backends in their tracks, and lets them go on.
pub(super) async fn stop_backends(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let mut admin = stage.connect().await?;
    let victims = sessions(&mut admin).await?;
    let count = dice.random_range(1..=victims.len().max(1));
    let victims: Vec<i32> = victims.into_iter().take(count).collect();
    for victim in &victims {
        // One that stays stopped would outlive its postmaster, should this process be killed now.
        stage.watchdog.watch(victim.unsigned_abs());
        signal(*victim, Signal::SIGSTOP);
    }
    stage.wait(dice, 200..3_000).await;
    for victim in &victims {
        signal(*victim, Signal::SIGCONT);
        stage.watchdog.release(victim.unsigned_abs());
    }
    stage.ensure_services().await
}

/// Stops the postmaster in its tracks, ends sessions meanwhile, and lets it go on: whoever lost his session gets no other
/// until then, and no answer either.
pub(super) async fn stop_postmaster(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let mut admin = stage.connect().await?;
    let pid = stage.cluster.pid().and_then(|pid| i32::try_from(pid).ok()).context("no postmaster")?;
    // The cluster's watchdog kills it like any other, should this process be killed now.
    signal(pid, Signal::SIGSTOP);
    let ended = end_some(&mut admin, dice).await;
    stage.wait(dice, 300..4_000).await;
    signal(pid, Signal::SIGCONT);
    ended?;
    stage.database_answers().await?;
    stage.ensure_services().await
}

/// Takes every connection there is, while the services lose theirs.
pub(super) async fn take_connections(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let mut admin = stage.connect().await?;
    let mut taken = Vec::new();
    while taken.len() < CONNECTIONS_TAKEN_MAX
        && let Ok(one) = connect(&stage.greedy_url()).await
    {
        taken.push(one);
    }
    for victim in sessions(&mut admin).await? {
        sqlx::query("SELECT pg_terminate_backend($1)").bind(victim).execute(&mut admin).await?;
        // Whoever is quicker has it.
        if let Ok(one) = connect(&stage.greedy_url()).await {
            taken.push(one);
        }
    }
    stage.wait(dice, 300..1_500).await;
    for one in taken {
        drop(one.close().await);
    }
    stage.ensure_services().await
}

/// Holds a tenant's row, for less or for more than appends wait for it.
pub(super) async fn lock_tenant(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    let mut session = stage.connect().await?;
    let mut transaction = session.begin().await?;
    sqlx::query("SELECT 1 FROM public.event_store_tenant ORDER BY random() LIMIT 1 FOR UPDATE")
        .fetch_optional(&mut *transaction)
        .await?;
    tokio::time::timeout(SETTLE_LIMIT, stage.wait(dice, 200..3_500)).await?;
    transaction.rollback().await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

/// Leaves the tables no room to grow, for a while.
pub(super) async fn fill_disk(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<()> {
    for _ in 0..3 {
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
    Ok(())
}

async fn sessions(admin: &mut PgConnection) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar(SESSIONS).fetch_all(admin).await
}

/// The session may have ended by itself.
fn signal(pid: i32, signal: Signal) {
    if let Err(error) = kill(Pid::from_raw(pid), signal) {
        tracing::debug!(backend.pid = pid, %signal, %error, "signal refused");
    }
}
