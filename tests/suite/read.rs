//! Reading a stream: both directions, bounds, pages, and what the last message says.

use partita_tests::{Refusal, Setting, TestDatabase, TestServer, at, in_every_phase};
use tonic::Code;

in_every_phase!(
    a_read_gives_what_was_asked_for_in_its_order,
    a_bound_on_one_side_is_enough,
    a_long_stream_is_read_whole_whatever_the_pages,
    large_events_are_read_whole,
    only_the_last_message_says_where_the_stream_stands,
    a_stream_that_does_not_exist_is_not_found,
);

/// A stream of ten events on ten days of a month, the first four written with the flag off if `halved`.
async fn ten_days(setting: Setting, halved: bool) -> (TestDatabase, TestServer) {
    let mut database = TestDatabase::new().await;
    let start = async |database: &TestDatabase, partitions: bool| {
        TestServer::start_with(database, |config| {
            config.partitions_v1 = partitions;
            config.retention_months = 0;
        })
        .await
    };
    let days: Vec<String> = (1..=10).map(|day| format!("2024-02-{day:02}T12:00:00Z")).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    if halved {
        let before = start(&database, false).await;
        before.append("acme", "order", "1").events_at(&days[..4]).ok().await;
        before.stop().await;
    }
    database.enter(setting).await;
    let server = start(&database, setting.flag()).await;
    let rest = if halved { &days[4..] } else { &days[..] };
    server.append("acme", "order", "1").events_at(rest).ok().await;
    (database, server)
}

async fn a_read_gives_what_was_asked_for_in_its_order(setting: Setting) {
    // With half of the stream in the legacy table alone, where that is read beside the other.
    let both = matches!(setting, Setting::Dual | Setting::Fenced);
    for halved in [false, true].into_iter().filter(|halved| both || !halved) {
        let (_database, server) = ten_days(setting, halved).await;
        let read = || server.read("acme", "order", "1");
        let between = |from, to| read().between(from, to);
        let cases: [(partita_tests::ReadCall, Vec<i32>); 20] = [
            (read(), (1..=10).collect()),
            (read().backwards(), (1..=10).rev().collect()),
            (read().from_version(1), (1..=10).collect()),
            (read().from_version(4), (4..=10).collect()),
            (read().from_version(10), vec![10]),
            (read().from_version(11), vec![]),
            (read().from_version(i32::MAX), vec![]),
            (read().from_version(4).backwards(), vec![4, 3, 2, 1]),
            (read().from_version(1).backwards(), vec![1]),
            (read().from_version(99).backwards(), (1..=10).rev().collect()),
            (read().max_count(1), vec![1]),
            (read().max_count(10), (1..=10).collect()),
            (read().max_count(i64::MAX), (1..=10).collect()),
            (read().max_count(3).from_version(3), vec![3, 4, 5]),
            (read().max_count(2).backwards(), vec![10, 9]),
            (between("2024-02-03T12:00:00Z", "2024-02-06T12:00:00Z"), vec![3, 4, 5]),
            (between("2024-02-03T12:00:00.000001Z", "2024-02-06T12:00:00.000001Z"), vec![4, 5, 6]),
            (between("2024-02-03T00:00:00Z", "2024-02-09T00:00:00Z").max_count(2).backwards(), vec![8, 7]),
            (between("2024-02-03T00:00:00Z", "2024-02-09T00:00:00Z").from_version(7), vec![7, 8]),
            (between("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), vec![]),
        ];
        for (index, (call, versions)) in cases.into_iter().enumerate() {
            let answer = call.ok().await;
            assert_eq!(answer.versions(), versions, "case {index}, {halved}");
            assert_eq!(answer.bounds(), (1, 10), "case {index}, {halved}");
        }
    }
}

async fn a_bound_on_one_side_is_enough(setting: Setting) {
    let (_database, server) = ten_days(setting, false).await;
    let read = || server.read("acme", "order", "1");
    let noon = Some(at("2024-02-03T12:00:00Z"));
    assert_eq!(
        read().with(|request| request.from_timestamp = noon).versions().await,
        (3..=10).collect::<Vec<_>>()
    );
    assert_eq!(read().with(|request| request.to_timestamp = noon).versions().await, [1, 2]);
}

async fn a_long_stream_is_read_whole_whatever_the_pages(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    // The first page has 64 events, the later ones at most 2,000.
    for (id, counts) in
        [("64", vec![64]), ("65", vec![65]), ("300", vec![300]), ("2500", vec![1_000, 1_000, 500])]
    {
        for count in counts {
            server.append("acme", "order", id).events(count).ok().await;
        }
        let all: Vec<i32> = (1..=id.parse().unwrap()).collect();
        let read = || server.read("acme", "order", id);
        assert_eq!(read().versions().await, all);
        let reversed: Vec<i32> = all.iter().rev().copied().collect();
        assert_eq!(read().backwards().versions().await, reversed);
        assert_eq!(read().max_count(64).versions().await, all[..64]);
        assert_eq!(read().from_version(60).max_count(5).versions().await, all[59..64]);
        let short = all.len().min(65);
        assert_eq!(read().backwards().max_count(65).versions().await, reversed[..short]);
    }
}

async fn large_events_are_read_whole(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    let document = |seed: usize| {
        format!("\"{}\"", "abcdefghij".chars().cycle().skip(seed).take(1_000_000).collect::<String>())
    };
    for version in 0..5 {
        server.append("acme", "order", "1").event_with(|event| event.data = document(version)).ok().await;
    }
    let events = server.read("acme", "order", "1").ok().await.events;
    assert_eq!(events.len(), 5);
    for (seed, event) in events.iter().enumerate() {
        assert!(event.data == document(seed), "the data of version {} are not what was sent", seed + 1);
    }
}

async fn only_the_last_message_says_where_the_stream_stands(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "order", "1").events(700).ok().await;
    let messages = server.read("acme", "order", "1").messages().await.unwrap();
    let (last, others) = messages.split_last().unwrap();
    assert!(others.len() > 1, "700 events came in {} messages", messages.len());
    assert!(others.iter().all(|message| message.stream_state.is_none() && !message.events.is_empty()));
    let state = last.stream_state.unwrap();
    assert_eq!((state.first_version, state.version), (1, 700));

    let empty = server.read("acme", "order", "1").from_version(701).messages().await.unwrap();
    assert_eq!(empty.len(), 1);
    assert!(empty[0].events.is_empty() && empty[0].stream_state == Some(state));
}

async fn a_stream_that_does_not_exist_is_not_found(setting: Setting) {
    let database = TestDatabase::in_phase(setting).await;
    let server = TestServer::start(&database, setting.flag()).await;
    server.append("acme", "order", "1").event("First").ok().await;
    for (tenant, kind, id) in [("acme", "order", "2"), ("acme", "Order", "1"), ("nobody", "order", "1")] {
        let refusal = server.read(tenant, kind, id).refused().await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::NotFound, "STREAM_NOT_FOUND"));
        assert_eq!(refusal.fact("stream"), format!("{kind}/{id}"));
    }
}

#[tokio::test]
async fn every_refused_read_names_its_fields() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let read = || server.read("acme", "order", "1");
    let day = "2024-02-03T12:00:00Z";
    let cases = [
        (server.read("", "order", "1"), vec!["tenant_id"]),
        (server.read("a\0", "", &"x".repeat(256)), vec!["tenant_id", "aggregate_type", "aggregate_id"]),
        (read().from_version(-1).max_count(-1), vec!["from_version", "max_count"]),
        (read().with(|request| request.direction = 7), vec!["direction"]),
        (read().between(day, day), vec!["to_timestamp"]),
        (read().between(day, "2024-02-03T11:59:59Z"), vec!["to_timestamp"]),
        (
            read().with(|r| r.from_timestamp = Some(prost_types::Timestamp { seconds: 0, nanos: 1 })),
            vec!["from_timestamp"],
        ),
    ];
    for (call, fields) in cases {
        let Refusal { code, reason, fields: named, .. } = call.refused().await;
        assert_eq!(
            (code, reason.as_str(), named),
            (Code::InvalidArgument, "INVALID_ARGUMENT", fields.iter().map(|f| (*f).to_owned()).collect())
        );
    }
}

#[tokio::test]
async fn a_reading_session_is_replaced_before_it_remembers_every_table() {
    let database = TestDatabase::new().await;
    let server = TestServer::start_with(&database, |config| {
        config.partitions_v1 = true;
        config.read_connections_max = 1;
    })
    .await;
    server.append("acme", "order", "1").event("First").ok().await;
    let session = "SELECT coalesce(max(pid), 0) FROM pg_stat_activity \
         WHERE application_name = 'partita' AND datname = current_database()";
    let mut first = 0;
    // One use in 250 ends it: that none of so many does has a chance of one in a hundred million.
    for _ in 0..5_000 {
        assert_eq!(server.read("acme", "order", "1").versions().await, [1]);
        let now: i32 = database.scalar(session).await;
        if first == 0 {
            first = now;
        } else if now != 0 && now != first {
            return;
        }
    }
    panic!("session {first} served every read");
}
