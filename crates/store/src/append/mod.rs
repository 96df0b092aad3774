//! Append: lanes that gather what is waiting and commit it as one transaction.

mod batch;
mod cache;
mod decide;
mod doubt;
mod figures;
mod job;
mod lane;
mod load;
mod queue;
mod recorded;
mod refusal;
mod replay;
mod rows;
mod session;
mod transaction;
mod writer;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use partita_model::{Append, Appended};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::job::Job;
use self::lane::Lane;
use self::queue::{FairQueue, Full};
use self::writer::Writer;
use crate::metrics::SHED;
use crate::partitions::Partitions;
use crate::phase::PhaseCell;
use crate::{StoreConfig, StoreError};

pub(crate) use self::doubt::DOUBT_TIMEOUT;
pub(crate) use self::refusal::{is_connection_lost, is_unavailable};

/// All lanes of a process. A tenant always meets the same one, so that two lanes do not wait for each other over a
/// tenant's row.
pub(crate) struct Lanes {
    queues: Vec<Arc<FairQueue<Job>>>,
    tasks: TaskTracker,
}

impl Lanes {
    /// Starts the lanes; each connects when it gets its first append. `names_tenants`: whether row security may bind their
    /// login.
    pub(crate) fn start(
        config: &StoreConfig,
        names_tenants: bool,
        phase: &Arc<PhaseCell>,
        partitions: &Arc<Partitions>,
    ) -> Self {
        let tasks = TaskTracker::new();
        let queues = (0..config.lanes.count.max(1))
            .map(|_| {
                let queue = Arc::new(FairQueue::new(config.lanes));
                let (phase, partitions) = (Arc::clone(phase), Arc::clone(partitions));
                let writer = Writer::new(config, names_tenants, phase);
                let lane = Lane::new(writer, Arc::clone(&queue), partitions, tasks.clone());
                tasks.spawn(lane.run());
                queue
            })
            .collect();
        Self { queues, tasks }
    }

    /// Queues an append and waits for its answer. Dropping the future takes the append back while it still waits;
    /// once its lane has taken it, it completes.
    pub(crate) async fn append(
        &self,
        append: Append,
        deadline: Option<Instant>,
    ) -> Result<Vec<Appended>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue_of(&append);
        queue.push(Job::new(append, deadline, reply)).map_err(|full| match full {
            Full::Overloaded => {
                SHED.add(1, ["lane"]);
                StoreError::Overloaded { retry_after: lane::RETRY_AFTER }
            }
            Full::Closed => StoreError::ShuttingDown,
        })?;
        // A lane answers whatever it takes; only a lane that panicked half way does not.
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    /// Refuses new appends, finishes those that wait, and closes the connections.
    pub(crate) async fn close(&self) {
        for queue in &self.queues {
            queue.close();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Events that wait in each lane.
    pub(crate) fn depths(&self) -> impl Iterator<Item = usize> {
        self.queues.iter().map(|queue| queue.depth())
    }

    fn queue_of(&self, append: &Append) -> &FairQueue<Job> {
        let mut hasher = DefaultHasher::new();
        append.tenant().hash(&mut hasher);
        let lane = hasher.finish() as usize % self.queues.len();
        &self.queues[lane]
    }
}
