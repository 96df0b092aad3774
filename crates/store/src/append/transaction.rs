use std::collections::{BTreeSet, HashMap};

use partita_model::{Append, Appended, Phase, StreamId, TenantId, Timestamp, Uuid, Version};
use sqlx::{Connection, PgConnection};

use super::decide::{Decision, Head, Recorded, State, TenantState, horizon};
use super::refusal::{Failure, before_commit, during_commit};
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
/// Nothing is recorded, unless the failure says that the outcome is unknown.
pub(super) async fn run(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> Result<Vec<Verdict>, Failure> {
    let mut transaction = connection.begin().await.map_err(|error| before_commit(&error))?;
    match write(&mut transaction, phase, months_ahead, appends).await {
        Ok(verdicts) => {
            transaction.commit().await.map_err(|error| during_commit(&error))?;
            Ok(verdicts)
        }
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

async fn write(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    appends: &[&Append],
) -> sqlx::Result<Vec<Verdict>> {
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
    if !rows.is_empty() {
        match phase {
            Phase::Legacy => record_legacy(connection, &rows).await?,
            Phase::Dual => {
                let drawn: BTreeSet<&TenantId> = rows.iter().map(|row| row.tenant).collect();
                let drawn: Vec<_> = drawn
                    .into_iter()
                    .filter_map(|tenant| Some((tenant, state.tenants.get(tenant)?.last_position)))
                    .collect();
                record_dual(connection, &rows, &drawn, &streams).await?;
            }
        }
    }
    Ok(verdicts)
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

async fn lock_tenants(
    connection: &mut PgConnection,
    appends: &[&Append],
) -> sqlx::Result<HashMap<TenantId, TenantState>> {
    let tenants: BTreeSet<&str> = appends.iter().map(|append| append.tenant().as_str()).collect();
    let tenants: Vec<&str> = tenants.into_iter().collect();
    let rows = sqlx::query_file!("sql/append/lock_tenants.sql", &tenants as _).fetch_all(connection).await?;
    rows.into_iter()
        .map(|row| {
            let floor = row.retention_floor.map(Timestamp::from_datetime);
            Ok((tenant(row.tenant_id)?, TenantState { last_position: row.last_position, floor }))
        })
        .collect()
}

fn tenant(tenant_id: String) -> sqlx::Result<TenantId> {
    TenantId::parse(tenant_id).map_err(|error| sqlx::Error::Decode(format!("tenant_id {error}").into()))
}

async fn load(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    tenants: HashMap<TenantId, TenantState>,
    appends: &[&Append],
) -> sqlx::Result<State> {
    let streams: BTreeSet<(&TenantId, &StreamId)> = appends
        .iter()
        .flat_map(|append| append.streams().iter().map(|stream| (append.tenant(), &stream.stream)))
        .collect();
    let streams: Vec<_> = streams.into_iter().collect();
    let (now, heads) = find_heads(connection, phase, &streams).await?;
    let recorded = find_recorded(connection, appends).await?;
    Ok(State { now, horizon: horizon(now, months_ahead), tenants, heads, recorded })
}

async fn find_heads(
    connection: &mut PgConnection,
    phase: Phase,
    streams: &[(&TenantId, &StreamId)],
) -> sqlx::Result<(Timestamp, HashMap<(TenantId, StreamId), Head>)> {
    let tenants: Vec<&str> = streams.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let types: Vec<&str> = streams.iter().map(|(_, stream)| stream.aggregate_type()).collect();
    let ids: Vec<&str> = streams.iter().map(|(_, stream)| stream.aggregate_id()).collect();
    let mut now = None;
    let mut found = Vec::with_capacity(streams.len());
    match phase {
        Phase::Legacy => {
            let query =
                sqlx::query_file!("sql/append/find_heads_legacy.sql", &tenants as _, &types as _, &ids as _);
            for row in query.fetch_all(connection).await? {
                now = Some(row.now);
                found.push(head(row.legacy_version, row.legacy_hash));
            }
        }
        Phase::Dual => {
            let query =
                sqlx::query_file!("sql/append/find_heads_dual.sql", &tenants as _, &types as _, &ids as _);
            for row in query.fetch_all(connection).await? {
                now = Some(row.now);
                let stream = head(row.stream_version, row.stream_hash);
                let legacy = head(row.legacy_version, row.legacy_hash);
                found.push(if legacy.version > stream.version { legacy } else { stream });
            }
        }
    }
    let key = |(tenant, stream): &(&TenantId, &StreamId)| ((*tenant).clone(), (*stream).clone());
    let now = now.ok_or(sqlx::Error::RowNotFound)?;
    Ok((Timestamp::from_datetime(now), streams.iter().map(key).zip(found).collect()))
}

fn head(version: Option<i32>, hash: Option<String>) -> Head {
    Head { version: Version::new(version.unwrap_or_default()), hash }
}

async fn find_recorded(
    connection: &mut PgConnection,
    appends: &[&Append],
) -> sqlx::Result<HashMap<(TenantId, Uuid), Recorded>> {
    let tenants: BTreeSet<&str> = appends.iter().map(|append| append.tenant().as_str()).collect();
    let tenants: Vec<&str> = tenants.into_iter().collect();
    let ids: Vec<Uuid> =
        appends.iter().flat_map(|append| append.events()).filter_map(|event| event.event_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows =
        sqlx::query_file!("sql/append/find_recorded.sql", &tenants as _, &ids).fetch_all(connection).await?;
    rows.into_iter()
        .map(|row| {
            let recorded = Recorded {
                stream: StreamId::from_row(row.aggregate_type, row.aggregate_id),
                version: Version::new(row.aggregate_version),
                event_type: row.event_type,
                data: row.event_data,
                metadata: row.event_metadata,
                event_timestamp: Timestamp::from_datetime(row.event_timestamp),
            };
            Ok(((tenant(row.tenant_id)?, row.event_id), recorded))
        })
        .collect()
}

/// A replay that was written while the flag was off has no positions, and its answer has none.
async fn fill_positions(
    connection: &mut PgConnection,
    tenant: &TenantId,
    replay: &mut [Appended],
) -> sqlx::Result<()> {
    let events = || replay.iter().flat_map(|appended| &appended.events);
    let ids: Vec<Uuid> = events().map(|event| event.event_id).collect();
    let times = || events().map(|event| event.event_timestamp);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(()) };
    let rows = sqlx::query_file!(
        "sql/append/find_positions.sql",
        tenant.as_str(),
        &ids,
        first.to_datetime(),
        last.to_datetime()
    )
    .fetch_all(connection)
    .await?;
    let positions: HashMap<Uuid, i64> = rows.into_iter().map(|row| (row.event_id, row.position)).collect();
    for event in replay.iter_mut().flat_map(|appended| &mut appended.events) {
        event.position = positions.get(&event.event_id).copied();
    }
    Ok(())
}
