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

    /// Events that wait.
    pub(super) fn depth(&self) -> usize {
        self.lock().load.events
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
mod tests;
