//! Bugs that are built in on purpose, to try whether a checker of what this store promises finds them. No part of any build
//! but one that is asked for them by the feature `planted-bugs`, and even there none is at work unless the environment
//! names it.
//!
//! Each is what an event store has had in earnest, at the one place where it would stand.

use std::sync::OnceLock;

use partita_model::{TenantId, Timestamp};
use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

/// Names the bug that is at work in this process.
const VARIABLE: &str = "PARTITA_PLANTED_BUG";

/// One bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Of the events of a transaction, one is not written; all are acknowledged.
    DropEvent,
    /// An append is acknowledged when its commit was sent, whatever comes back.
    AcknowledgeBeforeCommit,
    /// A stream whose events have all expired is forgotten, and begins at version 1 again.
    ReuseVersion,
    /// What retention took out of the partitioned table comes back from legacy.
    ForgetFloor,
    /// What a unique index refuses is left out with a success.
    DoNothing,
}

/// Whether this bug is at work.
pub(crate) fn has(bug: Bug) -> bool {
    static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
    *PLANTED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?)) == Some(bug)
}

fn parse(name: &str) -> Option<Bug> {
    match name {
        "drop-event" => Some(Bug::DropEvent),
        "acknowledge-before-commit" => Some(Bug::AcknowledgeBeforeCommit),
        "reuse-version" => Some(Bug::ReuseVersion),
        "forget-floor" => Some(Bug::ForgetFloor),
        "do-nothing" => Some(Bug::DoNothing),
        unknown => {
            tracing::error!(bug = unknown, "no such bug can be planted");
            None
        }
    }
}

/// The rows of a transaction, without the last one where there are several.
pub(crate) fn rows<T>(rows: &[T]) -> &[T] {
    match rows {
        [most @ .., _] if !most.is_empty() && has(Bug::DropEvent) => most,
        all => all,
    }
}

/// Forgets the streams of a tenant that have no event above its floor.
pub(crate) async fn forget_streams(pool: &PgPool, tenant: &TenantId, floor: Timestamp) -> sqlx::Result<()> {
    if has(Bug::ReuseVersion) {
        sqlx::query("DELETE FROM public.event_store_stream WHERE tenant_id = $1 AND last_timestamp < $2")
            .bind(tenant.as_str())
            .bind(floor.to_datetime())
            .execute(pool)
            .await?;
    }
    Ok(())
}

/// Runs `record_dual.sql` with `ON CONFLICT DO NOTHING` in both of its tables.
pub(crate) async fn record_doing_nothing(
    connection: &mut PgConnection,
    arguments: PgArguments,
) -> sqlx::Result<(bool, Timestamp)> {
    let usual = include_str!("../sql/append/record_dual.sql");
    let tampered = usual.replace("    FROM event\n)", "    FROM event\n    ON CONFLICT DO NOTHING\n)");
    let row = sqlx::query_with(AssertSqlSafe(tampered), arguments).fetch_one(connection).await?;
    Ok((row.try_get("holds!")?, Timestamp::from_datetime(row.try_get("now!")?)))
}
