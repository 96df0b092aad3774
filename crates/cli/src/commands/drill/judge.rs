//! What the callers were told, held against what is stored and what is read.

use std::path::Path;
use std::time::{Duration, Instant};

use partita_migration::{RunState, VerifySummary, WorkerConfig, Workers};
use partita_proof::history::AppendAnswer;
use partita_proof::{Contents, History, Kind, Tables, Violation, Workload, check, read_back, verify_chains};
use partita_store::DatabaseUrl;
use tokio_util::sync::CancellationToken;

use super::fleet::{Fleet, SETTLE_LIMIT, lost, stuck};
use super::operator::{Operator, is_green, within};
use super::report::Report;
use crate::failure::Failure;

/// What a panic leaves in a log.
const PANIC_MARK: &str = "panicked at";
/// Sessions that are still at a statement: one whose client is gone may be.
const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()";
/// How long callers have to end their calls, and to ask for what they do not know.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// How long the last copy and the comparison may take.
const PROOF_LIMIT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// When nobody may have written to the legacy table alone, since the load began.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fenced {
    pub(super) since: Option<Duration>,
    pub(super) until: Option<Duration>,
}

/// Ends the load and the services, and checks everything.
pub(super) async fn judge(
    report: &mut Report,
    load: Workload,
    fleet: &mut Fleet<'_>,
    operator: &Operator,
    url: DatabaseUrl,
    log: &Path,
    fenced: Fenced,
) -> Result<(), Failure> {
    fleet.ensure().await?;
    report.reasons = load.counters().reasons();
    let mut history = within(STOP_LIMIT, "callers do not end their calls", load.stop()).await?;
    fleet.terminate().await?;
    nobody_at_work(fleet).await?;
    // What was written with the flag off is copied too: then both tables must be the same.
    let verified = within(PROOF_LIMIT, "the tables are not compared", prove(operator, url)).await??;
    let contents = Contents::read(&mut fleet.connect().await?).await.map_err(|error| lost(&error))?;

    let [service, ..] = &mut fleet.services[..] else {
        return Err(Failure::internal("a fleet has services"));
    };
    service.set_partitions_v1(true);
    service.ensure(SETTLE_LIMIT).await.map_err(|error| stuck(&error))?;
    let read = read_back(&service.channel(), &mut history, &contents).await;
    report.streams_read = read.map_err(Failure::refused)?;
    let chain = verify_chains(service.channel(), Tables::Equal).await.map_err(|status| stuck(&status))?;
    service.terminate(SETTLE_LIMIT).await.map_err(|error| stuck(&error))?;

    let mut found = check(&history, &contents, Tables::Equal);
    found.extend(chain.violations);
    found.extend(unequal(&verified));
    found.extend(through_the_fence(&history, fenced));
    if report.stranger_served {
        found.push(violation(Kind::Defect, "a process without the flag served behind the fence"));
    }
    found.extend(panics(log));
    report.events = contents.legacy.len();
    report.verified_rows = verified.rows;
    report.hashes_verified = chain.verified;
    report.hashes_foreign = chain.foreign;
    report.found = found.iter().map(|found| (found.kind, found.tell(&history))).collect();
    Ok(())
}

/// Copies with workers of its own, for no service runs, and compares.
async fn prove(operator: &Operator, url: DatabaseUrl) -> Result<VerifySummary, Failure> {
    operator.start().await?;
    let config = WorkerConfig { poll_interval: Duration::from_millis(100), ..WorkerConfig::default() };
    let state = Workers::new(url, config).run_to_end(&CancellationToken::new()).await;
    let state = state.map_err(|error| stuck(&error))?;
    if state != RunState::Finished {
        return Err(Failure::refused(format!("the last backfill is {state}, and not at its end")));
    }
    operator.verify().await
}

fn unequal(verified: &VerifySummary) -> Option<Violation> {
    let VerifySummary { tenants, tenants_verified, differences, quarantined, .. } = verified;
    (!is_green(verified)).then(|| {
        let message = format!(
            "verify is red: {differences} differences, {quarantined} rows in quarantine, {tenants_verified} of \
             {tenants} tenants verified"
        );
        violation(Kind::TablesDiffer, &message)
    })
}

/// Writes of the foreign program that the fence should have refused. Those of before the load lie before the fence, too.
fn through_the_fence(history: &History, fenced: Fenced) -> Vec<Violation> {
    let (Some(since), Some(until)) = (fenced.since, fenced.until) else { return Vec::new() };
    let behind =
        history.calls.iter().filter(|call| call.service.is_none() && call.at > since && call.at < until);
    behind
        .filter_map(|call| call.append())
        .filter(|append| matches!(append.answer, AppendAnswer::Recorded { .. }))
        .map(|append| {
            let message =
                format!("{} was written to the legacy table alone behind the fence", append.request_id);
            Violation { key: append.keys().next(), ..violation(Kind::TablesDiffer, &message) }
        })
        .collect()
}

fn panics(log: &Path) -> Vec<Violation> {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let panics = log.lines().filter(|line| line.contains(PANIC_MARK));
    panics.map(|line| violation(Kind::Defect, &format!("a service panicked: {line}"))).collect()
}

fn violation(kind: Kind, message: &str) -> Violation {
    Violation { kind, message: message.to_owned(), key: None, event_id: None }
}

async fn nobody_at_work(fleet: &Fleet<'_>) -> Result<(), Failure> {
    let (begun, mut session) = (Instant::now(), fleet.connect().await?);
    while sqlx::query_scalar::<_, i64>(AT_WORK).fetch_one(&mut session).await.map_err(|error| lost(&error))?
        > 0
    {
        if begun.elapsed() > SETTLE_LIMIT {
            return Err(Failure::refused("sessions are at work after every client has gone"));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
