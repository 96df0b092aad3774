use partita_proto::v1::ErrorReason;
use tonic::Code;

use crate::client::Refusal;

/// What a refusal of several events asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The same again, after a pause.
    Repeat,
    /// Some of the events are the reason: find out which.
    Divide,
    /// No other event would fare better.
    GiveUp,
}

/// A program of an older release meets reasons that it does not know: then the code decides.
pub(super) fn step(refusal: &Refusal) -> Step {
    let Some(reason) = refusal.reason() else {
        return match refusal.code() {
            // From the network or the client library: nobody knows what became of it, and the ids make it safe.
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => Step::Repeat,
            Code::ResourceExhausted | Code::Internal | Code::Aborted => Step::Repeat,
            Code::InvalidArgument | Code::AlreadyExists | Code::OutOfRange => Step::Divide,
            Code::Ok | Code::NotFound | Code::PermissionDenied | Code::FailedPrecondition => Step::GiveUp,
            Code::Unimplemented | Code::DataLoss | Code::Unauthenticated => Step::GiveUp,
        };
    };
    match reason {
        ErrorReason::Overloaded
        | ErrorReason::DatabaseUnavailable
        | ErrorReason::PartitionUnavailable
        | ErrorReason::TableLocked => Step::Repeat,
        ErrorReason::OutcomeUnknown | ErrorReason::DeadlineExceeded | ErrorReason::ShuttingDown => {
            Step::Repeat
        }
        // Nothing was expected of the stream: another writer came between, no more.
        ErrorReason::VersionConflict => Step::Repeat,
        ErrorReason::RateLimited => Step::Repeat,
        ErrorReason::TenantLimit if refusal.retry_after().is_some() => Step::Repeat,
        // An earlier run may have grouped the same events differently: alone, each is recognised.
        ErrorReason::EventIdConflict => Step::Divide,
        ErrorReason::InvalidArgument | ErrorReason::BelowFloor | ErrorReason::LegacyConstraint => {
            Step::Divide
        }
        // One event that the server stumbles over must not keep the others out.
        ErrorReason::Internal | ErrorReason::TenantLimit => Step::Divide,
        ErrorReason::StreamNotFound | ErrorReason::TenantNotFound | ErrorReason::PartitionNotFound => {
            Step::GiveUp
        }
        ErrorReason::PhaseContradiction
        | ErrorReason::DatabaseForbids
        | ErrorReason::MigrationObstacle
        | ErrorReason::MonthIncomplete
        | ErrorReason::Unspecified => Step::GiveUp,
        ErrorReason::Unauthenticated | ErrorReason::PermissionDenied => Step::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn of(code: Code, reason: &str, retry_after: Option<Duration>) -> Step {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, "partita.v1", []);
        if retry_after.is_some() {
            details.set_retry_info(retry_after);
        }
        step(&Refusal::from(Status::with_error_details(code, "", details)))
    }

    #[test]
    fn what_passes_is_repeated_and_what_an_event_is_guilty_of_is_divided() {
        assert_eq!(of(Code::ResourceExhausted, "OVERLOADED", None), Step::Repeat);
        assert_eq!(of(Code::Unavailable, "OUTCOME_UNKNOWN", None), Step::Repeat);
        assert_eq!(of(Code::AlreadyExists, "EVENT_ID_CONFLICT", None), Step::Divide);
        assert_eq!(of(Code::InvalidArgument, "BELOW_FLOOR", None), Step::Divide);
        assert_eq!(of(Code::FailedPrecondition, "PHASE_CONTRADICTION", None), Step::GiveUp);
    }

    #[test]
    fn a_full_house_of_tenants_is_waited_for_only_where_waiting_helps() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(of(Code::ResourceExhausted, "TENANT_LIMIT", second), Step::Repeat);
        assert_eq!(of(Code::ResourceExhausted, "TENANT_LIMIT", None), Step::Divide);
    }

    #[test]
    fn a_status_without_a_known_reason_goes_by_its_code() {
        assert_eq!(of(Code::Unavailable, "OF_THE_FUTURE", None), Step::Repeat);
        assert_eq!(step(&Refusal::from(Status::unknown("transport error"))), Step::Repeat);
        assert_eq!(step(&Refusal::from(Status::unimplemented(""))), Step::GiveUp);
    }
}
