use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use partita_model::{Append, TenantId};
use tokio::sync::Notify;

use crate::LaneConfig;

/// What waits in a [`FairQueue`]: it belongs to a tenant and has a size.
pub(super) trait Queued {
    /// The append.
    fn append(&self) -> &Append;
}

/// A lane's waiting appends: bounded, in order for each tenant, and fair between tenants. A batch takes one append
/// of each tenant in turn, so a tenant's flood delays another tenant by at most a batch.
pub(super) struct FairQueue<T> {
    config: LaneConfig,
    waiting: Mutex<Waiting<T>>,
    changed: Notify,
}

struct Waiting<T> {
    tenants: HashMap<TenantId, TenantQueue<T>>,
    /// The tenants that have something waiting, the next one first.
    turns: VecDeque<TenantId>,
    load: Load,
    /// How many times appends were taken that will come back, or be answered elsewhere.
    parked: usize,
    closed: bool,
}

struct TenantQueue<T> {
    appends: VecDeque<T>,
    load: Load,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    events: usize,
    bytes: usize,
}

/// Why an append was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The lane, or the tenant's share of it, is full.
    Overloaded,
    /// The lane is closed.
    Closed,
}

impl<T: Queued> FairQueue<T> {
    pub(super) fn new(config: LaneConfig) -> Self {
        let waiting = Waiting {
            tenants: HashMap::new(),
            turns: VecDeque::new(),
            load: Load::default(),
            parked: 0,
            closed: false,
        };
        Self { config, waiting: Mutex::new(waiting), changed: Notify::new() }
    }

    /// Puts an append behind the others of its tenant. An empty queue takes any append, however large.
    pub(super) fn push(&self, item: T) -> Result<(), Full> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Full::Closed);
        }
        let tenant = waiting.tenants.get(item.append().tenant());
        let tenant_after = tenant.map_or(Load::default(), |queue| queue.load).plus(item.append());
        let after = waiting.load.plus(item.append());
        let over = after.events > self.config.queue_events_max || after.bytes > self.config.queue_bytes_max;
        let tenant_over = tenant.is_some() && tenant_after.events > self.config.tenant_queue_events_max;
        if tenant_over || (over && waiting.load != Load::default()) {
            return Err(Full::Overloaded);
        }
        waiting.insert(item, VecDeque::push_back);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts an append that was taken before back in front; what was accepted once is not refused for its size.
    pub(super) fn put_back(&self, item: T) {
        self.lock().insert(item, VecDeque::push_front);
        self.changed.notify_one();
    }

    /// Notes that appends which were taken may come back, so that a closed queue does not end before they have.
    pub(super) fn park(&self) {
        self.lock().parked += 1;
    }

    /// Ends a [`FairQueue::park`]: these appends, the last one first, go back in front; others were answered.
    pub(super) fn unpark(&self, items: Vec<T>) {
        let mut waiting = self.lock();
        waiting.parked -= 1;
        for item in items {
            waiting.insert(item, VecDeque::push_front);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Waits for appends and takes a batch of them; none when the queue is closed, empty, and has
    /// nothing parked.
    pub(super) async fn take_batch(&self) -> Option<Vec<T>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut waiting = self.lock();
                let batch = waiting.take(&self.config);
                if !batch.is_empty() {
                    return Some(batch);
                }
                if waiting.closed && waiting.parked == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Takes nothing more in; what waits is still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        // Nothing in here panics half way; a poisoned lock still guards a whole queue.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Queued> Waiting<T> {
    fn insert(&mut self, item: T, place: impl FnOnce(&mut VecDeque<T>, T)) {
        let tenant = item.append().tenant().clone();
        self.load = self.load.plus(item.append());
        let queue = self.tenants.entry(tenant.clone()).or_insert_with(|| {
            self.turns.push_back(tenant);
            TenantQueue { appends: VecDeque::new(), load: Load::default() }
        });
        queue.load = queue.load.plus(item.append());
        place(&mut queue.appends, item);
    }

    fn take(&mut self, config: &LaneConfig) -> Vec<T> {
        let mut batch = Vec::new();
        let mut taken = Load::default();
        while let Some(tenant) = self.turns.pop_front() {
            let Some(queue) = self.tenants.get_mut(&tenant) else { continue };
            let Some(next) = queue.appends.front() else {
                self.tenants.remove(&tenant);
                continue;
            };
            let after = taken.plus(next.append());
            let over = after.events > config.batch_events_max || after.bytes > config.batch_bytes_max;
            if over && !batch.is_empty() {
                self.turns.push_front(tenant);
                break;
            }
            taken = after;
            self.load = self.load.minus(next.append());
            queue.load = queue.load.minus(next.append());
            batch.extend(queue.appends.pop_front());
            if queue.appends.is_empty() {
                self.tenants.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
        }
        batch
    }
}

impl Load {
    fn plus(self, append: &Append) -> Self {
        Self { events: self.events + append.events().count(), bytes: self.bytes + append.bytes() }
    }

    fn minus(self, append: &Append) -> Self {
        Self { events: self.events - append.events().count(), bytes: self.bytes - append.bytes() }
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{AppendDraft, ContextDraft, EventDraft, ExpectedVersion, StreamDraft};

    use super::*;

    impl Queued for Append {
        fn append(&self) -> &Append {
            self
        }
    }

    fn append(tenant: &str, event_type: &str) -> Append {
        let event =
            EventDraft { event_type: event_type.to_owned(), data: "{}".to_owned(), ..EventDraft::default() };
        let stream = StreamDraft {
            aggregate_type: "order".to_owned(),
            aggregate_id: "1".to_owned(),
            expected: Some(ExpectedVersion::Any),
            events: vec![event],
        };
        let context = ContextDraft { user_id: "ann".to_owned(), ..ContextDraft::default() };
        Append::parse(AppendDraft { tenant_id: tenant.to_owned(), streams: vec![stream], context }).unwrap()
    }

    fn order(batch: &[Append]) -> Vec<&str> {
        batch.iter().flat_map(Append::events).map(|event| event.event_type.as_str()).collect()
    }

    fn config() -> LaneConfig {
        LaneConfig {
            batch_events_max: 4,
            queue_events_max: 10,
            tenant_queue_events_max: 8,
            ..LaneConfig::default()
        }
    }

    #[tokio::test]
    async fn a_flood_of_one_tenant_delays_another_by_at_most_a_batch() {
        let queue = FairQueue::new(config());
        for index in 0..7 {
            queue.push(append("flood", &format!("f{index}"))).unwrap();
        }
        queue.push(append("calm", "c0")).unwrap();
        assert_eq!(order(&queue.take_batch().await.unwrap()), ["f0", "c0", "f1", "f2"]);
        assert_eq!(order(&queue.take_batch().await.unwrap()), ["f3", "f4", "f5", "f6"]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_tenant_cannot_fill_it_alone() {
        let queue = FairQueue::new(config());
        for index in 0..8 {
            queue.push(append("flood", &format!("f{index}"))).unwrap();
        }
        assert_eq!(queue.push(append("flood", "f8")), Err(Full::Overloaded));
        queue.push(append("calm", "c0")).unwrap();
        queue.push(append("calm", "c1")).unwrap();
        assert_eq!(queue.push(append("calm", "c2")), Err(Full::Overloaded));
    }

    #[tokio::test]
    async fn what_was_put_back_comes_first_and_is_never_refused() {
        let queue = FairQueue::new(config());
        queue.push(append("t", "a")).unwrap();
        let taken = queue.take_batch().await.unwrap().remove(0);
        queue.push(append("t", "b")).unwrap();
        queue.put_back(taken);
        assert_eq!(order(&queue.take_batch().await.unwrap()), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_closed_queue_hands_out_what_waits_and_waits_for_what_is_parked() {
        let queue = FairQueue::new(config());
        queue.push(append("t", "a")).unwrap();
        queue.park();
        queue.close();
        assert_eq!(queue.push(append("t", "late")), Err(Full::Closed));
        assert_eq!(order(&queue.take_batch().await.unwrap()), ["a"]);
        queue.unpark(vec![append("t", "parked-2"), append("t", "parked-1")]);
        assert_eq!(order(&queue.take_batch().await.unwrap()), ["parked-1", "parked-2"]);
        assert!(queue.take_batch().await.is_none());
    }
}
