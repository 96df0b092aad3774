use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::append::Lanes;
use crate::metrics::{LANE_DEPTH, MONTHS_AHEAD, PHASE, POOL_CONNECTIONS, POOL_MAX};
use crate::partitions::Partitions;
use crate::phase::PhaseCell;

/// How often what lies in memory is looked at: several times between two scrapes.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// How often the database is asked for what only it knows.
const ASK_INTERVAL: Duration = Duration::from_mins(1);

/// Every phase, as labels; the last one is that of a process which must not serve.
const PHASES: [&str; 6] = ["legacy", "dual", "fenced", "restoring", "finalized", "contradiction"];

/// Records the figures of a store that nobody records on the way.
pub(crate) struct Observer {
    phase: Arc<PhaseCell>,
    pool: PgPool,
    lanes: Arc<Lanes>,
    partitions: Arc<Partitions>,
    /// The lanes' numbers, as labels.
    lane_names: Vec<&'static str>,
}

impl Observer {
    pub(crate) fn new(
        phase: &Arc<PhaseCell>,
        pool: PgPool,
        lanes: &Arc<Lanes>,
        partitions: &Arc<Partitions>,
    ) -> Self {
        // Labels live as long as the process; there are 64 lanes at most.
        let lane_names = lanes.depths().enumerate().map(|(lane, _)| &*lane.to_string().leak()).collect();
        let (phase, lanes, partitions) = (Arc::clone(phase), Arc::clone(lanes), Arc::clone(partitions));
        Self { phase, pool, lanes, partitions, lane_names }
    }

    /// Never ends.
    pub(crate) async fn run(self) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked: Option<Instant> = None;
        loop {
            looks.tick().await;
            self.look();
            if asked.is_none_or(|at| at.elapsed() >= ASK_INTERVAL) {
                self.ask().await;
                asked = Some(Instant::now());
            }
        }
    }

    fn look(&self) {
        let phase = self.phase.name();
        for name in PHASES {
            PHASE.set(if name == phase { 1.0 } else { 0.0 }, [name]);
        }
        for (depth, lane) in self.lanes.depths().zip(&self.lane_names) {
            LANE_DEPTH.set(depth as f64, [lane]);
        }
        let idle = self.pool.num_idle() as f64;
        POOL_CONNECTIONS.set(idle, ["idle"]);
        POOL_CONNECTIONS.set((f64::from(self.pool.size()) - idle).max(0.0), ["used"]);
        POOL_MAX.set(f64::from(self.pool.options().get_max_connections()), []);
    }

    async fn ask(&self) {
        match self.partitions.least_months_ahead().await {
            Ok(Some(months)) => MONTHS_AHEAD.set(f64::from(months), []),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "months ahead could not be looked up"),
        }
    }
}
