//! Once legacy is not written any more: which ids are known, which partitions an append locks, what a verification follows.

use partita_proto::v1::AppendResponse;
use partita_proto::v1::chain_finding::{Fault, Table};
use partita_tests::{PhaseChange, Setting, TestDatabase, TestServer, at, month, standing_at};
use uuid::Uuid;

async fn start(database: &TestDatabase) -> TestServer {
    TestServer::start_keeping_all(database).await
}

#[tokio::test]
async fn an_append_of_long_ago_that_is_sent_again_with_its_times_is_a_replay() {
    for setting in [Setting::Finalized, Setting::Restoring] {
        let database = TestDatabase::in_phase(setting).await;
        let server = start(&database).await;
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::new_v4()).collect();
        let times = ["2023-12-31T23:59:59.999999Z", "2024-03-01T00:00:00Z", "2024-07-15T00:00:00Z"];
        let call = ids.iter().zip(times).fold(server.append("acme", "order", "1"), |call, (id, time)| {
            call.event_with(|event| {
                event.event_id = id.to_string();
                event.event_timestamp = Some(at(time));
            })
        });
        let first = call.clone().ok().await;
        // From memory and, for the server that comes later, with a look.
        for server in [server, start(&database).await] {
            let again = server.append("acme", "order", "1").with(|request| *request = call.request.clone());
            assert_eq!(again.ok().await, AppendResponse { replayed: true, ..first.clone() });
        }
        assert_eq!(database.count("event_store_partitioned").await, 3);
    }
}

#[tokio::test]
async fn an_id_is_known_for_at_least_a_whole_month() {
    let database = TestDatabase::in_phase(Setting::Finalized).await;
    let server = start(&database).await;
    let (id, old) = (Uuid::new_v4(), Uuid::new_v4());
    for (id, month, stream) in [(id, month(-1), "1"), (old, month(-2), "2")] {
        let call = server.append("acme", "order", stream).event_with(|event| {
            event.event_id = id.to_string();
            event.event_timestamp = Some(at(&month.start().to_string()));
        });
        call.ok().await;
    }
    // Sent again without its time.
    let again = |id: Uuid, stream: &str| {
        server.append("acme", "order", stream).event_with(|event| event.event_id = id.to_string())
    };
    assert!(again(id, "1").ok().await.replayed);
    // Past the window an id is free again: this is the limit that is documented.
    assert!(!again(old, "2").ok().await.replayed);
}

#[tokio::test]
async fn an_id_that_was_recorded_while_legacy_was_not_written_is_known_on_the_way_back() {
    let database = TestDatabase::new().await;
    for change in [PhaseChange::RaiseFence, PhaseChange::Finalize] {
        database.change_phase(change).await;
    }
    let servers = [start(&database).await, start(&database).await];
    let id = Uuid::new_v4();
    let call = |server: &TestServer| {
        server.append("acme", "order", "1").event_with(|event| event.event_id = id.to_string())
    };
    servers[0].append("acme", "order", "1").event("First").ok().await;
    call(&servers[0]).ok().await;
    database.change_phase(PhaseChange::BeginRestore).await;
    for server in &servers {
        assert!(call(server).ok().await.replayed);
        server.append("acme", "order", "1").event("Next").ok().await;
        assert!(call(server).ok().await.replayed);
    }
    database.fill_legacy().await;
    database.change_phase(PhaseChange::EndRestore).await;
    for server in &servers {
        assert!(call(server).ok().await.replayed);
    }
    database.assert_sound(&servers[0]).await;
}

/// Leaves of all tenants.
const LEAVES: &str = "SELECT count(*) FROM pg_class WHERE relkind = 'r' \
     AND relnamespace = 'event_store_partitions'::regnamespace";

/// How many leaves the sessions with an open transaction have locked, those of the test left out.
const LOCKED: &str = "SELECT count(DISTINCT held.relation) FROM pg_locks AS held \
     JOIN pg_stat_activity AS session USING (pid) JOIN pg_class AS leaf ON leaf.oid = held.relation \
     WHERE session.application_name = 'partita lane' AND session.datname = current_database() \
     AND leaf.relkind = 'r' AND leaf.relnamespace = 'event_store_partitions'::regnamespace";

#[tokio::test]
async fn an_append_locks_the_months_in_the_window_of_its_tenant_and_no_other() {
    for setting in [Setting::Finalized, Setting::Restoring] {
        let database = TestDatabase::in_phase(setting).await;
        let server = start(&database).await;
        for tenant in 0..8 {
            let call = format!("SELECT ensure_event_store_partition('t-{tenant}', 12, 0)");
            database.execute(call).await;
        }
        assert!(database.scalar::<i64>(LEAVES).await >= 100);
        // A stream of the same name that is not committed: the append waits for it with all its locks in hand.
        let mut other = database.connect().await;
        let stream =
            "BEGIN; INSERT INTO event_store_stream VALUES ('t-1', 'order', 'new', 1, 'x', now(), now())";
        sqlx::raw_sql(stream).execute(&mut other).await.unwrap();
        let call = server.append("t-1", "order", "new").event_with(|event| {
            event.event_id = Uuid::new_v4().to_string();
        });
        let waiting = tokio::spawn(call.clone().send());
        database.lane_waits().await;
        // The month before, the present one, and the twelve ahead.
        assert_eq!(database.scalar::<i64>(LOCKED).await, 14);
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
        waiting.await.unwrap().unwrap();
        assert!(call.ok().await.replayed);
    }
}

#[tokio::test]
async fn a_look_for_ids_locks_few_months_even_in_a_session_that_keeps_generic_plans() {
    let database = TestDatabase::in_phase(Setting::Finalized).await;
    let server = start(&database).await;
    for tenant in 0..8 {
        database.execute(format!("SELECT ensure_event_store_partition('t-{tenant}', 12, 0)")).await;
    }
    let answer = server.append("t-1", "order", "1").event("First").ok().await;
    let id = Uuid::parse_str(&answer.events[0].event_id).unwrap();
    let mut session = database.connect().await;
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan; BEGIN").execute(&mut session).await.unwrap();
    let statement = include_str!("../../crates/store/sql/append/is_recorded_partitioned.sql");
    let recorded_at: time::OffsetDateTime =
        database.scalar("SELECT event_timestamp FROM event_store_partitioned").await;
    // More often than PostgreSQL tries custom plans of its own accord.
    for _ in 0..8 {
        let found = sqlx::query_scalar::<_, bool>(statement).bind("t-1").bind(id).bind(recorded_at);
        assert!(found.fetch_one(&mut session).await.unwrap());
    }
    let locked: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_locks JOIN pg_class AS leaf ON leaf.oid = relation \
         WHERE pid = pg_backend_pid() AND leaf.relkind = 'r' \
         AND leaf.relnamespace = 'event_store_partitions'::regnamespace",
    )
    .fetch_one(&mut session)
    .await
    .unwrap();
    assert_eq!(locked, 1);
}

#[tokio::test]
async fn a_verification_follows_the_chains_in_the_partitioned_table_and_finds_what_was_changed_there() {
    let database = TestDatabase::in_phase(Setting::Finalized).await;
    let server = start(&database).await;
    for stream in ["1", "2", "3", "4"] {
        server.append("acme", "order", stream).events(3).ok().await;
    }
    let sound = server.verify("acme").await;
    assert_eq!((sound.found(), sound.summary.verified), (vec![], 12));
    database
        .tamper(
            "UPDATE event_store_partitioned SET user_id = 'eve' WHERE aggregate_id = '1' AND aggregate_version = 2; \
             DELETE FROM event_store_partitioned WHERE aggregate_id = '2' AND aggregate_version = 2; \
             DELETE FROM event_store_partitioned WHERE aggregate_id = '3' AND aggregate_version = 3; \
             DELETE FROM event_store_partitioned WHERE aggregate_id = '4' AND aggregate_version = 1",
        )
        .await;
    let found = server.verify("acme").await;
    for (event, fault) in [
        ("order/1@2", Fault::Changed),
        ("order/2@3", Fault::Missing),
        ("order/3@3", Fault::WrongEnd),
        ("order/4@2", Fault::Missing),
    ] {
        assert!(found.has(event, Table::Partitioned, fault), "{event} {fault:?}: {:?}", found.found());
    }
}

#[tokio::test]
async fn a_stream_whose_beginning_expired_is_verified_from_its_first_live_event_on() {
    let database = TestDatabase::in_phase(Setting::Finalized).await;
    let server = start(&database).await;
    let times = [month(-3), month(-2), month(-1)].map(|month| month.start().to_string());
    let times: Vec<&str> = times.iter().map(String::as_str).collect();
    server.append("acme", "order", "1").events_at(&times).ok().await;
    server.append("acme", "order", "gone").events_at(&times[..1]).ok().await;
    server.append("acme", "order", "1").event("Now").ok().await;
    let floor = month(-1).start();
    database.execute(format!("UPDATE event_store_tenant SET retention_floor = '{floor}'")).await;
    database.execute("SELECT ensure_event_store_partition('acme', 2, 1)").await;

    let answer = server.read("acme", "order", "1").ok().await;
    assert_eq!((answer.versions(), answer.bounds()), (vec![3, 4], (3, 4)));
    let verified = server.verify("acme").await;
    assert_eq!((verified.found(), verified.summary.verified), (vec![], 2));
    // The stream outlives its events.
    let next = server.append("acme", "order", "gone").expected(standing_at(1)).event("Next").ok().await;
    assert_eq!(next.last_version, 2);
    assert_eq!(server.verify("acme").await.found(), []);
}
