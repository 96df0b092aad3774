//! What was sent against what is stored: lost, torn, doubled, changed, refused and yet there, never sent.

use partita_model::ExpectedVersion;

use super::story::{Story, id, part, refused, row, unknown};
use crate::checker::Tables;
use crate::contents::Row;
use crate::violation::Kind;

#[test]
fn an_acknowledged_event_that_is_not_there_is_lost() {
    let mut story = Story::of_two();
    story.remove("b");
    assert!(story.found().contains(&Kind::LostEvent));
}

#[test]
fn an_event_with_a_position_that_is_in_legacy_alone_is_lost_in_any_mode_that_writes_both() {
    for tables in [Tables::Dual, Tables::Equal] {
        let mut story = Story::of_two();
        story.tables = tables;
        story.contents.partitioned.retain(|row| row.event_id != id("b"));
        assert!(story.found().contains(&Kind::LostEvent), "{tables:?}");
    }
}

#[test]
fn an_append_of_which_nobody_knows_is_there_wholly_or_not_at_all() {
    let mut story = Story::new();
    story.append("r1", part("1", ExpectedVersion::Any, &["a", "b"]), unknown());
    assert_eq!(story.found(), []);
    story.stored(row("1", "a", 1, Some(1), "r1"));
    assert_eq!(story.found(), [Kind::TornAppend]);
    story.stored(row("1", "b", 2, Some(2), "r1"));
    assert_eq!(story.found(), []);
}

#[test]
fn an_append_over_two_streams_of_which_one_is_missing_is_torn() {
    let mut story = Story::new();
    let parts = vec![part("1", ExpectedVersion::Any, &["a"]), part("2", ExpectedVersion::Any, &["b"])];
    story.append_all("r1", parts, unknown());
    story.stored(row("2", "b", 1, Some(1), "r1"));
    assert_eq!(story.found(), [Kind::TornAppend]);
}

#[test]
fn an_event_that_is_there_under_two_ids_is_recorded_twice() {
    let mut story = Story::of_two();
    let second = Row { event_id: id("other"), ..row("1", "b", 3, Some(3), "r2") };
    story.stored(second);
    assert_eq!(story.found(), [Kind::RecordedTwice]);
}

#[test]
fn changed_bytes_are_found_and_the_accidents_of_json_are_not() {
    let mut story = Story::of_two();
    story.alter("b", |row| row.data = "{\"mark\":\"b\"}".to_owned());
    assert_eq!(story.found(), []);
    for change in [
        |row: &mut Row| row.data = "{\"mark\": \"b\", \"more\": 1}".to_owned(),
        |row: &mut Row| row.data = "{}".to_owned(),
        |row: &mut Row| row.metadata = Some("{}".to_owned()),
        |row: &mut Row| row.event_type = "Paid".to_owned(),
        |row: &mut Row| row.request_id = Some("r77".to_owned()),
    ] {
        let mut story = Story::of_two();
        story.alter("b", change);
        assert!(story.found().contains(&Kind::ChangedEvent), "{:?}", story.found());
    }
}

#[test]
fn what_was_refused_must_be_absent() {
    let mut story = Story::new();
    story.append("r1", part("1", ExpectedVersion::Any, &["a"]), refused("OVERLOADED", None));
    assert_eq!(story.found(), []);
    story.stored(row("1", "a", 1, Some(1), "r1"));
    assert_eq!(story.found(), [Kind::RefusedYetRecorded]);
}

#[test]
fn an_attempt_that_was_refused_must_not_be_the_one_that_wrote() {
    let mut story = Story::new();
    story.append("r1", part("1", ExpectedVersion::Any, &["a"]), unknown());
    story.append("r2", part("1", ExpectedVersion::Any, &["a"]), refused("DATABASE_UNAVAILABLE", None));
    story.stored(row("1", "a", 1, Some(1), "r1"));
    assert_eq!(story.found(), []);
    story.alter("a", |row| row.request_id = Some("r2".to_owned()));
    assert_eq!(story.found(), [Kind::RefusedYetRecorded]);
}

#[test]
fn an_event_that_nobody_sent_is_found() {
    let mut story = Story::of_two();
    story.stored(row("1", "c", 3, Some(3), "r9"));
    assert_eq!(story.found(), [Kind::UnsentEvent]);
}
