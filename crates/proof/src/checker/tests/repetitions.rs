//! What callers were told when they sent an append again.

use std::sync::Arc;

use partita_model::{ExpectedVersion, Version};

use super::story::{Story, at, id, part, place, recorded, refused, replayed, row, tenant, unknown};
use crate::checker::Tables;
use crate::contents::TenantState;
use crate::history::{AppendAnswer, Deed, Part, Place};
use crate::violation::Kind;

#[test]
fn a_repetition_is_replayed_and_says_so() {
    let mut story = Story::of_two();
    let again = || part("1", ExpectedVersion::Exact(Version::new(1)), &["b"]);
    story.append("r3", again(), replayed(&[place("b", 2, 2)]));
    assert_eq!(story.found(), []);
    story.append("r4", again(), recorded(&[place("b", 2, 2)]));
    assert!(story.found().contains(&Kind::WrongAnswer));
}

#[test]
fn a_repetition_of_a_recorded_append_that_meets_a_conflict_was_misled() {
    let mut story = Story::new();
    let append = || part("1", ExpectedVersion::NoStream, &["a"]);
    story.append("r1", append(), unknown());
    story.append("r2", append(), refused("VERSION_CONFLICT", Some(("order/1", 1))));
    story.stored(row("1", "a", 1, Some(1), "r1"));
    assert_eq!(story.found(), [Kind::MisledRetry]);
}

#[test]
fn a_repetition_may_meet_a_conflict_before_its_first_attempt_is_recorded() {
    let mut story = Story::new();
    let append = || part("1", ExpectedVersion::StreamExists, &["b"]);
    story.append("r1", append(), unknown());
    story.append("r2", append(), refused("VERSION_CONFLICT", Some(("order/1", 0))));
    story.append("r3", part("1", ExpectedVersion::Any, &["a"]), recorded(&[place("a", 1, 1)]));
    story.stored(row("1", "a", 1, Some(1), "r3"));
    story.stored(row("1", "b", 2, Some(2), "r1"));
    assert_eq!(story.found(), []);
}

#[test]
fn a_repetition_is_told_the_positions_that_a_backfill_gave() {
    let both = part("1", ExpectedVersion::NoStream, &["a", "b"]);
    let told = |a: i64, b: i64| recorded_again("r1", &both, a, b);
    assert_eq!(told(-7, -3), []);
    assert_eq!(told(-3, -7), []);
    assert!(told(-3, 7).contains(&Kind::WrongAnswer));
}

/// Two events of stream 1 that legacy had first, and a repetition that is told these positions.
fn recorded_again(first: &str, both: &Part, a: i64, b: i64) -> Vec<Kind> {
    let mut story = Story::new();
    let alone =
        [("a", 1), ("b", 2)].map(|(mark, version)| Place { position: None, ..place(mark, version, 0) });
    story.append(first, both.clone(), recorded(&alone));
    story.stored(row("1", "a", 1, Some(a), first));
    story.stored(row("1", "b", 2, Some(b), first));
    story.append("r2", both.clone(), replayed(&[place("a", 1, a), place("b", 2, b)]));
    story.found()
}

#[test]
fn a_repetition_need_not_be_told_the_positions_of_what_has_expired() {
    let mut story = Story::new();
    let append = || part("1", ExpectedVersion::Any, &["a", "b"]);
    story.append("r1", append(), unknown());
    let mut expired = place("a", 1, 1);
    expired.position = None;
    story.append("r2", append(), replayed(&[expired, place("b", 2, 2)]));
    story.stored(row("1", "a", 1, Some(1), "r1"));
    story.stored(row("1", "b", 2, Some(2), "r1"));
    assert_eq!(story.found(), [Kind::WrongAnswer]);
    let Deed::Append(again) = &mut story.history.calls[1].deed else { panic!() };
    let AppendAnswer::Recorded { events, .. } = &mut again.answer else { panic!() };
    events[0].event_timestamp = at(-9);
    story.history.calls[0].deed = match story.history.calls[0].deed.clone() {
        Deed::Append(mut append) => {
            append.parts = Arc::from(append.parts.iter().cloned().map(early).collect::<Vec<_>>());
            Deed::Append(append)
        }
        other @ (Deed::Read(_) | Deed::Lookup(_) | Deed::Floor(_)) => other,
    };
    story.alter("a", |row| row.event_timestamp = at(-9));
    story.contents.tenants.insert(tenant(), TenantState { last_position: 2, floor: Some(at(-5)) });
    story.contents.partitioned.retain(|row| row.event_id != id("a"));
    assert_eq!(story.found(), []);
}

/// The first event of a part, nine seconds earlier.
fn early(mut part: Part) -> Part {
    part.events[0].event_timestamp = Some(at(-9));
    part
}

#[test]
fn what_was_recorded_in_legacy_alone_may_be_copied_by_halves_when_its_append_is_repeated() {
    let mut story = Story::new();
    let in_legacy = |mark, version| Place { position: None, ..place(mark, version, 0) };
    let parts = || part("1", ExpectedVersion::Any, &["a", "b"]);
    story.append("r1", parts(), recorded(&[in_legacy("a", 1), in_legacy("b", 2)]));
    story.append("r2", parts(), replayed(&[place("a", 1, -7), in_legacy("b", 2)]));
    story.append("r3", parts(), replayed(&[place("a", 1, -7), place("b", 2, -3)]));
    story.stored(row("1", "a", 1, Some(-7), "r1"));
    story.stored(row("1", "b", 2, Some(-3), "r1"));
    assert_eq!(story.found(), []);
    story.append("r4", parts(), replayed(&[place("a", 1, -7), place("b", 2, 3)]));
    assert!(story.found().contains(&Kind::WrongAnswer));
}

#[test]
fn once_finalized_a_repetition_of_which_some_has_expired_looks_like_somebody_elses() {
    let mut story = Story::new();
    let append = || early(part("1", ExpectedVersion::Any, &["a", "b"]));
    let mut expired = place("a", 1, 1);
    expired.event_timestamp = at(-9);
    story.append("r1", append(), recorded(&[expired, place("b", 2, 2)]));
    story.append("r2", append(), refused("EVENT_ID_CONFLICT", None));
    story.stored(row("1", "b", 2, Some(2), "r1"));
    story.contents.legacy.clear();
    story.contents.tenants.insert(tenant(), TenantState { last_position: 2, floor: Some(at(-5)) });
    story.tables = Tables::Partitioned;
    assert_eq!(story.found(), []);
    story.contents.tenants.insert(tenant(), TenantState { last_position: 2, floor: Some(at(-20)) });
    assert!(story.found().contains(&Kind::MisledRetry));
}
