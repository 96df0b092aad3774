//! The way from the first leg to the last, while the load goes on.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use partita_migration::Migration;
use partita_model::TenantId;
use partita_proof::process::Service;
use partita_proof::{Counters, ForeignWriter, Seed, Workload, WorkloadOptions};
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;

use super::DrillArgs;
use super::fleet::{Fleet, SETTLE_LIMIT, lost};
use super::ground::Ground;
use super::judge::{self, Fenced};
use super::leg::Leg;
use super::operator::Operator;
use super::report::{Answers, LegReport, Report};
use crate::failure::Failure;

/// What is in the legacy table before anything begins: so many events a stream, over five months.
const HISTORY: Seed = Seed { events: 120, days_back: 150 };
/// How far back live events may lie, in months.
const MONTHS_BACK: u32 = 4;
const WRITERS: u32 = 8;
const READERS: u32 = 3;
/// Least time between two calls of a worker, on average.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Calls of all writers together, about: every one is remembered until the end. A longer drill has a thinner load.
const CALLS_MAX: u32 = 60_000;
/// Acknowledged appends that show that all is well again.
const PROGRESS: u64 = 20;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Plays all legs, then checks everything.
pub(super) async fn play(args: &DrillArgs, ground: &mut Ground) -> Result<Report, Failure> {
    let (url, database_url, log) = (ground.url(), ground.database_url()?, ground.log.clone());
    let options = load_options(args)?;
    let before = HISTORY.write(&url, &options).await.map_err(|error| lost(&error))?;
    let mut fleet = Fleet::new(ground)?;
    fleet.set_flags(Leg::Legacy).await?;
    let channels: Vec<_> = fleet.services.iter().map(Service::channel).collect();
    let operator = Operator::new(Migration::new(database_url.clone()));
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(args.seed);
    let mut report = Report::new(args.seed, options.tenants.len());
    // Before the load's own clock starts, so that its times are never taken for later than they are.
    let begun = Instant::now();
    let load = Workload::start_after(before, options, &channels, Some(ForeignWriter::new(url)));
    let mut fenced = Fenced::default();
    for leg in Leg::ALL {
        if leg == Leg::Restore {
            fenced.until = Some(begun.elapsed());
        }
        let played = play_leg(leg, args.leg_length(), &mut fleet, &load, &operator, &mut dice).await;
        let played = played.map_err(|failure| failure.fact("leg", leg.name()))?;
        say(&played.line());
        report.legs.push(played);
        if leg == Leg::Fence {
            fenced.since = Some(begun.elapsed());
            report.stranger_served = fleet.stranger_serves().await?;
        }
    }
    say("checking everything");
    judge::judge(&mut report, load, &mut fleet, &operator, database_url, &log, fenced).await?;
    Ok(report)
}

fn load_options(args: &DrillArgs) -> Result<WorkloadOptions, Failure> {
    let refused = |reason| Failure::internal(format!("the load cannot be made: {reason}"));
    let tenants = (1..=args.tenants).map(|number| TenantId::parse(format!("drill-{number}")));
    let length = args.leg_length() * u32::try_from(Leg::ALL.len()).unwrap_or(1);
    let mut options = WorkloadOptions::new(args.seed, "drill").map_err(refused)?;
    options.tenants = tenants.collect::<Result<_, _>>().map_err(refused)?;
    options.pause = PAUSE_MIN.max(length * WRITERS / CALLS_MAX);
    options.months_back = MONTHS_BACK;
    (options.writers, options.readers) = (WRITERS, READERS);
    Ok(options)
}

/// The operator acts while things are killed; then the load must go on as it should.
async fn play_leg(
    leg: Leg,
    length: Duration,
    fleet: &mut Fleet<'_>,
    load: &Workload,
    operator: &Operator,
    dice: &mut Xoshiro256PlusPlus,
) -> Result<LegReport, Failure> {
    let (begun, before) = (Instant::now(), answers(load.counters()));
    fleet.set_flags(leg).await?;
    let (acted, kills) = tokio::join!(operator.act(leg, load.mood()), fleet.harm(leg, length, dice));
    let kills = kills?;
    acted?;
    tokio::time::sleep(length.saturating_sub(begun.elapsed())).await;
    goes_on(load).await?;
    let answers = answers(load.counters()) - before;
    Ok(LegReport { name: leg.name(), seconds: begun.elapsed().as_secs_f64(), answers, kills })
}

fn answers(counters: &Counters) -> Answers {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Answers {
        appends: read(&counters.recorded),
        replayed: read(&counters.replayed),
        refused: read(&counters.refused),
        unknown: read(&counters.unknown),
        reads: read(&counters.read),
        cut: read(&counters.cut),
    }
}

async fn goes_on(load: &Workload) -> Result<(), Failure> {
    let recorded = || load.counters().recorded.load(Ordering::Relaxed);
    let (begun, wanted) = (Instant::now(), recorded() + PROGRESS);
    while recorded() < wanted {
        if begun.elapsed() > SETTLE_LIMIT {
            let limit = SETTLE_LIMIT.as_secs();
            return Err(Failure::refused(format!(
                "the fleet does not recover: no {PROGRESS} appends within {limit} s"
            )));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _gone = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
