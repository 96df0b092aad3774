//! A run: rounds until the time is over, and a summary.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita_cluster::{Cluster, ClusterOptions, Search};
use partita_proof::process::Watchdog;
use partita_store::{DatabaseUrl, schema};

use crate::args::Args;
use crate::binary;
use crate::plan::{Plans, RoundPlan};
use crate::report::Report;
use crate::round;
use crate::stage::{House, run as run_statement};

/// Where libfaketime is installed; `*` is the machine's name for itself.
const FAKETIME_PLACES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];
/// The database that rounds are copied from.
const TEMPLATE: &str = "torture_template";
/// Settings that the checks lean on, and room for every session.
const SETTINGS: [(&str, &str); 4] = [
    ("track_commit_timestamp", "on"),
    ("max_connections", "120"),
    // Detected within a second rather than within the time that callers wait.
    ("deadlock_timeout", "200ms"),
    ("log_min_messages", "warning"),
];

/// Plays rounds; whether every promise was kept.
///
/// `mounts` says whether this process may mount, or why not.
pub(crate) async fn run(args: &Args, mounts: Result<(), String>) -> anyhow::Result<bool> {
    let binary = binary::find(args.partita.as_ref()).await?;
    let (mut cluster, programs) = boot(args).await?;
    let scratch = tempfile::Builder::new().prefix("partita-torture-").tempdir()?;
    let house = House {
        binary,
        programs,
        mounts,
        template: TEMPLATE.to_owned(),
        folder: scratch.path().to_path_buf(),
        watchdog: Arc::new(Watchdog::spawn()?),
        faketime: FAKETIME_PLACES.iter().map(Into::into).find(|path: &std::path::PathBuf| path.exists()),
    };
    run_statement(&cluster, format!("CREATE DATABASE {TEMPLATE}")).await?;
    let url = DatabaseUrl::parse(&cluster.url(TEMPLATE)).map_err(anyhow::Error::msg)?;
    schema::up(&url).await.context("the template could not be migrated")?;

    let mut report = Report::new(args.seed);
    let played = play(args, &house, &mut cluster, &mut report).await;
    report.print()?;
    let clean = played.is_ok() && report.is_clean();
    if !clean {
        let kept = scratch.keep();
        let copy = kept.join("postgresql.log");
        if let Err(error) = std::fs::copy(cluster.log_path(), &copy) {
            tracing::warn!(%error, "PostgreSQL's log could not be kept");
        }
        tracing::warn!("logs are in {}", kept.display());
    }
    cluster.stop().await;
    played.map(|()| clean)
}

async fn play(args: &Args, house: &House, cluster: &mut Cluster, report: &mut Report) -> anyhow::Result<()> {
    let begun = Instant::now();
    let limit = Duration::from_secs(args.minutes * 60);
    let mut plans = Plans::new(args.seed, &args.only);
    while let Some(plan) = plans.next() {
        if args.round.is_some_and(|wanted| wanted != plan.number) {
            continue;
        }
        announce(&plan);
        let played = round::play(house, cluster, &plan).await;
        let found = played.with_context(|| report.how_again(&plan, args))?;
        report.add(&plan, args, found)?;
        let over = match (args.round, args.ci) {
            (Some(_), _) => true,
            (None, true) => plans.is_through(),
            (None, false) => begun.elapsed() >= limit,
        };
        if over {
            break;
        }
    }
    Ok(())
}

fn announce(plan: &RoundPlan) {
    let faults: Vec<String> = plan.faults.iter().map(|fault| fault.name()).collect();
    tracing::info!("round {}: {:?} fleet, {}", plan.number, plan.fleet, faults.join(", "));
}

/// Gives the folder of its programs too.
async fn boot(args: &Args) -> anyhow::Result<(Cluster, PathBuf)> {
    let search = Search {
        wanted: args.postgres_bin.clone(),
        ..Search::new("--postgres-bin", std::env::var_os("PATH"))
    };
    let installation = search.find_or_fetch().await?;
    let mut options = ClusterOptions::temporary();
    options.settings =
        SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let programs = installation.bin_dir().to_path_buf();
    Ok((Cluster::start(installation, options).await?, programs))
}
