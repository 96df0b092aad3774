//! Maintenance that the service does by itself: every tenant, every interval, in one process of the fleet.

mod leader;
mod run;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::leader::Leader;
use crate::partitions::Partitions;
use crate::{DatabaseUrl, MaintenanceRequest};

/// How often a process that does not lead looks whether it has to: this long at most after a leader died, another leads.
const ELECTION_INTERVAL: Duration = Duration::from_mins(1);
/// Pauses differ by up to this part, so that processes that were started together drift apart.
const JITTER: f64 = 0.1;

/// What the service does by itself for partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceConfig {
    /// Whether it does anything.
    pub enabled: bool,
    /// From the end of a run to the next, a tenth more or less.
    pub interval: Duration,
    /// The first run begins within this time of the start.
    pub first_run_within: Duration,
    /// Whether months ahead are created.
    pub create: bool,
    /// Whether floors are raised, and months below them detached.
    pub detach: bool,
    /// Whether detached months are dropped.
    pub drop: bool,
    /// Days that a detached month is kept, and may be restored, before it is dropped; 0 drops at once.
    pub grace_days: u32,
    /// Whether it acts, or only says what it would do.
    pub mode: MaintenanceMode,
}

/// Whether maintenance acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaintenanceMode {
    /// It does.
    Act,
    /// It only logs what it would do.
    Observe,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_hours(1),
            first_run_within: Duration::from_secs(10),
            create: true,
            detach: true,
            drop: true,
            grace_days: 7,
            mode: MaintenanceMode::Act,
        }
    }
}

/// The loop of one process.
pub(crate) struct MaintenanceLoop {
    config: MaintenanceConfig,
    url: DatabaseUrl,
    partitions: Partitions,
}

impl MaintenanceLoop {
    pub(crate) fn new(config: MaintenanceConfig, url: DatabaseUrl, partitions: Partitions) -> Self {
        Self { config, url, partitions }
    }

    /// Runs until it is told to stop; a tenant that is begun is finished. Processes that do not lead wait for their turn.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        if !self.config.enabled {
            return;
        }
        if !self.partitions.may_maintain().await {
            tracing::info!("the role of this process may not maintain partitions: another process must");
            return;
        }
        let mut leader: Option<Leader> = None;
        let mut pause = self.config.first_run_within.mul_f64(rand::random());
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            leader = self.elect(leader).await;
            pause = match &mut leader {
                Some(leader) => {
                    self.run_once(leader, shutdown).await;
                    jittered(self.config.interval)
                }
                None => jittered(self.config.interval.min(ELECTION_INTERVAL)),
            };
        }
        if let Some(leader) = leader {
            leader.resign().await;
        }
    }

    /// The leader that this process still is, or now becomes.
    async fn elect(&self, leader: Option<Leader>) -> Option<Leader> {
        if let Some(mut leader) = leader
            && leader.is_alive().await
        {
            return Some(leader);
        }
        match Leader::stand(&self.url).await {
            Ok(Some(leader)) => {
                tracing::info!("this process maintains the partitions from now on");
                Some(leader)
            }
            Ok(None) => {
                tracing::debug!("another process maintains the partitions");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "maintenance cannot connect");
                None
            }
        }
    }

    fn request(&self) -> MaintenanceRequest {
        let MaintenanceConfig { create, detach, drop, mode, .. } = self.config;
        let validate_only = match mode {
            MaintenanceMode::Act => false,
            MaintenanceMode::Observe => true,
        };
        MaintenanceRequest {
            create,
            detach,
            drop,
            validate_only,
            measure: false,
            ..self.partitions.defaults()
        }
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0))
}
