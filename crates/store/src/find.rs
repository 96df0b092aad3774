//! Looking for events by their ids.

use std::collections::HashMap;

use partita_model::{
    AppendedEvent, ControlPhase, FindEvents, FoundEvent, Phase, StreamId, Timestamp, Uuid, Version,
};
use time::OffsetDateTime;

use crate::StoreError;
use crate::phase::{PHASES_MAX, PhaseCell, parse};
use crate::positions::find_positions;
use crate::read::store_error;
use crate::sessions::TenantSessions;

/// Events by their ids.
type Found = HashMap<Uuid, FoundEvent>;

/// Where the events are recorded: one answer an id, in the order asked for, none for an event that is not.
///
/// # Errors
/// When the database cannot be asked.
pub(crate) async fn find_events(
    sessions: &TenantSessions,
    phase: &PhaseCell,
    find: &FindEvents,
) -> Result<Vec<Option<FoundEvent>>, StoreError> {
    let mut believed = phase.current(sessions.pool()).await?;
    for _ in 0..PHASES_MAX {
        let (said, found) = find_in(sessions, believed, find).await.map_err(|error| store_error(&error))?;
        if said == believed.control() {
            return Ok(find.event_ids.iter().map(|id| found.get(id).cloned()).collect());
        }
        believed = phase.learn(said).map_err(StoreError::PhaseContradiction)?;
    }
    Err(StoreError::Unavailable)
}

/// What the control row says, and the events as far as the tables of the phase know them.
async fn find_in(
    sessions: &TenantSessions,
    phase: Phase,
    find: &FindEvents,
) -> sqlx::Result<(ControlPhase, Found)> {
    if !phase.legacy_is_whole() {
        let (said, mut found) = find_in_partitioned(sessions, find).await?;
        fill_left(sessions, find, &mut found).await?;
        return Ok((said, found));
    }
    let (said, mut found) = find_in_legacy(sessions, find).await?;
    if phase.writes_partitioned() {
        fill_positions(sessions, &mut found).await?;
    }
    Ok((said, found))
}

async fn find_in_legacy(sessions: &TenantSessions, find: &FindEvents) -> sqlx::Result<(ControlPhase, Found)> {
    let (tenant, ids) = (find.tenant.as_str(), &find.event_ids);
    let rows = sqlx::query_file!("sql/find_events/find_events.sql", tenant, ids as _)
        .fetch_all(&mut *sessions.session().await?)
        .await?;
    let said = rows.first().map_or(ControlPhase::Unknown, |row| parse(&row.phase));
    let found = rows.into_iter().filter_map(|row| {
        let stream = row.aggregate_type.zip(row.aggregate_id);
        Some(event(row.event_id?, stream?, row.aggregate_version?, None, row.event_timestamp?))
    });
    Ok((said, found.collect()))
}

async fn find_in_partitioned(
    sessions: &TenantSessions,
    find: &FindEvents,
) -> sqlx::Result<(ControlPhase, Found)> {
    let (tenant, ids) = (find.tenant.as_str(), &find.event_ids);
    let rows = sqlx::query_file!("sql/find_events/find_events_partitioned.sql", tenant, ids as _);
    let rows = rows.fetch_all(&mut *sessions.session().await?).await?;
    let said = rows.first().map_or(ControlPhase::Unknown, |row| parse(&row.phase));
    let found = rows.into_iter().filter_map(|row| {
        let stream = row.aggregate_type.zip(row.aggregate_id);
        Some(event(row.event_id?, stream?, row.aggregate_version?, row.position, row.event_timestamp?))
    });
    Ok((said, found.collect()))
}

/// Adds what only the legacy table has: events whose months are gone.
async fn fill_left(sessions: &TenantSessions, find: &FindEvents, found: &mut Found) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = find.event_ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_file!("sql/find_events/find_events_left.sql", find.tenant.as_str(), &ids as _);
    for row in rows.fetch_all(&mut *sessions.session().await?).await? {
        let stream = (row.aggregate_type, row.aggregate_id);
        found.extend([event(row.event_id, stream, row.aggregate_version, None, row.event_timestamp)]);
    }
    Ok(())
}

fn event(
    event_id: Uuid,
    (aggregate_type, aggregate_id): (String, String),
    version: i32,
    position: Option<i64>,
    event_timestamp: OffsetDateTime,
) -> (Uuid, FoundEvent) {
    let (version, event_timestamp) = (Version::new(version), Timestamp::from_datetime(event_timestamp));
    let event = AppendedEvent { event_id, version, position, event_timestamp };
    (event_id, FoundEvent { stream: StreamId::from_row(aggregate_type, aggregate_id), event })
}

/// Adds where the events stand in the feed; those that only the legacy table has stand nowhere.
async fn fill_positions(sessions: &TenantSessions, found: &mut Found) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = found.keys().copied().collect();
    let timestamps: Vec<Timestamp> = found.values().map(|found| found.event.event_timestamp).collect();
    let positions = find_positions(sessions, &ids, &timestamps).await?;
    for (event_id, found) in found {
        found.event.position = positions.get(event_id).copied();
    }
    Ok(())
}
