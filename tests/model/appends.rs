//! Appends, their repetition, and what other programs write.

use partita_model::{Month, Timestamp};
use partita_proto::convert::{timestamp_from_wire, timestamp_to_wire};
use partita_proto::v1::expected_version::Expected;
use partita_proto::v1::{
    AppendRequest, AppendStreamsRequest, AppendedEvent, AuditContext, ExpectedVersion, NewEvent, StreamAppend,
};
use partita_tests::{ForeignEvent, Refusal, any, exact, month, no_stream, standing_at, stream_exists};
use tonic::Code;
use uuid::Uuid;

use crate::operation::{Difference, Expect, Part, Process, STREAMS, TENANTS, When};
use crate::stage::{Stage, instant, instant_in};
use crate::world::{Event, FOREIGN_USER, Phase, Place, Position, Sent, SentPart};

/// The first of the ids that are given; the rest count up from it.
const FIRST_ID: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;

/// What the model says to an append.
#[derive(Debug)]
enum Wanted {
    Recorded,
    /// The versions that were given the first time.
    Replayed(Vec<Vec<i32>>),
    IdConflict(Vec<Uuid>),
    /// The first stream that does not stand right, and where it stands.
    VersionConflict(usize, i32),
    BelowFloor,
}

/// What was answered: whether it was a repetition, and each stream's events.
type Answer = Result<(bool, Vec<Vec<AppendedEvent>>), Refusal>;

impl Stage {
    pub(crate) async fn append(&mut self, index: usize, process: Process, tenant: usize, parts: &[Part]) {
        let mut drawn = 0;
        let parts = parts.iter().map(|part| {
            let events = part.events.iter().map(|event| {
                drawn += 1;
                let id = event.with_id.then(|| Uuid::from_u128(FIRST_ID + ((index as u128) << 16) + drawn));
                NewEvent {
                    event_id: id.map(|id| id.to_string()).unwrap_or_default(),
                    event_type: format!("Type{}", drawn % 3),
                    data: format!("{{\"n\": {drawn}, \"operation\": {index}}}"),
                    metadata: if event.metadata { format!("[{index}]") } else { String::new() },
                    event_timestamp: self.time(process, tenant, event.when).map(timestamp_to_wire),
                }
            });
            let head = self.world.tenants[tenant].head(part.stream);
            SentPart { stream: part.stream, expected: expected(part.expect, head), events: events.collect() }
        });
        let sent = Sent { tenant, parts: parts.collect() };
        self.send(process, sent).await;
    }

    /// Sends an append again that was acknowledged, or one like it.
    pub(crate) async fn repeat(&mut self, process: Process, which: usize, difference: Difference) {
        let count = self.world.sent.len();
        if count == 0 {
            return;
        }
        let mut sent = self.world.sent[which % count].clone();
        let Some(part) = sent.parts.first_mut() else { return };
        match difference {
            Difference::None => {}
            Difference::Data => part.events[0].data = "\"other\"".to_owned(),
            Difference::Shorter => part.events.truncate(1),
            Difference::Undated => {
                for part in &mut sent.parts {
                    part.expected = any();
                    part.events.iter_mut().for_each(|event| event.event_timestamp = None);
                }
            }
            Difference::Stream => {
                part.stream = (part.stream + 1) % STREAMS.len();
                let stream = part.stream;
                sent.parts.truncate(1);
                sent.parts[0].stream = stream;
            }
        }
        // What a process without the flag may date below a floor that it does not know of is not looked at here.
        let tenant = &self.world.tenants[sent.tenant];
        let is_expired = |event: &NewEvent| time_of(event).is_some_and(|at| tenant.is_below_floor(at));
        let is_expired = sent.parts.iter().flat_map(|part| &part.events).any(is_expired);
        if process != Process::FlagOff || !is_expired {
            self.send(process, sent).await;
        }
    }

    /// What another program writes: the next version, as far as it can tell, straight into the legacy table.
    pub(crate) async fn write_foreign(
        &mut self,
        index: usize,
        tenant: usize,
        stream: usize,
        (month, day): (i32, i64),
    ) {
        let at = instant_in(month, day);
        let known = &self.world.tenants[tenant];
        let version = known.legacy_head(stream) + 1;
        if known.is_below_floor(at) || version <= known.head(stream) {
            return;
        }
        let text = at.to_string();
        let event = ForeignEvent {
            tenant: TENANTS[tenant],
            aggregate_id: STREAMS[stream],
            version,
            timestamp: Some(&text),
        };
        match event.write(self.database.pool()).await {
            Ok(id) => {
                assert_eq!(self.world.phase, Phase::Open, "the fence lets another program through: {index}");
                self.world.tenants[tenant].events.push(Event {
                    stream,
                    version,
                    id,
                    event_type: "Foreign".to_owned(),
                    data: "{\"by\": \"another program\"}".to_owned(),
                    metadata: String::new(),
                    user: FOREIGN_USER.to_owned(),
                    at,
                    in_legacy: true,
                    left_behind: false,
                    place: Place::Nowhere,
                    position: Position::History(None),
                    hash: Some(event.hash()),
                });
            }
            Err(error) => {
                assert_ne!(self.world.phase, Phase::Open, "{}: {error}", self.doing());
            }
        }
    }

    async fn send(&mut self, process: Process, sent: Sent) {
        let wanted = self.wanted(process, &sent);
        let answer = self.call(process, &sent).await;
        if !self.serves(process) {
            return self.assert_contradiction(&answer.unwrap_err());
        }
        match (wanted, answer) {
            (Wanted::Recorded, Ok((false, events))) => self.record(process, sent, &events),
            (Wanted::Replayed(versions), Ok((true, events))) => {
                self.compare_replay(process, &sent, &versions, &events);
            }
            (Wanted::IdConflict(ids), Err(refusal)) => {
                let told: Vec<Uuid> =
                    refusal.fact("event_ids").split(',').map(|id| id.parse().unwrap()).collect();
                // An error has room for some fifty of them; it says how many it leaves out.
                let omitted = ids.len() - told.len().min(ids.len());
                assert_eq!(
                    (refusal.code, told.as_slice()),
                    (Code::AlreadyExists, &ids[..ids.len() - omitted]),
                    "{}",
                    self.doing()
                );
                let counted = if omitted == 0 { String::new() } else { omitted.to_string() };
                assert_eq!(refusal.fact("omitted"), counted, "{}", self.doing());
            }
            (Wanted::VersionConflict(stream, actual), Err(refusal)) => {
                let told = (refusal.reason.as_str(), refusal.fact("stream"), refusal.fact("actual"));
                let stream = format!("order/{}", STREAMS[stream]);
                assert_eq!(
                    told,
                    ("VERSION_CONFLICT", stream.as_str(), actual.to_string().as_str()),
                    "{}",
                    self.doing()
                );
            }
            (Wanted::BelowFloor, Err(refusal)) => {
                assert_eq!(refusal.reason, "BELOW_FLOOR", "{}", self.doing());
            }
            (wanted, answer) => panic!("{}: wanted {wanted:?}, got {answer:?}", self.doing()),
        }
    }

    fn wanted(&self, process: Process, sent: &Sent) -> Wanted {
        let tenant = &self.world.tenants[sent.tenant];
        let events = || sent.parts.iter().flat_map(|part| &part.events);
        let ids: Vec<Uuid> = events().filter_map(id_of).collect();
        let known = tenant.known(self.tables_of_ids(process), window(sent), &ids);
        if !known.is_empty() {
            let replay = |part: &SentPart| -> Option<Vec<i32>> {
                let mut versions: Vec<i32> = Vec::new();
                for event in &part.events {
                    let recorded = known.get(&id_of(event)?)?;
                    let follows = versions.last().is_none_or(|last| last + 1 == recorded.version);
                    if !follows || recorded.stream != part.stream || !is_same(event, recorded) {
                        return None;
                    }
                    versions.push(recorded.version);
                }
                Some(versions)
            };
            return match sent.parts.iter().map(replay).collect() {
                Some(versions) => Wanted::Replayed(versions),
                None => Wanted::IdConflict(ids.into_iter().filter(|id| known.contains_key(id)).collect()),
            };
        }
        for part in &sent.parts {
            let head = tenant.head(part.stream);
            let is_right = match part.expected {
                Expected::Any(_) => true,
                Expected::NoStream(_) => head == 0,
                Expected::StreamExists(_) => head > 0,
                Expected::Exact(version) => version == head,
            };
            if !is_right {
                return Wanted::VersionConflict(part.stream, head);
            }
        }
        let is_below = events().filter_map(time_of).any(|at| tenant.is_below_floor(at));
        if is_below && process != Process::FlagOff { Wanted::BelowFloor } else { Wanted::Recorded }
    }

    /// Sends one stream's events by Append, several streams' by AppendStreams.
    async fn call(&self, process: Process, sent: &Sent) -> Answer {
        let mut client = self.server(process).events();
        let tenant_id = TENANTS[sent.tenant].to_owned();
        let context = Some(AuditContext { user_id: "ann".to_owned(), ..AuditContext::default() });
        let expected = |part: &SentPart| Some(ExpectedVersion { expected: Some(part.expected) });
        if let [part] = sent.parts.as_slice() {
            let request = AppendRequest {
                tenant_id,
                aggregate_type: "order".to_owned(),
                aggregate_id: STREAMS[part.stream].to_owned(),
                expected_version: expected(part),
                events: part.events.clone(),
                context,
            };
            let answer = client.append(request).await.map_err(Refusal::from)?.into_inner();
            return Ok((answer.replayed, vec![answer.events]));
        }
        let stream = |part: &SentPart| StreamAppend {
            aggregate_type: "order".to_owned(),
            aggregate_id: STREAMS[part.stream].to_owned(),
            expected_version: expected(part),
            events: part.events.clone(),
        };
        let streams = sent.parts.iter().map(stream).collect();
        let request = AppendStreamsRequest { tenant_id, streams, context };
        let answer = client.append_streams(request).await.map_err(Refusal::from)?.into_inner();
        Ok((answer.replayed, answer.streams.into_iter().map(|stream| stream.events).collect()))
    }

    /// Takes in what was recorded; versions and positions must be the next ones.
    fn record(&mut self, process: Process, sent: Sent, answered: &[Vec<AppendedEvent>]) {
        let draws = process != Process::FlagOff;
        let in_legacy = self.world.phase.writes_legacy();
        let doing = self.doing().to_owned();
        let tenant = &mut self.world.tenants[sent.tenant];
        assert_eq!(answered.len(), sent.parts.len(), "{doing}");
        for (part, answered) in sent.parts.iter().zip(answered) {
            assert_eq!(answered.len(), part.events.len(), "{doing}");
            for (event, told) in part.events.iter().zip(answered) {
                let version = tenant.head(part.stream) + 1;
                tenant.last_position += i64::from(draws);
                let position = draws.then_some(tenant.last_position);
                assert_eq!((told.version, told.position), (version, position), "{doing}");
                let (id, at) = (told.event_id.parse().unwrap(), instant_of(told));
                assert!(id_of(event).is_none_or(|given| given == id), "{doing}");
                assert!(time_of(event).is_none_or(|given| given == at), "{doing}");
                tenant.events.push(Event {
                    stream: part.stream,
                    version,
                    id,
                    event_type: event.event_type.clone(),
                    data: event.data.clone(),
                    metadata: event.metadata.clone(),
                    user: "ann".to_owned(),
                    at,
                    in_legacy,
                    left_behind: false,
                    place: if draws { Place::Attached } else { Place::Nowhere },
                    position: position.map_or(Position::History(None), Position::Live),
                    hash: None,
                });
            }
        }
        self.world.sent.push(sent);
    }

    fn compare_replay(
        &mut self,
        process: Process,
        sent: &Sent,
        versions: &[Vec<i32>],
        answered: &[Vec<AppendedEvent>],
    ) {
        let doing = self.doing().to_owned();
        let tenant = &mut self.world.tenants[sent.tenant];
        for ((part, versions), answered) in sent.parts.iter().zip(versions).zip(answered) {
            let told: Vec<i32> = answered.iter().map(|event| event.version).collect();
            assert_eq!(&told, versions, "{doing}");
            for told in answered {
                let is_it = |event: &&mut Event| event.stream == part.stream && event.version == told.version;
                let event = tenant.events.iter_mut().find(is_it).expect("it is recorded");
                let id: Uuid = told.event_id.parse().unwrap();
                assert_eq!((id, instant_of(told)), (event.id, event.at), "{doing}");
                let has_position = process != Process::FlagOff && event.place == Place::Attached;
                Self::compare_position(&doing, event, told.position, has_position);
            }
        }
    }

    /// The time to send; a process without the flag knows no floor, and is not asked to date events below it.
    fn time(&self, process: Process, tenant: usize, when: When) -> Option<Timestamp> {
        let is_below = |at: &Timestamp| self.world.tenants[tenant].is_below_floor(*at);
        instant(when).filter(|at| process != Process::FlagOff || !is_below(at))
    }
}

fn expected(expect: Expect, head: i32) -> Expected {
    match expect {
        Expect::Any => any(),
        Expect::New => no_stream(),
        Expect::Exists => stream_exists(),
        Expect::At(0) => standing_at(head),
        Expect::At(off) => exact((head + off).max(1)),
    }
}

/// Since when ids are known in the partitioned table, and the months besides.
fn window(sent: &Sent) -> (Timestamp, Option<(Month, Month)>) {
    let since = month(-1).start();
    let with_id = sent.parts.iter().flat_map(|part| &part.events).filter(|event| !event.event_id.is_empty());
    let months = || with_id.clone().filter_map(time_of).filter(|at| *at < since).map(Month::of);
    (since, months().min().zip(months().max()))
}

fn is_same(sent: &NewEvent, recorded: &Event) -> bool {
    sent.event_type == recorded.event_type
        && sent.data == recorded.data
        && sent.metadata == recorded.metadata
        && time_of(sent).is_none_or(|at| at == recorded.at)
}

fn id_of(event: &NewEvent) -> Option<Uuid> {
    event.event_id.parse().ok()
}

fn time_of(event: &NewEvent) -> Option<Timestamp> {
    event.event_timestamp.map(|at| timestamp_from_wire(at).unwrap())
}

pub(crate) fn instant_of(event: &AppendedEvent) -> Timestamp {
    timestamp_from_wire(event.event_timestamp.unwrap()).unwrap()
}
