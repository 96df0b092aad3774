use std::collections::{BTreeSet, HashMap};

use partita_model::{Append, Appended, Phase, TenantId};
use sqlx::{Connection, PgConnection};

use super::decide::{Decision, State};
use super::load::{fill_positions, load, lock_tenants};
use super::refusal::{Doubt, Failure, Written, before_commit, during_commit};
use super::rows::{NewRow, StreamRow, record_dual, record_legacy};
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

/// Runs a batch as one transaction: lock the tenants, look where streams stand, decide, write, commit. Either all
/// appends that were decided to be recorded are, or none.
///
/// # Errors
/// Nothing is recorded, unless the failure says that it is in doubt.
pub(super) async fn run(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> Result<Vec<Verdict>, Failure> {
    let mut transaction = connection.begin().await.map_err(|error| before_commit(&error))?;
    match decide_and_write(&mut transaction, phase, months_ahead, appends).await {
        Ok((verdicts, written)) => match transaction.commit().await {
            Ok(()) => Ok(verdicts),
            Err(error) => Err(during_commit(&error, || Doubt { written, verdicts })),
        },
        Err(error) => {
            let failure = before_commit(&error);
            // When this fails too the session is gone, and PostgreSQL has rolled back by itself.
            if let Err(error) = transaction.rollback().await {
                tracing::debug!(%error, "rollback failed");
            }
            Err(failure)
        }
    }
}

async fn decide_and_write(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> sqlx::Result<(Vec<Verdict>, Option<Written>)> {
    let tenants = match phase {
        Phase::Legacy => HashMap::new(),
        Phase::Dual => lock_tenants(connection, appends).await?,
    };
    let mut state = load(connection, phase, months_ahead, tenants, appends).await?;

    let mut rows: Vec<NewRow<'_>> = Vec::new();
    let mut streams: Vec<StreamRow<'_>> = Vec::new();
    let mut verdicts = Vec::with_capacity(appends.len());
    for append in appends {
        // A refused append must not make partitions: an unknown tenant's is decided before they are made.
        let known = phase == Phase::Legacy || state.tenants.contains_key(append.tenant());
        verdicts.push(match state.decide(append, &rows) {
            Decision::Record { .. } if !known => Verdict::UnknownTenant,
            Decision::Record { rows: new, streams: moved } => {
                let answer = answer(append, &new);
                rows.extend(new);
                merge(&mut streams, moved);
                Verdict::Answer(Ok(answer))
            }
            Decision::Replay(mut replay) => {
                if phase == Phase::Dual && known {
                    fill_positions(connection, append.tenant(), &mut replay).await?;
                }
                Verdict::Answer(Ok(replay))
            }
            Decision::Defer => Verdict::Defer,
            Decision::Refuse(refused) => Verdict::Answer(Err(refused)),
        });
    }
    let written = match rows.first() {
        None => None,
        Some(first) => {
            let (tenant, event_id) = (first.tenant.clone(), first.event_id);
            let transaction_id = write(connection, phase, &state, &rows, &streams).await?;
            Some(Written { transaction_id, tenant, event_id })
        }
    };
    Ok((verdicts, written))
}

async fn write(
    connection: &mut PgConnection,
    phase: Phase,
    state: &State,
    rows: &[NewRow<'_>],
    streams: &[StreamRow<'_>],
) -> sqlx::Result<String> {
    match phase {
        Phase::Legacy => record_legacy(connection, rows).await,
        Phase::Dual => {
            let drawn: BTreeSet<&TenantId> = rows.iter().map(|row| row.tenant).collect();
            let drawn: Vec<_> = drawn
                .into_iter()
                .filter_map(|tenant| Some((tenant, state.tenants.get(tenant)?.last_position)))
                .collect();
            record_dual(connection, rows, &drawn, streams).await
        }
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

/// One row a stream: a statement cannot update the same one twice.
fn merge<'a>(streams: &mut Vec<StreamRow<'a>>, moved: Vec<StreamRow<'a>>) {
    for row in moved {
        let same =
            |earlier: &&mut StreamRow<'_>| earlier.tenant == row.tenant && earlier.stream == row.stream;
        match streams.iter_mut().find(same) {
            Some(earlier) => earlier.extend(row),
            None => streams.push(row),
        }
    }
}
