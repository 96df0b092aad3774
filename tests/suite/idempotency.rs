//! The same event ids again: a retry is answered as the first time, anything else is refused.

use partita_proto::v1::{AppendResponse, NewEvent};
use partita_tests::{
    AppendCall, Refusal, Setting, TestDatabase, TestServer, exact, in_every_phase, no_stream,
};
use tokio::task::JoinSet;
use tonic::Code;
use uuid::Uuid;

in_every_phase!(
    an_id_of_another_tenant_is_refused_and_tells_nothing,
    an_append_that_is_sent_again_is_answered_as_the_first_time,
    a_retry_may_write_its_document_in_another_way,
    fifty_at_once_record_one_event,
    ids_that_stand_for_something_else_are_refused_by_name_and_change_nothing,
    a_part_of_an_append_sent_again_alone_is_a_replay_of_that_part,
);

/// Adds an event of each of these ids.
fn with_ids(call: AppendCall, ids: &[Uuid]) -> AppendCall {
    ids.iter().fold(call, |call, id| call.event_with(|event| event.event_id = id.to_string()))
}

fn ids(count: usize) -> Vec<Uuid> {
    (0..count).map(|_| Uuid::new_v4()).collect()
}

fn assert_taken(refusal: &Refusal, taken: &[Uuid]) {
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "EVENT_ID_CONFLICT"));
    let named: Vec<Uuid> = refusal.fact("event_ids").split(',').map(|id| id.parse().unwrap()).collect();
    assert_eq!(named, taken, "{refusal:?}");
}

async fn an_append_that_is_sent_again_is_answered_as_the_first_time(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "order", "1").expected(no_stream()).event("First").ok().await;
    let ids = ids(3);
    let call = with_ids(server.append("acme", "order", "1").expected(exact(1)), &ids);
    let first = call.clone().ok().await;
    assert!(!first.replayed);
    server.append("acme", "order", "1").expected(exact(4)).event("Later").ok().await;
    let before = database.contents().await;
    // The expected version no longer holds, and is not looked at again.
    for _ in 0..2 {
        let again = call.clone().context(|context| context.request_id = "retry".to_owned()).ok().await;
        assert_eq!(again, AppendResponse { replayed: true, ..first.clone() });
    }
    assert_eq!(database.contents().await, before);
}

async fn a_retry_may_write_its_document_in_another_way(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let id = Uuid::new_v4().to_string();
    let call = |data: &str, metadata: &str| {
        server.append("acme", "order", "1").event_with(|event| {
            *event = NewEvent {
                event_id: id.clone(),
                data: data.to_owned(),
                metadata: metadata.to_owned(),
                ..event.clone()
            };
        })
    };
    call(r#"{"a": 1.50, "b": [true, "é"]}"#, r#"{"x": 1e2}"#).ok().await;
    let again = call(r#"{"b":[true,"\u00e9"],"a":0,"a":1.50}"#, r#"{"x":100}"#).ok().await;
    assert!(again.replayed);
}

async fn fifty_at_once_record_one_event(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let servers = [
        TestServer::start(&database, setting.flag()).await,
        TestServer::start(&database, setting.flag()).await,
    ];
    let ids = ids(1);
    let mut calls = JoinSet::new();
    for writer in 0..50 {
        calls.spawn(with_ids(servers[writer % 2].append("acme", "order", "1"), &ids).ok());
    }
    let mut answers = Vec::new();
    while let Some(answer) = calls.join_next().await {
        answers.push(answer.unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.events == answers[0].events));
    assert_eq!(database.events().await, 1);
}

async fn ids_that_stand_for_something_else_are_refused_by_name_and_change_nothing(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let (known, new) = (ids(3), ids(2));
    let order = || server.append("acme", "order", "1");
    with_ids(order().expected(no_stream()), &known).ok().await;
    server.append("acme", "order", "2").event("First").ok().await;
    let before = database.contents().await;

    let change =
        |change: fn(&mut NewEvent)| with_ids(order(), &known).with(|request| change(&mut request.events[1]));
    let all = known.clone();
    let cases = [
        (change(|event| event.data = "{\"n\": 7}".to_owned()), all.clone()),
        (change(|event| event.event_type = "Other".to_owned()), all.clone()),
        (change(|event| event.metadata = "{}".to_owned()), all.clone()),
        (
            change(|event| event.event_timestamp = Some(partita_tests::at("2025-12-24T00:00:00Z"))),
            all.clone(),
        ),
        (with_ids(server.append("acme", "order", "2"), &known), all.clone()),
        (with_ids(server.append("acme", "order", "new"), &known), all.clone()),
        (with_ids(order(), &[known[0], known[1], known[2], new[0]]), all),
        (with_ids(order(), &[new[0], known[1], new[1]]), vec![known[1]]),
        (with_ids(order(), &[known[1], known[0]]), vec![known[1], known[0]]),
        (with_ids(order(), &known[..1]).event("Without"), vec![known[0]]),
    ];
    for (call, taken) in cases {
        assert_taken(&call.refused().await, &taken);
        assert_eq!(database.contents().await, before);
    }
}

async fn a_part_of_an_append_sent_again_alone_is_a_replay_of_that_part(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let ids = ids(3);
    let first = with_ids(server.append("acme", "order", "1"), &ids).ok().await;
    let call = server.append("acme", "order", "1").event_with(|event| {
        event.event_id = ids[0].to_string();
    });
    let part = call.ok().await;
    assert!(part.replayed);
    assert_eq!(part.events, first.events[..1]);
}

/// In every phase that writes the legacy table, whose key is the id alone. Past them an id is its tenant's own matter.
async fn an_id_of_another_tenant_is_refused_and_tells_nothing(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let ids = ids(1);
    let secret = with_ids(server.append("acme", "secret", "launch-codes"), &ids);
    secret.clone().ok().await;
    server.append("other", "secret", "1").event("First").ok().await;
    let before = database.contents().await;

    let stranger = secret.with(|request| request.tenant_id = "other".to_owned());
    if !setting.writes_legacy() {
        assert!(!stranger.ok().await.replayed);
        return;
    }
    let refusal = stranger.refused().await;
    assert_taken(&refusal, &ids);
    assert!(!format!("{refusal:?}").contains("acme"), "{refusal:?}");
    assert_eq!(database.contents().await, before);
}

#[tokio::test]
async fn a_retry_that_meets_a_process_with_another_flag_is_a_replay() {
    let database = TestDatabase::new().await;
    let [on, off] = [TestServer::start(&database, true).await, TestServer::start(&database, false).await];
    for (first, second, stream) in [(&on, &off, "1"), (&off, &on, "2")] {
        let ids = ids(2);
        let answer = with_ids(first.append("acme", "order", stream), &ids).ok().await;
        let again = with_ids(second.append("acme", "order", stream), &ids).ok().await;
        assert!(again.replayed);
        let places = |answer: &AppendResponse| {
            answer
                .events
                .iter()
                .map(|event| (event.version, event.event_id.clone(), event.event_timestamp))
                .collect::<Vec<_>>()
        };
        assert_eq!(places(&again), places(&answer));
        assert_eq!(server_versions(first, stream).await, [1, 2]);
    }
}

async fn server_versions(server: &TestServer, stream: &str) -> Vec<i32> {
    server.read("acme", "order", stream).versions().await
}
