//! Whether each append is there as it should be, and nothing else is.

use partita_model::JsonDocument;

use super::ledger::{Effort, Ledger, key_of};
use crate::contents::Row;
use crate::history::{AppendAnswer, AppendDeed, Part, SentEvent};
use crate::violation::{Kind, Violation};

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    for effort in &ledger.efforts {
        check_effort(ledger, effort, found);
    }
    check_unsent(ledger, found);
    check_repeated(ledger, found);
}

fn check_effort(ledger: &Ledger<'_>, effort: &Effort<'_>, found: &mut Vec<Violation>) {
    let Some(append) = effort.append() else { return };
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for (index, (part, event)) in append.events().enumerate() {
        match ledger.by_mark.get(&event.mark).and_then(|rows| rows.first()) {
            Some(row) => {
                there.push(*row);
                check_content(append, part, event, row, found);
            }
            None if was_altered(ledger, event) => {
                there.extend(event.event_id.and_then(|id| ledger.by_id.get(&id)));
                let changed = Violation::new(Kind::ChangedEvent, format!("{} has other data", event.mark));
                found.push(changed.of(&key_of(append, part)));
            }
            None => {
                let told = effort.told(index).map(|place| place.event_timestamp);
                if !ledger.may_be_gone(&append.tenant, event.event_timestamp.or(told)) {
                    missing.push((part, event, effort.told(index)));
                }
            }
        }
    }
    check_presence(effort, append, &there, &missing, found);
    check_writer(ledger, append, &there, found);
}

/// An event whose data lost its mark: its id is there, under no other event's mark.
fn was_altered(ledger: &Ledger<'_>, event: &SentEvent) -> bool {
    let row = event.event_id.and_then(|id| ledger.by_id.get(&id));
    row.is_some_and(|row| {
        super::ledger::mark_of(&row.data).is_none_or(|mark| !ledger.sent.contains_key(mark.as_str()))
    })
}

type Missing<'a> = (&'a Part, &'a SentEvent, Option<&'a crate::history::Place>);

fn check_presence(
    effort: &Effort<'_>,
    append: &AppendDeed,
    there: &[&Row],
    missing: &[Missing<'_>],
    found: &mut Vec<Violation>,
) {
    let acknowledged = effort.acknowledged().next().is_some();
    for (part, event, told) in missing.iter().filter(|_| acknowledged) {
        let lost =
            Violation::new(Kind::LostEvent, format!("{} was acknowledged and is not there", event.mark));
        let lost = lost.of(&key_of(append, part));
        found.push(match told {
            Some(place) => lost.event(place.event_id),
            None => lost,
        });
    }
    if let (Some(row), Some((_, absent, _))) = (there.first(), missing.first())
        && !acknowledged
    {
        let message =
            format!("of append {}, {} is there and {} is not", append.request_id, row.event_id, absent.mark);
        found.push(Violation::new(Kind::TornAppend, message).of(&row.key).event(row.event_id));
    }
    if let Some(row) = there.first()
        && !effort.may_be_recorded()
    {
        let message = format!("append {} was refused and is there", append.request_id);
        found.push(Violation::new(Kind::RefusedYetRecorded, message).of(&row.key).event(row.event_id));
    }
}

/// Which attempt wrote the rows: one that was not refused, and the same for all of them.
fn check_writer(ledger: &Ledger<'_>, append: &AppendDeed, there: &[&Row], found: &mut Vec<Violation>) {
    for row in there {
        let Some(request_id) = &row.request_id else { continue };
        let writer = ledger.attempts.get(request_id.as_str());
        let refused = writer.is_some_and(|(_, writer)| matches!(writer.answer, AppendAnswer::Refused(_)));
        // Where no attempt could have recorded it, that is said already.
        if refused && writer.is_some_and(|(_, writer)| writer.request_id != append.request_id) {
            let message = format!("attempt {request_id} was refused and wrote {}", row.event_id);
            found.push(Violation::new(Kind::RefusedYetRecorded, message).of(&row.key).event(row.event_id));
        }
        if writer.is_none() {
            let message = format!("{} was written by {request_id}, which nobody sent", row.event_id);
            found.push(Violation::new(Kind::ChangedEvent, message).of(&row.key).event(row.event_id));
        }
        if there.first().is_some_and(|first| first.request_id != row.request_id) {
            let message =
                format!("{} was written by another attempt than the append's first event", row.event_id);
            found.push(Violation::new(Kind::TornAppend, message).of(&row.key).event(row.event_id));
        }
    }
}

fn check_content(append: &AppendDeed, part: &Part, event: &SentEvent, row: &Row, found: &mut Vec<Violation>) {
    if row.key.tenant != append.tenant {
        let message =
            format!("{} of tenant {} is stored as tenant {}'s", event.mark, append.tenant, row.key.tenant);
        found.push(Violation::new(Kind::TenantLeak, message).of(&row.key).event(row.event_id));
        return;
    }
    let metadata = match (&event.metadata, &row.metadata) {
        (Some(sent), Some(stored)) => same_document(sent, stored),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let differs = [
        ("id", event.event_id.is_none_or(|event_id| event_id == row.event_id)),
        ("stream", row.key.stream == part.stream),
        ("type", row.event_type == event.event_type),
        ("data", same_document(&event.data, &row.data)),
        ("metadata", metadata),
        ("time", event.event_timestamp.is_none_or(|at| at == row.event_timestamp)),
    ];
    for (what, _) in differs.iter().filter(|(_, same)| !same) {
        let message = format!("{} is stored with another {what}", event.mark);
        found.push(Violation::new(Kind::ChangedEvent, message).of(&row.key).event(row.event_id));
    }
}

/// Whether two texts are the same document, down to the digits of its numbers.
fn same_document(sent: &str, stored: &str) -> bool {
    match (JsonDocument::parse(sent), JsonDocument::parse(stored)) {
        (Ok(sent), Ok(stored)) => sent == stored,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

fn check_unsent(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    let ids: std::collections::HashSet<_> =
        ledger.sent.values().filter_map(|sent| sent.event.event_id).collect();
    for (mark, rows) in ledger.by_mark.iter().filter(|(mark, _)| !ledger.sent.contains_key(mark.as_str())) {
        // One that has the id of a sent event is an altered one.
        for row in rows.iter().filter(|row| !ids.contains(&row.event_id)) {
            let message = format!("{} (mark `{mark}`) was sent by nobody", row.event_id);
            found.push(Violation::new(Kind::UnsentEvent, message).of(&row.key).event(row.event_id));
        }
    }
}

fn check_repeated(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    for (mark, rows) in ledger.by_mark.iter().filter(|(mark, _)| ledger.sent.contains_key(mark.as_str())) {
        if let [first, second, ..] = &rows[..] {
            let message = format!("{mark} is there as {} and as {}", first.event_id, second.event_id);
            found.push(Violation::new(Kind::RecordedTwice, message).of(&second.key).event(second.event_id));
        }
    }
}
