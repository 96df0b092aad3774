use std::fmt;
use std::time::Duration;

use partita_model::{
    ExpectedVersion, Month, PhaseContradiction, StreamId, TenantId, Timestamp, Uuid, Version, Violations,
};

use crate::Blocker;

/// Why the store did not do what it was asked, sorted by what the caller can do about it.
///
/// Messages are fit for callers: the database's own words are logged where the error arises, and stay there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The request breaks a rule that only the database could tell.
    #[error("{0}")]
    Invalid(Violations),
    /// An event is older than what its tenant keeps.
    #[error(
        "{field}: {event_timestamp} is before {floor}, below which the tenant's events are no longer kept"
    )]
    BelowFloor {
        /// Path of the event's field in the request.
        field: String,
        /// The event's timestamp.
        event_timestamp: Timestamp,
        /// The tenant's floor.
        floor: Timestamp,
    },
    /// At least one stream is not where the caller expected it; all that are not are listed.
    #[error("{}", display_conflicts(.0))]
    VersionConflict(Vec<VersionConflict>),
    /// Ids that are recorded with other content, in another place, or for a part of the append only.
    #[error(
        "event ids are already recorded with other content or for another append: {}",
        display_ids(event_ids)
    )]
    EventIdConflict {
        /// The ids in question.
        event_ids: Vec<Uuid>,
    },
    /// The stream never had an event.
    #[error("stream `{stream}` does not exist")]
    StreamNotFound {
        /// The stream asked for.
        stream: StreamId,
    },
    /// The tenant has no partitions.
    #[error("tenant `{tenant}` does not exist")]
    TenantNotFound {
        /// The tenant asked for.
        tenant: TenantId,
    },
    /// The month is not one that can be restored.
    #[error(
        "month {month} of tenant `{tenant}` cannot be restored: it is not detached, or it or a later month is dropped"
    )]
    PartitionNotFound {
        /// The tenant asked for.
        tenant: TenantId,
        /// The month asked for.
        month: Month,
    },
    /// The month would come back without events of it that legacy alone has.
    #[error(
        "month {month} of tenant `{tenant}` cannot be restored now: event_store has events that its partitions never had, \
             and is not read in this phase; go back to open first (`partita migration restore`)"
    )]
    MonthIncomplete {
        /// The tenant asked for.
        tenant: TenantId,
        /// The month asked for.
        month: Month,
    },
    /// Too much is waiting already.
    #[error("too many appends are waiting, try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline passed before the append was begun.
    #[error("the deadline passed before the append was begun, nothing was recorded")]
    DeadlineExceeded,
    /// The database cancelled a statement of a read: the time that its caller allowed had passed, or all that any has.
    #[error("the database did not answer in the time that there was: allow more, or ask for less")]
    ReadTimeout,
    /// This process takes no more appends.
    #[error("this process is shutting down, nothing was recorded: try another one")]
    ShuttingDown,
    /// The connection was lost while the append was committed.
    #[error(
        "the connection to the database was lost during commit, the append may be recorded or not: \
             send it again with the same event ids"
    )]
    OutcomeUnknown,
    /// The database cannot be reached, or cannot work now.
    #[error("the database is not available, nothing was recorded: try again")]
    Unavailable,
    /// A partition could not be made, changed or removed in time.
    #[error("a partition of tenant `{tenant}` could not be made or changed now, no event was recorded: \
             try again in {} ms{}", retry_after.as_millis(), display_blockers(blockers))]
    PartitionUnavailable {
        /// The tenant.
        tenant: TenantId,
        /// When to try again.
        retry_after: Duration,
        /// Who holds the locks, as far as it was looked for: for maintenance, not for an append.
        blockers: Vec<Blocker>,
    },
    /// The tenant is new, and no more new ones are taken in by their first write.
    #[error("tenant `{tenant}` is new, and {}", display_limit(*limit, *retry_after))]
    TenantLimit {
        /// The tenant.
        tenant: TenantId,
        /// The limit that was reached: of tenants in a minute where there is a `retry_after`, else of tenants in all.
        limit: u32,
        /// When there will be room; none while only an operator can make some.
        retry_after: Option<Duration>,
    },
    /// The database forbids what was asked for.
    #[error("{0}")]
    Forbidden(Forbidding),
    /// This process is configured for another phase than the database is in.
    #[error("{0}")]
    PhaseContradiction(PhaseContradiction),
    /// The legacy table refuses what Partita would allow.
    #[error("the legacy table's `{constraint}` refuses the append to stream `{stream}`")]
    LegacyConstraint {
        /// The constraint, or the trigger's complaint by its code.
        constraint: String,
        /// The stream.
        stream: StreamId,
    },
    /// A defect; logged with its cause.
    #[error("internal error, nothing was recorded; the server's log has the cause")]
    Internal,
}

/// What in the database forbids a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forbidding {
    /// The role that this process logs in as lacks a privilege.
    Role,
    /// Row security keeps this process from tenants that its session does not name.
    RowSecurity,
    /// A trigger of the legacy table; these fire on DELETE.
    Triggers(Vec<String>),
    /// The legacy table has no index that begins with the tenant.
    MissingIndex,
}

impl fmt::Display for Forbidding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role => f.write_str(
                "the database forbids it: the role of this process lacks a privilege, ask a process with the \
                 maintenance role",
            ),
            Self::RowSecurity => f.write_str(
                "the database forbids it: row security keeps this process from tenants that its session did not name, ask a \
                 process with the maintenance role; where one tenant was asked for, database.row_security is off, or a pooler \
                 between lost what the session was told",
            ),
            Self::Triggers(triggers) => {
                let statements = |verb: &str| {
                    let quoted = triggers.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
                    let each = quoted.map(|name| format!("ALTER TABLE public.event_store {verb} TRIGGER {name}"));
                    each.collect::<Vec<_>>().join("; ")
                };
                write!(
                    f,
                    "a trigger of the legacy table forbids the purge; to allow it for as long as it takes: {}; and \
                     afterwards: {}",
                    statements("DISABLE"),
                    statements("ENABLE")
                )
            }
            Self::MissingIndex => f.write_str(
                "no index of the legacy table begins with tenant_id, and each batch would read all of it: CREATE INDEX \
                 CONCURRENTLY event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp)",
            ),
        }
    }
}

/// A stream that is not where the caller expected it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionConflict {
    /// The stream.
    pub stream: StreamId,
    /// What the caller expected.
    pub expected: ExpectedVersion,
    /// Where the stream stands.
    pub actual: Version,
}

/// Whether what was asked for may have happened all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Certainly nothing was written.
    NotApplied,
    /// All of it was written, or nothing.
    Unknown,
}

impl StoreError {
    /// Whether the append may be recorded although it failed. Asked of every variant, so that a new one cannot
    /// forget to answer.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::OutcomeUnknown => Outcome::Unknown,
            Self::Invalid(_)
            | Self::BelowFloor { .. }
            | Self::VersionConflict(_)
            | Self::EventIdConflict { .. }
            | Self::StreamNotFound { .. }
            | Self::TenantNotFound { .. }
            | Self::PartitionNotFound { .. }
            | Self::MonthIncomplete { .. }
            | Self::Overloaded { .. }
            | Self::DeadlineExceeded
            | Self::ReadTimeout
            | Self::ShuttingDown
            | Self::Unavailable
            | Self::PartitionUnavailable { .. }
            | Self::TenantLimit { .. }
            | Self::Forbidden(_)
            | Self::PhaseContradiction(_)
            | Self::LegacyConstraint { .. }
            | Self::Internal => Outcome::NotApplied,
        }
    }
}

fn display_conflicts(conflicts: &[VersionConflict]) -> String {
    let line = |conflict: &VersionConflict| {
        let VersionConflict { stream, expected, actual } = conflict;
        format!("stream `{stream}` is at version {actual}, expected {expected}")
    };
    conflicts.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn display_limit(limit: u32, retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => {
            let wait = wait.as_millis();
            format!("{limit} new ones came within a minute, nothing was recorded: try again in {wait} ms")
        }
        None => format!(
            "the limit for new ones is reached ({limit}), nothing was recorded: have it raised, or the tenant made"
        ),
    }
}

fn display_blockers(blockers: &[Blocker]) -> String {
    let names: Vec<String> = blockers.iter().map(Blocker::to_string).collect();
    if names.is_empty() { String::new() } else { format!("; locks are held by {}", names.join(", ")) }
}

fn display_ids(ids: &[Uuid]) -> String {
    ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
}
