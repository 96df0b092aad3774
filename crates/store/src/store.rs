use std::sync::Arc;
use std::time::Duration;

use partita_model::{
    Append, Appended, FindEvents, FoundEvent, Phase, PhaseContradiction, ReadStream, TenantId,
};
use sqlx::PgPool;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::append::Lanes;
use crate::instance::Instance;
use crate::maintenance::MaintenanceLoop;
use crate::observer::Observer;
use crate::partitions::Partitions;
use crate::phase::PhaseCell;
use crate::positions::complete_replay;
use crate::read::StreamReader;
use crate::sessions::TenantSessions;
use crate::start::Found;
use crate::{
    ChainVerifier, DatabaseUrl, MaintenanceRequest, StartError, StoreConfig, StoreError, connect, find, read,
    start, verify,
};

/// Longest wait for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The event store of one process. Clones share its lanes and connections.
#[derive(Clone)]
pub struct Store {
    phase: Arc<PhaseCell>,
    pool: PgPool,
    /// Of one session, which no caller takes.
    watch: PgPool,
    /// Whether the database is told whose rows a statement is about.
    names_tenants: bool,
    lanes: Arc<Lanes>,
    partitions: Arc<Partitions>,
    /// The same, on sessions that lanes alone have work for.
    first_writes: Arc<Partitions>,
    maintenance: Arc<MaintenanceLoop>,
    /// None for a process that does not serve.
    instance: Option<Arc<Instance>>,
    database_url: DatabaseUrl,
}

impl Store {
    /// Checks the database, starts the lanes, and puts this process on the list of those that serve.
    ///
    /// # Errors
    /// When the database cannot be reached, its schema is behind, the legacy table lacks a unique index, or the flag
    /// contradicts the control row.
    pub async fn connect(config: StoreConfig) -> Result<Self, StartError> {
        let pool = connect::pool(&config);
        let Found { control, names_tenants } = start::check(&config, &pool).await?;
        let phase = Arc::new(PhaseCell::new(config.partitions_v1, control));
        let partitions = Arc::new(Partitions::new(pool.clone(), &config));
        let first_writes = Arc::new(partitions.for_first_writes(&config.database_url));
        let lanes = Arc::new(Lanes::start(&config, names_tenants, &phase, &first_writes));
        let maintenance = MaintenanceLoop::new(
            config.maintenance,
            config.database_url.clone(),
            Partitions::clone(&partitions),
        );
        let maintenance = Arc::new(maintenance);
        let watch = connect::watch_pool(&config);
        let instance = match config.is_listed {
            true => Some(Arc::new(Instance::start(watch.clone(), Arc::clone(&phase)).await)),
            false => None,
        };
        let database_url = config.database_url;
        Ok(Self {
            phase,
            pool,
            watch,
            names_tenants,
            lanes,
            partitions,
            first_writes,
            maintenance,
            instance,
            database_url,
        })
    }

    /// Which tables this process writes and reads, as far as it knows: the database may have moved on within the last
    /// seconds.
    ///
    /// # Errors
    /// When it serves nothing, because its flag contradicts the control row.
    pub fn phase(&self) -> Result<Phase, PhaseContradiction> {
        self.phase.get()
    }

    /// The database, for what has sessions of its own.
    pub fn database_url(&self) -> &DatabaseUrl {
        &self.database_url
    }

    /// Appends to one stream or to several at once: all of it is recorded, or nothing. Gives one answer a stream, in
    /// the order of the append. If the future is dropped, an append that still waits is taken back.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::outcome`] says whether the append may be recorded all the same.
    pub async fn append(
        &self,
        append: Append,
        deadline: Option<Instant>,
    ) -> Result<Vec<Appended>, StoreError> {
        let tenant = append.tenant().clone();
        let mut answers = self.lanes.append(append, deadline).await?;
        if self.phase.flag() && answers.iter().any(|answer| answer.replayed) {
            complete_replay(&self.sessions(&tenant, None), &mut answers).await.map_err(|error| {
                tracing::warn!(%error, "positions of a repeated append could not be looked up");
                // The events are recorded: an answer that says otherwise would not be true.
                StoreError::OutcomeUnknown
            })?;
        }
        Ok(answers)
    }

    /// Begins to read a stream as it stands now. No statement of the read outlives the deadline in the database either.
    ///
    /// # Errors
    /// `StreamNotFound` for a stream that never had an event.
    pub async fn read_stream(
        &self,
        read: ReadStream,
        deadline: Option<Instant>,
    ) -> Result<StreamReader, StoreError> {
        StreamReader::open(self.sessions(&read.tenant, deadline), &self.phase, read).await
    }

    /// Where events are recorded, by their ids: one answer an id, in the order asked for, none for an event that is
    /// not recorded. That is final only when no append with the id is under way, in any process.
    ///
    /// # Errors
    /// When the database cannot be asked, or has not answered by the deadline.
    pub async fn find_events(
        &self,
        find: &FindEvents,
        deadline: Option<Instant>,
    ) -> Result<Vec<Option<FoundEvent>>, StoreError> {
        find::find_events(&self.sessions(&find.tenant, deadline), &self.phase, find).await
    }

    /// Begins to verify what is stored of a tenant: its hash chains, its copies and its positions.
    pub fn verify_chain(&self, tenant: TenantId) -> ChainVerifier {
        ChainVerifier::new(self.sessions(&tenant, None), tenant)
    }

    /// Every tenant that has events, or once had, in the database's order. A `tenants` table of the platform's is not
    /// asked, unlike for maintenance: nothing is to escape a verification.
    ///
    /// # Errors
    /// When the database cannot be asked, or keeps this process from tenants that are not named.
    pub async fn tenants_with_events(&self) -> Result<Vec<TenantId>, StoreError> {
        verify::list_tenants(&self.pool).await
    }

    /// The partitions of all tenants.
    pub fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// What the configuration asks of maintenance.
    pub fn maintenance_defaults(&self) -> MaintenanceRequest {
        self.partitions.defaults()
    }

    /// Maintains the partitions of all tenants now and then, as the configuration says, until it is told to stop. One
    /// process of a fleet does it, the others wait to take over. Returns at once where it is not enabled, and without the
    /// flag: a process that does not write partitions has no say in what becomes of them.
    pub async fn run_maintenance(&self, shutdown: &CancellationToken) {
        if self.phase.flag() {
            self.maintenance.run(shutdown).await;
        }
    }

    /// Whether this process can serve: the database answers, within two seconds, and is in a phase that its flag permits.
    ///
    /// # Errors
    /// `Unavailable` when it does not answer, `PhaseContradiction` when the phase is another.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        let answer = timeout(PING_TIMEOUT, self.phase.ask(&self.watch)).await;
        let answer = answer.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        read::observe("ping", begun, answer.as_ref().err());
        let phase = answer.map_err(|_| StoreError::Unavailable)?;
        phase.map(drop).map_err(StoreError::PhaseContradiction)
    }

    /// Records the figures that have to be looked at: depths, connections and the phase every few seconds, the months
    /// ahead every minute. Works until it is told to stop.
    pub async fn run_observer(&self, shutdown: &CancellationToken) {
        let observer = Observer::new(&self.phase, self.pool.clone(), &self.lanes, &self.partitions);
        let _stopped = shutdown.run_until_cancelled(observer.run()).await;
    }

    /// Sessions for what is about one tenant.
    fn sessions(&self, tenant: &TenantId, until: Option<Instant>) -> TenantSessions {
        TenantSessions::new(self.pool.clone(), tenant.clone(), self.names_tenants, until)
    }

    /// Refuses new appends, finishes those that wait, and closes the connections.
    pub async fn close(&self) {
        self.lanes.close().await;
        self.partitions.close().await;
        self.first_writes.disconnect().await;
        if let Some(instance) = &self.instance {
            instance.leave().await;
        }
        self.watch.close().await;
        self.pool.close().await;
    }
}
