use std::collections::{BTreeMap, HashMap, HashSet};

use partita_model::{Append, Appended, Phase, TenantId};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::cache::Cache;
use super::decide::{Decision, State};
use super::doubt::{Doubt, Witness};
use super::load::{load, lock_tenants};
use super::refusal::{Failure, before_commit, during_commit};
use super::rows::{NewRow, StreamRow, TenantRow, record_dual, record_legacy};
use crate::StoreError;

/// What became of one append of a batch that was committed.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Recorded, recorded before, or refused.
    Answer(Result<Vec<Appended>, StoreError>),
    /// Must be asked again in a later batch.
    Defer,
    /// Its tenant has no partitions yet.
    UnknownTenant,
}

/// Records a batch by one statement that is its own transaction, decided from what the lane remembers. `None` when that
/// is not enough for it: something is not remembered, an append is not simply to be recorded, or somebody else has
/// appended meanwhile. Nothing is written then.
///
/// # Errors
/// Nothing is recorded, unless the failure says that it is in doubt.
pub(super) async fn run_remembered(
    connection: &mut PgConnection,
    cache: &mut Cache,
    months_ahead: u32,
    appends: &[&Append],
) -> Result<Option<Vec<Verdict>>, Failure> {
    let at = Instant::now();
    let Some(mut state) = cache.state(appends, months_ahead, at) else { return Ok(None) };
    let batch = Batch::decide(&mut state, Phase::Dual, appends);
    let recordable = |verdict: &Verdict| matches!(verdict, Verdict::Answer(Ok(_)));
    if !batch.verdicts.iter().all(recordable) {
        return Ok(None);
    }
    let tenants = batch.tenants(&state);
    match record_dual(connection, &batch.rows, &tenants, &batch.streams).await {
        Ok((true, now)) => {
            let verdicts = batch.verdicts;
            cache.learn_clock(now);
            cache.learn(state);
            Ok(Some(verdicts))
        }
        Ok((false, now)) => {
            cache.learn_clock(now);
            cache.distrust(appends, at);
            Ok(None)
        }
        Err(error) => Err(during_commit(&error, || batch.doubt())),
    }
}

/// Runs a batch as one transaction: lock the tenants, look where streams stand, decide, write, commit. Either all
/// appends that were decided to be recorded are, or none.
///
/// # Errors
/// Nothing is recorded, unless the failure says that it is in doubt.
pub(super) async fn run(
    connection: &mut PgConnection,
    cache: &mut Cache,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> Result<Vec<Verdict>, Failure> {
    let mut transaction = connection.begin().await.map_err(|error| before_commit(&error))?;
    let mut state = match look(&mut transaction, phase, months_ahead, appends).await {
        Ok(state) => state,
        Err(error) => return Err(roll_back(transaction, before_commit(&error)).await),
    };
    cache.learn_clock(state.now);
    let batch = Batch::decide(&mut state, phase, appends);
    let written = match phase {
        _ if batch.rows.is_empty() => Ok(true),
        Phase::Legacy => record_legacy(&mut transaction, &batch.rows).await.map(|()| true),
        Phase::Dual => {
            let tenants = batch.tenants(&state);
            record_dual(&mut transaction, &batch.rows, &tenants, &batch.streams).await.map(|(holds, _)| holds)
        }
    };
    match written {
        Ok(true) => {}
        // The tenants are locked: only a floor that was raised before can make a difference.
        Ok(false) => {
            return Err(roll_back(transaction, Failure::Race { constraint: None, event_id: None }).await);
        }
        Err(error) => return Err(roll_back(transaction, before_commit(&error)).await),
    }
    if let Err(error) = transaction.commit().await {
        return Err(during_commit(&error, || batch.doubt()));
    }
    let verdicts = batch.verdicts;
    cache.learn(state);
    Ok(verdicts)
}

async fn look(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> sqlx::Result<State> {
    let tenants = match phase {
        Phase::Legacy => HashMap::new(),
        Phase::Dual => lock_tenants(connection, appends).await?,
    };
    load(connection, phase, months_ahead, tenants, appends).await
}

async fn roll_back(transaction: sqlx::PgTransaction<'_>, failure: Failure) -> Failure {
    // When this fails too the session is gone, and PostgreSQL has rolled back by itself.
    if let Err(error) = transaction.rollback().await {
        tracing::debug!(%error, "rollback failed");
    }
    failure
}

/// What is to be written for a batch, and what its callers are told once it is.
struct Batch<'a> {
    rows: Vec<NewRow<'a>>,
    streams: Vec<StreamRow<'a>>,
    verdicts: Vec<Verdict>,
}

impl<'a> Batch<'a> {
    fn decide(state: &mut State, phase: Phase, appends: &[&'a Append]) -> Self {
        let mut batch = Self { rows: Vec::new(), streams: Vec::new(), verdicts: Vec::new() };
        let mut waiting: HashSet<&TenantId> = HashSet::new();
        for append in appends {
            // Behind an append that waits, nobody knows yet where the streams of its tenant will stand, nor what of it
            // will be recorded.
            if waiting.contains(append.tenant()) {
                let times = state.check_times(append);
                batch.verdicts.push(
                    times.map_or_else(|refused| Verdict::Answer(Err(refused)), |()| Verdict::UnknownTenant),
                );
                continue;
            }
            // A refused append must not make partitions: an unknown tenant's is decided before they are made.
            let known = phase == Phase::Legacy || state.tenants.contains_key(append.tenant());
            let verdict = match state.decide(append, &batch.rows) {
                Decision::Record { .. } if !known => {
                    waiting.insert(append.tenant());
                    Verdict::UnknownTenant
                }
                Decision::Record { rows, streams } => {
                    let answer = answer(append, &rows);
                    batch.rows.extend(rows);
                    batch.merge(streams);
                    Verdict::Answer(Ok(answer))
                }
                Decision::Replay(replay) => Verdict::Answer(Ok(replay)),
                Decision::Defer => Verdict::Defer,
                Decision::Refuse(refused) => Verdict::Answer(Err(refused)),
            };
            batch.verdicts.push(verdict);
        }
        batch
    }

    /// One row a stream: a statement cannot update the same one twice.
    fn merge(&mut self, streams: Vec<StreamRow<'a>>) {
        for row in streams {
            let same =
                |earlier: &&mut StreamRow<'_>| earlier.tenant == row.tenant && earlier.stream == row.stream;
            match self.streams.iter_mut().find(same) {
                Some(earlier) => earlier.extend(row),
                None => self.streams.push(row),
            }
        }
    }

    /// The tenants written to, in the order in which everybody locks them.
    fn tenants(&self, state: &State) -> Vec<TenantRow<'a>> {
        let mut tenants: BTreeMap<&'a TenantId, TenantRow<'a>> = BTreeMap::new();
        for row in &self.rows {
            let Some(found) = state.tenants.get(row.tenant) else { continue };
            let tenant = tenants.entry(row.tenant).or_insert(TenantRow {
                tenant: row.tenant,
                base_position: found.base_position,
                last_position: found.last_position,
                first_timestamp: row.event_timestamp,
            });
            tenant.first_timestamp = tenant.first_timestamp.min(row.event_timestamp);
        }
        tenants.into_values().collect()
    }

    fn doubt(self) -> Doubt {
        let witness = self.rows.first();
        let witness = witness.map(|row| Witness { tenant: row.tenant.clone(), event_id: row.event_id });
        Doubt { witness, verdicts: self.verdicts }
    }
}

/// One answer a stream of the append, from its rows, which stand in the same order.
fn answer(append: &Append, rows: &[NewRow<'_>]) -> Vec<Appended> {
    let mut rows = rows.iter();
    let mut take = |count| rows.by_ref().take(count).map(NewRow::appended).collect();
    append
        .streams()
        .iter()
        .map(|stream| Appended { events: take(stream.events.len()), replayed: false })
        .collect()
}
