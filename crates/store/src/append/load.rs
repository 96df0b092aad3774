use std::collections::{BTreeSet, HashMap, HashSet};

use partita_model::{Append, ControlPhase, Phase, StreamId, TenantId, Timestamp, Version};
use sqlx::PgConnection;

use super::decide::{Head, State, TenantState, horizon};
use super::recorded::find_recorded;
use crate::phase::parse;

/// Locks the tenants until the transaction ends; those that are not registered are left out.
pub(super) async fn lock_tenants(
    connection: &mut PgConnection,
    appends: &[&Append],
) -> sqlx::Result<HashMap<TenantId, TenantState>> {
    let tenants: BTreeSet<&str> = appends.iter().map(|append| append.tenant().as_str()).collect();
    let tenants: Vec<&str> = tenants.into_iter().collect();
    let rows = sqlx::query_file!("sql/append/lock_tenants.sql", &tenants as _).fetch_all(connection).await?;
    rows.into_iter()
        .map(|row| {
            let floor = row.retention_floor.map(Timestamp::from_datetime);
            Ok((tenant(row.tenant_id)?, TenantState::new(row.last_position, floor)))
        })
        .collect()
}

pub(super) fn tenant(tenant_id: String) -> sqlx::Result<TenantId> {
    TenantId::parse(tenant_id).map_err(|error| sqlx::Error::Decode(format!("tenant_id {error}").into()))
}

/// Looks up all that the batch is decided by.
pub(super) async fn load(
    connection: &mut PgConnection,
    phase: Phase,
    months_ahead: u32,
    tenants: HashMap<TenantId, TenantState>,
    appends: &[&Append],
) -> sqlx::Result<Loaded> {
    let streams: BTreeSet<(&TenantId, &StreamId)> = appends
        .iter()
        .flat_map(|append| append.streams().iter().map(|stream| (append.tenant(), &stream.stream)))
        .collect();
    let streams: Vec<_> = streams.into_iter().collect();
    let (said, now, heads) = find_heads(connection, phase, &streams).await?;
    if said != phase.control() {
        return Ok(Loaded::OtherPhase(said));
    }
    let recorded = find_recorded(connection, phase, now, appends).await?;
    let horizon = horizon(now, months_ahead);
    let state = State { now, horizon, tenants, heads, recorded, drawn: HashSet::new() };
    Ok(Loaded::State(Box::new(state)))
}

/// What a look at the database gave.
pub(super) enum Loaded {
    /// All that the batch is decided by.
    State(Box<State>),
    /// Nothing: the control row says something else than the look was made for.
    OtherPhase(ControlPhase),
}

/// The phase, the clock, and where the streams stand, all of one snapshot.
async fn find_heads(
    connection: &mut PgConnection,
    phase: Phase,
    streams: &[(&TenantId, &StreamId)],
) -> sqlx::Result<(ControlPhase, Timestamp, HashMap<(TenantId, StreamId), Head>)> {
    let tenants: Vec<&str> = streams.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let types: Vec<&str> = streams.iter().map(|(_, stream)| stream.aggregate_type()).collect();
    let ids: Vec<&str> = streams.iter().map(|(_, stream)| stream.aggregate_id()).collect();
    let mut said = None;
    let mut found = Vec::with_capacity(streams.len());
    macro_rules! fetch {
        ($file:literal) => {
            sqlx::query_file!($file, &tenants as _, &types as _, &ids as _).fetch_all(connection).await?
        };
    }
    match phase {
        // Without the flag, too: a stream whose events were recorded while finalized and have expired since has nothing left
        // in legacy but its record.
        Phase::Legacy | Phase::Dual | Phase::Fenced => {
            for row in fetch!("sql/append/find_heads_dual.sql") {
                said = Some((row.phase, row.now));
                let stream = head(row.stream_version, row.stream_hash);
                let legacy = head(row.legacy_version, row.legacy_hash);
                found.push(if legacy.version > stream.version { legacy } else { stream });
            }
        }
        Phase::Restoring | Phase::Finalized => {
            for row in fetch!("sql/append/find_heads_partitioned.sql") {
                said = Some((row.phase, row.now));
                found.push(head(row.stream_version, row.stream_hash));
            }
        }
    }
    let key = |(tenant, stream): &(&TenantId, &StreamId)| ((*tenant).clone(), (*stream).clone());
    let (said, now) = said.ok_or(sqlx::Error::RowNotFound)?;
    Ok((parse(&said), Timestamp::from_datetime(now), streams.iter().map(key).zip(found).collect()))
}

fn head(version: Option<i32>, hash: Option<String>) -> Head {
    Head { version: Version::new(version.unwrap_or_default()), hash }
}
