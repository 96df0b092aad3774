//! `DB_PARTITIONS_V1` on and off, in one process after another and in two at once.

use partita_proto::v1::RecordedEvent;
use partita_tests::{TestDatabase, TestServer, any, eventually, exact, no_stream};
use tokio::task::JoinSet;

/// What a read gives whatever the flag: positions are those of the partitioned table alone.
fn without_positions(events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
    events.into_iter().map(|event| RecordedEvent { position: None, ..event }).collect()
}

#[tokio::test]
async fn with_the_flag_off_nothing_touches_the_partitioned_side() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, false).await;
    let answer = server.append("acme", "order", "1").expected(no_stream()).events(3).ok().await;
    assert!(answer.events.iter().all(|event| event.position.is_none()));
    server.append("acme", "order", "1").expected(exact(3)).events(2).ok().await;
    server.append("acme", "order", "1").expected(exact(3)).event("Stale").refused().await;
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3, 4, 5]);
    server.stop().await;

    // A session hands in its statistics before it disappears from the list.
    let sessions = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'partita%'";
    eventually("its sessions are gone", async || database.scalar::<i64>(sessions).await == 0).await;
    let inserted = "SELECT coalesce(pg_stat_get_tuples_inserted('public.event_store'::regclass), 0)";
    eventually("the statistics are in", async || database.scalar::<i64>(inserted).await == 5).await;
    // The streams' own records are looked at, for what they know that legacy has no trace of, and never written.
    let touched: i64 = database
        .scalar(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + CASE WHEN relname = 'event_store_stream' THEN 0 \
             ELSE seq_scan + coalesce(idx_scan, 0) END), 0)::bigint \
             FROM pg_stat_user_tables WHERE schemaname = 'event_store_partitions' \
             OR relname IN ('event_store_partitioned', 'event_store_tenant', 'event_store_stream')",
        )
        .await;
    assert_eq!(touched, 0);
    let partitions =
        "pg_class WHERE relnamespace = 'event_store_partitions'::regnamespace AND relkind IN ('r', 'p')";
    for table in ["event_store_partitioned", "event_store_tenant", "event_store_stream", partitions] {
        assert_eq!(database.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn every_event_is_read_once_in_order_while_the_flag_goes_on_and_off() {
    let database = TestDatabase::new().await;
    let mut acknowledged = Vec::new();
    for partitions in [false, true, false, true, true, false, true] {
        let server = TestServer::start(&database, partitions).await;
        let at = i32::try_from(acknowledged.len()).unwrap();
        let expected = if at == 0 { no_stream() } else { exact(at) };
        let answer = server.append("acme", "order", "1").expected(expected).events(3).ok().await;
        acknowledged.extend(answer.events.into_iter().map(|event| event.event_id));
        server.stop().await;
    }
    let mut reads = Vec::new();
    for partitions in [true, false] {
        let server = TestServer::start(&database, partitions).await;
        let answer = server.read("acme", "order", "1").ok().await;
        assert_eq!(answer.versions(), (1..=21).collect::<Vec<_>>());
        assert_eq!(answer.bounds(), (1, 21));
        let ids: Vec<_> = answer.events.iter().map(|event| event.event_id.clone()).collect();
        assert_eq!(ids, acknowledged);
        for pair in answer.events.windows(2) {
            assert_eq!(pair[1].previous_event_hash, pair[0].event_hash);
        }
        let mut backwards = server.read("acme", "order", "1").backwards().ok().await.events;
        backwards.reverse();
        assert_eq!(backwards, answer.events);
        reads.push(without_positions(answer.events));
    }
    assert_eq!(reads[0], reads[1]);
    // Only what was written with the flag on is in the partitioned table.
    assert_eq!(database.count("event_store_partitioned").await, 12);
    assert_eq!(database.count("event_store").await, 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_read_once_in_order_while_both_kinds_of_process_write() {
    let database = TestDatabase::new().await;
    let servers = [TestServer::start(&database, true).await, TestServer::start(&database, false).await];
    let mut calls = JoinSet::new();
    for writer in 0..60 {
        let call = servers[writer % 2].append("acme", "order", "1").expected(any()).events(2);
        calls.spawn(call.ok());
    }
    let mut acknowledged = Vec::new();
    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.last_version, answer.first_version + 1);
        acknowledged.extend(answer.events.into_iter().map(|event| (event.version, event.event_id)));
    }
    acknowledged.sort();
    let reads =
        [servers[0].read("acme", "order", "1").ok().await, servers[1].read("acme", "order", "1").ok().await];
    for answer in &reads {
        let read: Vec<_> =
            answer.events.iter().map(|event| (event.version, event.event_id.clone())).collect();
        assert_eq!(read, acknowledged);
        assert_eq!(answer.versions(), (1..=120).collect::<Vec<_>>());
    }
    let [dual, legacy] = reads.map(|answer| without_positions(answer.events));
    assert_eq!(dual, legacy);
}

#[tokio::test]
async fn a_process_with_the_flag_on_sees_the_version_that_one_without_wrote() {
    let database = TestDatabase::new().await;
    let [on, off] = [TestServer::start(&database, true).await, TestServer::start(&database, false).await];
    for round in 0..3 {
        let next = if round == 0 { no_stream() } else { exact(2 * round) };
        on.append("acme", "order", "1").expected(next).event("On").ok().await;
        off.append("acme", "order", "1").expected(exact(2 * round + 1)).event("Off").ok().await;
        let refusal =
            on.append("acme", "order", "1").expected(exact(2 * round + 1)).event("Stale").refused().await;
        assert_eq!(refusal.fact("actual"), (2 * round + 2).to_string());
    }
    let events = on.read("acme", "order", "1").ok().await.events;
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, [Some(1), None, Some(2), None, Some(3), None]);
}
