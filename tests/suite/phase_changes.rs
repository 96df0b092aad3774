//! The phase changes while processes serve: they follow at once, and lose nothing on the way.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use partita_proto::v1::EventResult;
use partita_tests::{
    PhaseChange, Refusal, Setting, TestDatabase, TestServer, any, eventually, messages, standing_at,
};
use tokio::task::JoinSet;
use uuid::Uuid;

const ROUND: [PhaseChange; 4] =
    [PhaseChange::RaiseFence, PhaseChange::Finalize, PhaseChange::BeginRestore, PhaseChange::EndRestore];

/// What a writer was told, by the event's id: its stream and version.
type Acknowledged = HashMap<String, (String, i32)>;

/// Appends until it is told to stop; sends every third append again, which must be answered as before.
async fn write(
    server: Arc<TestServer>,
    writer: usize,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let tenant = ["acme", "beta"][writer % 2];
        let stream = format!("stream-{}", (number + writer) % 3);
        let call = server.append(tenant, "order", &stream).expected(any());
        // Some events bring their ids, others do not: lanes decide them in different ways.
        let call = (0..1 + number % 2).fold(call, |call, _| {
            call.event_with(|event| {
                if writer % 4 < 2 {
                    event.event_id = Uuid::new_v4().to_string();
                }
            })
        });
        let answer = call.clone().ok().await;
        if writer % 4 < 2 && number % 3 == 0 {
            let again = call.ok().await;
            assert!(again.replayed);
            assert_eq!(again.events, answer.events);
        }
        let place = |version| (format!("{tenant}/{stream}"), version);
        acknowledged.extend(answer.events.into_iter().map(|event| (event.event_id, place(event.version))));
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// Reads all streams until it is told to stop: each read is the stream up to where it stood.
async fn read(server: Arc<TestServer>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        for (tenant, stream) in [("acme", "stream-0"), ("beta", "stream-1"), ("acme", "stream-2")] {
            let answer = server.read(tenant, "order", stream).ok().await;
            assert_eq!(answer.versions(), (1..=answer.state.version).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_append_is_lost_while_the_phase_goes_all_the_way_round() {
    let database = TestDatabase::new().await;
    let servers = [TestServer::start(&database, true).await, TestServer::start(&database, true).await];
    let servers = servers.map(Arc::new);
    for (tenant, stream) in ["acme", "beta"].iter().flat_map(|tenant| (0..3).map(move |one| (tenant, one))) {
        servers[0].append(tenant, "order", &format!("stream-{stream}")).event("First").ok().await;
    }
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let server = Arc::clone(&servers[writer / 4]);
        writers.spawn(write(server, writer, Arc::clone(&stop), Arc::clone(&count)));
    }
    let reader = tokio::spawn(read(Arc::clone(&servers[1]), Arc::clone(&stop)));
    let go_on = async || {
        let wanted = count.load(Ordering::Relaxed) + 40;
        eventually("appends go on", async || count.load(Ordering::Relaxed) >= wanted).await;
    };
    for _ in 0..2 {
        for change in ROUND {
            go_on().await;
            if change == PhaseChange::EndRestore {
                database.fill_legacy().await;
            }
            database.change_phase(change).await;
            if change == PhaseChange::RaiseFence {
                go_on().await;
                database.verify_tenants().await;
            }
        }
    }
    go_on().await;
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Acknowledged = writers.join_all().await.into_iter().flatten().collect();
    reader.await.unwrap();

    let mut recorded = Acknowledged::new();
    for (tenant, stream) in ["acme", "beta"].iter().flat_map(|tenant| (0..3).map(move |one| (tenant, one))) {
        let stream = format!("stream-{stream}");
        let answer = servers[0].read(tenant, "order", &stream).ok().await;
        assert_eq!(answer.versions(), (1..=answer.state.version).collect::<Vec<_>>());
        let later = answer.events.into_iter().skip(1);
        recorded.extend(later.map(|event| (event.event_id, (format!("{tenant}/{stream}"), event.version))));
    }
    let sorted = |events: Acknowledged| events.into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(sorted(recorded), sorted(acknowledged));
    database.assert_sound(&servers[1]).await;
}

/// A tenant that both servers know, so that they append from memory.
async fn two_warm_servers(database: &TestDatabase) -> [TestServer; 2] {
    let servers = [TestServer::start(database, true).await, TestServer::start(database, true).await];
    for (server, tenant) in servers.iter().zip(["warm", "other"]) {
        server.append(tenant, "order", "1").events(2).ok().await;
        server.append(tenant, "order", "1").event("Third").ok().await;
    }
    servers
}

#[tokio::test]
async fn an_append_that_waits_for_a_change_is_recorded_where_the_new_phase_wants_it() {
    let database = TestDatabase::new().await;
    let servers = two_warm_servers(&database).await;
    let (mut legacy, mut partitioned) = (6, 6);
    for change in ROUND {
        if change == PhaseChange::EndRestore {
            database.fill_legacy().await;
            legacy = partitioned;
        }
        // The change has the tables and is not committed: statements that were prepared for the old phase wait.
        let mut session = database.connect().await;
        sqlx::raw_sql("BEGIN").execute(&mut session).await.unwrap();
        sqlx::raw_sql(change.statement()).execute(&mut session).await.unwrap();
        let waiting: Vec<_> = [("warm", "1"), ("other", "1"), ("warm", "2"), ("new", "1")]
            .into_iter()
            .map(|(tenant, stream)| {
                let server = if tenant == "other" { &servers[1] } else { &servers[0] };
                let call = server.append(tenant, "order", stream).expected(any()).event("Waits");
                tokio::spawn(call.send())
            })
            .collect();
        database.lane_waits().await;
        sqlx::raw_sql("COMMIT").execute(&mut session).await.unwrap();
        for append in waiting {
            append.await.unwrap().unwrap();
        }
        partitioned += 4;
        legacy += if change == PhaseChange::Finalize { 0 } else { 4 };
        assert_eq!(database.count("event_store_partitioned").await, partitioned, "{change:?}");
        assert_eq!(database.count("event_store").await, legacy, "{change:?}");
    }
    database.assert_sound(&servers[0]).await;
}

#[tokio::test]
async fn a_change_gives_way_to_a_writer_that_holds_the_tables_and_names_it() {
    let database = TestDatabase::new().await;
    let mut writer = database.connect().await;
    let insert = "BEGIN; LOCK TABLE event_store IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(insert).execute(&mut writer).await.unwrap();
    let refused =
        sqlx::raw_sql(PhaseChange::RaiseFence.statement()).execute(database.pool()).await.unwrap_err();
    let refused = refused.as_database_error().unwrap();
    assert_eq!(refused.code().as_deref(), Some("55P03"));
    let refused = refused.downcast_ref::<sqlx::postgres::PgDatabaseError>();
    assert!(refused.detail().is_some_and(|held| held.contains("RowExclusiveLock on")), "{refused:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut writer).await.unwrap();
    database.change_phase(PhaseChange::RaiseFence).await;
}

#[tokio::test]
async fn a_change_from_another_phase_is_refused_and_changes_nothing() {
    let changes = [
        (Setting::Dual, vec![PhaseChange::RaiseFence]),
        (Setting::Fenced, vec![PhaseChange::LowerFence, PhaseChange::Finalize]),
        (Setting::Finalized, vec![PhaseChange::BeginRestore]),
        (Setting::Restoring, vec![PhaseChange::EndRestore]),
    ];
    for (setting, allowed) in changes {
        let database = TestDatabase::in_phase(setting).await;
        let control = "SELECT control::text FROM event_store_control AS control";
        let before: String = database.scalar(control).await;
        for change in [ROUND.as_slice(), &[PhaseChange::LowerFence]].concat() {
            if allowed.contains(&change) {
                continue;
            }
            let refused = sqlx::raw_sql(change.statement()).execute(database.pool()).await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("55000"), "{setting:?}, {change:?}: {refused}");
            assert_eq!(database.scalar::<String>(control).await, before);
        }
    }
}

#[tokio::test]
async fn every_change_is_written_down_and_the_fence_keeps_its_instant() {
    let database = TestDatabase::new().await;
    let fenced_at = "SELECT fenced_at::text FROM event_store_control";
    let mut since = None;
    for change in ROUND {
        database.change_phase(change).await;
        let found: Option<String> = database.scalar(fenced_at).await;
        match change {
            PhaseChange::RaiseFence => since = found,
            PhaseChange::EndRestore => assert_eq!(found, None),
            PhaseChange::Finalize | PhaseChange::BeginRestore | PhaseChange::LowerFence => {
                assert_eq!(found, since);
            }
        }
    }
    let changes = database.column::<String>(
        "SELECT changed_by || ': ' || phase_from || ' to ' || phase_to FROM event_store_phase_change ORDER BY id",
    );
    let told = ["open to fenced", "fenced to finalized", "finalized to restoring", "restoring to open"];
    assert_eq!(changes.await, told.map(|change| format!("test: {change}")));
}

#[tokio::test]
async fn a_mark_of_before_the_fence_does_not_verify_a_tenant_even_by_a_clock_that_is_ahead() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    database.execute("UPDATE event_store_tenant SET verified_at = now() + interval '1 hour'").await;
    database.change_phase(PhaseChange::RaiseFence).await;
    let verified = "SELECT verified_at >= fenced_at FROM event_store_tenant, event_store_control";
    assert!(!database.scalar::<bool>(verified).await);
}

#[tokio::test]
async fn what_is_recorded_in_any_phase_is_found_by_its_id_in_every_later_one() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let mut told: Vec<EventResult> = Vec::new();
    for (change, version) in ROUND.into_iter().zip(0..) {
        let append = server.append("acme", "order", "1").expected(standing_at(version));
        let answer = append.event("Next").ok().await;
        let event = answer.events.into_iter().next().unwrap();
        told.push(EventResult { event_id: event.event_id.clone(), ..EventResult::default() });
        if change == PhaseChange::EndRestore {
            database.fill_legacy().await;
        }
        database.change_phase(change).await;
        let request = partita_proto::v1::GetAppendResultRequest {
            tenant_id: "acme".to_owned(),
            event_ids: told.iter().map(|result| result.event_id.clone()).collect(),
        };
        let results = server.events().get_append_result(request).await.unwrap().into_inner().results;
        let positions: Vec<_> = results
            .iter()
            .map(|result| result.recorded.as_ref().and_then(|one| one.event.as_ref()).unwrap().position)
            .collect();
        assert_eq!(positions, (1..=i64::from(version) + 1).map(Some).collect::<Vec<_>>(), "{change:?}");
        assert_eq!(server.verify("acme").await.found(), [], "{change:?}");
    }
}

#[tokio::test]
async fn a_stream_that_another_program_moved_before_the_fence_goes_on_from_there_once_finalized() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(2).ok().await;
    partita_tests::ForeignEvent::new("acme", "1", 3).write(database.pool()).await.unwrap();
    database.change_phase(PhaseChange::RaiseFence).await;
    // What a backfill does: the row and its stream's record, the position counted down from 0.
    database
        .execute(
            "INSERT INTO event_store_partitioned SELECT legacy.*, -1 FROM event_store AS legacy \
             WHERE aggregate_version = 3; \
             UPDATE event_store_tenant SET history_position = -1; \
             UPDATE event_store_stream SET version = 3, last_hash = 'foreign-1-3', last_timestamp = now()",
        )
        .await;
    database.change_phase(PhaseChange::Finalize).await;
    // The lane remembers version 2, and nothing but the phase tells it that this is not the last.
    let stale = server.append("acme", "order", "1").expected(standing_at(2)).event("Stale").refused().await;
    assert_eq!((stale.reason.as_str(), stale.fact("actual")), ("VERSION_CONFLICT", "3"));
    let next = server.append("acme", "order", "1").expected(standing_at(3)).event("Next").ok().await;
    assert_eq!(next.last_version, 4);
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_read_that_began_before_a_change_ends_as_it_began() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    for _ in 0..2 {
        server.append("acme", "order", "1").events(1_000).ok().await;
    }
    for change in ROUND {
        let request = partita_proto::v1::ReadStreamRequest {
            tenant_id: "acme".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id: "1".to_owned(),
            ..Default::default()
        };
        let mut stream = server.events().read_stream(request).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap();
        if change == PhaseChange::EndRestore {
            database.fill_legacy().await;
        }
        database.change_phase(change).await;
        server.append("acme", "order", "1").event("Later").ok().await;
        let mut versions: Vec<_> = first.events.iter().map(|event| event.version).collect();
        let mut state = None;
        for message in messages(stream).await.unwrap() {
            versions.extend(message.events.iter().map(|event| event.version));
            state = message.stream_state.or(state);
        }
        assert_eq!(versions, (1..=state.unwrap().version).collect::<Vec<_>>(), "{change:?}");
    }
}

/// What a process without the flag answers once legacy is not whole, or not its own.
fn assert_contradiction(refusal: &Refusal, phase: &str) {
    let (code, reason) = (refusal.code, refusal.reason.as_str());
    assert_eq!((code, reason), (tonic::Code::FailedPrecondition, "PHASE_CONTRADICTION"));
    assert_eq!(refusal.fact("phase"), phase);
    assert!(refusal.message.contains("DB_PARTITIONS_V1=0"), "{}", refusal.message);
    assert!(refusal.message.contains("partita migration"), "{}", refusal.message);
}

#[tokio::test]
async fn a_process_without_the_flag_fails_loudly_behind_the_fence_and_loses_nothing() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, false).await;
    let recorded = server.append("acme", "order", "1").events(3).ok().await;
    let before = database.contents().await;
    let found = partita_proto::v1::GetAppendResultRequest {
        tenant_id: "acme".to_owned(),
        event_ids: vec![recorded.events[0].event_id.clone()],
    };
    for (change, phase) in [PhaseChange::RaiseFence, PhaseChange::Finalize, PhaseChange::BeginRestore]
        .into_iter()
        .zip(["fenced", "finalized", "restoring"])
    {
        database.change_phase(change).await;
        assert_contradiction(&server.append("acme", "order", "1").event("Lost").refused().await, phase);
        assert_contradiction(&server.append("new", "order", "1").event("Lost").refused().await, phase);
        assert_contradiction(&server.read("acme", "order", "1").refused().await, phase);
        let status = server.events().get_append_result(found.clone()).await.unwrap_err();
        assert_contradiction(&Refusal::from(status), phase);
        assert_eq!(database.contents().await, before);
    }
    database.change_phase(PhaseChange::EndRestore).await;
    let next = server.append("acme", "order", "1").expected(standing_at(3)).event("Fourth").ok().await;
    assert_eq!(next.last_version, 4);
    assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3, 4]);
}
