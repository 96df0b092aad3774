//! Looking for events by their ids.

use std::collections::HashMap;

use partita_model::{AppendedEvent, FindEvents, FoundEvent, Phase, StreamId, Timestamp, Uuid, Version};
use sqlx::PgPool;

use crate::StoreError;
use crate::positions::find_positions;
use crate::read::store_error;

/// Where the events are recorded: one answer an id, in the order asked for, none for an event that is not.
///
/// # Errors
/// When the database cannot be asked.
pub(crate) async fn find_events(
    pool: &PgPool,
    phase: Phase,
    find: &FindEvents,
) -> Result<Vec<Option<FoundEvent>>, StoreError> {
    let found = find_recorded(pool, phase, find).await.map_err(|error| store_error(&error))?;
    Ok(find.event_ids.iter().map(|id| found.get(id).cloned()).collect())
}

async fn find_recorded(
    pool: &PgPool,
    phase: Phase,
    find: &FindEvents,
) -> sqlx::Result<HashMap<Uuid, FoundEvent>> {
    let rows =
        sqlx::query_file!("sql/find_events/find_events.sql", find.tenant.as_str(), &find.event_ids as _)
            .fetch_all(pool)
            .await?;
    let mut found: HashMap<Uuid, FoundEvent> = rows
        .into_iter()
        .map(|row| {
            let event = AppendedEvent {
                event_id: row.event_id,
                version: Version::new(row.aggregate_version),
                position: None,
                event_timestamp: Timestamp::from_datetime(row.event_timestamp),
            };
            (
                row.event_id,
                FoundEvent { stream: StreamId::from_row(row.aggregate_type, row.aggregate_id), event },
            )
        })
        .collect();
    if phase == Phase::Dual {
        fill_positions(pool, find, &mut found).await?;
    }
    Ok(found)
}

/// Adds where the events stand in the feed; those that only the legacy table has stand nowhere.
async fn fill_positions(
    pool: &PgPool,
    find: &FindEvents,
    found: &mut HashMap<Uuid, FoundEvent>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = found.keys().copied().collect();
    let timestamps: Vec<Timestamp> = found.values().map(|found| found.event.event_timestamp).collect();
    let positions = find_positions(pool, &find.tenant, &ids, &timestamps).await?;
    for (event_id, found) in found {
        found.event.position = positions.get(event_id).copied();
    }
    Ok(())
}
