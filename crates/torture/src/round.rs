//! One round: play, clear, check.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use partita_cluster::Cluster;
use partita_proof::{Contents, Kind, Tables, Violation, check, verify_chains};
use rand::SeedableRng as _;

use crate::fault::{Fault, Scene};
use crate::plan::{Dice, Fleet, RoundPlan};
use crate::stage::{Cleared, House, SETTLE_LIMIT, Stage, run as run_statement};

/// What a panic leaves in a log.
const PANIC_MARK: &str = "panicked at";

/// What a round came to.
#[derive(Debug, Default)]
pub(crate) struct RoundReport {
    pub(crate) calls: usize,
    pub(crate) events: usize,
    pub(crate) verified: i64,
    pub(crate) reasons: BTreeMap<String, u64>,
    /// The faults that were injected, each with the time it took.
    pub(crate) injected: Vec<(Fault, Duration)>,
    /// Those that this machine cannot inject, and why.
    pub(crate) left_out: Vec<(Fault, String)>,
    /// What was found, as it is told.
    pub(crate) found: Vec<(Kind, String)>,
    pub(crate) log: Option<PathBuf>,
}

/// Plays a round and checks it.
///
/// # Errors
/// When the round could not be played to its end: that the fleet did not recover is such an error too.
pub(crate) async fn play(
    house: &House,
    cluster: &mut Cluster,
    plan: &RoundPlan,
) -> anyhow::Result<RoundReport> {
    let mut report = RoundReport::default();
    if plan.scene == Scene::Skewed && house.faketime.is_none() {
        let why = "no libfaketime on this machine: install faketime";
        report.left_out = plan.faults.iter().map(|fault| (*fault, why.to_owned())).collect();
        return Ok(report);
    }
    let mut dice = Dice::seed_from_u64(plan.seed);
    let mut stage = Stage::set(house, cluster, plan).await?;
    stage.goes_on().await?;
    for fault in &plan.faults {
        let begun = Instant::now();
        fault.inject(&mut stage, &mut dice).await?;
        stage.goes_on().await?;
        report.injected.push((*fault, begun.elapsed()));
    }
    let cleared = stage.clear().await?;
    judge(&mut report, plan, cleared, cluster).await?;
    Ok(report)
}

async fn judge(
    report: &mut RoundReport,
    plan: &RoundPlan,
    cleared: Cleared,
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let Cleared { history, reasons, mut session, mut service, proxies, database, log } = cleared;
    let contents = Contents::read(&mut session).await?;
    let tables = match plan.fleet {
        Fleet::Dual => Tables::Equal,
        Fleet::Mixed => Tables::Dual,
    };
    let mut violations = check(&history, &contents, tables);
    service.ensure(SETTLE_LIMIT).await?;
    let chain = verify_chains(service.channel(), tables).await?;
    violations.extend(chain.violations);
    service.terminate(SETTLE_LIMIT).await?;
    drop(proxies);

    report.calls = history.calls.len();
    report.events = contents.legacy.len();
    report.verified = chain.verified;
    report.reasons = reasons;
    let tell = |violation: &Violation| (violation.kind, violation.tell(&history));
    report.found = violations.iter().map(tell).collect();
    let panics = std::fs::read_to_string(&log).unwrap_or_default();
    for line in panics.lines().filter(|line| line.contains(PANIC_MARK)) {
        report.found.push((Kind::Defect, format!("a service panicked: {line}")));
    }
    report.log = Some(log);
    drop(session);
    if report.found.is_empty() {
        run_statement(cluster, format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await?;
    }
    Ok(())
}
