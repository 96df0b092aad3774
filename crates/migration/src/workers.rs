use std::time::{Duration, Instant};

use partita_store::DatabaseUrl;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::worker::Worker;
use crate::{MigrationError, RunState, control, session};

/// How long the database may be away while a run is waited for: a restart or a failover.
const OUTAGE_MAX: Duration = Duration::from_secs(60);

/// How many workers a process has, and how often they look for orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Units that this process copies at a time, 0 to 64; 0: none. The orders say how many all processes may.
    pub workers_max: u32,
    /// How often a worker without a unit looks for one.
    pub poll_interval: Duration,
    /// How long a unit stays with a worker that gives no sign of life though its session lives, at least a second.
    pub lease: Duration,
    /// Most rows of a page, at least 1: what a session of the database holds in memory, and a transaction in locks.
    pub page_rows_max: u32,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            workers_max: 2,
            poll_interval: Duration::from_secs(2),
            lease: Duration::from_mins(5),
            page_rows_max: 10_000,
        }
    }
}

/// The workers of one process. Several processes may have some: leases share out the units.
#[derive(Debug, Clone)]
pub struct Workers {
    url: DatabaseUrl,
    config: WorkerConfig,
}

impl Workers {
    /// Workers for a database; nothing is done before [`run`](Self::run).
    pub fn new(url: DatabaseUrl, config: WorkerConfig) -> Self {
        Self { url, config }
    }

    /// Does what the orders say until it is told to stop: each worker finishes its page and lets go of its unit. Dropped, the
    /// workers end where they are, as if they were killed.
    pub async fn run(&self, shutdown: &CancellationToken) {
        let pool = session::control_pool(&self.url);
        let owner = format!("{}-{}", std::process::id(), &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let mut tasks = JoinSet::new();
        for number in 1..=self.config.workers_max {
            let worker =
                Worker::new(self.url.clone(), pool.clone(), format!("{owner}/{number}"), self.config);
            let shutdown = shutdown.clone();
            tasks.spawn(async move { worker.run(&shutdown).await });
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "backfill worker was cut off");
            }
        }
        pool.close().await;
    }

    /// Does what the orders say until the run has ended, was paused or cancelled, or this is told to stop; gives the state
    /// that the run is left in. A database that is away for less than a minute is waited for.
    ///
    /// # Errors
    /// When the database cannot be asked. The workers have ended then, too.
    pub async fn run_to_end(&self, shutdown: &CancellationToken) -> Result<RunState, MigrationError> {
        let ending = shutdown.child_token();
        let work = self.run(&ending);
        let watch = async {
            let state = self.watch(&ending).await;
            // Whatever it came to: nobody waits for workers that nobody would stop.
            ending.cancel();
            state
        };
        let ((), state) = tokio::join!(work, watch);
        state
    }

    /// Waits until the run is not under way any more, or this is told to stop.
    async fn watch(&self, ending: &CancellationToken) -> Result<RunState, MigrationError> {
        let pool = session::control_pool(&self.url);
        let mut heard_at = Instant::now();
        loop {
            match control::read_orders(&pool).await {
                Ok(orders) if orders.state != RunState::Running || ending.is_cancelled() => {
                    return Ok(orders.state);
                }
                Ok(_) => heard_at = Instant::now(),
                Err(error) if !error.passes() || ending.is_cancelled() || heard_at.elapsed() > OUTAGE_MAX => {
                    return Err(error);
                }
                Err(error) => tracing::warn!(%error, "the orders of the backfill cannot be read for now"),
            }
            ending.run_until_cancelled(tokio::time::sleep(self.config.poll_interval)).await;
        }
    }
}
