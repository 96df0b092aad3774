use std::collections::HashMap;

use partita_model::{Appended, Timestamp, Uuid};

use crate::sessions::TenantSessions;

/// Where recorded events of one tenant stand in its feed; those that are in the legacy table alone are left out. The
/// timestamps, one an event and in the same order, prune to the months that hold the events.
pub(crate) async fn find_positions(
    sessions: &TenantSessions,
    event_ids: &[Uuid],
    timestamps: &[Timestamp],
) -> sqlx::Result<HashMap<Uuid, i64>> {
    let (Some(first), Some(last)) = (timestamps.iter().min(), timestamps.iter().max()) else {
        return Ok(HashMap::new());
    };
    let times: Vec<_> = timestamps.iter().map(|at| at.to_datetime()).collect();
    let rows = sqlx::query_file!(
        "sql/append/find_positions.sql",
        sessions.tenant(),
        event_ids,
        first.to_datetime(),
        last.to_datetime(),
        &times
    )
    .fetch_all(&mut *sessions.session().await?)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_id, row.position)).collect())
}

/// Completes the answer of a repeated append. A lane leaves the positions out: its session is set up for statements that
/// touch no partition but by INSERT.
pub(crate) async fn complete_replay(sessions: &TenantSessions, answers: &mut [Appended]) -> sqlx::Result<()> {
    let events = || answers.iter().filter(|answer| answer.replayed).flat_map(|answer| &answer.events);
    let ids: Vec<Uuid> = events().map(|event| event.event_id).collect();
    let timestamps: Vec<Timestamp> = events().map(|event| event.event_timestamp).collect();
    let positions = find_positions(sessions, &ids, &timestamps).await?;
    for event in answers.iter_mut().filter(|answer| answer.replayed).flat_map(|answer| &mut answer.events) {
        event.position = positions.get(&event.event_id).copied();
    }
    Ok(())
}
