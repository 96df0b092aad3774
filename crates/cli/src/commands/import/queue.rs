use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use partita_proto::v1;

use crate::commands::import::line::{ImportEvent, StreamKey};

/// Most events in one append: half of what the server takes.
const GROUP_EVENTS_MAX: usize = 500;
/// Most data and metadata in one append, in bytes, unless a single event has more.
const GROUP_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The window within which events of one stream are gathered. Files that are sorted by time mix their streams: one
/// append a run of neighbours would be one append an event.
const WAITING_EVENTS_MAX: usize = 4_096;
/// The window's memory, in bytes of data and metadata.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Events of one stream and one context, in the order of the file.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) stream: Arc<StreamKey>,
    pub(super) context: v1::AuditContext,
    pub(super) events: Vec<ImportEvent>,
}

/// Events that wait to be sent, by stream.
///
/// **Invariant:** of one stream, at most one group is out at any time, so its events are recorded in their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    streams: HashMap<Arc<StreamKey>, Waiting>,
    /// Streams with something waiting and nothing out, the longest waiting first.
    ready: VecDeque<Arc<StreamKey>>,
    events: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<ImportEvent>,
    is_out: bool,
}

impl Queue {
    /// Whether no more lines should be read for now.
    pub(super) fn is_full(&self) -> bool {
        self.events >= WAITING_EVENTS_MAX || self.bytes >= WAITING_BYTES_MAX
    }

    /// Puts an event behind those of its stream.
    pub(super) fn push(&mut self, event: ImportEvent) {
        self.events += 1;
        self.bytes += event.bytes();
        let waiting = self.streams.entry(event.stream.clone()).or_default();
        if waiting.events.is_empty() && !waiting.is_out {
            self.ready.push_back(event.stream.clone());
        }
        waiting.events.push_back(event);
    }

    /// Takes as much of one stream as fits an append; the stream is out until [`Self::returned`].
    pub(super) fn take(&mut self) -> Option<Group> {
        let stream = self.ready.pop_front()?;
        let waiting = self.streams.get_mut(&stream)?;
        let context = waiting.events.front()?.context.clone();
        let mut events = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.events.front() {
            let full = events.len() == GROUP_EVENTS_MAX || bytes + next.bytes() > GROUP_BYTES_MAX;
            if !events.is_empty() && (full || next.context != context) {
                break;
            }
            bytes += next.bytes();
            events.extend(waiting.events.pop_front());
        }
        waiting.is_out = true;
        self.events -= events.len();
        self.bytes -= bytes;
        Some(Group { stream, context, events })
    }

    /// What was out of this stream is settled; the next group may go.
    pub(super) fn returned(&mut self, stream: &Arc<StreamKey>) {
        if let Some(waiting) = self.streams.get_mut(stream) {
            waiting.is_out = false;
            if waiting.events.is_empty() {
                self.streams.remove(stream);
            } else {
                self.ready.push_back(stream.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: u64, aggregate_id: &str, user_id: &str, bytes: usize) -> ImportEvent {
        let stream = StreamKey {
            tenant_id: "t".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id: aggregate_id.to_owned(),
        };
        let context = v1::AuditContext { user_id: user_id.to_owned(), ..v1::AuditContext::default() };
        let event = v1::NewEvent { data: "x".repeat(bytes), ..v1::NewEvent::default() };
        ImportEvent { line, stream: Arc::new(stream), context, time: None, event }
    }

    fn lines(group: &Group) -> Vec<u64> {
        group.events.iter().map(|event| event.line).collect()
    }

    #[test]
    fn mixed_streams_are_gathered_and_only_one_group_of_a_stream_is_out() {
        let mut queue = Queue::default();
        for (line, id) in [(1, "a"), (2, "b"), (3, "a")] {
            queue.push(event(line, id, "u", 1));
        }
        let first = queue.take().unwrap();
        assert_eq!(lines(&first), [1, 3]);
        queue.push(event(4, "a", "u", 1));
        assert_eq!(lines(&queue.take().unwrap()), [2]);
        assert!(queue.take().is_none());
        queue.returned(&first.stream);
        assert_eq!(lines(&queue.take().unwrap()), [4]);
        assert_eq!((queue.events, queue.bytes), (0, 0));
    }

    #[test]
    fn a_group_ends_at_another_context_and_at_its_limits() {
        let mut queue = Queue::default();
        let sizes = [(1, "u", 1), (2, "v", GROUP_BYTES_MAX + 1), (3, "v", 1), (4, "v", 1)];
        for (line, user, bytes) in sizes {
            queue.push(event(line, "a", user, bytes));
        }
        let mut groups = Vec::new();
        while let Some(group) = queue.take() {
            groups.push(lines(&group));
            queue.returned(&group.stream);
        }
        assert_eq!(groups, [vec![1], vec![2], vec![3, 4]]);

        for line in 0..=GROUP_EVENTS_MAX as u64 {
            queue.push(event(line, "a", "u", 0));
        }
        assert_eq!(queue.take().unwrap().events.len(), GROUP_EVENTS_MAX);
    }

    #[test]
    fn the_window_is_bounded() {
        let mut queue = Queue::default();
        for line in 0..WAITING_EVENTS_MAX as u64 {
            assert!(!queue.is_full());
            queue.push(event(line, "a", "u", 1));
        }
        assert!(queue.is_full());
    }
}
