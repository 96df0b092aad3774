//! What reads saw: too little, too much, in the wrong order.

use std::sync::Arc;

use partita_model::{ExpectedVersion, TenantId, Version};

use super::story::{Story, at, id, part, place, recorded, row, tenant, unknown, whole};
use crate::checker::Tables;
use crate::history::{Asked, Deed, FloorDeed, LookupDeed, ReadEnd, ReadEvent, content};
use crate::violation::Kind;

#[test]
fn a_read_that_began_after_an_acknowledgement_sees_it() {
    let mut story = Story::of_two();
    story.read("1", Asked::default(), &[("a", 1)], whole(1));
    assert_eq!(story.found(), [Kind::StaleRead]);
    let mut story = Story::of_two();
    story.read("1", Asked::default(), &[], ReadEnd::NotFound);
    assert_eq!(story.found(), [Kind::StaleRead]);
}

#[test]
fn a_read_that_began_before_the_acknowledgement_may_miss_it() {
    let mut story = Story::of_two();
    // It began when the second append was under way.
    let begun = story.history.calls[1].begun;
    story.read("1", Asked::default(), &[("a", 1)], whole(1)).begun = begun;
    assert_eq!(story.found(), []);
}

#[test]
fn what_one_read_saw_the_next_one_sees() {
    let mut story = Story::new();
    story.append("r1", part("1", ExpectedVersion::Any, &["a"]), unknown());
    story.stored(row("1", "a", 1, Some(1), "r1"));
    story.read("1", Asked::default(), &[("a", 1)], whole(1));
    story.read("1", Asked::default(), &[], ReadEnd::NotFound);
    assert_eq!(story.found(), [Kind::StaleRead]);
}

#[test]
fn an_event_that_was_known_is_found_by_its_id() {
    let mut story = Story::of_two();
    let found = Some(vec![(id("a"), Some(Version::new(1))), (id("b"), None)]);
    story.call(Deed::Lookup(LookupDeed { tenant: tenant(), found }));
    assert_eq!(story.found(), [Kind::StaleRead]);
    // Of what time it is was said by its caller: it may be of long ago.
    story.tables = Tables::Partitioned;
    assert_eq!(story.found(), []);
    let Deed::Append(append) = &mut story.history.calls[1].deed else { panic!() };
    let mut untimed = append.parts[0].clone();
    untimed.events[0].event_timestamp = None;
    append.parts = Arc::from([untimed]);
    assert_eq!(story.found(), [Kind::StaleRead]);
}

#[test]
fn a_read_with_a_hole_out_of_order_or_beyond_its_bounds_is_broken() {
    let broken = |asked: Asked, events: &[(&str, i32)]| {
        let mut story = Story::of_two();
        story.read("1", asked, events, whole(2));
        story.found()
    };
    let most = |count| Asked { max_count: Some(count), ..Asked::default() };
    let from = |version| Asked { from_version: Some(Version::new(version)), ..Asked::default() };
    assert_eq!(broken(Asked::default(), &[("b", 2)]), [Kind::BrokenRead]);
    assert_eq!(broken(Asked::default(), &[("a", 1)]), [Kind::BrokenRead]);
    assert_eq!(broken(Asked::default(), &[("b", 2), ("a", 1)]), [Kind::BrokenRead]);
    assert_eq!(broken(most(1), &[("a", 1), ("b", 2)]), [Kind::BrokenRead]);
    assert_eq!(broken(most(1), &[("b", 2)]), [Kind::BrokenRead]);
    assert_eq!(broken(from(2), &[("a", 1), ("b", 2)]), [Kind::BrokenRead]);
    let late = Asked { from_timestamp: Some(at(1)), ..Asked::default() };
    assert_eq!(broken(late.clone(), &[("a", 1)]), [Kind::BrokenRead]);
    assert_eq!(broken(late, &[]), []);
    assert_eq!(broken(most(1), &[("a", 1)]), []);
    assert_eq!(broken(from(2), &[("b", 2)]), []);
}

#[test]
fn a_read_that_was_cut_is_a_prefix() {
    let cut = |events: &[(&str, i32)]| {
        let mut story = Story::of_two();
        story.read("1", Asked::default(), events, ReadEnd::Cut("DATABASE_UNAVAILABLE".to_owned()));
        story.found()
    };
    assert_eq!(cut(&[]), []);
    assert_eq!(cut(&[("a", 1)]), []);
    assert_eq!(cut(&[("b", 2)]), [Kind::BrokenRead]);
}

#[test]
fn a_read_of_what_is_not_recorded_is_a_phantom() {
    let mut story = Story::of_two();
    story.append("r3", part("1", ExpectedVersion::Any, &["c"]), unknown());
    story.read("1", Asked::default(), &[("a", 1), ("b", 2), ("c", 3)], whole(3));
    assert_eq!(story.found(), [Kind::PhantomRead]);
}

/// A read of both events, of which the second one comes as it was changed.
fn read_as(change: impl Fn(&mut ReadEvent)) -> Story {
    let mut story = Story::of_two();
    let call = story.read("1", Asked::default(), &[("a", 1), ("b", 2)], whole(2));
    let Deed::Read(read) = &mut call.deed else { panic!() };
    change(&mut read.events[1]);
    story
}

#[test]
fn what_is_read_has_the_bytes_that_are_stored() {
    for (event_type, data, metadata) in [
        ("placed", "{\"mark\": \"b\"}", None),
        ("Placed", "{\"mark\": \"b\", \"more\": 1}", None),
        ("Placed", "{\"mark\": \"b\"}", Some("{}")),
    ] {
        let story = read_as(|event| event.content = content(event_type, data, metadata));
        assert_eq!(story.found(), [Kind::ChangedEvent]);
    }
    assert_eq!(read_as(|_| {}).found(), []);
}

#[test]
fn a_position_that_is_read_is_the_events_own_unless_it_has_expired() {
    assert_eq!(read_as(|event| event.position = Some(2)).found(), []);
    let mut story = read_as(|event| event.position = Some(1));
    assert_eq!(story.found(), [Kind::PhantomRead]);
    story.tables = Tables::Dual;
    story.contents.partitioned.retain(|row| row.event_id != id("b"));
    story.contents.tenants.get_mut(&tenant()).unwrap().floor = Some(at(1));
    assert!(!story.found().contains(&Kind::PhantomRead));
}

#[test]
fn what_is_recorded_after_a_read_stands_behind_what_it_saw() {
    let mut story = Story::new();
    story.append("r1", part("1", ExpectedVersion::Any, &["a"]), unknown());
    story.stored(row("1", "a", 1, Some(2), "r1"));
    let call = story.read("1", Asked::default(), &[("a", 1)], whole(1));
    let Deed::Read(read) = &mut call.deed else { panic!() };
    read.events[0].position = Some(2);
    story.append("r2", part("2", ExpectedVersion::Any, &["b"]), recorded(&[place("b", 1, 1)]));
    story.stored(row("2", "b", 1, Some(1), "r2"));
    assert_eq!(story.found(), [Kind::CommitOrder]);
}

#[test]
fn what_is_found_by_its_id_is_of_the_tenant_and_has_that_version() {
    let looked = |tenant: TenantId, version| {
        let mut story = Story::of_two();
        let found = Some(vec![(id("a"), Some(Version::new(version)))]);
        story.call(Deed::Lookup(LookupDeed { tenant, found }));
        story.found()
    };
    assert_eq!(looked(tenant(), 1), []);
    assert_eq!(looked(tenant(), 2), [Kind::PhantomRead]);
    assert_eq!(looked(TenantId::parse("globex").unwrap(), 1), [Kind::TenantLeak]);
}

#[test]
fn what_was_known_to_have_expired_does_not_come_back() {
    let mut story = Story::of_two();
    let floor = |floor| Deed::Floor(FloorDeed { tenant: tenant(), floor });
    story.call(floor(at(0)));
    story.read("1", Asked::default(), &[("a", 1), ("b", 2)], whole(2));
    assert_eq!(story.found(), []);
    story.call(floor(at(1)));
    story.read("1", Asked::default(), &[("a", 1), ("b", 2)], whole(2));
    assert_eq!(story.found(), [Kind::ExpiredRead]);
    story.tables = Tables::Dual;
    assert_eq!(story.found(), []);
}
