//! Writers and readers of many tenants and streams. Every decision of a worker is drawn from the seed and the worker's
//! number, so a seed repeats the same load; what the machine makes of it in time, it does not.

mod caller;
mod draft;
mod mood;
mod reader;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use partita_model::TenantId;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub(crate) use self::caller::Caller;
pub(crate) use self::draft::{Drafts, any_tenant, shared_stream, shared_streams};
pub use self::mood::{Counters, Mood};
pub(crate) use self::reader::pause;
use crate::contents::list_floors;
use crate::foreign::ForeignWriter;
use crate::history::{Call, Deed, FloorDeed, History, MomentClock, WorkerId};

/// The generator of a worker's decisions.
pub(crate) type Dice = Xoshiro256PlusPlus;

/// What the load is like.
#[derive(Debug, Clone)]
pub struct WorkloadOptions {
    /// What all decisions are drawn from.
    pub seed: u64,
    /// The names of the tenants, which must be new to the database.
    pub tenants: Vec<TenantId>,
    /// Streams of each tenant that all workers share; each writer has one of its own besides.
    pub shared_streams: u32,
    /// Tasks that append.
    pub writers: u32,
    /// Tasks that read.
    pub readers: u32,
    /// What a worker waits between two calls, on average; zero: not at all.
    pub pause: Duration,
    /// How far back in time events may lie, in months; 0: the database's clock decides nearly always.
    pub months_back: u32,
    /// How long a call may take.
    pub deadline: Duration,
    /// How long a writer goes on asking for an outcome that it does not know after the load was stopped.
    pub settle_limit: Duration,
}

impl WorkloadOptions {
    /// A load that two processors can carry: 12 writers and 4 readers of 4 tenants.
    ///
    /// # Errors
    /// When `prefix` makes no tenant's name.
    pub fn new(seed: u64, prefix: &str) -> Result<Self, String> {
        let tenants = (0..4).map(|number| TenantId::parse(format!("{prefix}-{number}")));
        Ok(Self {
            seed,
            tenants: tenants.collect::<Result<_, _>>()?,
            shared_streams: 3,
            writers: 12,
            readers: 4,
            pause: Duration::from_millis(4),
            months_back: 0,
            deadline: Duration::from_secs(8),
            settle_limit: Duration::from_secs(30),
        })
    }
}

/// A load that runs.
pub struct Workload {
    before: History,
    stop: CancellationToken,
    workers: JoinSet<Vec<Call>>,
    mood: Arc<Mood>,
    counters: Arc<Counters>,
    clock: Arc<MomentClock>,
    witnessed: Mutex<Vec<Call>>,
}

/// Who witnessed what no worker did.
const WITNESS: WorkerId = WorkerId::MAX;

impl Workload {
    /// Starts it against services that need not be up, and against the legacy table where `foreign` is given.
    pub fn start(options: WorkloadOptions, services: &[Channel], foreign: Option<ForeignWriter>) -> Self {
        Self::start_after(History::default(), options, services, foreign)
    }

    /// Starts it after what is there already; its history begins with that.
    pub fn start_after(
        before: History,
        options: WorkloadOptions,
        services: &[Channel],
        foreign: Option<ForeignWriter>,
    ) -> Self {
        let (options, clock) = (Arc::new(options), Arc::new(MomentClock::after(&before)));
        let mut load = Self {
            before,
            stop: CancellationToken::new(),
            workers: JoinSet::new(),
            mood: Arc::default(),
            counters: Arc::default(),
            clock: Arc::clone(&clock),
            witnessed: Mutex::default(),
        };
        let caller = |worker: WorkerId| Caller {
            worker,
            services: services.iter().map(Caller::client).collect(),
            clock: Arc::clone(&clock),
            counters: Arc::clone(&load.counters),
            mood: Arc::clone(&load.mood),
            deadline: options.deadline,
            dice: Dice::seed_from_u64(options.seed ^ (u64::from(worker) << 32)),
            calls: Vec::new(),
        };
        let readers: Vec<_> = (0..options.readers).map(|reader| caller(options.writers + reader)).collect();
        let writers: Vec<_> = (0..options.writers).map(caller).collect();
        let foreigner = foreign.map(|writer| (writer, caller(options.writers + options.readers)));
        for caller in writers {
            load.workers.spawn(writer::run(caller, Arc::clone(&options), load.stop.clone()));
        }
        for caller in readers {
            load.workers.spawn(reader::run(caller, Arc::clone(&options), load.stop.clone()));
        }
        if let Some((writer, caller)) = foreigner {
            load.workers.spawn(writer.run(caller, Arc::clone(&options), load.stop.clone()));
        }
        load
    }

    /// What callers do to their calls; may be changed while the load runs.
    pub fn mood(&self) -> &Mood {
        &self.mood
    }

    /// What was answered until now.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Looks up the tenants' floors in the database, and remembers them: no later read may show what lies below.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn witness_floors(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let (begun, at) = (self.clock.draw(), self.clock.elapsed());
        let floors = list_floors(connection).await?;
        let ended = self.clock.draw();
        let call = |(tenant, floor)| {
            let deed = Deed::Floor(FloorDeed { tenant, floor });
            Call { worker: WITNESS, service: None, begun, ended, at, deed }
        };
        self.witnessed.lock().unwrap_or_else(PoisonError::into_inner).extend(floors.into_iter().map(call));
        Ok(())
    }

    /// Ends the load: each worker ends its call, and each writer goes on asking for what it does not know yet. The
    /// services should be well again.
    pub async fn stop(self) -> History {
        self.stop.cancel();
        self.mood.calm();
        let calls = self.workers.join_all().await;
        let witnessed = self.witnessed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut history = self.before;
        history.calls.extend(calls.into_iter().flatten().chain(witnessed));
        history
    }
}
