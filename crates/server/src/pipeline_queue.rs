use std::collections::{HashMap, VecDeque};

use partita_model::{Append, StreamId, TenantId};
use tokio::time::Instant;

use crate::limits::{PIPELINE_APPENDS_MAX, PIPELINE_BYTES_MAX, PIPELINE_EVENTS_MAX};

/// What an append of a pipeline is held up by: others of the same stream.
pub(crate) type StreamKey = (TenantId, StreamId);

/// An append of a pipeline that is not answered yet.
pub(crate) struct Pending {
    /// The caller's number for it.
    pub(crate) sequence: u64,
    /// It is to one stream.
    pub(crate) append: Append,
    /// When it is no longer begun.
    pub(crate) deadline: Instant,
}

/// The appends of one call that were read and are not answered yet.
///
/// **Invariant:** of one stream, at most one append is out at any time, and they go out in the order in which they came.
#[derive(Default)]
pub(crate) struct PipelineQueue {
    /// Streams of which an append is out or ready.
    streams: HashMap<StreamKey, Busy>,
    /// Appends that nothing holds up.
    ready: VecDeque<(StreamKey, Pending)>,
    load: Load,
}

/// A stream of which an append is out or ready.
struct Busy {
    load: Load,
    /// Those behind it.
    waiting: VecDeque<Pending>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    appends: usize,
    events: usize,
    bytes: usize,
}

impl PipelineQueue {
    /// Whether another append may be read. It is taken in whatever its size, so that the largest one fits as well.
    pub(crate) fn has_room(&self) -> bool {
        self.load.appends < PIPELINE_APPENDS_MAX
            && self.load.events < PIPELINE_EVENTS_MAX
            && self.load.bytes < PIPELINE_BYTES_MAX
    }

    /// Puts an append behind those of its stream.
    pub(crate) fn push(&mut self, pending: Pending) {
        // The form of a pipeline's request says that there is exactly one stream.
        let Some(first) = pending.append.streams().first() else { return };
        let key = (pending.append.tenant().clone(), first.stream.clone());
        let load = Load::of(&pending.append);
        self.load.add(load);
        match self.streams.get_mut(&key) {
            Some(busy) => busy.waiting.push_back(pending),
            None => {
                self.streams.insert(key.clone(), Busy { load, waiting: VecDeque::new() });
                self.ready.push_back((key, pending));
            }
        }
    }

    /// Takes the next append that nothing holds up; its stream is busy until [`settled`](Self::settled).
    pub(crate) fn take(&mut self) -> Option<(StreamKey, Pending)> {
        self.ready.pop_front()
    }

    /// The append that was out of this stream is answered; the next one may go.
    pub(crate) fn settled(&mut self, key: &StreamKey) {
        let Some(busy) = self.streams.get_mut(key) else { return };
        self.load.subtract(busy.load);
        match busy.waiting.pop_front() {
            Some(next) => {
                busy.load = Load::of(&next.append);
                self.ready.push_back((key.clone(), next));
            }
            None => drop(self.streams.remove(key)),
        }
    }
}

impl Load {
    fn of(append: &Append) -> Self {
        Self { appends: 1, events: append.events().count(), bytes: append.bytes() }
    }

    fn add(&mut self, other: Self) {
        self.appends += other.appends;
        self.events += other.events;
        self.bytes += other.bytes;
    }

    fn subtract(&mut self, other: Self) {
        self.appends -= other.appends;
        self.events -= other.events;
        self.bytes -= other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{AppendDraft, ContextDraft, EventDraft, ExpectedVersion, StreamDraft};

    use super::*;

    fn pending(sequence: u64, tenant: &str, aggregate_id: &str, events: usize, bytes: usize) -> Pending {
        let event = EventDraft {
            event_type: "E".to_owned(),
            data: format!("\"{}\"", "x".repeat(bytes)),
            ..EventDraft::default()
        };
        let stream = StreamDraft {
            aggregate_type: "order".to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            expected: Some(ExpectedVersion::Any),
            events: vec![event; events],
        };
        let context = ContextDraft { user_id: "ann".to_owned(), ..ContextDraft::default() };
        let draft = AppendDraft { tenant_id: tenant.to_owned(), streams: vec![stream], context };
        Pending { sequence, append: Append::parse(draft).unwrap(), deadline: Instant::now() }
    }

    fn taken(queue: &mut PipelineQueue) -> Vec<(StreamKey, u64)> {
        std::iter::from_fn(|| queue.take()).map(|(key, pending)| (key, pending.sequence)).collect()
    }

    fn sequences(taken: &[(StreamKey, u64)]) -> Vec<u64> {
        taken.iter().map(|(_, sequence)| *sequence).collect()
    }

    #[test]
    fn of_one_stream_one_append_is_out_and_the_others_follow_in_order() {
        let mut queue = PipelineQueue::default();
        for (sequence, tenant, id) in
            [(1, "a", "1"), (2, "a", "1"), (3, "a", "2"), (4, "b", "1"), (5, "a", "1")]
        {
            queue.push(pending(sequence, tenant, id, 1, 0));
        }
        let out = taken(&mut queue);
        assert_eq!(sequences(&out), [1, 3, 4]);
        let stream = &out[0].0;
        for expected in [vec![2], vec![5], vec![]] {
            queue.settled(stream);
            assert_eq!(sequences(&taken(&mut queue)), expected);
        }
        assert_eq!((queue.load.appends, queue.streams.len()), (2, 2));
    }

    #[test]
    fn what_is_in_flight_is_bounded_by_number_by_events_and_by_bytes() {
        for (events, bytes, fit) in [
            (1, 0, PIPELINE_APPENDS_MAX),
            (512, 0, PIPELINE_EVENTS_MAX / 512),
            (1, 512 * 1024, PIPELINE_BYTES_MAX / (512 * 1024)),
        ] {
            let mut queue = PipelineQueue::default();
            for sequence in 0..fit {
                assert!(queue.has_room(), "{sequence} of {fit}");
                queue.push(pending(sequence as u64, "a", &sequence.to_string(), events, bytes));
            }
            assert!(!queue.has_room());
            let (first, _) = taken(&mut queue).remove(0);
            queue.settled(&first);
            assert!(queue.has_room());
        }
    }
}
