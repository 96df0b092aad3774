use sqlx::PgConnection;

use super::compare::Compared;
use crate::verify::differences::Found;

/// Most differences of a read that are written down: enough to see what happened.
const NOTED_MAX: usize = 100;

/// Writes down what differs, and logs what was not known.
pub(super) async fn note(session: &mut PgConnection, compared: &Compared) {
    for found in compared.differences.iter().take(NOTED_MAX) {
        match store(session, compared, found).await {
            Ok(Some(false) | None) => {}
            Ok(Some(true)) => log(found),
            Err(error) => {
                log(found);
                tracing::warn!(%error, "a difference between the tables could not be written down");
            }
        }
    }
}

/// Says whether it is new; none where the tenant was proved equal since.
async fn store(session: &mut PgConnection, compared: &Compared, found: &Found) -> sqlx::Result<Option<bool>> {
    let mismatch = &found.mismatch;
    sqlx::query_file_scalar!(
        "sql/shadow/store_difference.sql",
        mismatch.tenant_id,
        mismatch.month.map(|month| month.start().to_datetime()),
        mismatch.event_id,
        mismatch.aggregate_type,
        mismatch.aggregate_id,
        mismatch.aggregate_version,
        found.timestamp,
        mismatch.reason.as_str(),
        &mismatch.columns,
        compared.at
    )
    .fetch_optional(session)
    .await
}

/// By its keys: never what an event holds.
fn log(found: &Found) {
    let mismatch = &found.mismatch;
    tracing::warn!(
        tenant = mismatch.tenant_id,
        month = mismatch.month.map(|month| month.to_string()).unwrap_or_default(),
        event.id = mismatch.event_id.as_deref().unwrap_or_default(),
        event.version = mismatch.aggregate_version,
        reason = mismatch.reason.as_str(),
        columns = mismatch.columns.join(","),
        "both tables were read, and they differ"
    );
}
