use std::collections::{HashMap, HashSet};
use std::time::Duration;

use partita_model::{Append, StreamId, TenantId, Timestamp};
use tokio::time::Instant;

use super::decide::{Head, State, TenantState, horizon};

/// Most streams that a lane remembers: about 50 MB. Past it, everything is forgotten and learnt anew.
const HEADS_MAX: usize = 200_000;
/// How long a tenant is left out of the cache after another process was seen to append to it: with two writers, what is
/// remembered is mostly wrong, and trying it costs more than looking.
const SHARED_PAUSE: Duration = Duration::from_secs(1);

/// Where a lane left its tenants and streams: what a batch needs to be decided without a look at the database.
///
/// It may be out of date at any time. The statement that records a batch compares the tenants' last positions, which
/// every append moves, and writes nothing where they differ; so nothing here is ever the reason for an answer other than
/// "recorded".
#[derive(Default)]
pub(super) struct Cache {
    tenants: HashMap<TenantId, CachedTenant>,
    heads: usize,
    clock: Option<(Timestamp, Instant)>,
}

struct CachedTenant {
    last_position: i64,
    floor: Option<Timestamp>,
    heads: HashMap<StreamId, Head>,
    distrusted_until: Option<Instant>,
}

impl Cache {
    /// All that the batch is decided by, unless something of it is not remembered.
    pub(super) fn state(&self, appends: &[&Append], months_ahead: u32, at: Instant) -> Option<State> {
        let now = self.database_clock(at)?;
        let mut state = State {
            now,
            horizon: horizon(now, months_ahead),
            tenants: HashMap::new(),
            heads: HashMap::new(),
            recorded: HashMap::new(),
            drawn: HashSet::new(),
        };
        for append in appends {
            let tenant = append.tenant();
            let cached = self.tenants.get(tenant)?;
            if cached.distrusted_until.is_some_and(|until| at < until) {
                return None;
            }
            for stream in append.streams() {
                let head = cached.heads.get(&stream.stream)?;
                state.heads.insert((tenant.clone(), stream.stream.clone()), head.clone());
            }
            state
                .tenants
                .entry(tenant.clone())
                .or_insert_with(|| TenantState::new(cached.last_position, cached.floor));
        }
        Some(state)
    }

    /// Remembers where a committed batch left its tenants and streams.
    pub(super) fn learn(&mut self, state: State) {
        if self.heads > HEADS_MAX {
            *self = Self { clock: self.clock, ..Self::default() };
        }
        for (tenant, found) in &state.tenants {
            let cached = self.tenants.entry(tenant.clone()).or_insert_with(|| CachedTenant {
                last_position: found.base_position,
                floor: found.floor,
                heads: HashMap::new(),
                distrusted_until: None,
            });
            if cached.last_position != found.base_position {
                // Somebody else appended in between, to whichever streams.
                self.heads -= cached.heads.len();
                cached.heads.clear();
            }
            cached.last_position = found.last_position;
            cached.floor = found.floor;
        }
        for ((tenant, stream), head) in state.heads {
            if let Some(cached) = self.tenants.get_mut(&tenant)
                && cached.heads.insert(stream, head).is_none()
            {
                self.heads += 1;
            }
        }
    }

    /// Notes what the database's clock said.
    pub(super) fn learn_clock(&mut self, now: Timestamp) {
        self.clock = Some((now, Instant::now()));
    }

    /// Forgets the tenants of a batch that did not go as it was believed, for a while.
    pub(super) fn distrust(&mut self, appends: &[&Append], at: Instant) {
        for append in appends {
            if let Some(cached) = self.tenants.get_mut(append.tenant()) {
                self.heads -= cached.heads.len();
                cached.heads.clear();
                cached.distrusted_until = Some(at + SHARED_PAUSE);
            }
        }
    }

    /// The database's clock, by its last word and the time that has passed since: this machine's own clock may be wrong,
    /// the time it measures is not.
    fn database_clock(&self, at: Instant) -> Option<Timestamp> {
        let (then, learnt_at) = self.clock?;
        Some(Timestamp::from_datetime(then.to_datetime() + at.saturating_duration_since(learnt_at)))
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{AppendDraft, ContextDraft, EventDraft, ExpectedVersion, StreamDraft, Version};

    use super::*;

    fn append(tenant: &str, aggregate_id: &str) -> Append {
        let event =
            EventDraft { event_type: "placed".to_owned(), data: "{}".to_owned(), ..EventDraft::default() };
        let stream = StreamDraft {
            aggregate_type: "order".to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            expected: Some(ExpectedVersion::Any),
            events: vec![event],
        };
        let context = ContextDraft { user_id: "ann".to_owned(), ..ContextDraft::default() };
        let draft = AppendDraft { tenant_id: tenant.to_owned(), streams: vec![stream], context };
        Append::parse(draft).unwrap()
    }

    fn found(append: &Append, base_position: i64, version: i32) -> State {
        let now = Timestamp::from_unix(1_700_000_000, 0).unwrap();
        let mut tenant = TenantState::new(base_position, None);
        tenant.last_position += 1;
        let head = Head { version: Version::new(version), hash: Some("p1:x".to_owned()) };
        State {
            now,
            horizon: horizon(now, 2),
            tenants: HashMap::from([(append.tenant().clone(), tenant)]),
            heads: HashMap::from([((append.tenant().clone(), append.streams()[0].stream.clone()), head)]),
            recorded: HashMap::new(),
            drawn: HashSet::new(),
        }
    }

    fn cache(state: State) -> Cache {
        let mut cache = Cache::default();
        cache.learn_clock(state.now);
        cache.learn(state);
        cache
    }

    #[test]
    fn a_batch_is_decided_from_memory_only_when_all_of_it_is_remembered() {
        let (known, other) = (append("acme", "1"), append("acme", "2"));
        let cache = cache(found(&known, 4, 7));
        let at = Instant::now();
        let state = cache.state(&[&known], 2, at).unwrap();
        assert_eq!(state.tenants[known.tenant()].base_position, 5);
        assert!(cache.state(&[&known, &other], 2, at).is_none());
        assert!(cache.state(&[&append("globex", "1")], 2, at).is_none());
        assert!(Cache::default().state(&[&known], 2, at).is_none());
    }

    #[test]
    fn streams_are_forgotten_when_somebody_else_moved_their_tenant() {
        let (first, second) = (append("acme", "1"), append("acme", "2"));
        let mut cache = cache(found(&first, 4, 7));
        cache.learn(found(&second, 5, 1));
        assert!(cache.state(&[&first, &second], 2, Instant::now()).is_some());
        cache.learn(found(&second, 9, 2));
        assert!(cache.state(&[&first], 2, Instant::now()).is_none());
        assert!(cache.state(&[&second], 2, Instant::now()).is_some());
    }

    #[test]
    fn a_tenant_that_did_not_go_as_believed_is_looked_at_for_a_while() {
        let known = append("acme", "1");
        let mut cache = cache(found(&known, 4, 7));
        let at = Instant::now();
        cache.distrust(&[&known], at);
        cache.learn(found(&known, 5, 8));
        assert!(cache.state(&[&known], 2, at).is_none());
        assert!(cache.state(&[&known], 2, at + SHARED_PAUSE).is_some());
    }
}
