//! How fast a worker goes: what it is told, and what others suffer.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::copy::Telling;
use crate::unit::Unit;
use crate::{Direction, MigrationError, RunState};

/// A worker that waits for others looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How much the last page counts in the rate that is told.
const SMOOTHING: f64 = 0.2;

/// What a worker is to do next.
pub(crate) enum Next {
    /// A page of at most so many rows.
    Page(i64),
    /// Wait, then ask again.
    Wait(Duration),
    /// Let the unit go: the run was paused or cancelled, or there are fewer workers now.
    Release,
}

/// The pace of one worker at one unit.
pub(crate) struct Pace {
    /// When the rows that were copied so far are paid for.
    paid_at: Instant,
    measured: Option<f64>,
    throttle: Option<String>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { paid_at: Instant::now(), measured: None, throttle: None }
    }

    /// What is told of the worker with its page.
    pub(crate) fn telling(&self) -> Telling {
        Telling { throttle: self.throttle.clone(), rows_per_second: self.measured }
    }

    /// What slows the worker down, in words.
    pub(crate) fn throttle(&self) -> Option<&str> {
        self.throttle.as_deref()
    }

    /// Takes note of a page.
    pub(crate) fn note(&mut self, copied: i64, took: Duration) {
        let rate = copied as f64 / took.as_secs_f64().max(0.001);
        let before = self.measured.unwrap_or(rate);
        self.measured = Some(before + SMOOTHING * (rate - before));
    }

    /// Pays for rows at a rate.
    fn pay(&mut self, copied: i64, rate: f64) {
        self.paid_at =
            self.paid_at.max(Instant::now()) + Duration::from_secs_f64(copied as f64 / rate.max(0.01));
    }

    /// Looks at the orders and around, after a page of so many rows.
    pub(crate) async fn next(
        &mut self,
        connection: &mut PgConnection,
        unit: &Unit,
        copied: i64,
    ) -> Result<Next, MigrationError> {
        let row = sqlx::query_file!("sql/control/pace.sql", unit.direction.as_str(), unit.tenant, unit.start)
            .fetch_one(connection)
            .await?;
        let is_running = RunState::parse(&row.state)? == RunState::Running;
        if !is_running
            || Direction::parse(&row.direction)? != unit.direction
            || row.before >= i64::from(row.workers)
        {
            return Ok(Next::Release);
        }
        let share = row
            .rows_per_second
            .map(|rate| f64::from(rate) / row.copying.clamp(1, i64::from(row.workers)) as f64);
        if let Some(share) = share {
            self.pay(copied, share);
        }
        if let (Some(lag), Some(most)) = (row.lag_ms, row.lag_ms_max)
            && lag > i64::from(most)
        {
            self.throttle = Some(format!("a replica lags by {lag} ms, more than {most}"));
            return Ok(Next::Wait(LOOK_AGAIN));
        }
        if let Some(most) = row.lock_waits_max
            && row.lock_waits > i64::from(most)
        {
            self.throttle = Some(format!("{} sessions wait for locks, more than {most}", row.lock_waits));
            return Ok(Next::Wait(LOOK_AGAIN));
        }
        let early = self.paid_at.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            self.throttle = row.rows_per_second.map(|rate| format!("the rate, {rate} rows a second"));
            return Ok(Next::Wait(early.min(LOOK_AGAIN)));
        }
        if share.is_none() {
            self.throttle = None;
        }
        // Half a second's worth at most, so that a low rate is even.
        Ok(Next::Page(share.map_or(i64::MAX, |share| ((share / 2.0) as i64).max(1))))
    }
}
