use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use partita_model::{Append, Appended, Phase, StreamId, TenantId};

use super::decide::{Decision, State};
use super::doubt::{Doubt, Witness};
use super::rows::{NewRow, StreamRow, TenantRow};
use crate::StoreError;

/// What became of one append of a batch that was committed.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Recorded, recorded before, or refused.
    Answer(Result<Vec<Appended>, StoreError>),
    /// Must be asked again in a later batch.
    Defer,
    /// Its tenant has no partitions yet.
    UnknownTenant,
}

/// What is to be written for a batch, and what its callers are told once it is.
pub(super) struct Batch<'a> {
    pub(super) rows: Vec<NewRow<'a>>,
    pub(super) streams: Vec<StreamRow<'a>>,
    pub(super) verdicts: Vec<Verdict>,
    phase: Phase,
    /// Where each stream stands in `streams`.
    places: HashMap<(&'a TenantId, &'a StreamId), usize>,
}

impl<'a> Batch<'a> {
    /// Decides the appends in their order; each moves the state on for those after it.
    pub(super) fn decide(state: &mut State, phase: Phase, appends: &[&'a Append]) -> Self {
        let (rows, streams, verdicts, places) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
        let mut batch = Self { rows, streams, verdicts, phase, places };
        let mut waiting: HashSet<&TenantId> = HashSet::new();
        for append in appends {
            // Behind an append that waits, nobody knows yet where the streams of its tenant will stand, nor what of it
            // will be recorded.
            if waiting.contains(append.tenant()) {
                let times = state.check_times(append);
                batch.verdicts.push(
                    times.map_or_else(|refused| Verdict::Answer(Err(refused)), |()| Verdict::UnknownTenant),
                );
                continue;
            }
            // A refused append must not make partitions: an unknown tenant's is decided before they are made.
            let known = !phase.writes_partitioned() || state.tenants.contains_key(append.tenant());
            let verdict = match state.decide(append) {
                Decision::Record { .. } if !known => {
                    waiting.insert(append.tenant());
                    Verdict::UnknownTenant
                }
                Decision::Record { rows, streams } => {
                    let answer = answer(append, &rows);
                    batch.rows.extend(rows);
                    batch.merge(streams);
                    Verdict::Answer(Ok(answer))
                }
                Decision::Replay(replay) => Verdict::Answer(Ok(replay)),
                Decision::Defer => Verdict::Defer,
                Decision::Refuse(refused) => Verdict::Answer(Err(refused)),
            };
            batch.verdicts.push(verdict);
        }
        batch
    }

    /// One row a stream: a statement cannot update the same one twice.
    fn merge(&mut self, streams: Vec<StreamRow<'a>>) {
        for row in streams {
            match self.places.entry((row.tenant, row.stream)) {
                Entry::Occupied(place) => self.streams[*place.get()].extend(row),
                Entry::Vacant(place) => {
                    place.insert(self.streams.len());
                    self.streams.push(row);
                }
            }
        }
    }

    /// The tenants written to, in the order in which everybody locks them.
    pub(super) fn tenants(&self, state: &State) -> Vec<TenantRow<'a>> {
        let mut tenants: BTreeMap<&'a TenantId, TenantRow<'a>> = BTreeMap::new();
        for row in &self.rows {
            let Some(found) = state.tenants.get(row.tenant) else { continue };
            let tenant = tenants.entry(row.tenant).or_insert(TenantRow {
                tenant: row.tenant,
                base_position: found.base_position,
                last_position: found.last_position,
                first_timestamp: row.event_timestamp,
            });
            tenant.first_timestamp = tenant.first_timestamp.min(row.event_timestamp);
        }
        tenants.into_values().collect()
    }

    /// What is to be looked for, should its commit not be answered.
    pub(super) fn doubt(self) -> Doubt {
        let witness = self.rows.first().map(|row| Witness {
            tenant: row.tenant.clone(),
            event_id: row.event_id,
            event_timestamp: row.event_timestamp,
            phase: self.phase,
        });
        Doubt { witness, verdicts: self.verdicts }
    }
}

/// One answer a stream of the append, from its rows, which stand in the same order.
fn answer(append: &Append, rows: &[NewRow<'_>]) -> Vec<Appended> {
    let mut rows = rows.iter();
    let mut take = |count| rows.by_ref().take(count).map(NewRow::appended).collect();
    append
        .streams()
        .iter()
        .map(|stream| Appended { events: take(stream.events.len()), replayed: false })
        .collect()
}
