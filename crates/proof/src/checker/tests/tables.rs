//! The tables against each other, tenants against each other, and how a violation is told.

use std::sync::Arc;

use partita_model::{ExpectedVersion, TenantId};

use super::story::{Story, at, id, part, place, recorded, row, tenant, whole};
use crate::checker::{Tables, check};
use crate::history::{AppendDeed, Asked, Deed, ReadEnd};
use crate::violation::Kind;

#[test]
fn a_history_that_is_as_stored_has_no_violation() {
    let mut story = Story::of_two();
    story.read("1", Asked::default(), &[("a", 1), ("b", 2)], whole(2));
    let backwards = Asked { backwards: true, max_count: Some(1), ..Asked::default() };
    story.read("1", backwards, &[("b", 2)], whole(2));
    story.read("2", Asked::default(), &[], ReadEnd::NotFound);
    for tables in [Tables::Legacy, Tables::Dual, Tables::Equal, Tables::Partitioned] {
        story.tables = tables;
        assert_eq!(story.found(), [], "{tables:?}");
    }
}

#[test]
fn after_a_restore_legacy_may_have_been_written_in_another_order_and_must_hold_the_same() {
    let mut story = Story::of_two();
    let commit = |seconds| Some(at(seconds).to_datetime());
    for (row, seconds) in story.contents.legacy.iter_mut().zip([2, 1]) {
        row.committed_at = commit(seconds);
    }
    assert_eq!(story.found(), [Kind::CommitOrder]);
    story.tables = Tables::Restored;
    assert_eq!(story.found(), []);
    story.contents.legacy.retain(|row| row.event_id != id("b"));
    assert_eq!(story.found(), [Kind::TablesDiffer]);
}

#[test]
fn an_event_of_another_tenant_is_a_leak() {
    let mut story = Story::of_two();
    let globex = TenantId::parse("globex").unwrap();
    let append = AppendDeed {
        tenant: globex.clone(),
        parts: Arc::from(vec![part("1", ExpectedVersion::Any, &["z"])]),
        request_id: "r3".to_owned(),
        answer: recorded(&[place("z", 1, 1)]),
    };
    story.call(Deed::Append(append));
    let mut theirs = row("1", "z", 1, Some(1), "r3");
    theirs.key.tenant = globex;
    story.stored(theirs);
    assert_eq!(story.found(), []);
    story.read("1", Asked { max_count: Some(1), ..Asked::default() }, &[("z", 1)], whole(2));
    assert_eq!(story.found(), [Kind::PhantomRead, Kind::TenantLeak]);
    story.history.calls.pop();
    story.alter("z", |row| row.key.tenant = tenant());
    assert!(story.found().contains(&Kind::TenantLeak));
}

#[test]
fn rows_that_differ_between_the_tables_are_found() {
    let mut story = Story::of_two();
    story.contents.partitioned[0].digest = "other".to_owned();
    assert_eq!(story.found(), [Kind::TablesDiffer]);
    let mut story = Story::of_two();
    story.contents.legacy.retain(|row| row.event_id != id("b"));
    assert_eq!(story.found(), [Kind::TablesDiffer]);
}

#[test]
fn an_event_in_legacy_alone_is_right_while_somebody_writes_there_alone() {
    let mut story = Story::of_two();
    let mut told = place("c", 3, 0);
    told.position = None;
    story.append("r3", part("1", ExpectedVersion::Any, &["c"]), recorded(&[told]));
    story.contents.legacy.push(row("1", "c", 3, None, "r3"));
    assert_eq!(story.found(), [Kind::TablesDiffer]);
    story.tables = Tables::Dual;
    assert_eq!(story.found(), []);
}

#[test]
fn a_violation_is_told_with_the_calls_that_have_to_do_with_it() {
    let mut story = Story::of_two();
    story.read("2", Asked::default(), &[], ReadEnd::NotFound);
    story.remove("b");
    let found = check(&story.history, &story.contents, story.tables);
    let lost = found.iter().find(|found| found.kind == Kind::LostEvent).unwrap();
    let told = lost.tell(&story.history);
    assert!(told.contains("append r2 acme order/1 expecting 1 [b] -> recorded as 2 at [2]"), "{told}");
    assert!(!told.contains("order/2"), "{told}");
}
