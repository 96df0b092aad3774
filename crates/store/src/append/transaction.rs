use std::collections::HashMap;

use partita_model::{Append, Phase};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::batch::{Batch, Verdict};
use super::cache::Cache;
use super::load::{Loaded, load, lock_tenants};
use super::recorded::{find_in_both, looked_up_at_once};
use super::refusal::{Failure, before_commit, during_commit};
use super::rows::{record, record_legacy};

/// Records a batch by one statement that is its own transaction, decided from what the lane remembers. `None` when that
/// is not enough for it: something is not remembered, an append is not simply to be recorded, or somebody else has
/// appended meanwhile, or changed the phase. Nothing is written then.
///
/// # Errors
/// Nothing is recorded, unless the failure says that it is in doubt.
pub(super) async fn run_remembered(
    connection: &mut PgConnection,
    cache: &mut Cache,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> Result<Option<Vec<Verdict>>, Failure> {
    let at = Instant::now();
    let Some(mut state) = cache.state(appends, months_ahead, at) else { return Ok(None) };
    if !phase.legacy_is_whole() {
        // Legacy's unique index would not refuse an id that was recorded while legacy was not written. One that is not found
        // here, and is recorded before the statement below, will have moved its tenant's last position.
        if looked_up_at_once(phase, appends) < appends.len() {
            return Ok(None);
        }
        let recorded = find_in_both(connection, state.now, appends).await;
        if !recorded.map_err(|error| before_commit(&error))?.is_empty() {
            return Ok(None);
        }
    }
    let batch = Batch::decide(&mut state, phase, appends);
    let recordable = |verdict: &Verdict| matches!(verdict, Verdict::Answer(Ok(_)));
    if !batch.verdicts.iter().all(recordable) {
        return Ok(None);
    }
    let tenants = batch.tenants(&state);
    match record(connection, phase, &batch.rows, &tenants, &batch.streams).await {
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
/// appends that were decided to be recorded are, or none. What is too much for one transaction is deferred.
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
    let (appends, later) = appends.split_at(looked_up_at_once(phase, appends));
    let mut transaction = connection.begin().await.map_err(|error| before_commit(&error))?;
    let mut state = match look(&mut transaction, phase, months_ahead, appends).await {
        Ok(Loaded::State(state)) => state,
        Ok(Loaded::OtherPhase(said)) => return Err(roll_back(transaction, Failure::OtherPhase(said)).await),
        Err(error) => return Err(roll_back(transaction, before_commit(&error)).await),
    };
    cache.learn_clock(state.now);
    let batch = Batch::decide(&mut state, phase, appends);
    let written = if batch.rows.is_empty() {
        Ok(true)
    } else if phase.writes_partitioned() {
        let tenants = batch.tenants(&state);
        let recorded = record(&mut transaction, phase, &batch.rows, &tenants, &batch.streams).await;
        recorded.map(|(holds, _)| holds)
    } else {
        record_legacy(&mut transaction, &batch.rows).await.map(|()| true)
    };
    match written {
        Ok(true) => {}
        // The tenants are locked: only a floor that was raised before, or a phase that changed since, can make a
        // difference.
        Ok(false) => {
            return Err(roll_back(transaction, Failure::Race { constraint: None, event_id: None }).await);
        }
        Err(error) => return Err(roll_back(transaction, before_commit(&error)).await),
    }
    if let Err(error) = transaction.commit().await {
        return Err(during_commit(&error, || batch.doubt()));
    }
    let mut verdicts = batch.verdicts;
    verdicts.extend(later.iter().map(|_| Verdict::Defer));
    cache.learn(*state);
    Ok(verdicts)
}

async fn look(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> sqlx::Result<Loaded> {
    let tenants =
        if phase.writes_partitioned() { lock_tenants(connection, appends).await? } else { HashMap::new() };
    load(connection, phase, months_ahead, tenants, appends).await
}

async fn roll_back(transaction: sqlx::PgTransaction<'_>, failure: Failure) -> Failure {
    // When this fails too the session is gone, and PostgreSQL has rolled back by itself.
    if let Err(error) = transaction.rollback().await {
        tracing::debug!(%error, "rollback failed");
    }
    failure
}
