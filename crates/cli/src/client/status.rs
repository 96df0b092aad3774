//! A gRPC status, read once: as what it asks of a program, and as what it tells a person.

use std::collections::BTreeMap;
use std::time::Duration;

use partita_proto::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::failure::{Exit, Failure};

/// A status with its `google.rpc` details taken out.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: Code,
    message: String,
    reason: Option<ErrorReason>,
    metadata: BTreeMap<String, String>,
    fields: Vec<(String, String)>,
    /// Preconditions that do not hold, each with its name, what is the matter, and what mends it.
    obstacles: Vec<(String, String, String)>,
    retry_after: Option<Duration>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let reason = info
            .as_ref()
            .and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)));
        let request = status.get_details_bad_request();
        // Those of a version conflict are streams, and the metadata tell the first.
        let preconditions = status
            .get_details_precondition_failure()
            .filter(|_| reason == Some(ErrorReason::MigrationObstacle));
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason,
            metadata: info.map(|info| info.metadata.into_iter().collect()).unwrap_or_default(),
            fields: request
                .into_iter()
                .flat_map(|request| request.field_violations)
                .map(|it| (it.field, it.description))
                .collect(),
            obstacles: preconditions
                .into_iter()
                .flat_map(|failure| failure.violations)
                .map(|it| (it.r#type, it.subject, it.description))
                .collect(),
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl Refusal {
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Why, where the server said so; nothing if the status comes from the network or is newer than this program.
    pub(crate) fn reason(&self) -> Option<ErrorReason> {
        self.reason
    }

    /// How long to wait before a repetition, where the server said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the server added under a name.
    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// The reason without its prefix, or the gRPC code.
    pub(crate) fn name(&self) -> String {
        let named =
            self.reason.map(|reason| reason.as_str_name().trim_start_matches("ERROR_REASON_").to_owned());
        named.unwrap_or_else(|| format!("{:?}", self.code))
    }

    /// Message and fields on one line.
    pub(crate) fn line(&self) -> String {
        let fields = self.fields.iter().map(|(field, what)| format!("{field} {what}"));
        let fields = fields.collect::<Vec<_>>().join("; ");
        if fields.is_empty() { self.message.clone() } else { fields }
    }

    fn exit(&self) -> Exit {
        match self.code {
            Code::Aborted | Code::AlreadyExists => Exit::Conflict,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled => {
                Exit::Unreachable
            }
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::OutOfRange => {
                Exit::Refused
            }
            Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented => Exit::Refused,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Exit::Internal,
        }
    }

    fn next_step(&self) -> Option<&'static str> {
        match self.reason? {
            ErrorReason::VersionConflict => {
                Some("read the stream again, decide anew, append with the version read")
            }
            ErrorReason::EventIdConflict => {
                Some("repeat exactly the first append, or draw new ids for new events")
            }
            ErrorReason::StreamNotFound => Some("check tenant, type and id: upper and lower case differ"),
            ErrorReason::TenantNotFound => {
                Some("check the tenant, or make it ready with `partita partitions maintain`")
            }
            ErrorReason::MonthIncomplete => Some("`partita migration restore`, then restore the month"),
            ErrorReason::PartitionNotFound => Some("see event_store_detached for what can be restored"),
            ErrorReason::BelowFloor => {
                Some("leave the event out or correct its time: the floor never comes down")
            }
            ErrorReason::OutcomeUnknown => {
                Some("repeat it with the same event ids: what is recorded is not recorded twice")
            }
            ErrorReason::Overloaded | ErrorReason::TenantLimit | ErrorReason::PartitionUnavailable => {
                Some("try again later")
            }
            ErrorReason::TableLocked => Some(
                "try again; if it lasts, end the session that is named: SELECT pg_terminate_backend(pid)",
            ),
            ErrorReason::RateLimited => Some("try again more slowly, or with more events in each append"),
            ErrorReason::Unauthenticated => {
                Some("give a valid credential: --token-file, or --tls-cert and --tls-key")
            }
            ErrorReason::PermissionDenied => Some("name a tenant of your credential, or have it extended"),
            ErrorReason::DatabaseUnavailable => Some("look at the database, then try again"),
            ErrorReason::ShuttingDown => Some("try again: another instance, or the next start, will take it"),
            ErrorReason::DeadlineExceeded => Some("try again: nothing was recorded"),
            ErrorReason::LegacyConstraint => {
                Some("use another aggregate id, or have the legacy table mended")
            }
            ErrorReason::DatabaseForbids => Some("do what the message says: docs/operations/roles.md"),
            ErrorReason::InvalidArgument => Some("correct the fields"),
            ErrorReason::Internal => Some("look into the server's log at this time"),
            ErrorReason::MigrationObstacle => Some("mend what is named, then try again"),
            ErrorReason::PhaseContradiction | ErrorReason::Unspecified => None,
        }
    }
}

/// A status as the end of a command; `what` says what did not work.
pub(crate) fn failure(what: &str, status: Status) -> Failure {
    let refusal = Refusal::from(status);
    let failure =
        Failure::new(refusal.exit(), format!("{what}: {}", refusal.message)).fact("reason", refusal.name());
    let failure = refusal.metadata.iter().fold(failure, |failure, (name, value)| failure.fact(name, value));
    // The message often tells the fields already.
    let untold = refusal.fields.iter().filter(|(_, text)| !refusal.message.contains(text.as_str()));
    let failure = untold.fold(failure, |failure, (field, text)| failure.fact(field, text));
    let failure = refusal
        .obstacles
        .iter()
        .fold(failure, |failure, (code, matter, mend)| failure.fact(code, format!("{matter}; mend: {mend}")));
    let failure = match refusal.retry_after {
        Some(delay) => failure.fact("retry after", format!("{} ms", delay.as_millis())),
        None => failure,
    };
    match refusal.next_step() {
        Some(step) => failure.next(step),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    #[test]
    fn details_become_facts_and_the_exit_code_follows_the_status() {
        let mut details = ErrorDetails::new();
        details.set_error_info("VERSION_CONFLICT", "partita.v1", [("actual".to_owned(), "7".to_owned())]);
        let status = Status::with_error_details(Code::Aborted, "stream is at version 7, expected 5", details);
        let failure = failure("append refused", status);
        assert_eq!(failure.exit(), Exit::Conflict);
        let text = failure.text();
        for part in
            ["append refused: stream is at version 7", "reason: VERSION_CONFLICT", "actual: 7", "next: read"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn field_violations_and_delays_are_kept() {
        let mut details = ErrorDetails::new();
        details.set_bad_request(vec![FieldViolation::new("events[3].data", "is not JSON")]);
        details.set_retry_info(Some(Duration::from_millis(250)));
        let refusal = Refusal::from(Status::with_error_details(Code::InvalidArgument, "bad", details));
        assert_eq!(refusal.line(), "events[3].data is not JSON");
        assert_eq!(refusal.retry_after(), Some(Duration::from_millis(250)));
        assert_eq!((refusal.reason(), refusal.name().as_str()), (None, "InvalidArgument"));
    }

    #[test]
    fn each_obstacle_is_told_with_what_mends_it() {
        let mut details = ErrorDetails::new();
        details.set_error_info("MIGRATION_OBSTACLE", "partita.v1", []);
        details.add_precondition_failure_violation("INSTANCES", "process 7 is off", "restart it");
        let status = Status::with_error_details(Code::FailedPrecondition, "process 7 is off", details);
        let failure = failure("fence did not end", status);
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(
            failure.text().contains("INSTANCES: process 7 is off; mend: restart it"),
            "{}",
            failure.text()
        );
    }
}
