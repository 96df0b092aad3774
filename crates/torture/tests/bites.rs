//! Does the checker bite? Each bug that can be planted into the store is found, and by the promise that it breaks.
//!
//! Two services that have the bug, the load of `partita-torture`, and its checker. Without a bug the same trial finds
//! nothing: what is found is found because of the bug.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use partita_cluster::{Cluster, ClusterOptions, HOST, Installation, SUPERUSER, Search};
use partita_faults::{Cut, Proxy};
use partita_migration::{Migration, Move, VerifyOptions};
use partita_proof::process::{Service, ServiceOptions, Watchdog};
use partita_proof::{Contents, Kind, Tables, Workload, WorkloadOptions, check};
use partita_proto::v1::MaintainPartitionsRequest;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_store::{DatabaseUrl, schema};
use sqlx::{Connection as _, PgConnection};

/// Acknowledged appends between two steps of a trial.
const STEP: u64 = 200;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What is done while the load runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// Nothing.
    Quiet,
    /// Connections are cut before a commit.
    Cuts,
    /// Old events expire while both tables are written.
    Expiry,
    /// Old events expire when legacy has been left behind.
    ExpiryFinalized,
}

#[tokio::test]
async fn a_dropped_event_of_a_batch_is_found_as_lost() {
    bites("drop-event", Trial::Quiet, Kind::LostEvent).await;
}

#[tokio::test]
async fn an_acknowledgement_before_the_commit_is_found_as_a_lost_event() {
    bites("acknowledge-before-commit", Trial::Cuts, Kind::LostEvent).await;
}

#[tokio::test]
async fn a_version_that_is_given_again_after_retention_is_found_by_the_order_of_what_was_known() {
    bites("reuse-version", Trial::ExpiryFinalized, Kind::CommitOrder).await;
}

#[tokio::test]
async fn a_union_that_forgets_the_floor_is_found_as_a_read_of_what_expired() {
    bites("forget-floor", Trial::Expiry, Kind::ExpiredRead).await;
}

#[tokio::test]
async fn on_conflict_do_nothing_is_found_as_tables_that_differ() {
    bites("do-nothing", Trial::Quiet, Kind::TablesDiffer).await;
}

#[tokio::test]
async fn without_a_bug_no_trial_finds_anything() {
    for trial in [Trial::Quiet, Trial::Cuts, Trial::Expiry, Trial::ExpiryFinalized] {
        assert_eq!(play(None, trial).await, [], "{trial:?}");
    }
}

async fn bites(bug: &str, trial: Trial, wanted: Kind) {
    let found = play(Some(bug), trial).await;
    assert!(found.contains(&wanted), "{bug} was found by {found:?} alone");
}

/// Which promises the checker finds broken.
async fn play(bug: Option<&str>, trial: Trial) -> Vec<Kind> {
    let installation: Installation =
        Search::new("PARTITA_POSTGRES_BIN", std::env::var_os("PATH")).find_or_fetch().await.unwrap();
    let mut options = ClusterOptions::temporary();
    options.settings = vec![("track_commit_timestamp".to_owned(), "on".to_owned())];
    let cluster = Cluster::start(installation, options).await.unwrap();
    let database = cluster.url(partita_cluster::DATABASE);
    let url = DatabaseUrl::parse(&database).unwrap();
    schema::up(&url).await.unwrap();
    if trial == Trial::ExpiryFinalized {
        leave_legacy_behind(&url).await;
    }
    let proxy = Proxy::start(format!("{HOST}:{}", cluster.port())).await.unwrap();
    let through = format!(
        "postgres://{SUPERUSER}:{}@{}/{}?sslmode=disable",
        cluster.password(),
        proxy.address(),
        partita_cluster::DATABASE
    );
    let folder = tempfile::tempdir().unwrap();
    let mut services = start_services(bug, &through, &folder.path().join("log")).await;
    let mut options = WorkloadOptions::new(1, "bites").unwrap();
    if matches!(trial, Trial::Expiry | Trial::ExpiryFinalized) {
        // Few tenants and months: each month of each is a partition to be made.
        options.months_back = 8;
        options.tenants.truncate(2);
    }
    let channels: Vec<_> = services.iter().map(Service::channel).collect();
    let load = Workload::start(options, &channels, None);
    let mut session = PgConnection::connect(&database).await.unwrap();

    goes_on(&load).await;
    match trial {
        Trial::Quiet => {}
        Trial::Cuts => cut(&proxy).await,
        Trial::Expiry | Trial::ExpiryFinalized => {
            expire(&services[0]).await;
            load.witness_floors(&mut session).await.unwrap();
        }
    }
    goes_on(&load).await;

    let history = load.stop().await;
    for service in &mut services {
        service.terminate(LIMIT).await.unwrap();
    }
    let contents = Contents::read(&mut session).await.unwrap();
    drop(session);
    let tables = if trial == Trial::ExpiryFinalized { Tables::Partitioned } else { Tables::Equal };
    let found = check(&history, &contents, tables);
    cluster.stop().await;
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

async fn start_services(bug: Option<&str>, database_url: &str, log: &Path) -> [Service; 2] {
    let watchdog = Arc::new(Watchdog::spawn().unwrap());
    let bug = bug.map(|bug| ("PARTITA_PLANTED_BUG".to_owned(), bug.to_owned()));
    let mut services = [(); 2].map(|()| {
        let options = ServiceOptions {
            binary: PathBuf::from(env!("CARGO_BIN_EXE_partita-planted")),
            database_url: database_url.to_owned(),
            partitions_v1: true,
            settings: Vec::new(),
            environment: bug.clone().into_iter().collect(),
            log: log.to_path_buf(),
        };
        Service::new(options, Arc::clone(&watchdog)).unwrap()
    });
    for service in &mut services {
        service.ensure(LIMIT).await.unwrap();
    }
    services
}

/// Waits until so many appends more are acknowledged.
async fn goes_on(load: &Workload) {
    let recorded = || load.counters().recorded.load(Ordering::Relaxed);
    let (begun, wanted) = (Instant::now(), recorded() + STEP);
    while recorded() < wanted {
        assert!(begun.elapsed() < LIMIT, "the load does not go on: {:?}", load.counters().reasons());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Cuts connections before what commits.
async fn cut(proxy: &Proxy) {
    for _ in 0..10 {
        proxy.cut_next_commit(Cut::Before);
        let begun = Instant::now();
        while !proxy.has_cut() {
            assert!(begun.elapsed() < LIMIT, "nothing commits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Keeps three months from now on.
async fn expire(service: &Service) {
    let request = MaintainPartitionsRequest {
        months_ahead: Some(2),
        retention_months: Some(3),
        ..MaintainPartitionsRequest::default()
    };
    let mut client = PartitionAdminServiceClient::new(service.channel());
    let mut report = client.maintain_partitions(request).await.unwrap().into_inner();
    while report.message().await.unwrap().is_some() {}
}

async fn leave_legacy_behind(url: &DatabaseUrl) {
    let migration = Migration::new(url.clone());
    migration.change(Move::Fence, "bites").await.unwrap();
    let (reports, _) = tokio::sync::mpsc::channel(1);
    migration
        .verify(&VerifyOptions { tenant: None, sample_percent: 100.0, workers: 1 }, &reports)
        .await
        .unwrap();
    migration.change(Move::Finalize, "bites").await.unwrap();
}
