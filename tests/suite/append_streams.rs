//! One append to several streams: all of it or nothing, and every failed expectation told.

use partita_proto::v1::expected_version::Expected;
use partita_proto::v1::{
    AppendStreamsRequest, AppendStreamsResponse, AuditContext, ExpectedVersion, NewEvent, StreamAppend,
};
use partita_tests::{
    Refusal, Setting, TestDatabase, TestServer, any, at, exact, in_every_phase, no_stream, stream_exists,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

in_every_phase!(
    several_streams_are_recorded_at_once_each_from_its_own_version,
    one_stale_expectation_leaves_every_stream_as_it_was_and_all_of_them_are_told,
    the_same_append_again_is_answered_as_the_first_time,
    what_is_wrong_is_named_by_its_place_in_the_list,
    appends_that_want_the_same_streams_in_other_orders_do_not_stop_each_other,
);

/// A part of an append: as many events as ids are given, or one without.
fn part(aggregate_id: &str, expected: Expected, ids: &[Uuid]) -> StreamAppend {
    let event = |event_id: String| NewEvent {
        event_id,
        event_type: "Moved".to_owned(),
        data: "{\"amount\": 12.50}".to_owned(),
        ..NewEvent::default()
    };
    let events = match ids {
        [] => vec![event(String::new())],
        ids => ids.iter().map(|id| event(id.to_string())).collect(),
    };
    StreamAppend {
        aggregate_type: "account".to_owned(),
        aggregate_id: aggregate_id.to_owned(),
        expected_version: Some(ExpectedVersion { expected: Some(expected) }),
        events,
    }
}

fn send(
    server: &TestServer,
    streams: Vec<StreamAppend>,
) -> impl Future<Output = Result<AppendStreamsResponse, Status>> + Send + use<> {
    let context = Some(AuditContext { user_id: "ann".to_owned(), ..AuditContext::default() });
    let request = AppendStreamsRequest { tenant_id: "acme".to_owned(), streams, context };
    let mut client = server.events();
    async move { client.append_streams(request).await.map(tonic::Response::into_inner) }
}

async fn several_streams_are_recorded_at_once_each_from_its_own_version(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "account", "a").events(2).ok().await;
    let ids = [Uuid::new_v4(), Uuid::new_v4()];
    let parts = vec![part("a", exact(2), &[]), part("b", no_stream(), &ids), part("c", any(), &[])];
    let answer = send(&server, parts).await.unwrap();
    assert!(!answer.replayed);
    let versions: Vec<_> = answer.streams.iter().map(|one| (one.first_version, one.last_version)).collect();
    assert_eq!(versions, [(3, 3), (1, 2), (1, 1)]);
    let positions: Vec<_> =
        answer.streams.iter().flat_map(|one| &one.events).map(|event| event.position).collect();
    assert_eq!(positions, setting.positions(3..=6));
    assert_eq!(answer.streams[1].events[1].event_id, ids[1].to_string());
    assert_eq!(server.read("acme", "account", "b").versions().await, [1, 2]);
}

async fn one_stale_expectation_leaves_every_stream_as_it_was_and_all_of_them_are_told(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "account", "a").events(2).ok().await;
    let before = database.contents().await;
    let parts = vec![
        part("a", exact(1), &[]),
        part("b", any(), &[]),
        part("c", stream_exists(), &[]),
        part("d", exact(7), &[]),
    ];
    let status = send(&server, parts).await.unwrap_err();
    let told = status.get_details_precondition_failure().unwrap().violations;
    let told: Vec<_> = told
        .iter()
        .map(|one| (one.r#type.as_str(), one.subject.as_str(), one.description.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("VERSION_CONFLICT", "account/a", "expected 1, actual 2"),
            ("VERSION_CONFLICT", "account/c", "expected stream_exists, actual 0"),
            ("VERSION_CONFLICT", "account/d", "expected 7, actual 0"),
        ]
    );
    let refusal = Refusal::from(status);
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Aborted, "VERSION_CONFLICT"));
    assert_eq!((refusal.fact("stream"), refusal.fact("omitted")), ("account/a", ""));
    assert_eq!(database.contents().await, before);
}

async fn the_same_append_again_is_answered_as_the_first_time(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let ids: Vec<Uuid> = (0..3).map(|_| Uuid::new_v4()).collect();
    let parts = || vec![part("a", no_stream(), &ids[..2]), part("b", no_stream(), &ids[2..])];
    let first = send(&server, parts()).await.unwrap();
    let before = database.contents().await;
    let again = send(&server, parts()).await.unwrap();
    assert_eq!(again, AppendStreamsResponse { replayed: true, ..first });

    // The half of it, and the same ids in other streams, are no repetition.
    for parts in [
        vec![part("a", any(), &ids[..2]), part("b", any(), &[Uuid::new_v4()])],
        vec![part("b", any(), &ids[..2]), part("a", any(), &ids[2..])],
    ] {
        let refusal = Refusal::from(send(&server, parts).await.unwrap_err());
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "EVENT_ID_CONFLICT"));
    }
    assert_eq!(database.contents().await, before);
}

async fn what_is_wrong_is_named_by_its_place_in_the_list(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let mut broken = part("a", exact(0), &[]);
    broken.events[0].data = "{".to_owned();
    for (parts, fields) in [
        (vec![], vec!["streams"]),
        (vec![broken.clone()], vec!["streams[0].expected_version", "streams[0].events[0].data"]),
        (vec![part("a", any(), &[]), part("a", any(), &[])], vec!["streams[1]"]),
        (vec![part("a", any(), &[Uuid::nil()]), part("b", any(), &[Uuid::nil()])], vec!["streams"]),
        ((0..101).map(|id| part(&id.to_string(), any(), &[])).collect(), vec!["streams"]),
    ] {
        let refusal = Refusal::from(send(&server, parts).await.unwrap_err());
        assert_eq!(
            (refusal.reason.as_str(), refusal.fields),
            ("INVALID_ARGUMENT", fields.iter().map(ToString::to_string).collect())
        );
    }
    assert_eq!(database.events().await, 0);
}

#[tokio::test]
async fn an_event_below_the_floor_is_named_by_its_place_in_the_list() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "account", "a").event("First").ok().await;
    let mut old = part("a", any(), &[]);
    old.events[0].event_timestamp = Some(at("2001-01-01T00:00:00Z"));
    for (parts, field) in [
        (vec![old.clone()], "streams[0].events[0].event_timestamp"),
        (vec![part("b", any(), &[]), old], "streams[1].events[0].event_timestamp"),
    ] {
        let refusal = Refusal::from(send(&server, parts).await.unwrap_err());
        assert_eq!((refusal.reason.as_str(), refusal.fields), ("BELOW_FLOOR", vec![field.to_owned()]));
    }
    assert_eq!(database.count("event_store").await, 1);
}

async fn appends_that_want_the_same_streams_in_other_orders_do_not_stop_each_other(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let mut calls = JoinSet::new();
    for call in 0..40 {
        let [one, other] = if call % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
        calls.spawn(send(&server, vec![part(one, any(), &[]), part(other, any(), &[])]));
    }
    while let Some(answer) = calls.join_next().await {
        answer.unwrap().unwrap();
    }
    for stream in ["a", "b"] {
        assert_eq!(server.read("acme", "account", stream).versions().await, (1..=40).collect::<Vec<_>>());
    }
    database.assert_last_position("acme", 80).await;
    assert_eq!(database.differing_rows().await, 0);
}
