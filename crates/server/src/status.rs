//! The one mapping from what went wrong to what the caller is told.

use std::collections::HashMap;
use std::time::Duration;

use partita_migration::{MigrationError, Refusal};
use partita_model::Violations;
use partita_proto::v1;
use partita_proto::v1::ErrorReason;
use partita_store::metrics::ERRORS;
use partita_store::{Forbidding, StoreError, VersionConflict};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::auth::ADMIN_ROLE;
use crate::gate::Denied;
use crate::limits::{
    MESSAGE_BYTES_MAX, STATUS_DETAILS_BYTES_MAX, STATUS_MESSAGE_BYTES_MAX, VIOLATION_BYTES_MAX,
};

/// The `domain` of every `google.rpc.ErrorInfo`: with it a reason is unique among all services.
const DOMAIN: &str = "partita.v1";
/// What every reason's name in the contract begins with, and its name on the wire does not.
const REASON_PREFIX: &str = "ERROR_REASON_";
/// When to try again what met a lock: the migration itself has tried for some seconds by then.
const TABLE_LOCKED_RETRY: Duration = Duration::from_secs(5);

/// The answer to a call that failed; logs it, once.
pub(crate) fn refuse(error: &StoreError) -> Status {
    status(explain(error), &error.to_string())
}

/// The answer to a call about the migration that failed; logs it, once.
pub(crate) fn refuse_migration(error: &MigrationError) -> Status {
    match error {
        MigrationError::Refused(Refusal::TenantUnknown(tenant)) => {
            let because = Explanation::of(ErrorReason::TenantNotFound).with("tenant_id", tenant);
            status(because, &error.to_string())
        }
        MigrationError::Refused(refusal) => refuse_obstacles(std::slice::from_ref(refusal)),
        MigrationError::Unreachable(cause) => {
            tracing::debug!(%cause, "database cannot be reached");
            status(Explanation::of(ErrorReason::DatabaseUnavailable), "the database takes no work now")
        }
        MigrationError::Busy(cause) => {
            let because = Explanation::of(ErrorReason::TableLocked);
            let explanation = Explanation { retry_after: Some(TABLE_LOCKED_RETRY), ..because };
            tracing::debug!(%cause, "migration met a lock");
            let holders = error.holders().map(|holders| format!(": {holders}")).unwrap_or_default();
            status(explanation, &format!("{error}{holders}"))
        }
        MigrationError::Database(cause) => {
            tracing::error!(%cause, "statement of the migration failed");
            status(Explanation::of(ErrorReason::Internal), "something failed that should not: see the log")
        }
        MigrationError::Unknown(_) => status(Explanation::of(ErrorReason::Internal), &error.to_string()),
    }
}

/// The answer to a step of the migration whose preconditions do not hold: all of them, or as many as fit.
pub(crate) fn refuse_obstacles(obstacles: &[Refusal]) -> Status {
    let because = Explanation::of(ErrorReason::MigrationObstacle);
    let all: Vec<_> = obstacles
        .iter()
        .map(|one| PreconditionViolation::new(one.code(), one.to_string(), one.mend()))
        .collect();
    let fit = fitting(all.iter().map(|one| one.r#type.len() + one.subject.len() + one.description.len()));
    let codes: Vec<_> = obstacles.iter().map(Refusal::code).collect();
    let because = because.with("obstacles", &codes.join(",")).omitting(all.len() - fit);
    let message = obstacles.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    status(Explanation { preconditions: all.into_iter().take(fit).collect(), ..because }, &message)
}

/// The answer to a call whose deadline passed while nothing of it could be applied, or needed to be.
pub(crate) fn overdue() -> Status {
    let explanation = Explanation::of(ErrorReason::DeadlineExceeded);
    status(explanation, "the deadline passed before the call was done: allow more time")
}

/// The end of a streaming answer whose client took nothing for too long.
pub(crate) fn idle() -> Status {
    let explanation = Explanation::of(ErrorReason::DeadlineExceeded);
    status(explanation, "nothing was taken of the answer for too long: read on from where it ended")
}

/// The answer to a call whose message does not come to its end.
pub(crate) fn late() -> Status {
    let explanation = Explanation::of(ErrorReason::DeadlineExceeded);
    status(explanation, "a message did not arrive in time, nothing of it was done: send it again")
}

/// The answer to a message that is longer than is read; the transport's own has no reason.
pub(crate) fn too_long() -> Status {
    let message = format!(
        "the message is longer than {MESSAGE_BYTES_MAX} bytes, nothing of it was read: send less at once"
    );
    let violations = vec![FieldViolation::new("", &message)];
    let explanation = Explanation { violations, ..Explanation::of(ErrorReason::InvalidArgument) };
    status(Explanation { code: Code::OutOfRange, ..explanation }, &message)
}

/// The answer to an append whose deadline passed after the store had taken it: the code says what happened, the
/// reason what the caller may assume.
pub(crate) fn append_overdue() -> Status {
    let message = "the deadline passed while the append was under way, it may be recorded or not: send it again \
                   with the same event ids";
    let explanation = Explanation::of(ErrorReason::OutcomeUnknown);
    status(Explanation { code: Code::DeadlineExceeded, ..explanation }, message)
}

/// The answer to a call without a valid credential.
pub(crate) fn unauthenticated(why: &str) -> Status {
    status(Explanation::of(ErrorReason::Unauthenticated), why)
}

/// The answer to a call that is not let through.
pub(crate) fn deny(denied: &Denied) -> Status {
    let (explanation, message) = explain_denied(denied);
    status(explanation, &message)
}

/// An append of a pipeline that is not let through.
pub(crate) fn append_denied(denied: &Denied) -> v1::AppendFailure {
    let (explanation, message) = explain_denied(denied);
    append_failed(explanation, &message)
}

/// The reason and the message of an error that is reported inside an answer, not as its status.
pub(crate) fn failure(error: &StoreError) -> (ErrorReason, String) {
    (explain(error).reason, clip(&error.to_string(), STATUS_MESSAGE_BYTES_MAX))
}

/// An append of a pipeline that failed, with all that its status would hold; logs it, once.
pub(crate) fn append_failure(error: &StoreError) -> v1::AppendFailure {
    append_failed(explain(error), &error.to_string())
}

fn append_failed(explanation: Explanation, message: &str) -> v1::AppendFailure {
    let Explanation { code, reason, metadata, violations, preconditions: _, retry_after } = explanation;
    let message = clip(message, STATUS_MESSAGE_BYTES_MAX);
    log(code, reason_name(reason), &message);
    let field_violations = violations
        .into_iter()
        .map(|one| v1::FieldViolation { field: one.field, description: one.description })
        .collect();
    v1::AppendFailure {
        code: code.into(),
        reason: reason.into(),
        message,
        metadata,
        field_violations,
        retry_after: retry_after.and_then(|delay| delay.try_into().ok()),
    }
}

/// Everything about an error but its message.
struct Explanation {
    code: Code,
    reason: ErrorReason,
    metadata: HashMap<String, String>,
    violations: Vec<FieldViolation>,
    preconditions: Vec<PreconditionViolation>,
    retry_after: Option<Duration>,
}

impl Explanation {
    fn of(reason: ErrorReason) -> Self {
        let code = code(reason);
        let (metadata, violations, preconditions) = (HashMap::new(), Vec::new(), Vec::new());
        Self { code, reason, metadata, violations, preconditions, retry_after: None }
    }

    fn with(mut self, key: &str, value: &impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    fn omitting(self, count: usize) -> Self {
        if count == 0 { self } else { self.with("omitted", &count) }
    }
}

fn explain(error: &StoreError) -> Explanation {
    let because = Explanation::of;
    match error {
        StoreError::Invalid(violations) => {
            let (violations, omitted) = field_violations(violations);
            Explanation { violations, ..because(ErrorReason::InvalidArgument).omitting(omitted) }
        }
        StoreError::BelowFloor { field, event_timestamp, floor } => {
            let description = format!("{event_timestamp} is before the tenant's floor, {floor}");
            let violations = vec![FieldViolation::new(field, description)];
            Explanation { violations, ..because(ErrorReason::BelowFloor).with("floor", floor) }
        }
        StoreError::VersionConflict(conflicts) => version_conflict(conflicts),
        StoreError::EventIdConflict { event_ids } => {
            let ids: Vec<_> = event_ids.iter().map(ToString::to_string).collect();
            let fit = fitting(ids.iter().map(|id| id.len() + 1));
            because(ErrorReason::EventIdConflict)
                .with("event_ids", &ids[..fit].join(","))
                .omitting(ids.len() - fit)
        }
        StoreError::StreamNotFound { stream } => because(ErrorReason::StreamNotFound).with("stream", stream),
        StoreError::TenantNotFound { tenant } => {
            because(ErrorReason::TenantNotFound).with("tenant_id", tenant)
        }
        StoreError::MonthIncomplete { tenant, month } => {
            because(ErrorReason::MonthIncomplete).with("tenant_id", tenant).with("month", month)
        }
        StoreError::PartitionNotFound { tenant, month } => {
            because(ErrorReason::PartitionNotFound).with("tenant_id", tenant).with("month", month)
        }
        StoreError::Overloaded { retry_after } => {
            Explanation { retry_after: Some(*retry_after), ..because(ErrorReason::Overloaded) }
        }
        StoreError::PartitionUnavailable { tenant: _, retry_after, blockers: _ } => {
            Explanation { retry_after: Some(*retry_after), ..because(ErrorReason::PartitionUnavailable) }
        }
        StoreError::TenantLimit { tenant, limit, retry_after } => {
            let because = because(ErrorReason::TenantLimit).with("tenant_id", tenant).with("limit", limit);
            Explanation { retry_after: *retry_after, ..because }
        }
        StoreError::Forbidden(Forbidding::Triggers(triggers)) => {
            because(ErrorReason::DatabaseForbids).with("triggers", &triggers.join(","))
        }
        StoreError::Forbidden(Forbidding::Role | Forbidding::RowSecurity | Forbidding::MissingIndex) => {
            because(ErrorReason::DatabaseForbids)
        }
        StoreError::DeadlineExceeded | StoreError::ReadTimeout => because(ErrorReason::DeadlineExceeded),
        StoreError::ShuttingDown => because(ErrorReason::ShuttingDown),
        StoreError::OutcomeUnknown => because(ErrorReason::OutcomeUnknown),
        StoreError::Unavailable => because(ErrorReason::DatabaseUnavailable),
        StoreError::PhaseContradiction(contradiction) => {
            because(ErrorReason::PhaseContradiction).with("phase", &contradiction.control)
        }
        StoreError::LegacyConstraint { constraint: _, stream: _ } => because(ErrorReason::LegacyConstraint),
        StoreError::Internal => because(ErrorReason::Internal),
    }
}

fn explain_denied(denied: &Denied) -> (Explanation, String) {
    let because = Explanation::of;
    match denied {
        Denied::Unknown => {
            let message = "nobody has checked who calls: report it".to_owned();
            (because(ErrorReason::Unauthenticated), message)
        }
        Denied::Tenant(tenant) => {
            let all = tenant.is_empty();
            let of = if all { "all tenants".to_owned() } else { format!("tenant `{tenant}`") };
            let because = because(ErrorReason::PermissionDenied).with("tenant_id", tenant);
            (because, format!("the credential does not cover {of}"))
        }
        Denied::Expired => (because(ErrorReason::Unauthenticated), "the credential has expired".to_owned()),
        Denied::Role => {
            let because = because(ErrorReason::PermissionDenied).with("role", &ADMIN_ROLE);
            (because, format!("the call needs a credential with the role `{ADMIN_ROLE}`"))
        }
        Denied::Busy { retry_after } => {
            let because = Explanation { retry_after: Some(*retry_after), ..because(ErrorReason::Overloaded) };
            (because, "the tenant has as many calls open as it may".to_owned())
        }
        Denied::Rate { retry_after } => {
            let because =
                Explanation { retry_after: Some(*retry_after), ..because(ErrorReason::RateLimited) };
            (because, "the tenant calls more often than it may".to_owned())
        }
    }
}

/// The first conflict in the metadata, where most clients look; all of them, or as many as fit, as preconditions.
fn version_conflict(conflicts: &[VersionConflict]) -> Explanation {
    let because = Explanation::of(ErrorReason::VersionConflict);
    let Some(VersionConflict { stream, expected, actual }) = conflicts.first() else { return because };
    let because = because.with("stream", stream).with("expected", expected).with("actual", actual);
    let all: Vec<_> = conflicts
        .iter()
        .map(|VersionConflict { stream, expected, actual }| {
            let description = format!("expected {expected}, actual {actual}");
            PreconditionViolation::new(reason_name(because.reason), stream.to_string(), description)
        })
        .collect();
    let fit = fitting(all.iter().map(|one| one.r#type.len() + one.subject.len() + one.description.len()));
    let omitted = all.len() - fit;
    let preconditions = all.into_iter().take(fit).collect();
    Explanation { preconditions, ..because.omitting(omitted) }
}

/// The code that a client without our contract goes by.
fn code(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::InvalidArgument | ErrorReason::BelowFloor => Code::InvalidArgument,
        ErrorReason::VersionConflict => Code::Aborted,
        ErrorReason::EventIdConflict => Code::AlreadyExists,
        ErrorReason::StreamNotFound | ErrorReason::TenantNotFound | ErrorReason::PartitionNotFound => {
            Code::NotFound
        }
        ErrorReason::TenantLimit | ErrorReason::Overloaded | ErrorReason::RateLimited => {
            Code::ResourceExhausted
        }
        ErrorReason::Unauthenticated => Code::Unauthenticated,
        ErrorReason::PermissionDenied => Code::PermissionDenied,
        ErrorReason::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorReason::OutcomeUnknown
        | ErrorReason::DatabaseUnavailable
        | ErrorReason::PartitionUnavailable
        | ErrorReason::TableLocked
        | ErrorReason::ShuttingDown => Code::Unavailable,
        ErrorReason::LegacyConstraint
        | ErrorReason::PhaseContradiction
        | ErrorReason::DatabaseForbids
        | ErrorReason::MigrationObstacle
        | ErrorReason::MonthIncomplete => Code::FailedPrecondition,
        ErrorReason::Unspecified | ErrorReason::Internal => Code::Internal,
    }
}

fn status(explanation: Explanation, message: &str) -> Status {
    let Explanation { code, reason, metadata, violations, preconditions, retry_after } = explanation;
    let reason = reason_name(reason);
    let message = clip(message, STATUS_MESSAGE_BYTES_MAX);
    log(code, reason, &message);
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    if !violations.is_empty() {
        details.set_bad_request(violations);
    }
    if !preconditions.is_empty() {
        details.set_precondition_failure(preconditions);
    }
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code, message, details)
}

fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

fn log(code: Code, reason: &'static str, message: &str) {
    ERRORS.add(1, [reason]);
    if code == Code::Internal {
        tracing::error!(error.reason = reason, error.message = message, "call failed");
    } else if code == Code::Unavailable {
        tracing::warn!(error.reason = reason, error.message = message, "call failed");
    } else {
        // The caller's own mistakes, and shed load: a flood of refusals must not become a flood of logs.
        tracing::debug!(error.reason = reason, error.message = message, "call refused");
    }
}

/// As many violations as an error has room for, and how many it has not.
fn field_violations(violations: &Violations) -> (Vec<FieldViolation>, usize) {
    let all: Vec<_> = violations
        .iter()
        .map(|one| FieldViolation::new(&one.field, clip(&one.description, VIOLATION_BYTES_MAX)))
        .collect();
    let fit = fitting(all.iter().map(|one| one.field.len() + one.description.len()));
    let omitted = all.len() - fit;
    (all.into_iter().take(fit).collect(), omitted)
}

/// How many of the things with these sizes fit into an error's details.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let sums = sizes.scan(0, |sum, bytes| {
        *sum += bytes;
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= STATUS_DETAILS_BYTES_MAX).count()
}

/// The text, or as much of its beginning as fits into `bytes_max`.
fn clip(text: &str, bytes_max: usize) -> String {
    const CUT: &str = "...";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max - CUT.len());
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests;
