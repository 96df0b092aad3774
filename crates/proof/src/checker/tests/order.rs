//! Versions and positions: gaps, repetitions, and the order of the commits.

use partita_model::{ExpectedVersion, Version};
use time::OffsetDateTime;

use super::story::{Story, at, key, part, place, recorded, row, tenant, unknown};
use crate::checker::Tables;
use crate::contents::TenantState;
use crate::violation::Kind;

#[test]
fn a_gap_and_a_repetition_of_versions_are_found() {
    let mut story = Story::of_two();
    story.append("r3", part("1", ExpectedVersion::Any, &["c"]), unknown());
    story.stored(row("1", "c", 4, Some(3), "r3"));
    assert_eq!(story.found(), [Kind::VersionGap]);
    story.alter("c", |row| row.version = Version::new(2));
    story.contents.heads.insert(key("1"), Version::new(2));
    assert_eq!(story.found(), [Kind::VersionGap]);
}

#[test]
fn a_record_that_lags_behind_its_stream_is_a_gap_in_waiting() {
    let mut story = Story::of_two();
    story.contents.heads.insert(key("1"), Version::new(1));
    assert_eq!(story.found(), [Kind::VersionGap]);
}

#[test]
fn a_gap_and_a_repetition_of_positions_are_found() {
    let mut story = Story::of_two();
    story.append("r3", part("1", ExpectedVersion::Any, &["c"]), unknown());
    story.stored(row("1", "c", 3, Some(5), "r3"));
    assert_eq!(story.found(), [Kind::PositionGap]);
    story.alter("c", |row| row.position = Some(2));
    assert_eq!(story.found(), [Kind::PositionGap]);
}

#[test]
fn what_expired_may_be_gone_from_the_partitioned_table_and_is_no_gap() {
    let mut story = Story::of_two();
    let tenants = story.contents.tenants.get_mut(&tenant()).unwrap();
    *tenants = TenantState { last_position: 2, floor: Some(at(10)) };
    story.contents.partitioned.clear();
    assert_eq!(story.found(), []);
    story.tables = Tables::Partitioned;
    assert_eq!(story.found(), []);
    story.contents.tenants.get_mut(&tenant()).unwrap().floor = None;
    assert!(story.found().contains(&Kind::LostEvent));
    assert!(story.found().contains(&Kind::PositionGap));
}

#[test]
fn positions_and_versions_are_in_the_order_of_the_acknowledgements() {
    let mut story = Story::of_two();
    // `c` was sent after position 2 was known.
    story.append("r3", part("2", ExpectedVersion::Any, &["c"]), recorded(&[place("c", 1, 2)]));
    story.stored(row("2", "c", 1, Some(2), "r3"));
    assert!(story.found().contains(&Kind::CommitOrder));
}

#[test]
fn positions_are_in_the_order_of_the_commits() {
    let second = |seconds| Some(OffsetDateTime::from_unix_timestamp(seconds).unwrap());
    let mut story = Story::of_two();
    story.alter("a", |row| row.committed_at = second(20));
    story.alter("b", |row| row.committed_at = second(20));
    assert_eq!(story.found(), []);
    story.alter("b", |row| row.committed_at = second(19));
    assert_eq!(story.found(), [Kind::CommitOrder]);
}
