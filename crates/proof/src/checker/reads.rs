//! Whether each read is a prefix of its stream, without a hole, holds to what was asked, and says what is stored.

use partita_model::Version;

use super::ledger::Ledger;
use crate::contents::Row;
use crate::history::{Asked, Deed, LookupDeed, ReadDeed, ReadEnd, ReadEvent, content};
use crate::violation::{Kind, Violation};

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    for read in ledger.calls.iter().filter_map(|call| call.read()) {
        check_owner(ledger, read, found);
        check_asked(read, found);
        check_events(ledger, read, found);
    }
    for call in ledger.calls {
        if let Deed::Lookup(lookup) = &call.deed {
            check_lookup(ledger, lookup, found);
        }
    }
}

/// No event is another tenant's.
fn check_owner(ledger: &Ledger<'_>, read: &ReadDeed, found: &mut Vec<Violation>) {
    for event in &read.events {
        if let Some(sent) = ledger.sent.get(event.mark.as_str())
            && sent.key.tenant != read.key.tenant
        {
            let message =
                format!("{} was read an event of tenant {}: {}", read.key, sent.key.tenant, event.mark);
            found.push(Violation::new(Kind::TenantLeak, message).of(&read.key).event(event.event_id));
        }
    }
}

/// Order, number and bounds are those that were asked for.
fn check_asked(read: &ReadDeed, found: &mut Vec<Violation>) {
    let broken = |message: String| Violation::new(Kind::BrokenRead, message).of(&read.key);
    for pair in read.events.windows(2) {
        let [first, second] = pair else { continue };
        let (before, after) = if read.asked.backwards { (second, first) } else { (first, second) };
        if before.version >= after.version {
            let (first, second) = (first.version, second.version);
            found.push(broken(format!("{} was read out of order: {first}, then {second}", read.key)));
        }
    }
    if let Some(stray) = read.events.iter().find(|event| !read.asked.wants(event)) {
        found.push(broken(format!(
            "{} was read version {}, which was not asked for",
            read.key, stray.version
        )));
    }
    if read.asked.max_count.is_some_and(|most| read.events.len() as u64 > most) {
        found.push(broken(format!(
            "{} was read {} events, more than asked for",
            read.key,
            read.events.len()
        )));
    }
}

impl Asked {
    fn wants(&self, event: &ReadEvent) -> bool {
        self.wants_version(event.version) && self.wants_time(event.event_timestamp)
    }

    fn wants_version(&self, version: Version) -> bool {
        self.from_version.is_none_or(|from| if self.backwards { version <= from } else { version >= from })
    }

    fn wants_time(&self, at: partita_model::Timestamp) -> bool {
        self.from_timestamp.is_none_or(|from| at >= from) && self.to_timestamp.is_none_or(|to| at < to)
    }
}

/// What came is what is stored, up to the version that the read ended at, without a hole.
fn check_events(ledger: &Ledger<'_>, read: &ReadDeed, found: &mut Vec<Violation>) {
    let stored = ledger.by_stream.get(&read.key).map(Vec::as_slice).unwrap_or_default();
    check_phantoms(ledger, read, stored, found);
    let whole = match &read.end {
        ReadEnd::Whole { version, first_version } => {
            check_bounds(ledger, read, stored, *version, *first_version, found);
            Some(*version)
        }
        ReadEnd::Cut(_) => None,
        ReadEnd::NotFound => return,
    };
    // Up to where nothing may be missing: to the end, or to the last event that came.
    let full = read.asked.max_count.is_some_and(|most| read.events.len() as u64 >= most);
    let last = read.events.last().map(|event| event.version);
    let (least, greatest) = match (whole.filter(|_| !full), read.asked.backwards) {
        (Some(head), _) => (Version::new(1), head),
        (None, false) => (Version::new(1), last.unwrap_or(Version::NONE)),
        (None, true) => (last.unwrap_or(Version::new(i32::MAX)), whole.unwrap_or(first(read))),
    };
    let came: std::collections::HashSet<Version> = read.events.iter().map(|event| event.version).collect();
    let hole = stored.iter().find(|row| {
        row.version >= least
            && row.version <= greatest
            && read.asked.wants_version(row.version)
            && read.asked.wants_time(row.event_timestamp)
            && !ledger.contents.is_expired(&read.key.tenant, row.event_timestamp)
            && !came.contains(&row.version)
    });
    if let Some(row) = hole {
        let message = format!("{} was read without version {}", read.key, row.version);
        found.push(Violation::new(Kind::BrokenRead, message).of(&read.key).event(row.event_id));
    }
}

fn first(read: &ReadDeed) -> Version {
    read.events.first().map_or(Version::NONE, |event| event.version)
}

/// Everything that came is stored, or has expired since.
fn check_phantoms(ledger: &Ledger<'_>, read: &ReadDeed, stored: &[&Row], found: &mut Vec<Violation>) {
    for event in &read.events {
        let row = stored.binary_search_by_key(&event.version, |row| row.version).ok().map(|at| stored[at]);
        let real = match row {
            Some(row) => row.event_id == event.event_id && row.event_timestamp == event.event_timestamp,
            None => ledger.may_be_gone(&read.key.tenant, Some(event.event_timestamp)),
        };
        if !real {
            let message = format!("{} was read version {} as {}", read.key, event.version, event.event_id);
            found.push(Violation::new(Kind::PhantomRead, message).of(&read.key).event(event.event_id));
            continue;
        }
        if let Some(row) = row {
            check_content(read, event, row, found);
        }
        check_position(ledger, read, event, found);
    }
}

/// What came says what is stored, to the byte. What is stored is held against what was sent by [`super::appends`].
fn check_content(read: &ReadDeed, event: &ReadEvent, row: &Row, found: &mut Vec<Violation>) {
    if event.content != content(&row.event_type, &row.data, row.metadata.as_deref()) {
        let message = format!("{} was read version {} with other bytes", read.key, event.version);
        found.push(Violation::new(Kind::ChangedEvent, message).of(&read.key).event(event.event_id));
    }
}

/// A position that came is the event's own. One that expired since has left its place.
fn check_position(ledger: &Ledger<'_>, read: &ReadDeed, event: &ReadEvent, found: &mut Vec<Violation>) {
    let Some(position) = event.position else { return };
    let stored = ledger.partitioned.get(&event.event_id).map(|row| row.position);
    let gone = stored.is_none() && ledger.contents.is_expired(&read.key.tenant, event.event_timestamp);
    if stored != Some(Some(position)) && !gone {
        let message = format!("{} was read version {} at position {position}", read.key, event.version);
        found.push(Violation::new(Kind::PhantomRead, message).of(&read.key).event(event.event_id));
    }
}

/// What was found by its id is recorded, of that tenant, at that version.
fn check_lookup(ledger: &Ledger<'_>, lookup: &LookupDeed, found: &mut Vec<Violation>) {
    for (event_id, version) in lookup.found.iter().flatten() {
        let (Some(version), Some(row)) = (version, ledger.by_id.get(event_id)) else { continue };
        if row.key.tenant != lookup.tenant {
            let message = format!("tenant {} found {event_id} of tenant {}", lookup.tenant, row.key.tenant);
            found.push(Violation::new(Kind::TenantLeak, message).of(&row.key).event(*event_id));
        } else if row.version != *version {
            let message =
                format!("{event_id} was looked up as version {version}, and has version {}", row.version);
            found.push(Violation::new(Kind::PhantomRead, message).of(&row.key).event(*event_id));
        }
    }
}

/// The stream stood where the read says.
fn check_bounds(
    ledger: &Ledger<'_>,
    read: &ReadDeed,
    stored: &[&Row],
    version: Version,
    first_version: Version,
    found: &mut Vec<Violation>,
) {
    if version > ledger.head(&read.key) {
        let message = format!("{} was read as at {version}, and is at {}", read.key, ledger.head(&read.key));
        found.push(Violation::new(Kind::PhantomRead, message).of(&read.key));
    }
    let live = stored.iter().find(|row| {
        !ledger.contents.is_expired(&read.key.tenant, row.event_timestamp) && row.version < first_version
    });
    if let Some(row) = live {
        let message =
            format!("{} was read as beginning at {first_version}, and has {}", read.key, row.version);
        found.push(Violation::new(Kind::BrokenRead, message).of(&read.key).event(row.event_id));
    }
}
