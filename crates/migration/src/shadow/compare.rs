use partita_store::ReadRange;
use sqlx::{Connection as _, PgConnection};
use time::{Duration, OffsetDateTime};

use crate::MismatchReason;
use crate::verify::ONE_SNAPSHOT;
use crate::verify::differences::{self, Found, Scope};

/// More rows than the versions of a part can have on both sides, unless somebody put some there by hand.
const ROWS_MAX: i64 = 2_000;

/// What a comparison found.
pub(super) struct Compared {
    /// The database's clock, in its snapshot.
    pub(super) at: OffsetDateTime,
    /// Rows that are the same on both sides.
    pub(super) same: u64,
    /// Rows of the legacy table that nothing says are copied.
    pub(super) not_copied: u64,
    /// What should not be.
    pub(super) differences: Vec<Found>,
}

/// Compares a part of a stream in one snapshot; none in a phase that does not write both tables, or fills one up.
///
/// A copy that is missing is a difference where the tenant was proved equal under the fence: since then it cannot be. Else it is
/// one only where a backfill has left nothing of its month after it was written. A row that only the partitioned table has is
/// one in any case, and so is one that is not the same.
pub(super) async fn compare(session: &mut PgConnection, range: &ReadRange) -> sqlx::Result<Option<Compared>> {
    let tenant = range.tenant.as_str();
    let mut transaction = session.begin_with(ONE_SNAPSHOT).await?;
    let looked = sqlx::query_file!(
        "sql/shadow/look_at_range.sql",
        tenant,
        range.stream.aggregate_type(),
        range.stream.aggregate_id(),
        range.least.get(),
        range.greatest.get(),
        ROWS_MAX
    )
    .fetch_one(&mut *transaction)
    .await?;
    if looked.phase != "open" && looked.phase != "fenced" {
        return Ok(None);
    }
    let mut found = match looked.first_timestamp.zip(looked.last_timestamp) {
        Some((first, last)) => {
            let time = (first, last + Duration::microseconds(1));
            let scope = Scope { tenant, time, range: Some(range) };
            differences::find(&mut transaction, &scope, ROWS_MAX).await?
        }
        None => Vec::new(),
    };
    let in_legacy = found.iter().filter(|found| !is_missing(found, MismatchReason::MissingInLegacy)).count();
    let same = looked.legacy_rows.unsigned_abs().saturating_sub(in_legacy as u64);
    let before = found.len();
    if !looked.is_verified {
        drop_not_copied(&mut transaction, range, &mut found).await?;
    }
    transaction.commit().await?;
    let not_copied = (before - found.len()) as u64;
    Ok(Some(Compared { at: looked.now, same, not_copied, differences: found }))
}

fn is_missing(found: &Found, side: MismatchReason) -> bool {
    found.mismatch.reason == side
}

/// Leaves out the copies that need not be there yet.
async fn drop_not_copied(
    connection: &mut PgConnection,
    range: &ReadRange,
    found: &mut Vec<Found>,
) -> sqlx::Result<()> {
    let version = |found: &Found| found.mismatch.aggregate_version.unwrap_or_default();
    let missing: Vec<i32> = found
        .iter()
        .filter(|found| is_missing(found, MismatchReason::MissingInPartitioned))
        .filter_map(|found| i32::try_from(version(found)).ok())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let not_copied = sqlx::query_file_scalar!(
        "sql/shadow/list_not_copied.sql",
        range.tenant.as_str(),
        range.stream.aggregate_type(),
        range.stream.aggregate_id(),
        range.least.get(),
        range.greatest.get(),
        &missing,
        ROWS_MAX
    )
    .fetch_all(connection)
    .await?;
    found.retain(|found| {
        !is_missing(found, MismatchReason::MissingInPartitioned) || !not_copied.contains(&version(found))
    });
    Ok(())
}
