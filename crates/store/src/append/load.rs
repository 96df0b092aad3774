use std::collections::{BTreeSet, HashMap, HashSet};

use partita_model::{Append, Phase, StreamId, TenantId, Timestamp, Uuid, Version};
use sqlx::PgConnection;

use super::decide::{Head, State, TenantState, horizon};
use super::replay::Recorded;

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

fn tenant(tenant_id: String) -> sqlx::Result<TenantId> {
    TenantId::parse(tenant_id).map_err(|error| sqlx::Error::Decode(format!("tenant_id {error}").into()))
}

/// Looks up all that the batch is decided by.
pub(super) async fn load(
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
    Ok(State { now, horizon: horizon(now, months_ahead), tenants, heads, recorded, drawn: HashSet::new() })
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
