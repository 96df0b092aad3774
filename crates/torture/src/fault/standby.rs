//! What happens to a synchronous standby. PostgreSQL takes `pg_receivewal --synchronous` for one: it flushes what it is sent,
//! and says so; it has no tables.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use partita_proof::process::Watchdog;
use sqlx::{AssertSqlSafe, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::database;
use crate::plan::Dice;
use crate::stage::{POLL_INTERVAL, SETTLE_LIMIT, Stage};

/// How the standby is called.
const NAME: &str = "torture_standby";
/// Whether it is what commits wait for.
const IS_SYNCHRONOUS: &str = "SELECT EXISTS (SELECT FROM pg_stat_replication \
     WHERE application_name = 'torture_standby' AND sync_state = 'sync')";
/// Whether a commit waits for it.
const IS_AWAITED: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')";

struct Standby {
    child: Child,
    pid: u32,
    watchdog: Arc<Watchdog>,
}

/// Makes every commit wait for a standby, which dies while commits wait for it, and comes back; once, what waits is ended. Gives
/// how often it died.
pub(super) async fn lose(stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
    let folder = tempfile::Builder::new().prefix("partita-standby-").tempdir()?;
    let mut admin = stage.connect().await?;
    let mut standby = Standby::start(stage, &folder)?;
    await_standbys(&mut admin, Some(NAME)).await?;
    let lost = lose_again_and_again(stage, dice, &mut admin, &mut standby, &folder).await;
    await_standbys(&mut admin, None).await?;
    standby.kill().await;
    lost
}

async fn lose_again_and_again(
    stage: &mut Stage<'_>,
    dice: &mut Dice,
    admin: &mut PgConnection,
    standby: &mut Standby,
    folder: &TempDir,
) -> anyhow::Result<u64> {
    let mut lost = 0;
    for ends_what_waits in [false, true, false] {
        until(admin, IS_SYNCHRONOUS, "the standby does not become synchronous").await?;
        stage.goes_on().await?;
        standby.kill().await;
        lost += 1;
        until(admin, IS_AWAITED, "no commit waits for the standby").await?;
        if ends_what_waits {
            database::end_sessions(stage, dice).await?;
        }
        stage.wait(dice, 200..1_500).await;
        *standby = Standby::start(stage, folder)?;
    }
    until(admin, IS_SYNCHRONOUS, "the standby does not come back").await?;
    stage.goes_on().await?;
    Ok(lost)
}

impl Standby {
    fn start(stage: &Stage<'_>, folder: &TempDir) -> anyhow::Result<Self> {
        let mut command = Command::new(stage.programs.join("pg_receivewal"));
        let url = format!("{}?application_name={NAME}", stage.cluster.url(partita_cluster::DATABASE));
        command.args(["--synchronous", "--no-loop", "--dbname", &url, "--directory"]).arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child =
            command.process_group(0).kill_on_drop(true).spawn().context("cannot run pg_receivewal")?;
        let pid = child.id().unwrap_or_default();
        let watchdog = Arc::clone(&stage.watchdog);
        watchdog.watch(pid);
        Ok(Self { child, pid, watchdog })
    }

    async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "the standby could not be killed");
        }
        self.watchdog.release(self.pid);
    }
}

/// Has commits wait for the standby of this name, or for none.
async fn await_standbys(admin: &mut PgConnection, name: Option<&str>) -> sqlx::Result<()> {
    let names = name.unwrap_or_default();
    let statement = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *admin).await?;
    sqlx::query("SELECT pg_reload_conf()").execute(admin).await?;
    Ok(())
}

async fn until(admin: &mut PgConnection, condition: &'static str, otherwise: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>(condition).fetch_one(&mut *admin).await? {
        if begun.elapsed() > SETTLE_LIMIT {
            bail!("{otherwise}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
