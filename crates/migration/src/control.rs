use std::fmt;

use partita_model::Timestamp;
use sqlx::PgPool;

use crate::{Direction, MigrationError, Refusal};

/// What the workers of all processes are told to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Orders {
    /// Which way rows are copied.
    pub direction: Direction,
    /// Whether they are.
    pub state: RunState,
    /// How fast.
    pub limits: Limits,
    /// When that was said last.
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: String,
    /// When the last run was started; none before the first.
    pub started_at: Option<Timestamp>,
    /// When it found nothing left.
    pub finished_at: Option<Timestamp>,
}

/// Whether the workers work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Never begun, or cancelled.
    Stopped,
    /// They do.
    Running,
    /// They wait to be resumed.
    Paused,
    /// The last run found nothing left to do.
    Finished,
}

/// What the workers of all processes keep to, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Units that are copied at a time, 1 to 64.
    pub workers: i32,
    /// Most rows a second, 1 to 10,000,000; none: as fast as it goes.
    pub rows_per_second: Option<i32>,
    /// Workers wait while a replica lags by more milliseconds; none: they do not look.
    pub lag_ms_max: Option<i32>,
    /// Workers wait while more sessions than these wait for locks; none: they do not look.
    pub lock_waits_max: Option<i32>,
}

/// A change of the limits; what is none stays, `Some(None)` takes a limit away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Units at a time, 1 to 64.
    pub workers: Option<i32>,
    /// Most rows a second.
    pub rows_per_second: Option<Option<i32>>,
    /// Most milliseconds that a replica may lag.
    pub lag_ms_max: Option<Option<i32>>,
    /// Most sessions that may wait for locks.
    pub lock_waits_max: Option<Option<i32>>,
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RunState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, MigrationError> {
        match text {
            "stopped" => Ok(Self::Stopped),
            "running" => Ok(Self::Running),
            "paused" => Ok(Self::Paused),
            "finished" => Ok(Self::Finished),
            unknown => Err(MigrationError::Unknown(format!("the backfill's state `{unknown}`"))),
        }
    }
}

pub(crate) async fn read_orders(pool: &PgPool) -> Result<Orders, MigrationError> {
    let row = sqlx::query_file!("sql/control/read_orders.sql").fetch_one(pool).await?;
    Ok(Orders {
        direction: Direction::parse(&row.direction)?,
        state: RunState::parse(&row.state)?,
        limits: Limits {
            workers: row.workers,
            rows_per_second: row.rows_per_second,
            lag_ms_max: row.lag_ms_max,
            lock_waits_max: row.lock_waits_max,
        },
        changed_at: Timestamp::from_datetime(row.changed_at),
        changed_by: row.changed_by,
        started_at: row.started_at.map(Timestamp::from_datetime),
        finished_at: row.finished_at.map(Timestamp::from_datetime),
    })
}

pub(crate) async fn start(pool: &PgPool, direction: Direction, by: &str) -> Result<(), MigrationError> {
    sqlx::query_file!("sql/control/start.sql", direction.as_str(), by).execute(pool).await?;
    Ok(())
}

/// Moves the run's state, from one of those that it may come from.
pub(crate) async fn change_state(
    pool: &PgPool,
    from: &[RunState],
    to: RunState,
    wanted: &'static str,
    by: &str,
) -> Result<(), MigrationError> {
    let from: Vec<String> = from.iter().map(|state| state.as_str().to_owned()).collect();
    let moved =
        sqlx::query_file_scalar!("sql/control/move.sql", &from, to.as_str(), by).fetch_optional(pool).await?;
    if moved.is_some() {
        return Ok(());
    }
    let state = read_orders(pool).await?.state.to_string();
    Err(Refusal::State { state, wanted }.into())
}

pub(crate) async fn tune(pool: &PgPool, tuning: Tuning, by: &str) -> Result<(), MigrationError> {
    sqlx::query_file!(
        "sql/control/tune.sql",
        tuning.workers,
        tuning.rows_per_second.is_some(),
        tuning.rows_per_second.flatten(),
        tuning.lag_ms_max.is_some(),
        tuning.lag_ms_max.flatten(),
        tuning.lock_waits_max.is_some(),
        tuning.lock_waits_max.flatten(),
        by
    )
    .execute(pool)
    .await?;
    Ok(())
}
