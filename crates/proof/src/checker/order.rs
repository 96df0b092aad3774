//! What was known to whom when: whatever ended before a call began is known to it.

use std::collections::{HashMap, HashSet};

use partita_model::{TenantId, Timestamp, Uuid, Version};

use super::Tables;
use super::ledger::{Ledger, key_of};
use crate::history::{AppendAnswer, AppendDeed, Call, Deed, LookupDeed, Place, ReadDeed, ReadEnd, StreamKey};
use crate::violation::{Kind, Violation};

/// What the calls that have ended showed to everybody.
#[derive(Default)]
struct Known {
    versions: HashMap<StreamKey, Version>,
    positions: HashMap<TenantId, i64>,
    recorded: HashSet<(TenantId, Uuid)>,
    floors: HashMap<TenantId, Timestamp>,
}

/// Walks through the calls as they began, and lets each know what had ended by then.
pub(super) fn check(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    let mut by_begin: Vec<&Call> = ledger.calls.iter().collect();
    by_begin.sort_by_key(|call| call.begun);
    let mut by_end = by_begin.clone();
    by_end.sort_by_key(|call| call.ended);
    let mut ended = by_end.into_iter().peekable();
    let mut known = Known::default();
    for call in by_begin {
        while let Some(before) = ended.next_if(|before| before.ended < call.begun) {
            known.learn(before);
        }
        match &call.deed {
            Deed::Append(append) => known.check_append(ledger, call, append, found),
            Deed::Read(read) => {
                known.check_read(read, found);
                // A process without the flag knows of no floor.
                if !matches!(ledger.tables, Tables::Legacy | Tables::Dual) {
                    known.check_floor(read, found);
                }
            }
            Deed::Lookup(lookup) => known.check_lookup(ledger, lookup, found),
            Deed::Floor(_) => {}
        }
    }
}

impl Known {
    fn learn(&mut self, call: &Call) {
        match &call.deed {
            Deed::Append(append) => {
                if let AppendAnswer::Recorded { events, .. } = &append.answer {
                    self.learn_places(append, events);
                }
            }
            Deed::Read(read) => {
                let seen = match read.end {
                    ReadEnd::Whole { version, .. } => version,
                    ReadEnd::Cut(_) | ReadEnd::NotFound => {
                        read.events.iter().map(|event| event.version).max().unwrap_or(Version::NONE)
                    }
                };
                raise(&mut self.versions, read.key.clone(), seen);
                if let Some(position) = read.events.iter().filter_map(|event| event.position).max() {
                    raise(&mut self.positions, read.key.tenant.clone(), position);
                }
            }
            Deed::Lookup(lookup) => {
                let recorded = lookup.found.iter().flatten().filter(|(_, version)| version.is_some());
                self.recorded.extend(recorded.map(|(event_id, _)| (lookup.tenant.clone(), *event_id)));
            }
            Deed::Floor(found) => raise(&mut self.floors, found.tenant.clone(), found.floor),
        }
    }

    fn learn_places(&mut self, append: &AppendDeed, places: &[Place]) {
        for ((part, _), place) in append.events().zip(places) {
            raise(&mut self.versions, key_of(append, part), place.version);
            if let Some(position) = place.position {
                raise(&mut self.positions, append.tenant.clone(), position);
            }
            self.recorded.insert((append.tenant.clone(), place.event_id));
        }
    }

    fn check_append(
        &self,
        ledger: &Ledger<'_>,
        call: &Call,
        append: &AppendDeed,
        found: &mut Vec<Violation>,
    ) {
        match &append.answer {
            AppendAnswer::Recorded { events, replayed: false } => self.check_places(append, events, found),
            AppendAnswer::Refused(refused) => {
                let Some((stream, actual)) = &refused.conflict else { return };
                for part in append.parts.iter().filter(|part| part.stream.to_string() == *stream) {
                    self.check_conflict(ledger, call, &key_of(append, part), *actual, found);
                }
            }
            AppendAnswer::Recorded { replayed: true, .. } | AppendAnswer::Unknown(_) => {}
        }
    }

    /// What is recorded now comes after all that was known before.
    fn check_places(&self, append: &AppendDeed, places: &[Place], found: &mut Vec<Violation>) {
        for ((part, event), place) in append.events().zip(places) {
            let key = key_of(append, part);
            let late = |message| Violation::new(Kind::CommitOrder, message).of(&key).event(place.event_id);
            let known = self.versions.get(&key).copied().unwrap_or(Version::NONE);
            if place.version <= known {
                let message = format!(
                    "{} got version {}, and {key} was known to be at {known} before it was sent",
                    event.mark, place.version
                );
                found.push(late(message));
            }
            let known = self.positions.get(&append.tenant).copied().unwrap_or_default();
            if let Some(position) = place.position.filter(|position| *position <= known) {
                let message = format!(
                    "{} got position {position}, and position {known} was known before it was sent",
                    event.mark
                );
                found.push(late(message));
            }
        }
    }

    /// A conflict names a version that the stream had while the call ran.
    fn check_conflict(
        &self,
        ledger: &Ledger<'_>,
        call: &Call,
        key: &StreamKey,
        actual: Version,
        found: &mut Vec<Violation>,
    ) {
        let known = self.versions.get(key).copied().unwrap_or(Version::NONE);
        if actual < known {
            let message = format!("{key} is at {actual}, and was known to be at {known} before");
            found.push(Violation::new(Kind::FalseConflict, message).of(key));
        }
        let writer = ledger
            .by_stream
            .get(key)
            .and_then(|rows| rows.iter().find(|row| row.version == actual))
            .and_then(|row| ledger.attempts.get(row.request_id.as_deref()?));
        if writer.is_some_and(|(writer, _)| writer.begun > call.ended) {
            let message = format!("{key} is at {actual}, which was not sent yet");
            found.push(Violation::new(Kind::FalseConflict, message).of(key));
        }
    }

    fn check_read(&self, read: &ReadDeed, found: &mut Vec<Violation>) {
        let known = self.versions.get(&read.key).copied().unwrap_or(Version::NONE);
        let seen = match &read.end {
            ReadEnd::Whole { version, .. } => *version,
            ReadEnd::NotFound => Version::NONE,
            ReadEnd::Cut(_) => return,
        };
        if seen < known {
            let message =
                format!("{} was read as at {seen}, and was known to be at {known} before", read.key);
            found.push(Violation::new(Kind::StaleRead, message).of(&read.key));
        }
    }

    /// What was known to be gone does not come back.
    fn check_floor(&self, read: &ReadDeed, found: &mut Vec<Violation>) {
        let Some(floor) = self.floors.get(&read.key.tenant) else { return };
        if let Some(event) = read.events.iter().find(|event| event.event_timestamp < *floor) {
            let message = format!(
                "{} was read version {} of {}, and everything before {floor} was known to be gone",
                read.key, event.version, event.event_timestamp
            );
            found.push(Violation::new(Kind::ExpiredRead, message).of(&read.key).event(event.event_id));
        }
    }

    /// What was known is found; but for what may be of long ago once ids of long ago are forgotten.
    fn check_lookup(&self, ledger: &Ledger<'_>, lookup: &LookupDeed, found: &mut Vec<Violation>) {
        let forgotten = |event_id| ledger.forgets_ids() && ledger.timed.contains(event_id);
        for (event_id, version) in lookup.found.iter().flatten() {
            let known = self.recorded.contains(&(lookup.tenant.clone(), *event_id));
            if version.is_none() && known && !forgotten(event_id) {
                let message = format!("{event_id} was looked up as not recorded, and was known to be before");
                found.push(Violation::new(Kind::StaleRead, message).event(*event_id));
            }
        }
    }
}

fn raise<K: std::hash::Hash + Eq, V: Ord>(known: &mut HashMap<K, V>, key: K, value: V) {
    match known.get_mut(&key) {
        Some(held) if *held >= value => {}
        Some(held) => *held = value,
        None => {
            known.insert(key, value);
        }
    }
}
