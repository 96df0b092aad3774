use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::expected_version::{Any, Expected, NoStream, StreamExists};
use partita_proto::v1::{AppendRequest, AppendResponse, AuditContext, ExpectedVersion, NewEvent};
use tonic::Status;
use tonic::transport::Channel;

use crate::{Refusal, TestServer};

/// The stream may stand anywhere.
pub fn any() -> Expected {
    Expected::Any(Any {})
}

/// The stream is new.
pub fn no_stream() -> Expected {
    Expected::NoStream(NoStream {})
}

/// The stream is not new.
pub fn stream_exists() -> Expected {
    Expected::StreamExists(StreamExists {})
}

/// The stream stands at this version.
pub fn exact(version: i32) -> Expected {
    Expected::Exact(version)
}

/// The stream stands at this version, be it new.
pub fn standing_at(version: i32) -> Expected {
    if version == 0 { no_stream() } else { exact(version) }
}

/// An append in the making: by user `ann`, expecting `any`, until something else is said.
#[derive(Debug, Clone)]
#[must_use = "an append is sent by `ok`, `refused` or `send`"]
pub struct AppendCall {
    client: EventStoreServiceClient<Channel>,
    /// What is sent. Tests that break a rule reach into it.
    pub request: AppendRequest,
}

impl TestServer {
    /// Begins an append to a stream.
    pub fn append(&self, tenant: &str, aggregate_type: &str, aggregate_id: &str) -> AppendCall {
        let request = AppendRequest {
            tenant_id: tenant.to_owned(),
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            expected_version: Some(ExpectedVersion { expected: Some(any()) }),
            events: Vec::new(),
            context: Some(AuditContext { user_id: "ann".to_owned(), ..AuditContext::default() }),
        };
        AppendCall { client: self.events(), request }
    }
}

impl AppendCall {
    /// Says where the stream must stand.
    pub fn expected(mut self, expected: Expected) -> Self {
        self.request.expected_version = Some(ExpectedVersion { expected: Some(expected) });
        self
    }

    /// Adds an event, whose data say which of the append it is.
    pub fn event(self, event_type: &str) -> Self {
        let event_type = event_type.to_owned();
        self.event_with(|event| event.event_type = event_type)
    }

    /// Adds so many events of type `Counted`.
    pub fn events(self, count: usize) -> Self {
        (0..count).fold(self, |call, _| call.event("Counted"))
    }

    /// Adds an event of type `Counted` for each of these instants.
    pub fn events_at(self, instants: &[&str]) -> Self {
        let add =
            |call: Self, text: &&str| call.event_with(|event| event.event_timestamp = Some(crate::at(text)));
        instants.iter().fold(self, add)
    }

    /// Adds an event of type `Counted` that differs from the usual.
    pub fn event_with(mut self, change: impl FnOnce(&mut NewEvent)) -> Self {
        let data = format!("{{\"n\": {}}}", self.request.events.len() + 1);
        let mut event = NewEvent { event_type: "Counted".to_owned(), data, ..NewEvent::default() };
        change(&mut event);
        self.request.events.push(event);
        self
    }

    /// Changes who acts.
    pub fn context(mut self, change: impl FnOnce(&mut AuditContext)) -> Self {
        change(self.request.context.get_or_insert_default());
        self
    }

    /// Changes the request as a whole.
    pub fn with(mut self, change: impl FnOnce(&mut AppendRequest)) -> Self {
        change(&mut self.request);
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn send(mut self) -> Result<AppendResponse, Status> {
        self.client.append(self.request).await.map(tonic::Response::into_inner)
    }

    /// Sends it, and must be acknowledged.
    pub async fn ok(self) -> AppendResponse {
        match self.send().await {
            Ok(response) => response,
            Err(status) => panic!("append refused: {:?}", Refusal::from(status)),
        }
    }

    /// Sends it, and must be refused.
    pub async fn refused(self) -> Refusal {
        match self.send().await {
            Ok(response) => panic!("append acknowledged: {response:?}"),
            Err(status) => Refusal::from(status),
        }
    }
}
