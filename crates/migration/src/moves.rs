//! Changes of the phase, each behind its conditions.

use std::fmt;
use std::time::Duration;

use partita_model::{Month, Timestamp};
use partita_store::DatabaseUrl;
use sqlx::{Connection as _, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Direction, Instance, MigrationError, Progress, Refusal, RunState, VerifyOptions, VerifySummary,
    WorkerConfig, Workers, control, plan, status, verify,
};

/// Rows that another program may have written since the last look at them, before the fence goes up.
const TAIL_ROWS_MAX: i64 = 10_000;
/// How often a change that met a lock is tried.
const ATTEMPTS_MAX: u32 = 60;
/// Units that are read at a time when a restore is proved.
const VERIFY_WORKERS: u32 = 2;
/// How often a restore tells how far it has come.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// A change of the phase that is made at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// `open` to `fenced`: the legacy table refuses whoever does not write both.
    Fence,
    /// `fenced` to `open`: it no longer does.
    Unfence,
    /// `fenced` to `finalized`: the legacy table is not written any more.
    Finalize,
    /// `finalized` to `restoring`: it is written again, and filled up.
    BeginRestore,
    /// `restoring` to `open`: it holds everything again.
    EndRestore,
}

/// What is told while a restore goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Restoring {
    /// Both tables are written again.
    Begun,
    /// How far the copy back has come.
    Copying(Progress),
    /// All of it is copied and was compared.
    Verified(VerifySummary),
    /// The phase is open.
    Ended,
}

impl Move {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Unfence => "unfence",
            Self::Finalize => "finalize",
            Self::BeginRestore => "restore",
            Self::EndRestore => "the end of restore",
        }
    }

    /// The phase that it begins at.
    fn from(self) -> &'static str {
        match self {
            Self::Fence => "open",
            Self::Unfence | Self::Finalize => "fenced",
            Self::BeginRestore => "finalized",
            Self::EndRestore => "restoring",
        }
    }

    /// What it does, for whoever has to agree.
    pub fn consequences(self) -> &'static [&'static str] {
        match self {
            Self::Fence => &[
                "event_store refuses every insert of a session that does not write both tables",
                "programs that write to event_store alone fail from then on, loudly",
                "the way back: `partita migration unfence`, free at any time",
            ],
            Self::Unfence => &[
                "every program may write to event_store again",
                "verification counts anew: tenants have to be verified again under the next fence",
            ],
            Self::Finalize => &[
                "event_store is neither written nor read any more; it stays as it is",
                "new events are in event_store_partitioned alone",
                "the way back: `partita migration restore`, which copies them back first",
            ],
            Self::BeginRestore | Self::EndRestore => &[
                "both tables are written again at once",
                "the events that are in event_store_partitioned alone are copied to event_store, and compared",
                "then the phase is open: each process's DB_PARTITIONS_V1 decides again",
            ],
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the conditions hold: the first that does not is the error.
pub(crate) async fn check(pool: &PgPool, wanted: Move) -> Result<(), MigrationError> {
    match list_obstacles(pool, wanted).await?.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(first.into()),
    }
}

/// Every condition that does not hold, the one to mend first in front. In the wrong phase, that alone: the others would
/// be answered for another phase.
pub(crate) async fn list_obstacles(pool: &PgPool, wanted: Move) -> Result<Vec<Refusal>, MigrationError> {
    let found = sqlx::query_file!("sql/moves/find_obstacles.sql").fetch_one(pool).await?;
    if found.phase != wanted.from() {
        return Ok(vec![Refusal::Phase { phase: found.phase, wanted: wanted.as_str(), from: wanted.from() }]);
    }
    let counted = |rows: i64, refusal: fn(u64) -> Refusal| (rows != 0).then(|| refusal(rows.unsigned_abs()));
    let quarantine = |rows| counted(rows, |rows| Refusal::Quarantine { rows });
    let mismatches = counted(found.mismatches, |rows| Refusal::Mismatches { rows });
    let obstacles = match wanted {
        Move::Unfence => Vec::new(),
        Move::Fence => vec![
            quarantine(found.quarantined),
            mismatches,
            find_not_backfilled(pool, found.units_open).await?,
            (found.rows_left > TAIL_ROWS_MAX)
                .then(|| Refusal::TailTooLong { rows: found.rows_left.unsigned_abs() }),
            find_instances(pool, &["dual"]).await?,
        ],
        Move::Finalize => vec![
            quarantine(found.quarantined),
            mismatches,
            find_tenantless(pool, found.quarantined).await?,
            find_not_verified(pool).await?,
            find_instances(pool, &["fenced"]).await?,
        ],
        Move::BeginRestore => vec![find_instances(pool, &["finalized"]).await?],
        Move::EndRestore => vec![
            counted(found.restore_quarantined, |rows| Refusal::Uncopied { rows }),
            mismatches,
            counted(found.restore_open, |units| Refusal::NotBackfilled { units, first: None }),
            find_instances(pool, &["restoring"]).await?,
        ],
    };
    Ok(obstacles.into_iter().flatten().collect())
}

/// Changes the phase where the conditions hold; gives when. Each attempt checks them anew: much may happen while locks are
/// waited for.
pub(crate) async fn perform(pool: &PgPool, wanted: Move, by: &str) -> Result<Timestamp, MigrationError> {
    let mut attempt = 1;
    loop {
        check(pool, wanted).await?;
        match change(pool, wanted, by).await {
            Ok(at) => {
                tracing::info!(change = %wanted, by, "phase changed");
                return Ok(Timestamp::from_datetime(at));
            }
            Err(MigrationError::Busy(_)) if attempt < ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..500))).await;
    }
}

/// Brings the legacy table back: begins where it is not begun, copies, compares, ends. Stopped in the middle, it goes on
/// where it was.
pub(crate) async fn restore(
    url: &DatabaseUrl,
    pool: &PgPool,
    config: WorkerConfig,
    by: &str,
    reports: &mpsc::Sender<Restoring>,
    shutdown: &CancellationToken,
) -> Result<(), MigrationError> {
    if status::read_phase(pool).await? != Move::EndRestore.from() {
        perform(pool, Move::BeginRestore, by).await?;
    }
    reports.send(Restoring::Begun).await.ok();
    plan::write(pool, Direction::Restore).await?;
    control::start(pool, Direction::Restore, by).await?;
    let workers = Workers::new(url.clone(), config);
    let state = {
        let mut running = std::pin::pin!(workers.run_to_end(shutdown));
        loop {
            tokio::select! {
                state = &mut running => break state?,
                () = tokio::time::sleep(TELL_INTERVAL) => {
                    // A database that is away is the workers' affair.
                    if let Ok(status) = status::read(pool).await {
                        reports.send(Restoring::Copying(status.progress)).await.ok();
                    }
                }
            }
        }
    };
    if state != RunState::Finished {
        return Err(
            Refusal::State { state: state.to_string(), wanted: "ended: the copy back was stopped" }.into()
        );
    }
    let options = VerifyOptions {
        tenant: None,
        sample_percent: 100.0,
        workers: VERIFY_WORKERS,
        only_unverified: false,
    };
    let (unheard, _) = mpsc::channel(1);
    let summary = verify::verify(url, &options, &unheard).await?;
    reports.send(Restoring::Verified(summary)).await.ok();
    perform(pool, Move::EndRestore, by).await?;
    reports.send(Restoring::Ended).await.ok();
    Ok(())
}

/// The change, and behind its locks another look at what may have ceased to hold: where it has, nothing is changed.
async fn change(pool: &PgPool, wanted: Move, by: &str) -> Result<OffsetDateTime, MigrationError> {
    let mut session = pool.acquire().await?;
    // The caller may go away at any moment: a session in which a transaction was being begun is not to be used by others.
    session.close_on_drop();
    let mut transaction = session.begin().await?;
    let at = call(&mut transaction, wanted, by).await?;
    if let Some(late) = find_late(&mut transaction, wanted).await? {
        transaction.rollback().await?;
        return Err(late.into());
    }
    transaction.commit().await?;
    Ok(at)
}

async fn find_late(connection: &mut PgConnection, wanted: Move) -> sqlx::Result<Option<Refusal>> {
    let leans_on_verified = match wanted {
        Move::Fence | Move::Unfence | Move::BeginRestore => return Ok(None),
        Move::Finalize => true,
        Move::EndRestore => false,
    };
    let late = sqlx::query_file!("sql/moves/find_late.sql").fetch_one(connection).await?;
    let mismatches =
        (late.mismatches > 0).then(|| Refusal::Mismatches { rows: late.mismatches.unsigned_abs() });
    let not_verified = late
        .first
        .filter(|_| leans_on_verified)
        .map(|first| Refusal::NotVerified { tenants: late.unverified.unsigned_abs(), first });
    Ok(mismatches.or(not_verified))
}

async fn call(connection: &mut PgConnection, wanted: Move, by: &str) -> sqlx::Result<OffsetDateTime> {
    match wanted {
        Move::Fence => sqlx::query_file_scalar!("sql/moves/raise_fence.sql", by).fetch_one(connection).await,
        Move::Unfence => {
            sqlx::query_file_scalar!("sql/moves/lower_fence.sql", by).fetch_one(connection).await
        }
        Move::Finalize => sqlx::query_file_scalar!("sql/moves/finalize.sql", by).fetch_one(connection).await,
        Move::BeginRestore => {
            sqlx::query_file_scalar!("sql/moves/begin_restore.sql", by).fetch_one(connection).await
        }
        Move::EndRestore => {
            sqlx::query_file_scalar!("sql/moves/end_restore.sql", by).fetch_one(connection).await
        }
    }
}

/// Unless every month that the legacy table has now is known to the backfill, and finished.
async fn find_not_backfilled(pool: &PgPool, units_open: i64) -> Result<Option<Refusal>, MigrationError> {
    let mut units = 0;
    let mut first = None;
    for tenant in plan::list_tenants(pool).await? {
        let found = sqlx::query_file!("sql/moves/list_unplanned.sql", tenant).fetch_one(pool).await?;
        units += found.unplanned.unsigned_abs();
        if let (None, Some(start)) = (&first, found.newest) {
            first = Some((tenant, Month::of(Timestamp::from_datetime(start))));
        }
    }
    let units = units.max(units_open.unsigned_abs());
    Ok((units > 0).then_some(Refusal::NotBackfilled { units, first }))
}

/// Rows without a tenant that nobody has put into quarantine: they came behind the last plan of a backfill.
async fn find_tenantless(pool: &PgPool, quarantined: i64) -> Result<Option<Refusal>, MigrationError> {
    if quarantined > 0 {
        return Ok(None);
    }
    let is_tenantless = sqlx::query_file_scalar!("sql/moves/is_tenantless.sql").fetch_one(pool).await?;
    Ok(is_tenantless.then_some(Refusal::Tenantless))
}

async fn find_not_verified(pool: &PgPool) -> Result<Option<Refusal>, MigrationError> {
    let (mut tenants, mut first) = (0, None);
    for tenant in plan::list_tenants(pool).await? {
        let is_verified =
            sqlx::query_file_scalar!("sql/moves/is_verified.sql", tenant).fetch_one(pool).await?;
        if !is_verified {
            tenants += 1;
            first.get_or_insert(tenant);
        }
    }
    Ok(first.map(|first| Refusal::NotVerified { tenants, first }))
}

/// Unless every process that serves has the flag on, and serves in one of these phases.
async fn find_instances(pool: &PgPool, phases: &[&str]) -> Result<Option<Refusal>, MigrationError> {
    let changed_at = sqlx::query_file!("sql/status/read_control.sql").fetch_one(pool).await?.changed_at;
    let changed_at = Timestamp::from_datetime(changed_at);
    let instances = status::list_instances(pool).await?;
    let wrong: Vec<String> =
        instances.iter().filter_map(|instance| what_is_wrong(instance, phases, changed_at)).collect();
    let count = wrong.len() as u64;
    Ok(wrong.into_iter().next().map(|first| Refusal::Instances { count, first }))
}

/// A process that has the flag on, and has not been heard of since the phase changed, is as good as in it: it writes nothing
/// before it has followed.
fn what_is_wrong(instance: &Instance, phases: &[&str], changed_at: Timestamp) -> Option<String> {
    let Instance { host, pid, version, flag, phase, heartbeat_at, .. } = instance;
    if !flag {
        return Some(format!("process {pid} on {host} ({version}) runs with DB_PARTITIONS_V1=0"));
    }
    let follows = phases.contains(&phase.as_str()) || *heartbeat_at < changed_at;
    (!follows).then(|| format!("process {pid} on {host} ({version}) serves in phase {phase}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(flag: bool, phase: &str) -> Instance {
        let at = Timestamp::parse_rfc3339("2026-11-01T00:00:00Z").unwrap();
        Instance {
            host: "db-1".to_owned(),
            pid: 7,
            version: "0.1.0".to_owned(),
            flag,
            phase: phase.to_owned(),
            started_at: at,
            heartbeat_at: at,
        }
    }

    #[test]
    fn a_process_with_the_flag_off_or_in_another_phase_is_named() {
        let long_ago = Timestamp::parse_rfc3339("2026-10-01T00:00:00Z").unwrap();
        let wrong = |flag, phase| what_is_wrong(&instance(flag, phase), &["dual"], long_ago);
        assert_eq!(wrong(true, "dual"), None);
        let off = wrong(false, "legacy").unwrap();
        assert!(off.contains("process 7 on db-1") && off.contains("DB_PARTITIONS_V1=0"), "{off}");
        assert!(wrong(true, "contradiction").unwrap().contains("contradiction"));
    }

    #[test]
    fn a_process_not_heard_of_since_the_phase_changed_is_waited_for_only_with_the_flag_off() {
        let since = Timestamp::parse_rfc3339("2026-11-01T00:00:01Z").unwrap();
        assert_eq!(what_is_wrong(&instance(true, "fenced"), &["finalized"], since), None);
        assert!(what_is_wrong(&instance(false, "legacy"), &["dual"], since).is_some());
    }
}
