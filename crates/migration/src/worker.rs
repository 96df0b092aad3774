//! A worker: takes up a unit, copies it page by page, and proves that nothing is left.

use std::time::{Duration, Instant};

use partita_store::DatabaseUrl;
use partita_store::metrics::BACKFILL_ROWS;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::copy::{self, PageSize, Step};
use crate::pace::{Next, Pace};
use crate::retry::retry;
use crate::unit::Unit;
use crate::{Direction, MigrationError, RunState, WorkerConfig, control, session};

/// Passes over a unit in a row. Each ends with a count; another program may have written meanwhile.
const PASSES_MAX: u32 = 10;
/// So few rows may be left after the second pass: a later run finds them, and the fence keeps more from coming.
const TAIL_ROWS_MAX: i64 = 1_000;
/// Positions that are reserved when a unit needs more than were counted.
const ROOM_ROWS: i64 = 1_000;

pub(crate) struct Worker {
    url: DatabaseUrl,
    pool: PgPool,
    owner: String,
    config: WorkerConfig,
    session: Option<(Direction, PgConnection)>,
}

/// What a look at the orders came to.
pub(crate) enum Round {
    /// A unit was worked on.
    Worked,
    /// There is nothing to do now.
    Idle,
}

/// How the work on a unit ended.
enum End {
    Finished,
    Released,
    LeaseLost,
}

impl Worker {
    pub(crate) fn new(url: DatabaseUrl, pool: PgPool, owner: String, config: WorkerConfig) -> Self {
        Self { url, pool, owner, config, session: None }
    }

    /// Works until it is told to stop; a page that is begun is finished, then the unit is let go.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) {
        let poll = self.config.poll_interval;
        let mut pause = Duration::ZERO;
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            pause = match self.round(shutdown).await {
                Ok(Round::Worked) => Duration::ZERO,
                Ok(Round::Idle) => poll,
                Err(error) => {
                    self.session = None;
                    tracing::warn!(%error, cause = cause(&error), "backfill worker met an error");
                    poll.max(Duration::from_millis(200))
                }
            };
        }
    }

    async fn round(&mut self, shutdown: &CancellationToken) -> Result<Round, MigrationError> {
        let orders = control::read_orders(&self.pool).await?;
        if orders.state != RunState::Running {
            self.session = None;
            return Ok(Round::Idle);
        }
        let mut connection = match self.session.take() {
            Some((direction, connection)) if direction == orders.direction => connection,
            _ => session::connect_worker(&self.url, orders.direction).await?,
        };
        let claimed = retry!(Unit::claim(&mut connection, orders.direction, &self.owner, self.config.lease))?;
        let Some(mut unit) = claimed else {
            let finished = sqlx::query_file_scalar!("sql/control/finish.sql", orders.direction.as_str())
                .fetch_optional(&self.pool)
                .await?;
            if finished.is_some() {
                tracing::info!(direction = %orders.direction, "backfill found nothing left");
            }
            self.session = Some((orders.direction, connection));
            return Ok(Round::Idle);
        };
        // For a login with the app's role this is all that there is: what counts rows must see those that it counts.
        sqlx::query_file!("sql/session/name_tenant.sql", unit.tenant).fetch_one(&mut connection).await?;
        self.work(&mut connection, &mut unit, shutdown).await?;
        self.session = Some((unit.direction, connection));
        Ok(Round::Worked)
    }

    /// Works on a unit, and says how it ended.
    async fn work(
        &self,
        connection: &mut PgConnection,
        unit: &mut Unit,
        shutdown: &CancellationToken,
    ) -> Result<(), MigrationError> {
        let (tenant, month, direction) = (unit.tenant.clone(), unit.month(), unit.direction);
        tracing::debug!(%tenant, %month, %direction, "unit taken up");
        let size = PageSize::new(self.config.page_rows_max);
        match copy_unit(connection, &self.pool, unit, size, shutdown).await {
            Ok(End::Finished) => {
                if direction == Direction::Forward {
                    sqlx::query_file!("sql/plan/mark_backfilled.sql", tenant)
                        .execute(&mut *connection)
                        .await?;
                }
                tracing::info!(%tenant, %month, %direction, "unit finished");
            }
            Ok(End::Released) => tracing::debug!(%tenant, %month, "unit let go"),
            Ok(End::LeaseLost) => tracing::warn!(%tenant, %month, "unit is another worker's by now"),
            Err(error) => {
                let text = format!("{error}: {}", cause(&error));
                tracing::warn!(%tenant, %month, error = text, unit.attempts, "unit failed for now");
                unit.release(connection, Some(&text)).await?;
            }
        }
        Ok(())
    }
}

async fn copy_unit(
    connection: &mut PgConnection,
    pool: &PgPool,
    unit: &mut Unit,
    mut size: PageSize,
    shutdown: &CancellationToken,
) -> Result<End, MigrationError> {
    let missing = unit.keep_beside(pool, count_missing(connection, unit)).await?;
    if missing == 0 && unit.keep_beside(pool, count_heads_behind(connection, unit)).await? == 0 {
        return finish(connection, unit, 0).await;
    }
    if !retry!(unit.renew(connection, Some(missing), None))? {
        return Ok(End::LeaseLost);
    }
    if missing > 0 && unit.direction == Direction::Forward {
        copy::make_leaf(connection, unit).await?;
    }
    let mut passes = 0;
    if !unit.is_begun && !retry!(unit.begin_pass(connection))? {
        return Ok(End::LeaseLost);
    }
    // Resumed in the middle of a pass, the block of positions has room for the rest of it.
    if missing > 0 && !unit.has_room && !reserve(connection, unit, missing).await? {
        return Ok(End::LeaseLost);
    }
    loop {
        match copy_pass(connection, unit, &mut size, shutdown).await? {
            End::Finished => {}
            ended @ (End::Released | End::LeaseLost) => return Ok(ended),
        }
        passes += 1;
        let left = unit.keep_beside(pool, count_left(connection, unit)).await?;
        let heads_behind = unit.keep_beside(pool, count_heads_behind(connection, unit)).await?;
        if (left == 0 && heads_behind == 0) || (passes >= 2 && left <= TAIL_ROWS_MAX) {
            return finish(connection, unit, left + heads_behind).await;
        }
        if passes >= PASSES_MAX {
            let text =
                format!("{left} rows are left after {passes} passes: another program writes to this month");
            unit.release(connection, Some(&text)).await?;
            return Ok(End::Released);
        }
        if !retry!(unit.begin_pass(connection))? {
            return Ok(End::LeaseLost);
        }
    }
}

/// Copies from the unit's cursor to the end of its month.
async fn copy_pass(
    connection: &mut PgConnection,
    unit: &mut Unit,
    size: &mut PageSize,
    shutdown: &CancellationToken,
) -> Result<End, MigrationError> {
    let mut pace = Pace::new();
    let mut copied = 0;
    let mut told = None;
    let mut told_at = Instant::now();
    loop {
        if shutdown.is_cancelled() {
            unit.release(connection, None).await?;
            return Ok(End::Released);
        }
        let most = match pace.next(connection, unit, copied).await? {
            Next::Page(most) => most,
            Next::Wait(pause) => {
                copied = 0;
                if told.as_deref() != pace.throttle() || told_at.elapsed() >= unit.silence_max() {
                    told = pace.throttle().map(str::to_owned);
                    told_at = Instant::now();
                    let throttle = told.as_deref();
                    if !retry!(unit.renew(connection, None, throttle))? {
                        return Ok(End::LeaseLost);
                    }
                }
                let pause = pause.min(unit.silence_max());
                shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
                continue;
            }
            Next::Release => {
                unit.release(connection, None).await?;
                return Ok(End::Released);
            }
        };
        let begun = Instant::now();
        let page = match copy::next_page(connection, unit, size, most, &pace.telling()).await? {
            Step::Copied(page) => page,
            Step::Quarantined => {
                copied = 0;
                continue;
            }
            Step::LeaseLost => return Ok(End::LeaseLost),
        };
        copied = page.copied;
        pace.note(page.copied, begun.elapsed());
        if unit.direction == Direction::Forward {
            BACKFILL_ROWS.add(page.copied.unsigned_abs(), []);
        }
        if page.is_last {
            return Ok(End::Finished);
        }
        if page.needs_room && !reserve(connection, unit, ROOM_ROWS).await? {
            return Ok(End::LeaseLost);
        }
    }
}

/// Ends the work on a unit, and gives back the positions that it did not use.
async fn finish(connection: &mut PgConnection, unit: &Unit, rows_left: i64) -> Result<End, MigrationError> {
    if unit.direction == Direction::Forward {
        retry!(
            sqlx::query_file!("sql/unit/return_positions.sql", unit.tenant, unit.start, unit.token)
                .execute(&mut *connection)
        )?;
    }
    let held = retry!(unit.finish(connection, rows_left))?;
    Ok(if held { End::Finished } else { End::LeaseLost })
}

/// Reserves positions; false when the lease is lost.
async fn reserve(connection: &mut PgConnection, unit: &mut Unit, rows: i64) -> Result<bool, MigrationError> {
    if unit.direction == Direction::Restore {
        return Ok(true);
    }
    let room = retry!(
        sqlx::query_file_scalar!("sql/unit/reserve_positions.sql", unit.tenant, unit.start, unit.token, rows)
            .fetch_optional(&mut *connection)
    )?;
    unit.has_room = room.is_some();
    Ok(room.is_some())
}

async fn count_missing(connection: &mut PgConnection, unit: &Unit) -> Result<i64, MigrationError> {
    let mut transaction = copy::begin_anti_join(connection).await?;
    let missing = match unit.direction {
        Direction::Forward => {
            sqlx::query_file_scalar!("sql/unit/count_missing.sql", unit.tenant, unit.start, unit.end)
                .fetch_one(&mut *transaction)
                .await?
        }
        Direction::Restore => {
            sqlx::query_file_scalar!("sql/restore/count_missing.sql", unit.tenant, unit.start)
                .fetch_one(&mut *transaction)
                .await?
        }
    };
    transaction.commit().await?;
    Ok(missing)
}

/// The rows that are neither copied nor in quarantine. The costlier question is asked only where the cheaper finds some.
async fn count_left(connection: &mut PgConnection, unit: &Unit) -> Result<i64, MigrationError> {
    if count_missing(connection, unit).await? == 0 {
        return Ok(0);
    }
    let mut transaction = copy::begin_anti_join(connection).await?;
    let left = match unit.direction {
        Direction::Forward => {
            sqlx::query_file_scalar!("sql/unit/count_left.sql", unit.tenant, unit.start, unit.end)
                .fetch_one(&mut *transaction)
                .await?
        }
        Direction::Restore => {
            sqlx::query_file_scalar!("sql/restore/count_left.sql", unit.tenant, unit.start)
                .fetch_one(&mut *transaction)
                .await?
        }
    };
    transaction.commit().await?;
    Ok(left)
}

async fn count_heads_behind(connection: &mut PgConnection, unit: &Unit) -> Result<i64, MigrationError> {
    if unit.direction == Direction::Restore {
        return Ok(0);
    }
    let mut transaction = copy::begin_count(connection).await?;
    let behind =
        sqlx::query_file_scalar!("sql/unit/count_heads_behind.sql", unit.tenant, unit.start, unit.end)
            .fetch_one(&mut *transaction)
            .await?;
    transaction.commit().await?;
    Ok(behind)
}

/// The database's own words.
fn cause(error: &MigrationError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
