use std::collections::HashMap;

use partita_model::{Append, Phase};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::batch::{Batch, Verdict};
use super::cache::Cache;
use super::decide::State;
use super::load::{load, lock_tenants};
use super::refusal::{Failure, before_commit, during_commit};
use super::rows::{record_dual, record_legacy};

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
