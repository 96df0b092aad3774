//! What a command can mend of the differences that verify found, and the SQL for what it must not.

use partita_model::TenantId;
use sqlx::PgPool;

use crate::{Direction, MigrationError, Mismatch, MismatchReason, Refusal, RunState, control, verify};

/// Differences that are turned into steps at once.
const STEPS_MAX: i64 = 1_000;

/// What there is to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Months in which copies are missing: the backfill copies them.
    pub units_to_copy: u64,
    /// What only a person can decide, up to 1,000.
    pub steps: Vec<RepairStep>,
}

/// A difference whose cause is not known, and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairStep {
    /// The difference.
    pub mismatch: Mismatch,
    /// What to find out first.
    pub first: &'static str,
    /// Statements for a superuser, who alone may set the triggers aside that keep events immutable; empty where there are none.
    pub statements: String,
}

/// What a repair would do. Nothing is changed.
pub(crate) async fn look(pool: &PgPool, tenant: Option<&TenantId>) -> Result<Repair, MigrationError> {
    let mismatches = verify::list(pool, 0, STEPS_MAX, tenant).await?;
    let mut months: Vec<_> = mismatches
        .iter()
        .filter(|mismatch| mismatch.reason == MismatchReason::MissingInPartitioned)
        .map(|mismatch| (mismatch.tenant_id.clone(), mismatch.month))
        .collect();
    months.sort();
    months.dedup();
    let steps = mismatches.into_iter().filter_map(step).collect();
    Ok(Repair { units_to_copy: months.len() as u64, steps })
}

/// Lets the backfill copy what is missing; gives how many months it looks at again.
pub(crate) async fn perform(
    pool: &PgPool,
    tenant: Option<&TenantId>,
    by: &str,
) -> Result<u64, MigrationError> {
    let orders = control::read_orders(pool).await?;
    if orders.direction != Direction::Forward && matches!(orders.state, RunState::Running | RunState::Paused)
    {
        return Err(Refusal::OtherDirection(orders.direction).into());
    }
    let name = tenant.map(TenantId::as_str);
    let reopened = sqlx::query_file_scalar!("sql/verify/reopen_units.sql", name).fetch_one(pool).await?;
    if reopened == 0 {
        return Err(Refusal::NothingToRepair.into());
    }
    control::start(pool, Direction::Forward, by).await?;
    Ok(reopened.unsigned_abs())
}

fn step(mismatch: Mismatch) -> Option<RepairStep> {
    let first = match mismatch.reason {
        MismatchReason::MissingInPartitioned => return None,
        MismatchReason::MissingInLegacy => {
            "somebody removed the row from event_store, or put it into event_store_partitioned by hand: \
             `partita verify chain` tells whether it is what Partita recorded"
        }
        MismatchReason::ColumnsDiffer => {
            "one of the two was changed by hand: `partita verify chain` tells which one still has the hash of its columns; \
             the statements take event_store's row for the true one"
        }
        MismatchReason::HeadDiffers => {
            "the backfill moves heads up with the rows that it copies: start it again, then verify; where the rows are there, \
             the statement brings the stream's record to its events"
        }
        MismatchReason::OutsideOfMonths => {
            "the row has no timestamp, or one that no partition can hold: correct it in event_store"
        }
    };
    let statements = statements(&mismatch);
    Some(RepairStep { mismatch, first, statements })
}

fn statements(mismatch: &Mismatch) -> String {
    let columns = "event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, \
                   tenant_id, user_id, correlation_id, causation_id, legal_basis, data_classification, \
                   retention_policy, ip_address, user_agent, session_id, request_id, event_hash, previous_event_hash, \
                   event_timestamp, created_at";
    let key = format!(
        "tenant_id = {} AND event_id = {}",
        literal(&mismatch.tenant_id),
        literal(mismatch.event_id.as_deref().unwrap_or_default())
    );
    match mismatch.reason {
        MismatchReason::ColumnsDiffer => format!(
            "BEGIN; SET LOCAL session_replication_role = replica; \
             WITH old AS (DELETE FROM public.event_store_partitioned WHERE {key} RETURNING position) \
             INSERT INTO public.event_store_partitioned ({columns}, position) \
             SELECT {columns}, (SELECT position FROM old) FROM public.event_store WHERE {key}; COMMIT;"
        ),
        MismatchReason::MissingInLegacy => format!(
            "BEGIN; SET LOCAL partita.dual_write = 'on'; INSERT INTO public.event_store ({columns}) \
             SELECT {columns} FROM public.event_store_partitioned WHERE {key}; COMMIT;"
        ),
        MismatchReason::HeadDiffers => record_statement(mismatch),
        MismatchReason::MissingInPartitioned | MismatchReason::OutsideOfMonths => String::new(),
    }
}

/// Brings a stream's record to its last event, and lets it span all of them again: reads look at no month outside of it.
fn record_statement(mismatch: &Mismatch) -> String {
    format!(
        "INSERT INTO public.event_store_stream AS stream \
         (tenant_id, aggregate_type, aggregate_id, version, last_hash, first_timestamp, last_timestamp) \
         SELECT tenant_id, aggregate_type, aggregate_id, MAX(aggregate_version), \
         (ARRAY_AGG(event_hash ORDER BY aggregate_version DESC))[1], MIN(event_timestamp), MAX(event_timestamp) \
         FROM public.event_store WHERE tenant_id = {} AND aggregate_type = {} AND aggregate_id = {} GROUP BY 1, 2, 3 \
         ON CONFLICT (tenant_id, aggregate_type, aggregate_id) DO UPDATE \
         SET version = GREATEST(stream.version, EXCLUDED.version), \
         last_hash = CASE WHEN EXCLUDED.version >= stream.version THEN EXCLUDED.last_hash ELSE stream.last_hash END, \
         first_timestamp = LEAST(stream.first_timestamp, EXCLUDED.first_timestamp), \
         last_timestamp = GREATEST(stream.last_timestamp, EXCLUDED.last_timestamp);",
        literal(&mismatch.tenant_id),
        literal(mismatch.aggregate_type.as_deref().unwrap_or_default()),
        literal(mismatch.aggregate_id.as_deref().unwrap_or_default())
    )
}

/// A string for SQL, whatever it holds and whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_cannot_break_out_of_its_literal() {
        assert_eq!(literal("acme"), "'acme'");
        assert_eq!(literal("o'; DROP TABLE x; --"), "'o''; DROP TABLE x; --'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
