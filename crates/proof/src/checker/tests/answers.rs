//! What callers were told: wrong places, false conflicts, defects.

use partita_model::{ExpectedVersion, Version};

use super::story::{Story, at, id, part, place, recorded, refused, row};
use crate::history::{AppendAnswer, Asked, Deed, Place, ReadEnd};
use crate::violation::Kind;

#[test]
fn an_answer_with_another_version_position_or_time_is_wrong() {
    let changes: [fn(&mut Place); 3] = [
        |place| place.version = Version::new(3),
        |place| place.position = Some(3),
        |place| place.event_timestamp = at(1),
    ];
    for change in changes {
        let mut story = Story::of_two();
        let Deed::Append(append) = &mut story.history.calls[1].deed else { panic!() };
        let AppendAnswer::Recorded { events, .. } = &mut append.answer else { panic!() };
        change(&mut events[0]);
        assert!(story.found().contains(&Kind::WrongAnswer), "{:?}", story.found());
    }
}

#[test]
fn an_append_that_was_recorded_where_it_was_not_expected_was_answered_wrongly() {
    let mut story = Story::of_two();
    let none = part("1", ExpectedVersion::NoStream, &["c"]);
    story.append("r3", none, recorded(&[place("c", 3, 3)]));
    story.stored(row("1", "c", 3, Some(3), "r3"));
    assert_eq!(story.found(), [Kind::WrongAnswer]);
}

#[test]
fn ids_that_nobody_else_has_are_no_conflict() {
    let mut story = Story::of_two();
    let exact = ExpectedVersion::Exact(Version::new(1));
    story.append("r3", part("1", exact, &["b"]), refused("EVENT_ID_CONFLICT", None));
    assert_eq!(story.found(), [Kind::MisledRetry]);
    let mut story = Story::of_two();
    let mut thief = part("1", ExpectedVersion::Any, &["c"]);
    thief.events[0].event_id = Some(id("b"));
    story.append("r3", thief, refused("EVENT_ID_CONFLICT", None));
    assert_eq!(story.found(), []);
}

#[test]
fn a_conflict_must_name_a_version_that_the_stream_had_meanwhile() {
    let exact = |version| ExpectedVersion::Exact(Version::new(version));
    let conflict = |expected, actual| {
        let mut story = Story::of_two();
        let answer = refused("VERSION_CONFLICT", Some(("order/1", actual)));
        story.append("r3", part("1", expected, &["c"]), answer);
        story.found()
    };
    assert_eq!(conflict(exact(9), 2), []);
    // Behind what was known, beyond what was ever there, and what was expected.
    assert_eq!(conflict(exact(9), 1), [Kind::FalseConflict]);
    assert_eq!(conflict(exact(9), 7), [Kind::FalseConflict]);
    assert_eq!(conflict(exact(2), 2), [Kind::FalseConflict]);
}

#[test]
fn a_service_that_says_it_met_a_defect_is_a_violation() {
    let mut story = Story::new();
    story.append("r1", part("1", ExpectedVersion::Any, &["a"]), refused("INTERNAL", None));
    assert_eq!(story.found(), [Kind::Defect]);
    let mut story = Story::new();
    story.read("1", Asked::default(), &[], ReadEnd::Cut("INTERNAL".to_owned()));
    assert_eq!(story.found(), [Kind::Defect]);
}
