//! Whether the callers of appends were told the truth.

use partita_model::Version;

use super::Tables;
use super::ledger::{Effort, Ledger, key_of};
use crate::contents::Row;
use crate::history::{AppendAnswer, AppendDeed, Call, Deed, Place, ReadEnd, Refused};
use crate::violation::{Kind, Violation};

/// The reason of a defect.
const INTERNAL: &str = "INTERNAL";

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    for effort in &ledger.efforts {
        for (call, append, places, replayed) in effort.acknowledged() {
            check_places(ledger, append, places, found);
            check_replay(ledger, call, append, replayed, found);
            if !replayed {
                check_expectation(append, places, found);
            }
        }
        for (_, append) in &effort.attempts {
            if let AppendAnswer::Refused(refused) = &append.answer {
                check_refusal(ledger, effort, append, refused, found);
            }
        }
    }
    for call in ledger.calls {
        check_defect(call, found);
    }
}

/// What was said of each event is what is stored.
fn check_places(ledger: &Ledger<'_>, append: &AppendDeed, places: &[Place], found: &mut Vec<Violation>) {
    let events = append.events().count();
    if places.len() != events {
        let message =
            format!("append {} of {events} events was told {} places", append.request_id, places.len());
        found.push(Violation::new(Kind::WrongAnswer, message));
        return;
    }
    for ((part, event), place) in append.events().zip(places) {
        let key = key_of(append, part);
        let wrong = |what: String| {
            let message = format!("{} was told {what}", event.mark);
            Violation::new(Kind::WrongAnswer, message).of(&key).event(place.event_id)
        };
        if event.event_id.is_some_and(|sent| sent != place.event_id) {
            found.push(wrong(format!("id {}", place.event_id)));
        }
        if let Some(row) = row_of(ledger, &event.mark) {
            if row.version != place.version {
                found.push(wrong(format!("version {}, and has version {}", place.version, row.version)));
            }
            if row.event_id != place.event_id {
                found.push(wrong(format!("id {}, and has id {}", place.event_id, row.event_id)));
            }
            if row.event_timestamp != place.event_timestamp {
                let (told, stored) = (place.event_timestamp, row.event_timestamp);
                found.push(wrong(format!("time {told}, and has {stored}")));
            }
        }
        if let Some(position) = place.position.filter(|_| ledger.tables != Tables::Legacy) {
            match ledger.partitioned.get(&place.event_id) {
                Some(row) if row.position == Some(position) => {}
                Some(row) => {
                    let stored = row.position.unwrap_or_default();
                    found.push(wrong(format!("position {position}, and has {stored}")));
                }
                None if ledger.contents.is_expired(&append.tenant, place.event_timestamp) => {}
                None => {
                    let message = format!(
                        "{} was acknowledged at position {position}, and is not in the partitioned table",
                        event.mark
                    );
                    found.push(Violation::new(Kind::LostEvent, message).of(&key).event(place.event_id));
                }
            }
        }
    }
    check_neighbours(ledger, append, places, found);
}

/// Versions of a part follow one another, and so do the positions of all of it. A repetition is not told the positions
/// of what has expired since; and what was recorded in legacy alone may be copied meanwhile, row by row, and gets
/// positions before the live ones.
fn check_neighbours(ledger: &Ledger<'_>, append: &AppendDeed, places: &[Place], found: &mut Vec<Violation>) {
    let expired = |place: &Place| ledger.contents.is_expired(&append.tenant, place.event_timestamp);
    let told: Vec<_> = append.events().map(|(part, _)| &part.stream).zip(places).collect();
    for pair in told.windows(2) {
        let [(first_stream, first), (second_stream, second)] = pair else { continue };
        let versions = first_stream != second_stream || first.version.checked_add(1) == Some(second.version);
        let positions = match (first.position, second.position) {
            // Copied by a backfill, or not yet: perhaps not all at once, and by runs that give lower places each.
            (first, second) if is_of_history(first) && is_of_history(second) => true,
            (Some(first), Some(second)) => first + 1 == second,
            (None, None) => true,
            (Some(position), None) => position <= 0 || expired(second),
            (None, Some(position)) => position <= 0 || expired(first),
        };
        if !versions || !positions {
            let message =
                format!("append {} was told places that do not follow one another", append.request_id);
            found.push(Violation::new(Kind::WrongAnswer, message).event(second.event_id));
        }
    }
}

/// Not of the live feed: copied, or not copied yet.
fn is_of_history(position: Option<i64>) -> bool {
    position.is_none_or(|position| position <= 0)
}

/// `replayed` says whether this attempt wrote the events or an earlier one.
fn check_replay(
    ledger: &Ledger<'_>,
    call: &Call,
    append: &AppendDeed,
    replayed: bool,
    found: &mut Vec<Violation>,
) {
    let row = append.events().find_map(|(_, event)| row_of(ledger, &event.mark));
    let Some((row, writer)) = row.and_then(|row| Some((row, row.request_id.as_deref()?))) else { return };
    let says = match (writer == append.request_id, replayed) {
        (true, true) => "an earlier attempt had recorded it, and wrote it itself",
        (false, false) => "it recorded the events, and another attempt did",
        (true, false) => return,
        (false, true) => {
            let began = ledger.attempts.get(writer).map(|(writer, _)| writer.begun);
            if began.is_none_or(|began| began < call.ended) {
                return;
            }
            "an earlier attempt had recorded it, and a later one did"
        }
    };
    let message = format!("attempt {} was told that {says}", append.request_id);
    found.push(Violation::new(Kind::WrongAnswer, message).of(&row.key).event(row.event_id));
}

/// Each stream stood where the append expected it.
fn check_expectation(append: &AppendDeed, places: &[Place], found: &mut Vec<Violation>) {
    let mut places = places.iter();
    for part in &*append.parts {
        let first = places.next();
        places.by_ref().take(part.events.len().saturating_sub(1)).for_each(drop);
        let Some(first) = first else { continue };
        if !part.expected.accepts(Version::new(first.version.get() - 1)) {
            let message = format!(
                "append {} expected {} and was recorded from version {}",
                append.request_id, part.expected, first.version
            );
            found.push(
                Violation::new(Kind::WrongAnswer, message).of(&key_of(append, part)).event(first.event_id),
            );
        }
    }
}

fn check_refusal(
    ledger: &Ledger<'_>,
    effort: &Effort<'_>,
    append: &AppendDeed,
    refused: &Refused,
    found: &mut Vec<Violation>,
) {
    if refused.reason == "EVENT_ID_CONFLICT" {
        let taken = append.events().filter_map(|(_, event)| Some((event, event.event_id?)));
        let by_others = taken.filter_map(|(event, id)| Some((event, *ledger.by_id.get(&id)?)));
        let justified = by_others
            .filter(|(event, row)| super::ledger::mark_of(&row.data).as_deref() != Some(&event.mark))
            .count();
        // Of its own events, those that expired are forgotten, and the others look like somebody else's.
        let is_forgotten = ledger.forgets_ids()
            && append.events().any(|(_, event)| {
                event.event_timestamp.is_some_and(|at| ledger.contents.is_expired(&append.tenant, at))
            });
        // Two appends under the same ids may both be refused while a third one is under way; nobody sends such.
        if justified == 0 && !is_forgotten && effort.may_be_recorded() {
            let message = format!("attempt {} was told that its ids are taken by others", append.request_id);
            found.push(misled(append, message));
        }
    }
    let Some((stream, actual)) = &refused.conflict else { return };
    let Some(part) = append.parts.iter().find(|part| part.stream.to_string() == *stream) else {
        let message = format!("append {} met a conflict about stream {stream}", append.request_id);
        found.push(Violation::new(Kind::FalseConflict, message));
        return;
    };
    let key = key_of(append, part);
    if part.expected.accepts(*actual) {
        let message = format!("{} is at {actual}, which is what was expected: {}", key, part.expected);
        found.push(Violation::new(Kind::FalseConflict, message).of(&key));
    }
    if *actual > ledger.head(&key) {
        let message = format!("{key} is at {actual}, and its last version is {}", ledger.head(&key));
        found.push(Violation::new(Kind::FalseConflict, message).of(&key));
    }
    // Where the stream had reached our own events, they were recorded: the repetition had to be told so.
    let own = part.events.iter().find_map(|event| row_of(ledger, &event.mark));
    if let Some(own) = own.filter(|own| own.version <= *actual) {
        let message = format!(
            "attempt {} was told that {key} is at {actual}, though it had recorded version {} itself",
            append.request_id, own.version
        );
        found.push(misled(append, message).of(&key).event(own.event_id));
    }
}

fn misled(append: &AppendDeed, message: String) -> Violation {
    let violation = Violation::new(Kind::MisledRetry, message);
    match append.events().find_map(|(_, event)| event.event_id) {
        Some(event_id) => violation.event(event_id),
        None => violation,
    }
}

fn check_defect(call: &Call, found: &mut Vec<Violation>) {
    let (defect, key) = match &call.deed {
        Deed::Append(append) => (
            matches!(&append.answer, AppendAnswer::Refused(refused) if refused.reason == INTERNAL),
            append.keys().next(),
        ),
        Deed::Read(read) => {
            (matches!(&read.end, ReadEnd::Cut(why) if why.starts_with(INTERNAL)), Some(read.key.clone()))
        }
        Deed::Lookup(_) | Deed::Floor(_) => (false, None),
    };
    if defect {
        let violation = Violation::new(Kind::Defect, format!("call {call}"));
        found.push(match key {
            Some(key) => violation.of(&key),
            None => violation,
        });
    }
}

fn row_of<'a>(ledger: &Ledger<'a>, mark: &str) -> Option<&'a Row> {
    ledger.by_mark.get(mark).and_then(|rows| rows.first()).copied()
}
