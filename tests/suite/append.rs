//! Appends that are acknowledged: versions, ids, positions, times, and each expected version.

use partita_model::limits::{
    APPEND_EVENTS_MAX, CLASS_CHARS_MAX, ID_CHARS_MAX, RETENTION_POLICY_CHARS_MAX, TYPE_CHARS_MAX,
    USER_AGENT_CHARS_MAX,
};
use partita_tests::{
    Setting, TestDatabase, TestServer, any, at, eventually, exact, in_every_phase, no_stream, stream_exists,
};
use uuid::Uuid;

in_every_phase!(
    append_keeps_the_callers_id_and_time,
    append_answers_with_consecutive_versions_positions_and_what_the_server_drew,
    each_expected_version_is_accepted_where_it_holds,
    the_greatest_append_is_recorded_whole,
    every_text_at_its_limit_is_recorded_and_read_back,
    a_document_comes_back_as_the_value_that_was_sent,
    the_hash_of_each_event_stands_beside_the_next,
    an_append_whose_caller_went_away_is_recorded_whole_or_not_at_all,
);

async fn append_answers_with_consecutive_versions_positions_and_what_the_server_drew(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let first = server.append("acme", "order", "1").expected(no_stream()).events(3).ok().await;
    assert_eq!((first.first_version, first.last_version, first.replayed), (1, 3, false));
    let second = server.append("acme", "order", "2").expected(no_stream()).events(2).ok().await;
    let events: Vec<_> = first.events.iter().chain(&second.events).collect();
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 1, 2]);
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, setting.positions(1..=5));

    let mut ids: Vec<Uuid> = events.iter().map(|event| event.event_id.parse().unwrap()).collect();
    assert!(ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);

    // The database's clock, not the test's: they may differ where DATABASE_URL names another machine.
    let now: i64 = database.scalar("SELECT extract(epoch FROM now())::bigint").await;
    for event in events {
        let seconds = event.event_timestamp.unwrap().seconds;
        assert!((now - 60..=now).contains(&seconds), "{seconds} is not just before {now}");
    }
}

async fn append_keeps_the_callers_id_and_time(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start_with(&database, |config| {
        config.partitions_v1 = setting.flag();
        config.retention_months = 0;
    })
    .await;
    let id = Uuid::new_v4();
    let time = at("2024-02-29T23:59:59.999999Z");
    let call = server.append("acme", "order", "1").event_with(|event| {
        event.event_id = id.to_string().to_uppercase();
        event.event_timestamp = Some(time);
    });
    let answer = call.ok().await;
    assert_eq!(answer.events[0].event_id, id.to_string());
    assert_eq!(answer.events[0].event_timestamp, Some(time));
    let event = server.read("acme", "order", "1").ok().await.events.remove(0);
    assert_eq!((event.event_id, event.event_timestamp), (id.to_string(), Some(time)));
}

async fn each_expected_version_is_accepted_where_it_holds(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let expectations = [any(), exact(1), stream_exists(), exact(3), any()];
    for (version, expected) in (1..).zip(expectations) {
        let answer = server.append("acme", "order", "1").expected(expected).event("Next").ok().await;
        assert_eq!(answer.last_version, version);
    }
    let answer = server.append("acme", "order", "2").expected(no_stream()).event("First").ok().await;
    assert_eq!(answer.last_version, 1);
}

async fn the_greatest_append_is_recorded_whole(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let answer = server.append("acme", "order", "1").events(APPEND_EVENTS_MAX).ok().await;
    assert_eq!(answer.events.len(), APPEND_EVENTS_MAX);
    assert_eq!(database.events().await, 1_000);
    assert_eq!(database.differing_rows().await, 0);
}

/// Text of so many characters of four bytes each, which does not compress well: the worst case of an index entry.
fn text_of(chars: usize, seed: usize) -> String {
    let pick = |place: usize| char::from_u32(0x1F300 + ((place * 7919 + seed * 104_729) % 0x400) as u32);
    (0..chars).filter_map(pick).collect()
}

async fn every_text_at_its_limit_is_recorded_and_read_back(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let (tenant, kind, id) = (text_of(ID_CHARS_MAX, 1), text_of(TYPE_CHARS_MAX, 2), text_of(ID_CHARS_MAX, 3));
    let call = server.append(&tenant, &kind, &id).event(&text_of(TYPE_CHARS_MAX, 4)).context(|context| {
        context.user_id = text_of(ID_CHARS_MAX, 5);
        context.correlation_id = text_of(ID_CHARS_MAX, 6);
        context.causation_id = Uuid::new_v4().to_string();
        context.legal_basis = text_of(CLASS_CHARS_MAX, 7);
        context.data_classification = text_of(CLASS_CHARS_MAX, 8);
        context.retention_policy = text_of(RETENTION_POLICY_CHARS_MAX, 9);
        context.ip_address = "2001:db8::/32".to_owned();
        context.user_agent = text_of(USER_AGENT_CHARS_MAX, 10);
        context.session_id = text_of(ID_CHARS_MAX, 11);
        context.request_id = text_of(ID_CHARS_MAX, 12);
    });
    let sent = call.request.clone();
    call.ok().await;
    let event = server.read(&tenant, &kind, &id).ok().await.events.remove(0);
    assert_eq!((event.aggregate_type, event.aggregate_id), (sent.aggregate_type, sent.aggregate_id));
    assert_eq!(event.event_type, sent.events[0].event_type);
    assert_eq!(event.context, sent.context);
    assert_eq!(database.differing_rows().await, 0);
}

async fn a_document_comes_back_as_the_value_that_was_sent(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let documents = [
        r#"{"b": [1, 2.50, -0.0, 1e3], "a": {"nested": null, "text": "\ud83c\udfba \"quoted\" \\"}}"#,
        r#""text alone""#,
        "[]",
        "null",
        "12345678901234567890.123456789",
    ];
    let mut call = server.append("acme", "order", "1");
    for document in documents {
        call = call.event_with(|event| {
            event.data = document.to_owned();
            event.metadata = document.to_owned();
        });
    }
    call.ok().await;
    let events = server.read("acme", "order", "1").ok().await.events;
    for (event, document) in events.iter().zip(documents) {
        let query = "SELECT $1::jsonb = $3::jsonb AND $2::jsonb = $3::jsonb";
        let query =
            sqlx::query_scalar::<_, bool>(query).bind(&event.data).bind(&event.metadata).bind(document);
        assert!(query.fetch_one(database.pool()).await.unwrap(), "{document} came back as {}", event.data);
    }
}

async fn the_hash_of_each_event_stands_beside_the_next(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "order", "1").events(2).ok().await;
    server.append("acme", "order", "1").event("Later").ok().await;
    let events = server.read("acme", "order", "1").ok().await.events;
    assert_eq!(events[0].previous_event_hash, "");
    for pair in events.windows(2) {
        assert_eq!(pair[1].previous_event_hash, pair[0].event_hash);
        assert!(pair[1].event_hash.starts_with("p1:") && pair[1].event_hash.len() == 46);
    }
}

async fn an_append_whose_caller_went_away_is_recorded_whole_or_not_at_all(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "order", "1").event("First").ok().await;
    for _ in 0..20 {
        let abandoned = server.append("acme", "order", "1").events(3).send();
        drop(tokio::time::timeout(std::time::Duration::from_micros(300), abandoned).await);
    }
    // Behind them in the same lane: when it is answered, they are settled.
    let last = server.append("acme", "order", "1").event("Last").ok().await.last_version;
    assert_eq!((last - 2) % 3, 0, "{last} is not the first, the last, and whole appends between");
    eventually("nothing left open", async || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND state LIKE 'idle in transaction%'";
        database.scalar::<i64>(open).await == 0
    })
    .await;
    assert_eq!(database.differing_rows().await, 0);
}
