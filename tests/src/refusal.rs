use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What every error of the service belongs to.
const DOMAIN: &str = "partita.v1";

/// An error of the service, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The reason, as `google.rpc.ErrorInfo` names it.
    pub reason: String,
    /// The facts that come with the reason.
    pub metadata: HashMap<String, String>,
    /// The fields that `google.rpc.BadRequest` names, in order.
    pub fields: Vec<String>,
    /// What it says about them, in the same order.
    pub descriptions: Vec<String>,
    /// When to come back, if `google.rpc.RetryInfo` says so.
    pub retry_after: Option<Duration>,
    /// What people are told.
    pub message: String,
}

impl Refusal {
    /// A fact, by its key.
    pub fn fact(&self, key: &str) -> &str {
        self.metadata.get(key).map_or("", String::as_str)
    }
}

impl From<Status> for Refusal {
    /// Fails the test where the error does not carry what every error must.
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().unwrap_or_else(|| panic!("an error without ErrorInfo: {status:?}"));
        assert_eq!(info.domain, DOMAIN);
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let (fields, descriptions) = violations.into_iter().map(|one| (one.field, one.description)).unzip();
        Self {
            code: status.code(),
            reason: info.reason.clone(),
            metadata: info.metadata.clone(),
            fields,
            descriptions,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            message: status.message().to_owned(),
        }
    }
}
