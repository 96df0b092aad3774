//! All that a round plays on: a database, services behind proxies, a load.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use partita_cluster::{Cluster, HOST, SUPERUSER};
use partita_faults::Proxy;
use partita_proof::process::{Service, ServiceOptions, Watchdog};
use partita_proof::{ForeignWriter, History, Tables, Workload, WorkloadOptions, connect};
use partita_store::DatabaseUrl;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::disk::SmallDisk;
use crate::fault::Scene;
use crate::plan::RoundPlan;

/// How long anything may take to get well again.
pub(crate) const SETTLE_LIMIT: Duration = Duration::from_secs(90);
/// Between two looks at whether something has come about.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Acknowledged appends that show that the fleet works again.
const PROGRESS: u64 = 40;
/// How far back events lie where they are to expire, in months.
const MONTHS_BACK: u32 = 17;
/// What a service that takes next to nothing is told.
const NARROW: [(&str, &str); 6] = [
    ("lanes.count", "1"),
    ("lanes.batch_events_max", "8"),
    ("lanes.queue_events_max", "1000"),
    ("lanes.tenant_queue_events_max", "1000"),
    ("lanes.queue_bytes_max", "4194304"),
    ("database.read_connections_max", "1"),
];

/// What all rounds share.
pub(crate) struct House {
    pub(crate) binary: PathBuf,
    /// The folder of PostgreSQL's programs.
    pub(crate) programs: PathBuf,
    /// Whether a small disk can be mounted, or why not.
    pub(crate) mounts: Result<(), String>,
    /// A migrated database that others are copied from.
    pub(crate) template: String,
    /// The folder for logs; it is kept when something was found.
    pub(crate) folder: PathBuf,
    pub(crate) watchdog: Arc<Watchdog>,
    /// The library that sets clocks off, where there is one.
    pub(crate) faketime: Option<PathBuf>,
}

impl House {
    /// Why a scene cannot be set on this machine.
    pub(crate) fn lacks(&self, scene: Scene) -> Option<String> {
        match scene {
            Scene::Skewed if self.faketime.is_none() => {
                Some("no libfaketime on this machine: install faketime".to_owned())
            }
            Scene::Tight => self.mounts.clone().err(),
            Scene::Usual | Scene::Narrow | Scene::Old | Scene::Skewed | Scene::Moving => None,
        }
    }
}

/// What a round plays on.
pub(crate) struct Stage<'c> {
    pub(crate) cluster: &'c mut Cluster,
    pub(crate) services: Vec<Service>,
    /// One before each service.
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) load: Workload,
    /// What must be in which table when the round ends.
    pub(crate) tables: Tables,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) programs: PathBuf,
    /// What the database lies on, where it is to be a small one.
    pub(crate) disk: Option<SmallDisk>,
    database: String,
    log: PathBuf,
}

impl<'c> Stage<'c> {
    /// Makes the database, starts the services and the load.
    pub(crate) async fn set(
        house: &House,
        cluster: &'c mut Cluster,
        plan: &RoundPlan,
    ) -> anyhow::Result<Self> {
        let database = format!("round_{}", plan.number);
        let disk = make_database(house, cluster, plan, &database).await?;
        let log = house.folder.join(format!("round-{}.log", plan.number));
        let (mut services, mut proxies) = (Vec::new(), Vec::new());
        for (number, flag) in plan.fleet.flags().iter().enumerate() {
            let proxy = Proxy::start(format!("{HOST}:{}", cluster.port())).await?;
            let database_url = url_through(cluster, &database, &proxy);
            let options = service_options(house, plan, number, database_url, *flag, &log)?;
            proxies.push(proxy);
            services.push(Service::new(options, Arc::clone(&house.watchdog))?);
        }
        for service in &mut services {
            service.ensure(SETTLE_LIMIT).await?;
        }
        let channels: Vec<_> = services.iter().map(Service::channel).collect();
        let foreigner = plan.fleet.has_foreigner().then(|| ForeignWriter::new(cluster.url(&database)));
        let mut options =
            WorkloadOptions::new(plan.seed, &format!("r{}", plan.number)).map_err(anyhow::Error::msg)?;
        if plan.scene == Scene::Old {
            options.months_back = MONTHS_BACK;
        }
        if plan.scene == Scene::Narrow {
            (options.writers, options.pause) = (200, Duration::ZERO);
        }
        let load = Workload::start(options, &channels, foreigner);
        let watchdog = Arc::clone(&house.watchdog);
        let tables = plan.fleet.tables();
        let programs = house.programs.clone();
        Ok(Self { cluster, services, proxies, load, tables, watchdog, programs, disk, database, log })
    }

    /// A session of an administrator, past the proxies.
    pub(crate) async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(connect(&self.cluster.url(&self.database)).await?)
    }

    /// The same database for what moves data.
    pub(crate) fn database_url(&self) -> anyhow::Result<DatabaseUrl> {
        DatabaseUrl::parse(&self.cluster.url(&self.database)).map_err(anyhow::Error::msg)
    }

    /// The same database for sessions that only take up room.
    pub(crate) fn greedy_url(&self) -> String {
        format!("{}?application_name=greedy", self.cluster.url(&self.database))
    }

    /// Lets the network be as it should.
    pub(crate) fn open_proxies(&self) {
        for proxy in &self.proxies {
            proxy.open();
        }
    }

    /// Waits until PostgreSQL takes connections.
    pub(crate) async fn database_answers(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            match self.connect().await {
                Ok(session) => {
                    drop(session.close().await);
                    return Ok(());
                }
                Err(error) if begun.elapsed() > SETTLE_LIMIT => {
                    return Err(error.context("the database does not come back"));
                }
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Waits until every service serves; one that has ended is started again.
    pub(crate) async fn ensure_services(&mut self) -> anyhow::Result<()> {
        for service in &mut self.services {
            service.ensure(SETTLE_LIMIT).await?;
        }
        Ok(())
    }

    /// Waits until the load goes on as it should: a fault that is over must be over.
    pub(crate) async fn goes_on(&self) -> anyhow::Result<()> {
        let recorded = || self.load.counters().recorded.load(Ordering::Relaxed);
        let (begun, wanted) = (Instant::now(), recorded() + PROGRESS);
        while recorded() < wanted {
            if begun.elapsed() > SETTLE_LIMIT {
                bail!(
                    "the fleet does not recover: no {PROGRESS} appends within {} s",
                    SETTLE_LIMIT.as_secs()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Ends the load and then the services, in order, so that nothing is under way any more.
    pub(crate) async fn clear(mut self) -> anyhow::Result<Cleared> {
        self.open_proxies();
        self.ensure_services().await?;
        let reasons = self.load.counters().reasons();
        let history = self.load.stop().await;
        for service in &mut self.services {
            service.terminate(SETTLE_LIMIT).await?;
        }
        let url = self.cluster.url(&self.database);
        let mut session = connect(&url).await?;
        nobody_left(&mut session).await?;
        let service = self.services.into_iter().find(|service| service.options().partitions_v1);
        let service = service.context("a fleet has a service with the flag")?;
        let (tables, proxies) = (self.tables, self.proxies);
        let (disk, database, log) = (self.disk, self.database, self.log);
        Ok(Cleared { history, tables, reasons, session, service, proxies, disk, database, log })
    }
}

/// What is left of a round to be checked.
pub(crate) struct Cleared {
    pub(crate) history: History,
    pub(crate) tables: Tables,
    pub(crate) reasons: std::collections::BTreeMap<String, u64>,
    pub(crate) session: PgConnection,
    /// One that can be started again to be asked.
    pub(crate) service: Service,
    /// It reaches its database through one of them.
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) disk: Option<SmallDisk>,
    pub(crate) database: String,
    pub(crate) log: PathBuf,
}

/// Copies the template, to a disk of its own where the scene wants one.
async fn make_database(
    house: &House,
    cluster: &Cluster,
    plan: &RoundPlan,
    database: &str,
) -> anyhow::Result<Option<SmallDisk>> {
    let create = format!("CREATE DATABASE {database} TEMPLATE {}", house.template);
    if plan.scene != Scene::Tight {
        run(cluster, create).await?;
        return Ok(None);
    }
    let tablespace = format!("disk_{}", plan.number);
    let disk = SmallDisk::mount(cluster, &tablespace)?;
    run(cluster, format!("CREATE TABLESPACE {tablespace} LOCATION '{}'", disk.path().display())).await?;
    run(cluster, format!("{create} TABLESPACE {tablespace}")).await?;
    Ok(Some(disk))
}

/// Waits until no session but this one is left: one whose client is gone may still be at its statement.
async fn nobody_left(session: &mut PgConnection) -> anyhow::Result<()> {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut *session).await? > 0 {
        if begun.elapsed() > SETTLE_LIMIT {
            bail!("sessions are left after every client has gone");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Runs a statement from outside of the rounds' databases.
pub(crate) async fn run(cluster: &Cluster, statement: String) -> anyhow::Result<()> {
    let mut session = connect(&cluster.url(partita_cluster::DATABASE)).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut session).await?;
    Ok(session.close().await?)
}

fn url_through(cluster: &Cluster, database: &str, proxy: &Proxy) -> String {
    let (password, address) = (cluster.password(), proxy.address());
    format!("postgres://{SUPERUSER}:{password}@{address}/{database}?sslmode=disable")
}

fn service_options(
    house: &House,
    plan: &RoundPlan,
    number: usize,
    database_url: String,
    partitions_v1: bool,
    log: &Path,
) -> anyhow::Result<ServiceOptions> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let mut settings = vec![
        // Several services on one machine, and nobody who is to be told before they leave.
        ("ops.listen".to_owned(), "off".to_owned()),
        ("shutdown_notice_seconds".to_owned(), "0".to_owned()),
        ("drain_timeout_seconds".to_owned(), "5".to_owned()),
        ("maintenance.interval_seconds".to_owned(), "10".to_owned()),
        ("maintenance.grace_days".to_owned(), "0".to_owned()),
    ];
    if plan.scene == Scene::Narrow {
        settings.extend(NARROW.iter().map(own));
    }
    let mut environment = Vec::new();
    if let (Scene::Skewed, Some(library)) = (plan.scene, &house.faketime) {
        environment = vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            // One is right, one days behind, one days ahead. What measures time must not be touched.
            ("FAKETIME".to_owned(), ["+0d", "-3d", "+40d"][number % 3].to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ];
    }
    let binary = house.binary.clone();
    let log = log.to_path_buf();
    Ok(ServiceOptions { binary, database_url, partitions_v1, settings, environment, log })
}
