//! A trial: a database, two services, a load, what is done meanwhile, and what the checker says in the end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by them; clippy sees that in test functions only, not in what they share"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use partita_cluster::{Cluster, ClusterOptions, DATABASE, HOST, SUPERUSER, Search};
use partita_faults::{Cut, Proxy};
use partita_migration::{Migration, Move, VerifyOptions};
use partita_proof::process::{Service, ServiceOptions, Watchdog};
use partita_proof::{Contents, Kind, Tables, Workload, WorkloadOptions, check, connect, within};
use partita_proto::v1::MaintainPartitionsRequest;
use partita_proto::v1::maintain_partitions_response::Result as Report;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_store::{DatabaseUrl, schema};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Acknowledged appends between two steps of a trial, and reads that came to their end.
const STEP: u64 = 500;
const READS: u64 = 150;
/// How long a step may take, on a machine that is busy with other trials.
const LIMIT: Duration = Duration::from_secs(400);
/// Between two looks at whether something has come about.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How much of the services' log is told where a trial does not come to its end.
const LOG_LINES_TOLD: usize = 40;

/// What is done while the load runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// Nothing.
    Quiet,
    /// Connections are cut before a commit.
    Cuts,
    /// Old events expire while both tables are written.
    Expiry,
    /// Old events expire when legacy has been left behind.
    ExpiryFinalized,
}

impl Trial {
    /// Which promises the checker finds broken.
    pub(crate) async fn play(self, bug: Option<&str>) -> Vec<Kind> {
        let folder = tempfile::tempdir().unwrap();
        let ground = within(LIMIT, "a database", Ground::make(self, folder)).await.unwrap();
        let mut services = ground.start_services(bug).await;
        let channels: Vec<_> = services.iter().map(Service::channel).collect();
        let load = Workload::start(self.load(), &channels, None);
        ground.goes_on(&load).await;
        match self {
            Self::Quiet => {}
            Self::Cuts => ground.step("cuts before commits", cut(&ground.proxy)).await,
            Self::Expiry | Self::ExpiryFinalized => {
                ground.step("maintenance", expire(&services[0])).await;
                let mut session = connect(&ground.database).await.unwrap();
                load.witness_floors(&mut session).await.unwrap();
            }
        }
        ground.goes_on(&load).await;

        let history = ground.step("the end of the load", load.stop()).await;
        for service in &mut services {
            ground.step("the end of a service", service.terminate(LIMIT)).await.unwrap();
        }
        let contents = Contents::read(&mut connect(&ground.database).await.unwrap()).await.unwrap();
        let found = check(&history, &contents, self.tables());
        ground.cluster.stop().await;
        if bug.is_none() {
            for violation in &found {
                eprintln!("{}", violation.tell(&history));
            }
        }
        let mut kinds: Vec<Kind> = found.iter().map(|violation| violation.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    fn load(self) -> WorkloadOptions {
        let mut options = WorkloadOptions::new(1, "bites").unwrap();
        match self {
            Self::Quiet | Self::Cuts => {}
            Self::Expiry | Self::ExpiryFinalized => {
                // Few tenants and months: each month of each is a partition to be made.
                options.months_back = 8;
                options.tenants.truncate(2);
            }
        }
        options
    }

    fn tables(self) -> Tables {
        match self {
            Self::Quiet | Self::Cuts | Self::Expiry => Tables::Equal,
            Self::ExpiryFinalized => Tables::Partitioned,
        }
    }
}

/// What a trial stands on.
struct Ground {
    cluster: Cluster,
    database: String,
    proxy: Proxy,
    folder: TempDir,
}

impl Ground {
    async fn make(trial: Trial, folder: TempDir) -> Self {
        let search = Search::new("PARTITA_POSTGRES_BIN", std::env::var_os("PATH"));
        let installation = search.find_or_fetch().await.unwrap();
        let mut options = ClusterOptions::temporary();
        options.settings = vec![("track_commit_timestamp".to_owned(), "on".to_owned())];
        let cluster = Cluster::start(installation, options).await.unwrap();
        let database = cluster.url(DATABASE);
        let url = DatabaseUrl::parse(&database).unwrap();
        schema::up(&url).await.unwrap();
        if trial == Trial::ExpiryFinalized {
            leave_legacy_behind(&url).await;
        }
        let proxy = Proxy::start(format!("{HOST}:{}", cluster.port())).await.unwrap();
        Self { cluster, database, proxy, folder }
    }

    async fn start_services(&self, bug: Option<&str>) -> [Service; 2] {
        let watchdog = Arc::new(Watchdog::spawn().unwrap());
        let bug = bug.map(|bug| ("PARTITA_PLANTED_BUG".to_owned(), bug.to_owned()));
        let (password, address) = (self.cluster.password(), self.proxy.address());
        let database_url = format!("postgres://{SUPERUSER}:{password}@{address}/{DATABASE}?sslmode=disable");
        let mut services = [(); 2].map(|()| {
            let options = ServiceOptions {
                binary: PathBuf::from(env!("CARGO_BIN_EXE_partita-planted")),
                database_url: database_url.clone(),
                partitions_v1: true,
                settings: Vec::new(),
                environment: bug.clone().into_iter().collect(),
                log: self.log(),
            };
            Service::new(options, Arc::clone(&watchdog)).unwrap()
        });
        for service in &mut services {
            self.step("a service", service.ensure(LIMIT)).await.unwrap();
        }
        services
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Does something, for so long and no longer: then the trial has failed, and says what its services logged last.
    async fn step<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        match within(LIMIT, what, work).await {
            Ok(done) => {
                eprintln!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
                done
            }
            Err(late) => panic!("{late}; the services logged last:\n{}", tail(&self.log())),
        }
    }

    /// Waits until so many appends more are acknowledged, and so many reads more are whole: some bugs show in reads alone.
    async fn goes_on(&self, load: &Workload) {
        let recorded = || load.counters().recorded.load(Ordering::Relaxed);
        let read = || load.counters().read.load(Ordering::Relaxed);
        let (appends, reads) = (recorded() + STEP, read() + READS);
        let goes_on = async {
            while recorded() < appends || read() < reads {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        if let Err(late) = within(LIMIT, format!("{STEP} appends and {READS} reads"), goes_on).await {
            let (reasons, log) = (load.counters().reasons(), tail(&self.log()));
            panic!("{late}, but {reasons:?}; the services logged last:\n{log}");
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_TOLD)..].join("\n")
}

/// Cuts connections before what commits.
async fn cut(proxy: &Proxy) {
    for _ in 0..10 {
        proxy.cut_next_commit(Cut::Before);
        while !proxy.has_cut() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Keeps three months from now on: as often as it takes until no tenant was held open by the load.
async fn expire(service: &Service) {
    while maintain(service).await > 0 {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Gives how many tenants failed.
async fn maintain(service: &Service) -> i32 {
    let request = MaintainPartitionsRequest {
        months_ahead: Some(2),
        retention_months: Some(3),
        ..MaintainPartitionsRequest::default()
    };
    let mut client = PartitionAdminServiceClient::new(service.channel());
    let mut report = client.maintain_partitions(request).await.unwrap().into_inner();
    let mut failed = 0;
    while let Some(message) = report.message().await.unwrap() {
        if let Some(Report::Summary(summary)) = message.result {
            failed = summary.tenants_failed;
        }
    }
    failed
}

async fn leave_legacy_behind(url: &DatabaseUrl) {
    let migration = Migration::new(url.clone());
    migration.change(Move::Fence, "bites").await.unwrap();
    let (unheard, _) = mpsc::channel(1);
    let options = VerifyOptions { tenant: None, sample_percent: 100.0, workers: 1, only_unverified: false };
    migration.verify(&options, &unheard).await.unwrap();
    migration.change(Move::Finalize, "bites").await.unwrap();
}
