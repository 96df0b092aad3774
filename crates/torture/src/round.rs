//! One round: play, clear, check.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use partita_cluster::Cluster;
use partita_proof::{Contents, Kind, Violation, check, verify_chains, within};
use rand::SeedableRng as _;

use crate::fault::Fault;
use crate::plan::{Dice, RoundPlan};
use crate::stage::{Cleared, House, SETTLE_LIMIT, Stage, run as run_statement};

/// How long any step of a round may take, whatever it waits for by itself: setting the stage, a fault, the checks.
const STEP_LIMIT: Duration = Duration::from_secs(480);
/// What a panic leaves in a log.
const PANIC_MARK: &str = "panicked at";

/// What a round came to.
#[derive(Debug, Default)]
pub(crate) struct RoundReport {
    pub(crate) calls: usize,
    pub(crate) events: usize,
    pub(crate) verified: i64,
    pub(crate) reasons: BTreeMap<String, u64>,
    /// The faults that were injected, each with how often it was met and the time it took.
    pub(crate) injected: Vec<(Fault, u64, Duration)>,
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
    if let Some(why) = house.lacks(plan.scene) {
        report.left_out = plan.faults.iter().map(|fault| (*fault, why.clone())).collect();
        return Ok(report);
    }
    let mut dice = Dice::seed_from_u64(plan.seed);
    let set = Stage::set(house, cluster, plan);
    let mut stage = within(STEP_LIMIT, "a fleet and its load", set).await??;
    stage.goes_on().await?;
    for fault in &plan.faults {
        let begun = Instant::now();
        let injected = fault.inject(&mut stage, &mut dice);
        let met = within(STEP_LIMIT, format!("the end of {}", fault.name()), injected).await??;
        stage.goes_on().await?;
        report.injected.push((*fault, met, begun.elapsed()));
    }
    let cleared = within(STEP_LIMIT, "the end of the load and of the fleet", stage.clear()).await??;
    let judged = judge(&mut report, plan, cleared, cluster);
    within(STEP_LIMIT, "the checks", judged).await??;
    Ok(report)
}

async fn judge(
    report: &mut RoundReport,
    plan: &RoundPlan,
    cleared: Cleared,
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let Cleared { history, tables, reasons, mut session, mut service, proxies, disk, database, log } =
        cleared;
    let contents = Contents::read(&mut session).await?;
    let mut violations = check(&history, &contents, tables);
    service.ensure(SETTLE_LIMIT).await?;
    let chain = verify_chains(service.channel(), tables).await?;
    violations.extend(chain.violations);
    service.terminate(SETTLE_LIMIT).await?;
    drop(proxies);

    report.calls = history.calls.len();
    report.events = contents.legacy.len().max(contents.partitioned.len());
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
    // What is on a small disk goes with the disk.
    if report.found.is_empty() || disk.is_some() {
        run_statement(cluster, format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await?;
    }
    if disk.is_some() {
        run_statement(cluster, format!("DROP TABLESPACE disk_{}", plan.number)).await?;
    }
    Ok(())
}
