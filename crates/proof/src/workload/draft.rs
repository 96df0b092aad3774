//! What is appended: events of all shapes that JSON and the contract allow, each with a mark of its own.

use std::sync::Arc;

use partita_model::{ExpectedVersion, StreamId, TenantId, Timestamp, Uuid};
use rand::RngExt as _;
use time::{Duration, OffsetDateTime};

use super::{Dice, WorkloadOptions};
use crate::history::{Part, SentEvent, WorkerId};

/// What all streams of a load are.
pub(crate) const AGGREGATE_TYPE: &str = "order";

/// Documents whose accidents `jsonb` does not keep, and some that it must.
const SHAPES: [&str; 9] = [
    "12.50",
    "1E3",
    "-0.0",
    "123456789012345678901234567890",
    "\"caf\\u00e9 \\ud83d\\ude00 \\\"quoted\\\"\"",
    "[1, null, true, \"\"]",
    "{\"b\": 1, \"a\": {\"z\": [], \"y\": {}}}",
    "null",
    "\"\"",
];

/// Longest filling of an event, in characters.
const FILLING_MAX: usize = 600;

/// Draws the events of one worker.
pub(crate) struct Drafts {
    worker: WorkerId,
    serial: u64,
    months_back: u32,
}

impl Drafts {
    pub(crate) fn new(worker: WorkerId, options: &WorkloadOptions) -> Self {
        Self { worker, serial: 0, months_back: options.months_back }
    }

    /// A number that this worker draws once.
    pub(crate) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// New events for the end of a stream; without ids, or with ids of their own.
    pub(crate) fn part(
        &mut self,
        dice: &mut Dice,
        stream: StreamId,
        expected: ExpectedVersion,
        count: usize,
        with_ids: bool,
    ) -> Part {
        let events = (0..count).map(|_| self.event(dice, with_ids)).collect();
        Part { stream, expected, events }
    }

    /// One to three new events, all of them of long ago.
    pub(crate) fn old_part(&mut self, dice: &mut Dice, stream: StreamId, expected: ExpectedVersion) -> Part {
        let count = dice.random_range(1..=3);
        let mut part = self.part(dice, stream, expected, count, true);
        for event in &mut part.events {
            let days_back = dice.random_range(15..30) * i64::from(self.months_back);
            event.event_timestamp =
                Some(Timestamp::from_datetime(OffsetDateTime::now_utc() - Duration::days(days_back)));
        }
        part
    }

    fn event(&mut self, dice: &mut Dice, with_id: bool) -> SentEvent {
        let serial = self.serial();
        let mark = format!("{}-{serial}", self.worker);
        let shape = SHAPES[dice.random_range(0..SHAPES.len())];
        let filling = "x".repeat(dice.random_range(0..FILLING_MAX));
        let metadata = dice.random_bool(0.3).then(|| format!("{{\"of\": \"{mark}\", \"shape\": {shape}}}"));
        SentEvent {
            event_id: with_id.then(|| Uuid::from_u128(dice.random())),
            event_type: ["Placed", "Paid", "Shipped"][dice.random_range(0..3)].to_owned(),
            data: format!("{{\"shape\": {shape}, \"mark\": \"{mark}\", \"filling\": \"{filling}\"}}"),
            metadata,
            event_timestamp: self.time(dice),
            mark,
        }
    }

    /// Mostly none. Where events may lie back, a third of them does, anywhere from there to a month from now.
    fn time(&self, dice: &mut Dice) -> Option<Timestamp> {
        let share = if self.months_back > 0 { 0.35 } else { 0.05 };
        if !dice.random_bool(share) {
            return None;
        }
        let days_back = i64::from(self.months_back) * 30;
        let seconds = dice.random_range(-days_back * 86_400..=86_400 * if days_back > 0 { 20 } else { 0 });
        Some(Timestamp::from_datetime(OffsetDateTime::now_utc() + Duration::seconds(seconds)))
    }
}

/// A stream of the load.
pub(crate) fn stream(name: impl Into<String>) -> StreamId {
    StreamId::from_row(AGGREGATE_TYPE.to_owned(), name.into())
}

/// A stream that all workers share.
pub(crate) fn shared_stream(dice: &mut Dice, options: &WorkloadOptions) -> StreamId {
    stream(format!("shared-{}", dice.random_range(0..options.shared_streams.max(1))))
}

/// All streams that all workers share.
pub(crate) fn shared_streams(options: &WorkloadOptions) -> impl Iterator<Item = StreamId> {
    (0..options.shared_streams.max(1)).map(|number| stream(format!("shared-{number}")))
}

/// The stream that a writer has for itself.
pub(crate) fn own_stream(worker: WorkerId) -> StreamId {
    stream(format!("own-{worker}"))
}

/// One of the load's tenants.
pub(crate) fn any_tenant(dice: &mut Dice, options: &WorkloadOptions) -> Option<TenantId> {
    let count = options.tenants.len();
    (count > 0).then(|| options.tenants[dice.random_range(0..count)].clone())
}

/// An append in the making.
pub(crate) type Parts = Arc<[Part]>;
