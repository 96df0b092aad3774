//! A task that appends: with every expectation, alone and in competition, and again where it does not know.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use partita_model::{ExpectedVersion, StreamId, TenantId, Uuid, Version};
use rand::RngExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::WorkloadOptions;
use super::caller::Caller;
use super::draft::{Drafts, Parts, any_tenant, own_stream, shared_stream, stream};
use super::reader::pause;
use crate::history::{AppendAnswer, Call, Refused, StreamKey};

/// Attempts at one append, while the load runs.
const ATTEMPTS_MAX: u32 = 12;
/// What a writer waits before it tries again, at most.
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(200);
/// Acknowledged appends that are remembered, to be sent once more.
const REMEMBERED_MAX: usize = 50;
/// How much of a load goes to streams of long ago, where events may lie back.
const ELDERS_SHARE: f64 = 0.2;
/// How much of that goes on with such a stream: most have time to expire before.
const ELDERS_REVIVED: f64 = 0.3;
/// Further than any stream of a load gets.
const FAR_VERSION: i32 = 1_000_000;

/// Refusals that pass: the same append may be recorded later.
const PASSING: [&str; 6] = [
    "OVERLOADED",
    "DATABASE_UNAVAILABLE",
    "PARTITION_UNAVAILABLE",
    "SHUTTING_DOWN",
    "DEADLINE_EXCEEDED",
    "TENANT_LIMIT",
];

struct Writer {
    caller: Caller,
    drafts: Drafts,
    options: Arc<WorkloadOptions>,
    stop: CancellationToken,
    settle_until: Option<Instant>,
    /// Where this writer believes streams to stand.
    versions: HashMap<StreamKey, Version>,
    acknowledged: VecDeque<(TenantId, Parts)>,
    /// Streams that have nothing but events of long ago.
    elders: Vec<(TenantId, StreamId)>,
}

/// Appends until it is told to stop, then until it knows what became of its last append.
pub(super) async fn run(caller: Caller, options: Arc<WorkloadOptions>, stop: CancellationToken) -> Vec<Call> {
    let drafts = Drafts::new(caller.worker, &options);
    let mut writer = Writer {
        caller,
        drafts,
        options,
        stop,
        settle_until: None,
        versions: HashMap::new(),
        acknowledged: VecDeque::new(),
        elders: Vec::new(),
    };
    while !writer.stop.is_cancelled() {
        let Some(tenant) = any_tenant(&mut writer.caller.dice, &writer.options) else { break };
        writer.act(tenant).await;
        let usual = writer.options.pause;
        pause(&mut writer.caller.dice, usual).await;
    }
    writer.caller.calls
}

impl Writer {
    async fn act(&mut self, tenant: TenantId) {
        let dice = &mut self.caller.dice;
        if self.options.months_back > 0 && dice.random_bool(ELDERS_SHARE) {
            return self.tend_elders(tenant).await;
        }
        let shared = shared_stream(dice, &self.options);
        if self.caller.mood.is_long(dice) {
            return self.append_long(tenant, shared).await;
        }
        let few = dice.random_range(1..=4);
        match dice.random_range(0..100) {
            0..32 => self.append_to(tenant, shared, ExpectedVersion::Any, few).await,
            32..54 => {
                let own = own_stream(self.caller.worker);
                let expected = self.believed(&tenant, &own);
                self.append_to(tenant, own, expected, few).await;
            }
            54..62 => {
                let expected = self.believed(&tenant, &shared);
                self.append_to(tenant, shared, expected, few).await;
            }
            62..70 => {
                let new = stream(format!("new-{}-{}", self.caller.worker, self.drafts.serial()));
                self.append_to(tenant, new, ExpectedVersion::NoStream, few).await;
            }
            70..74 => self.append_to(tenant, shared, ExpectedVersion::StreamExists, few).await,
            74..77 => {
                let far = ExpectedVersion::Exact(Version::new(FAR_VERSION));
                self.append_to(tenant, shared, far, few).await;
            }
            77..85 => self.append_to_several(tenant).await,
            85..87 => self.append_long(tenant, shared).await,
            87..91 => self.append_without_ids(tenant, shared).await,
            91..95 => self.repeat().await,
            95..98 => self.look_up().await,
            _ => self.steal_an_id().await,
        }
    }

    /// The version that the stream had when this writer last met it.
    fn believed(&self, tenant: &TenantId, stream: &StreamId) -> ExpectedVersion {
        let key = StreamKey { tenant: tenant.clone(), stream: stream.clone() };
        match self.versions.get(&key) {
            Some(version) if *version > Version::NONE => ExpectedVersion::Exact(*version),
            Some(_) | None => ExpectedVersion::NoStream,
        }
    }

    async fn append_to(
        &mut self,
        tenant: TenantId,
        stream: StreamId,
        expected: ExpectedVersion,
        count: usize,
    ) {
        let part = self.drafts.part(&mut self.caller.dice, stream, expected, count, true);
        self.pursue(tenant, Arc::from([part])).await;
    }

    async fn append_long(&mut self, tenant: TenantId, stream: StreamId) {
        let many = self.caller.dice.random_range(30..120);
        self.append_to(tenant, stream, ExpectedVersion::Any, many).await;
    }

    /// Begins a stream with events of long ago, or goes on with one as if nothing had expired meanwhile.
    async fn tend_elders(&mut self, tenant: TenantId) {
        let count = self.elders.len();
        if count > 0 && self.caller.dice.random_bool(ELDERS_REVIVED) {
            let (tenant, elder) = self.elders.swap_remove(self.caller.dice.random_range(0..count));
            // Whoever says what he expects is refused where the stream is forgotten; whoever does not begins it again.
            let expected = match self.caller.dice.random_bool(0.5) {
                true => self.believed(&tenant, &elder),
                false => ExpectedVersion::Any,
            };
            return self.append_to(tenant, elder, expected, 1).await;
        }
        let elder = stream(format!("elder-{}-{}", self.caller.worker, self.drafts.serial()));
        let dice = &mut self.caller.dice;
        let part = self.drafts.old_part(dice, elder.clone(), ExpectedVersion::NoStream);
        self.pursue(tenant.clone(), Arc::from([part])).await;
        let key = StreamKey { tenant, stream: elder };
        if self.versions.contains_key(&key) {
            self.elders.push((key.tenant, key.stream));
        }
    }

    /// Two to three streams at once, one of them this writer's own.
    async fn append_to_several(&mut self, tenant: TenantId) {
        let own = own_stream(self.caller.worker);
        let expected = self.believed(&tenant, &own);
        let dice = &mut self.caller.dice;
        let mut wanted = vec![(own, expected), (shared_stream(dice, &self.options), ExpectedVersion::Any)];
        if dice.random_bool(0.5) {
            let new = stream(format!("new-{}-{}", self.caller.worker, self.drafts.serial()));
            wanted.push((new, ExpectedVersion::NoStream));
        }
        let parts: Vec<_> = wanted
            .into_iter()
            .map(|(stream, expected)| {
                let count = dice.random_range(1..=3);
                self.drafts.part(dice, stream, expected, count, true)
            })
            .collect();
        self.pursue(tenant, Arc::from(parts)).await;
    }

    /// Such an append cannot be sent again: if its outcome is unknown it stays so.
    async fn append_without_ids(&mut self, tenant: TenantId, stream: StreamId) {
        let part = self.drafts.part(&mut self.caller.dice, stream, ExpectedVersion::Any, 1, false);
        let request_id = self.request_id();
        self.caller.append(&tenant, &Arc::from([part]), request_id).await;
    }

    /// Sends an acknowledged append once more.
    async fn repeat(&mut self) {
        if let Some((tenant, parts)) = self.any_acknowledged() {
            let request_id = self.request_id();
            self.caller.append(&tenant, &parts, request_id).await;
        }
    }

    async fn look_up(&mut self) {
        if let Some((tenant, parts)) = self.any_acknowledged() {
            let mut ids: Vec<Uuid> = ids(&parts).collect();
            ids.push(Uuid::from_u128(self.caller.dice.random()));
            self.caller.look_up(&tenant, ids).await;
        }
    }

    /// Another event under an id that is taken, beside one that is not. It is given the time of the event that has the id:
    /// once finalized, an id of long ago is known by the month that an append names (docs/errors.md).
    async fn steal_an_id(&mut self) {
        let Some((tenant, parts)) = self.any_acknowledged() else { return };
        let mut events = parts.iter().flat_map(|part| &part.events);
        let Some(stolen) = events.find(|event| event.event_id.is_some()) else { return };
        let stream = shared_stream(&mut self.caller.dice, &self.options);
        let mut part = self.drafts.part(&mut self.caller.dice, stream, ExpectedVersion::Any, 2, true);
        if let Some(last) = part.events.last_mut() {
            last.event_id = stolen.event_id;
            last.event_timestamp = stolen.event_timestamp;
        }
        let request_id = self.request_id();
        self.caller.append(&tenant, &Arc::from([part]), request_id).await;
    }

    fn any_acknowledged(&mut self) -> Option<(TenantId, Parts)> {
        let count = self.acknowledged.len();
        (count > 0).then(|| self.acknowledged[self.caller.dice.random_range(0..count)].clone())
    }

    fn request_id(&mut self) -> String {
        format!("r{}-{}", self.caller.worker, self.drafts.serial())
    }

    /// Sends an append, and again under the same ids until it is known what became of it; now and then gives up.
    async fn pursue(&mut self, tenant: TenantId, parts: Parts) {
        let mut in_doubt = false;
        let mut attempts = 0;
        loop {
            let request_id = self.request_id();
            let answer = self.caller.append(&tenant, &parts, request_id).await;
            self.learn(&tenant, &parts, &answer);
            attempts += 1;
            let again = match &answer {
                AppendAnswer::Recorded { .. } => return self.keep(tenant, parts),
                AppendAnswer::Refused(Refused { reason, .. }) => {
                    // It is said of this attempt, not of one before it that was in doubt.
                    PASSING.contains(&reason.as_str()) && (in_doubt || self.caller.dice.random_bool(0.7))
                }
                AppendAnswer::Unknown(_) => {
                    in_doubt = true;
                    self.caller.dice.random_bool(0.95)
                }
            };
            if !again || !self.has_patience(attempts, in_doubt) {
                return;
            }
            pause(&mut self.caller.dice, RETRY_PAUSE_MAX / 2).await;
        }
    }

    /// While the load runs, for a number of attempts; afterwards only for what is in doubt, for a time.
    fn has_patience(&mut self, attempts: u32, in_doubt: bool) -> bool {
        if !self.stop.is_cancelled() {
            return attempts < ATTEMPTS_MAX;
        }
        let limit = self.options.settle_limit;
        in_doubt && Instant::now() < *self.settle_until.get_or_insert_with(|| Instant::now() + limit)
    }

    fn learn(&mut self, tenant: &TenantId, parts: &Parts, answer: &AppendAnswer) {
        let key = |stream: &StreamId| StreamKey { tenant: tenant.clone(), stream: stream.clone() };
        match answer {
            AppendAnswer::Recorded { events, .. } => {
                let marks = parts.iter().flat_map(|part| part.events.iter().map(move |_| &part.stream));
                for (stream, place) in marks.zip(events) {
                    self.versions.insert(key(stream), place.version);
                }
            }
            AppendAnswer::Refused(Refused { conflict: Some((name, actual)), .. }) => {
                for part in parts.iter().filter(|part| part.stream.to_string() == *name) {
                    self.versions.insert(key(&part.stream), *actual);
                }
            }
            AppendAnswer::Refused(_) | AppendAnswer::Unknown(_) => {}
        }
    }

    fn keep(&mut self, tenant: TenantId, parts: Parts) {
        if self.acknowledged.len() == REMEMBERED_MAX {
            self.acknowledged.pop_front();
        }
        self.acknowledged.push_back((tenant, parts));
    }
}

fn ids(parts: &Parts) -> impl Iterator<Item = Uuid> {
    parts.iter().flat_map(|part| part.events.iter().filter_map(|event| event.event_id))
}
