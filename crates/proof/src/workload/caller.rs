//! One call, made and remembered.

use std::sync::Arc;
use std::time::Duration;

use partita_model::{ExpectedVersion, TenantId, Uuid, Version};
use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::expected_version::{Any, Expected, NoStream, StreamExists};
use partita_proto::v1::{
    AppendRequest, AppendStreamsRequest, AuditContext, Direction, ExpectedVersion as WireExpected,
    GetAppendResultRequest, NewEvent, ReadStreamRequest, StreamAppend,
};
use rand::RngExt as _;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::Dice;
use super::draft::Parts;
use super::mood::{Counters, Mood, Patience};
use crate::answer::{append_failure, places, read_event, read_failure};
use crate::history::{
    AppendAnswer, AppendDeed, Asked, Call, Deed, LookupDeed, MomentClock, Part, ReadDeed, ReadEnd, SentEvent,
    StreamKey, WorkerId,
};

/// What a call may take beyond its deadline before it is given up here: a stopped process says nothing.
const GRACE: Duration = Duration::from_secs(1);
/// The reason of an append that was certainly not taken up in time.
const DEADLINE: &str = "DEADLINE_EXCEEDED";
/// A batch of a read may hold one event of 1 MiB, which jsonb prints with more white space than was sent.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What every worker calls with.
pub(crate) struct Caller {
    pub(crate) worker: WorkerId,
    pub(crate) services: Vec<EventStoreServiceClient<Channel>>,
    pub(crate) clock: Arc<MomentClock>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) mood: Arc<Mood>,
    pub(crate) deadline: Duration,
    pub(crate) dice: Dice,
    pub(crate) calls: Vec<Call>,
}

impl Caller {
    /// A client of one service.
    pub(crate) fn client(channel: &Channel) -> EventStoreServiceClient<Channel> {
        EventStoreServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Appends through any of the services, and remembers it.
    pub(crate) async fn append(
        &mut self,
        tenant: &TenantId,
        parts: &Parts,
        request_id: String,
    ) -> AppendAnswer {
        let (service, mut client) = self.pick();
        let patience = self.mood.patience(&mut self.dice);
        let (begun, at) = (self.clock.draw(), self.clock.elapsed());
        let sent = send_append(&mut client, tenant, parts, &request_id, self.limit(patience));
        let answer = match timeout(self.wait(patience), sent).await {
            Ok(answer) => answer,
            Err(_) => AppendAnswer::Unknown("nobody waits any more".to_owned()),
        };
        self.count_append(&answer);
        let is_answered = match &answer {
            AppendAnswer::Recorded { .. } => true,
            AppendAnswer::Refused(refused) => refused.reason != DEADLINE,
            AppendAnswer::Unknown(_) => false,
        };
        self.note_patience(patience, is_answered);
        let deed = AppendDeed {
            tenant: tenant.clone(),
            parts: Arc::clone(parts),
            request_id,
            answer: answer.clone(),
        };
        self.remember(Some(service), begun, at, Deed::Append(deed));
        answer
    }

    /// Reads through any of the services, and remembers it.
    pub(crate) async fn read(&mut self, key: StreamKey, asked: Asked) -> ReadEnd {
        let (service, mut client) = self.pick();
        let patience = self.mood.patience(&mut self.dice);
        let (begun, at) = (self.clock.draw(), self.clock.elapsed());
        let mut events = Vec::new();
        let read = send_read(&mut client, &key, &asked, self.limit(patience), &mut events);
        let end = match timeout(self.wait(patience), read).await {
            Ok(Ok(end)) => end,
            Ok(Err(status)) => read_failure(&status),
            Err(_) => ReadEnd::Cut("nobody waits any more".to_owned()),
        };
        match &end {
            ReadEnd::Cut(why) => {
                Counters::count(&self.counters.cut);
                self.counters.reason(why.split(':').next().unwrap_or_default());
            }
            ReadEnd::Whole { .. } | ReadEnd::NotFound => Counters::count(&self.counters.read),
        }
        self.note_patience(patience, !matches!(end, ReadEnd::Cut(_)));
        let deed = ReadDeed { key, asked, events, end: end.clone() };
        self.remember(Some(service), begun, at, Deed::Read(deed));
        end
    }

    /// Looks events up by their ids, and remembers it.
    pub(crate) async fn look_up(&mut self, tenant: &TenantId, event_ids: Vec<Uuid>) {
        let (service, mut client) = self.pick();
        let (begun, at) = (self.clock.draw(), self.clock.elapsed());
        let request = GetAppendResultRequest {
            tenant_id: tenant.as_str().to_owned(),
            event_ids: event_ids.iter().map(Uuid::to_string).collect(),
        };
        let looked =
            timeout(self.deadline + GRACE, client.get_append_result(with_deadline(request, self.deadline)));
        let found = match looked.await {
            Ok(Ok(answer)) => {
                let results = answer.into_inner().results.into_iter();
                let version = |place: partita_proto::v1::EventPlace| Some(Version::new(place.event?.version));
                let versions = results.map(|result| result.recorded.and_then(version));
                // One that was left out was not found: the checker knows whether that is true.
                Some(event_ids.into_iter().zip(versions.chain(std::iter::repeat(None))).collect())
            }
            Ok(Err(_)) | Err(_) => None,
        };
        let deed = LookupDeed { tenant: tenant.clone(), found };
        self.remember(Some(service), begun, at, Deed::Lookup(deed));
    }

    /// Adds what was done; its end is now.
    pub(crate) fn remember(&mut self, service: Option<usize>, begun: u64, at: Duration, deed: Deed) {
        let ended = self.clock.draw();
        self.calls.push(Call { worker: self.worker, service, begun, ended, at, deed });
    }

    pub(crate) fn count_append(&self, answer: &AppendAnswer) {
        let counters = &self.counters;
        match answer {
            AppendAnswer::Recorded { replayed, .. } => {
                Counters::count(&counters.recorded);
                if *replayed {
                    Counters::count(&counters.replayed);
                }
            }
            AppendAnswer::Refused(refused) => {
                Counters::count(&counters.refused);
                counters.reason(&refused.reason);
            }
            AppendAnswer::Unknown(why) => {
                Counters::count(&counters.unknown);
                counters.reason(why.split(':').next().unwrap_or_default());
            }
        }
    }

    /// Counts the callers who gave up on purpose, and had no answer by then.
    fn note_patience(&self, patience: Patience, is_answered: bool) {
        if patience != Patience::Usual && !is_answered {
            Counters::count(&self.counters.given_up);
        }
    }

    fn pick(&mut self) -> (usize, EventStoreServiceClient<Channel>) {
        let service = self.dice.random_range(0..self.services.len());
        (service, self.services[service].clone())
    }

    /// The deadline that the service is told.
    fn limit(&self, patience: Patience) -> Duration {
        match patience {
            Patience::Usual | Patience::Cancel(_) => self.deadline,
            Patience::Deadline(short) => short,
        }
    }

    /// How long the answer is waited for.
    fn wait(&self, patience: Patience) -> Duration {
        match patience {
            Patience::Usual | Patience::Deadline(_) => self.deadline + GRACE,
            Patience::Cancel(short) => short,
        }
    }
}

async fn send_append(
    client: &mut EventStoreServiceClient<Channel>,
    tenant: &TenantId,
    parts: &Parts,
    request_id: &str,
    limit: Duration,
) -> AppendAnswer {
    let context = AuditContext {
        user_id: "proof".to_owned(),
        request_id: request_id.to_owned(),
        ..AuditContext::default()
    };
    let tenant_id = tenant.as_str().to_owned();
    let answered = if let [part] = &**parts {
        let request = append_request(tenant_id, part, context);
        client.append(with_deadline(request, limit)).await.map(|answer| {
            let answer = answer.into_inner();
            AppendAnswer::Recorded { events: places(&answer.events), replayed: answer.replayed }
        })
    } else {
        let streams = parts.iter().map(stream_append).collect();
        let request = AppendStreamsRequest { tenant_id, streams, context: Some(context) };
        client.append_streams(with_deadline(request, limit)).await.map(|answer| {
            let answer = answer.into_inner();
            let events = answer.streams.iter().flat_map(|stream| places(&stream.events)).collect();
            AppendAnswer::Recorded { events, replayed: answer.replayed }
        })
    };
    answered.unwrap_or_else(|status| append_failure(&status))
}

async fn send_read(
    client: &mut EventStoreServiceClient<Channel>,
    key: &StreamKey,
    asked: &Asked,
    limit: Duration,
    events: &mut Vec<crate::history::ReadEvent>,
) -> Result<ReadEnd, Status> {
    let request = ReadStreamRequest {
        tenant_id: key.tenant.as_str().to_owned(),
        aggregate_type: key.stream.aggregate_type().to_owned(),
        aggregate_id: key.stream.aggregate_id().to_owned(),
        from_version: asked.from_version.map_or(0, Version::get),
        direction: if asked.backwards { Direction::Backwards } else { Direction::Forwards }.into(),
        max_count: asked.max_count.and_then(|count| i64::try_from(count).ok()).unwrap_or_default(),
        from_timestamp: asked.from_timestamp.map(timestamp_to_wire),
        to_timestamp: asked.to_timestamp.map(timestamp_to_wire),
    };
    let mut stream = client.read_stream(with_deadline(request, limit)).await?.into_inner();
    let mut end = ReadEnd::Cut("the answer ended without a state".to_owned());
    while let Some(message) = stream.message().await? {
        events.extend(message.events.iter().filter_map(read_event));
        if let Some(state) = message.stream_state {
            let (version, first) = (Version::new(state.version), Version::new(state.first_version));
            end = ReadEnd::Whole { version, first_version: first };
        }
    }
    Ok(end)
}

fn with_deadline<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

fn append_request(tenant_id: String, part: &Part, context: AuditContext) -> AppendRequest {
    let StreamAppend { aggregate_type, aggregate_id, expected_version, events } = stream_append(part);
    AppendRequest {
        tenant_id,
        aggregate_type,
        aggregate_id,
        expected_version,
        events,
        context: Some(context),
    }
}

fn stream_append(part: &Part) -> StreamAppend {
    StreamAppend {
        aggregate_type: part.stream.aggregate_type().to_owned(),
        aggregate_id: part.stream.aggregate_id().to_owned(),
        expected_version: Some(WireExpected { expected: Some(expected(part.expected)) }),
        events: part.events.iter().map(new_event).collect(),
    }
}

fn expected(expected: ExpectedVersion) -> Expected {
    match expected {
        ExpectedVersion::Any => Expected::Any(Any {}),
        ExpectedVersion::NoStream => Expected::NoStream(NoStream {}),
        ExpectedVersion::StreamExists => Expected::StreamExists(StreamExists {}),
        ExpectedVersion::Exact(version) => Expected::Exact(version.get()),
    }
}

fn new_event(event: &SentEvent) -> NewEvent {
    NewEvent {
        event_id: event.event_id.map(|id| id.to_string()).unwrap_or_default(),
        event_type: event.event_type.clone(),
        data: event.data.clone(),
        metadata: event.metadata.clone().unwrap_or_default(),
        event_timestamp: event.event_timestamp.map(timestamp_to_wire),
    }
}
