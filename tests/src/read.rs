use std::time::Duration;

use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::{Direction, ReadStreamRequest, ReadStreamResponse, RecordedEvent, StreamState};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::{Refusal, TestServer, messages};

/// A read in the making: the whole stream, forwards, until something else is said.
#[derive(Debug, Clone)]
#[must_use = "a read is sent by `ok`, `refused`, `events`, `versions` or `messages`"]
pub struct ReadCall {
    client: EventStoreServiceClient<Channel>,
    request: ReadStreamRequest,
    limit: Option<Duration>,
}

/// A read that came to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The events of all messages.
    pub events: Vec<RecordedEvent>,
    /// What the last message said.
    pub state: StreamState,
}

impl Answer {
    /// The versions of its events, in the order in which they came.
    pub fn versions(&self) -> Vec<i32> {
        self.events.iter().map(|event| event.version).collect()
    }

    /// The first and the last version of the stream.
    pub fn bounds(&self) -> (i32, i32) {
        (self.state.first_version, self.state.version)
    }
}

impl TestServer {
    /// Begins a read of a stream.
    pub fn read(&self, tenant: &str, aggregate_type: &str, aggregate_id: &str) -> ReadCall {
        let request = ReadStreamRequest {
            tenant_id: tenant.to_owned(),
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            ..ReadStreamRequest::default()
        };
        ReadCall { client: self.events(), request, limit: None }
    }
}

impl ReadCall {
    /// By falling version.
    pub fn backwards(self) -> Self {
        self.with(|request| request.direction = Direction::Backwards.into())
    }

    /// Begins at a version.
    pub fn from_version(self, version: i32) -> Self {
        self.with(|request| request.from_version = version)
    }

    /// Ends after so many events.
    pub fn max_count(self, count: i64) -> Self {
        self.with(|request| request.max_count = count)
    }

    /// Only events of an interval, whose end is excluded; RFC 3339.
    pub fn between(self, from: &str, to: &str) -> Self {
        self.with(|request| {
            request.from_timestamp = Some(crate::at(from));
            request.to_timestamp = Some(crate::at(to));
        })
    }

    /// Lets the service take no longer than this.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Changes the request as a whole.
    pub fn with(mut self, change: impl FnOnce(&mut ReadStreamRequest)) -> Self {
        change(&mut self.request);
        self
    }

    /// Sends it; all messages, as they come.
    ///
    /// # Errors
    /// What the service answers, at once or in the middle.
    pub async fn messages(mut self) -> Result<Vec<ReadStreamResponse>, Status> {
        let mut request = Request::new(self.request);
        if let Some(limit) = self.limit {
            request.set_timeout(limit);
        }
        messages(self.client.read_stream(request).await?.into_inner()).await
    }

    /// Sends it, and must be answered to the end.
    pub async fn ok(self) -> Answer {
        let mut messages = match self.messages().await {
            Ok(messages) => messages,
            Err(status) => panic!("read refused: {:?}", Refusal::from(status)),
        };
        let state = messages.last_mut().and_then(|last| last.stream_state.take());
        let state = state.expect("the last message says where the stream stands");
        let others = messages.iter().filter(|message| message.stream_state.is_some()).count();
        assert_eq!(others, 0, "a message before the last says where the stream stands");
        Answer { events: messages.into_iter().flat_map(|message| message.events).collect(), state }
    }

    /// Sends it, and must be refused.
    pub async fn refused(self) -> Refusal {
        match self.messages().await {
            Ok(messages) => panic!("read answered by {} messages", messages.len()),
            Err(status) => Refusal::from(status),
        }
    }

    /// The versions that it answers with.
    pub async fn versions(self) -> Vec<i32> {
        self.ok().await.versions()
    }
}
