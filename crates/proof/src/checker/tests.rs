//! One history made by hand for each promise that can be broken, and some that only look broken.

use std::sync::Arc;
use std::time::Duration;

use partita_model::{ExpectedVersion, StreamId, TenantId, Timestamp, Uuid, Version};
use time::OffsetDateTime;

use super::{Tables, check};
use crate::contents::{Contents, Row, TenantState};
use crate::history::{
    AppendAnswer, AppendDeed, Asked, Call, Deed, FloorDeed, History, LookupDeed, Part, Place, ReadDeed,
    ReadEnd, ReadEvent, Refused, SentEvent, StreamKey,
};
use crate::violation::Kind;

/// A history and the tables, made line by line: each call begins when the one before has ended.
struct Story {
    history: History,
    contents: Contents,
    tables: Tables,
}

fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn key(id: &str) -> StreamKey {
    StreamKey { tenant: tenant(), stream: StreamId::from_row("order".to_owned(), id.to_owned()) }
}

fn id(mark: &str) -> Uuid {
    let bytes = mark.bytes().fold(0_u128, |sum, byte| sum * 251 + u128::from(byte));
    Uuid::from_u128(bytes)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_700_000_000 + seconds, 0).unwrap()
}

fn sent(mark: &str) -> SentEvent {
    SentEvent {
        mark: mark.to_owned(),
        event_id: Some(id(mark)),
        event_type: "Placed".to_owned(),
        data: format!("{{\"mark\": \"{mark}\"}}"),
        metadata: None,
        event_timestamp: Some(at(0)),
    }
}

fn part(stream: &str, expected: ExpectedVersion, marks: &[&str]) -> Part {
    Part { stream: key(stream).stream, expected, events: marks.iter().map(|mark| sent(mark)).collect() }
}

fn place(mark: &str, version: i32, position: i64) -> Place {
    let (version, position) = (Version::new(version), Some(position));
    Place { event_id: id(mark), version, position, event_timestamp: at(0) }
}

fn recorded(places: &[Place]) -> AppendAnswer {
    AppendAnswer::Recorded { events: places.to_vec(), replayed: false }
}

fn replayed(places: &[Place]) -> AppendAnswer {
    AppendAnswer::Recorded { events: places.to_vec(), replayed: true }
}

fn refused(reason: &str, conflict: Option<(&str, i32)>) -> AppendAnswer {
    let conflict = conflict.map(|(stream, version)| (stream.to_owned(), Version::new(version)));
    AppendAnswer::Refused(Refused { reason: reason.to_owned(), conflict })
}

fn unknown() -> AppendAnswer {
    AppendAnswer::Unknown("OUTCOME_UNKNOWN".to_owned())
}

fn row(stream: &str, mark: &str, version: i32, position: Option<i64>, request_id: &str) -> Row {
    Row {
        event_id: id(mark),
        key: key(stream),
        version: Version::new(version),
        position,
        event_type: "Placed".to_owned(),
        data: format!("{{\"mark\": \"{mark}\"}}"),
        metadata: None,
        request_id: Some(request_id.to_owned()),
        event_timestamp: at(0),
        committed_at: None,
        digest: format!("{mark} {version}"),
    }
}

fn whole(last: i32) -> ReadEnd {
    ReadEnd::Whole { version: Version::new(last), first_version: Version::new(1) }
}

impl Story {
    fn new() -> Self {
        Self { history: History::default(), contents: Contents::default(), tables: Tables::Equal }
    }

    /// Two events of stream 1, acknowledged and stored: `a` by request `r1`, then `b` by request `r2`.
    fn of_two() -> Self {
        let mut story = Self::new();
        story.append("r1", part("1", ExpectedVersion::NoStream, &["a"]), recorded(&[place("a", 1, 1)]));
        story.stored(row("1", "a", 1, Some(1), "r1"));
        let exact = ExpectedVersion::Exact(Version::new(1));
        story.append("r2", part("1", exact, &["b"]), recorded(&[place("b", 2, 2)]));
        story.stored(row("1", "b", 2, Some(2), "r2"));
        story
    }

    fn call(&mut self, deed: Deed) -> &mut Call {
        let begun = self.history.calls.len() as u64 * 2 + 1;
        let call = Call { worker: 1, service: Some(0), begun, ended: begun + 1, at: Duration::ZERO, deed };
        self.history.calls.push(call);
        self.history.calls.last_mut().unwrap()
    }

    fn append(&mut self, request_id: &str, part: Part, answer: AppendAnswer) -> &mut Call {
        self.append_all(request_id, vec![part], answer)
    }

    fn append_all(&mut self, request_id: &str, parts: Vec<Part>, answer: AppendAnswer) -> &mut Call {
        let request_id = request_id.to_owned();
        self.call(Deed::Append(AppendDeed { tenant: tenant(), parts: Arc::from(parts), request_id, answer }))
    }

    fn read(&mut self, stream: &str, asked: Asked, events: &[(&str, i32)], end: ReadEnd) -> &mut Call {
        let event = |(mark, version): &(&str, i32)| ReadEvent {
            event_id: id(mark),
            version: Version::new(*version),
            event_timestamp: at(0),
            mark: (*mark).to_owned(),
        };
        let events = events.iter().map(event).collect();
        self.call(Deed::Read(ReadDeed { key: key(stream), asked, events, end }))
    }

    /// Stores a row in both tables, and what goes with it.
    fn stored(&mut self, row: Row) {
        let head = self.contents.heads.entry(row.key.clone()).or_default();
        *head = row.version.max(*head);
        let tenant = self.contents.tenants.entry(row.key.tenant.clone()).or_default();
        tenant.last_position = row.position.unwrap_or_default().max(tenant.last_position);
        self.contents.legacy.push(Row { position: None, ..row.clone() });
        self.contents.partitioned.push(row);
    }

    /// Changes a row of both tables.
    fn alter(&mut self, mark: &str, change: impl Fn(&mut Row)) {
        let rows = self.contents.legacy.iter_mut().chain(&mut self.contents.partitioned);
        rows.filter(|row| row.event_id == id(mark)).for_each(change);
    }

    fn remove(&mut self, mark: &str) {
        self.contents.legacy.retain(|row| row.event_id != id(mark));
        self.contents.partitioned.retain(|row| row.event_id != id(mark));
    }

    /// The kinds of what is found, each once.
    fn found(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> =
            check(&self.history, &self.contents, self.tables).into_iter().map(|found| found.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

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
fn a_service_that_says_it_met_a_defect_is_a_violation() {
    let mut story = Story::new();
    story.append("r1", part("1", ExpectedVersion::Any, &["a"]), refused("INTERNAL", None));
    assert_eq!(story.found(), [Kind::Defect]);
    let mut story = Story::new();
    story.read("1", Asked::default(), &[], ReadEnd::Cut("INTERNAL".to_owned()));
    assert_eq!(story.found(), [Kind::Defect]);
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
