//! From `finalized` back to `open`: nothing is lost, and nothing is stuck.

use partita_migration::{MigrationError, Refusal as Refused, WorkerConfig};
use partita_model::Month;
use partita_proto::v1::chain_finding::{Fault, Table};
use partita_proto::v1::{
    AcceptQuarantinedRequest, GetAppendResultRequest, ListMismatchesRequest, RestorePartitionRequest,
};
use partita_store::{StoreConfig, schema};
use partita_tests::{ForeignEvent, PhaseChange, Refusal, TestDatabase, TestServer, at, month};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// With the flag; what expires may be restored for a week.
async fn start(database: &TestDatabase) -> TestServer {
    let change = |config: &mut StoreConfig| {
        config.partitions_v1 = true;
        config.retention_months = 0;
        config.maintenance.grace_days = 7;
    };
    TestServer::start_with(database, change).await
}

fn first_of(offset: i32) -> String {
    month(offset).start().to_string()
}

async fn finalize(database: &TestDatabase) {
    database.backfill().await;
    database.change_phase(PhaseChange::RaiseFence).await;
    database.backfill().await;
    assert!(database.verify_tables().await.summary.is_green());
    database.change_phase(PhaseChange::Finalize).await;
}

async fn go_back(database: &TestDatabase) -> Result<(), MigrationError> {
    // What serves is on the list with the phase that it saw last, up to five seconds ago.
    database.execute("DELETE FROM event_store_instance").await;
    let config =
        WorkerConfig { poll_interval: std::time::Duration::from_millis(20), ..WorkerConfig::default() };
    let (reports, _unheard) = mpsc::channel(1_000);
    database.migration().restore(config, "ann", &reports, &CancellationToken::new()).await
}

async fn restore_month(server: &TestServer, month: Month) -> Result<i32, Refusal> {
    let request = RestorePartitionRequest {
        tenant_id: "acme".to_owned(),
        month: month.to_string(),
        user_id: "ann".to_owned(),
        reason: "an audit".to_owned(),
    };
    let restored = server.partitions().restore_partition(request).await.map_err(Refusal::from)?;
    Ok(restored.into_inner().months_restored)
}

async fn expire(server: &TestServer, months: i32) {
    let run = server.maintain("acme", |request| request.retention_months = Some(months)).await;
    assert_eq!(run.summary.tenants_failed, 0, "{run:?}");
}

async fn append_id(server: &TestServer, id: Uuid, time: Option<String>) -> (bool, i32) {
    let call = server.append("acme", "order", "1").event_with(|event| {
        event.event_id = id.to_string();
        event.event_timestamp = time.map(|time| at(&time));
    });
    let answer = call.ok().await;
    (answer.replayed, answer.events[0].version)
}

#[tokio::test]
async fn an_id_of_before_finalize_is_known_for_ever() {
    let database = TestDatabase::new().await;
    let server = start(&database).await;
    let id = Uuid::new_v4();
    assert_eq!(append_id(&server, id, Some(first_of(-5))).await, (false, 1));
    finalize(&database).await;
    // From memory, and with a look; while its month is there, and when it is gone.
    for server in [&server, &start(&database).await] {
        server.append("acme", "order", "2").event("Else").ok().await;
        assert_eq!(append_id(server, id, None).await, (true, 1));
    }
    expire(&server, 1).await;
    database.execute("UPDATE event_store_detached SET drop_after = now() - interval '1 second'").await;
    expire(&server, 1).await;
    for change in [None, Some(PhaseChange::BeginRestore)] {
        if let Some(change) = change {
            database.change_phase(change).await;
        }
        assert_eq!(append_id(&server, id, None).await, (true, 1), "{change:?}");
        let request =
            GetAppendResultRequest { tenant_id: "acme".to_owned(), event_ids: vec![id.to_string()] };
        let found = server.events().get_append_result(request).await.unwrap().into_inner();
        let place = found.results[0].recorded.as_ref().unwrap().event.as_ref().unwrap();
        assert_eq!((place.version, place.position), (1, None), "{change:?}");
    }
    assert_eq!(database.count("event_store").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_was_used_twice_while_finalized_is_left_behind_by_decision_alone() {
    let database = TestDatabase::new().await;
    let server = start(&database).await;
    server.append("acme", "order", "1").event("First").ok().await;
    finalize(&database).await;
    let id = Uuid::new_v4();
    assert_eq!(append_id(&server, id, Some(first_of(-3))).await, (false, 2));
    assert_eq!(append_id(&server, id, None).await, (false, 3), "past the window, as documented");

    for _ in 0..2 {
        let refused = go_back(&database).await.unwrap_err();
        let MigrationError::Refused(refused) = refused else { panic!("{refused}") };
        assert_eq!((refused.code(), &refused), ("QUARANTINE", &Refused::Uncopied { rows: 1 }));
        assert!(refused.mend().contains("partita migration accept"), "{}", refused.mend());
    }
    let status = server.migration().await;
    assert_eq!((status.quarantined, status.accepted), (1, 0));
    let listed = server.partitions().list_mismatches(ListMismatchesRequest::default()).await.unwrap();
    let row = listed.into_inner().quarantined.remove(0);
    assert_eq!((row.event_id, row.code.as_str()), (id.to_string(), "23505"));
    assert!(row.reason.contains("event_store_pkey") && row.accepted_at.is_none(), "{}", row.reason);

    let accept = async |validate_only, reason: &str| {
        let request = AcceptQuarantinedRequest {
            tenant_id: "acme".to_owned(),
            validate_only,
            user_id: "ann".to_owned(),
            reason: reason.to_owned(),
        };
        let accepted = server.partitions().accept_quarantined(request).await.map_err(Refusal::from);
        accepted.map(|accepted| accepted.into_inner().rows)
    };
    assert_eq!(accept(true, "").await, Ok(1));
    assert_eq!(accept(false, "").await.unwrap_err().reason, "INVALID_ARGUMENT");
    assert_eq!(accept(false, "it was imported twice").await, Ok(1));
    assert_eq!(accept(false, "it was imported twice").await, Ok(0));
    go_back(&database).await.unwrap();
    assert_eq!(accept(false, "late").await.unwrap_err().reason, "MIGRATION_OBSTACLE");

    // It is read, as ever, and is no difference; nor does it stand in the way of another round.
    let status = server.migration().await;
    assert_eq!((status.quarantined, status.accepted, status.mismatches), (0, 1, 0));
    for round in 0..2 {
        assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2, 3], "{round}");
        assert!(database.verify_tables().await.summary.is_green(), "{round}");
        assert_eq!(server.verify("").await.found(), [], "{round}");
        assert_eq!(database.count("event_store").await, 2, "{round}");
        finalize(&database).await;
        go_back(&database).await.unwrap();
    }
    let refused = schema::down(&database.url(), 26).await.unwrap_err().to_string();
    assert!(refused.contains("left behind"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_that_expired_while_finalized_and_is_restored_after_the_way_back_is_in_both_tables() {
    let database = TestDatabase::new().await;
    let server = start(&database).await;
    server.append("acme", "order", "1").event("First").ok().await;
    finalize(&database).await;
    let id = Uuid::new_v4();
    assert_eq!(append_id(&server, id, Some(first_of(-3))).await, (false, 2));
    server.append("acme", "order", "2").events_at(&[&first_of(-3), &first_of(-2)]).ok().await;
    expire(&server, 1).await;
    go_back(&database).await.unwrap();
    assert_eq!(database.count("event_store").await, 4);
    assert_eq!(server.verify("").await.found(), []);
    assert_eq!(append_id(&server, id, None).await, (true, 2), "known though its month is detached");

    assert_eq!(restore_month(&server, month(-3)).await, Ok(2));
    assert_eq!(append_id(&server, id, Some(first_of(-3))).await, (true, 2));
    let without = TestServer::start(&database, false).await;
    for server in [&server, &without] {
        assert_eq!(server.read("acme", "order", "1").versions().await, [1, 2]);
        assert_eq!(server.read("acme", "order", "2").versions().await, [1, 2]);
    }
    let next = without.append("acme", "order", "1").event("Next").ok().await;
    assert_eq!(next.last_version, 3);
    assert_eq!(server.verify("").await.found(), []);
    database.backfill().await;
    assert!(database.verify_tables().await.summary.is_green());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_is_restored_behind_the_fence_with_what_legacy_alone_has_and_not_past_it() {
    for finalized in [false, true] {
        let database = TestDatabase::new().await;
        let server = start(&database).await;
        let (old, older) = (first_of(-3), first_of(-4));
        server.append("acme", "order", "1").events_at(&[&old, &first_of(0)]).ok().await;
        server.append("acme", "order", "2").events_at(&[&older]).ok().await;
        // Expired before any backfill copies it.
        let alone = ForeignEvent { timestamp: Some(&old), ..ForeignEvent::new("acme", "3", 1) };
        alone.write(database.pool()).await.unwrap();
        expire(&server, 1).await;
        if !finalized {
            database.change_phase(PhaseChange::RaiseFence).await;
            database.backfill().await;
            assert!(database.verify_tables().await.summary.is_green());
            assert_eq!(restore_month(&server, month(-4)).await, Ok(2));
        } else {
            finalize(&database).await;
            for phase in ["finalized", "restoring"] {
                let refused = restore_month(&server, month(-4)).await.unwrap_err();
                assert_eq!(refused.reason, "MONTH_INCOMPLETE", "{phase}: {refused:?}");
                if phase == "finalized" {
                    database.change_phase(PhaseChange::BeginRestore).await;
                }
            }
            go_back(&database).await.unwrap();
            assert_eq!(restore_month(&server, month(-4)).await, Ok(2));
        }
        for _ in 0..2 {
            for (stream, versions) in [("1", vec![1, 2]), ("2", vec![1]), ("3", vec![1])] {
                let read = server.read("acme", "order", stream).versions().await;
                assert_eq!(read, versions, "{stream}, finalized {finalized}");
            }
            database.backfill().await;
            assert!(database.verify_tables().await.summary.is_green());
        }
        assert_eq!(server.verify("").await.found(), []);
    }
}

/// Streams of which an event has expired behind or between others: known to legacy, or recorded while it was not written.
async fn expired_out_of_order(database: &TestDatabase) -> TestServer {
    let server = start(database).await;
    let (old, one, two) = (first_of(-3), first_of(-1), first_of(0));
    server.append("acme", "order", "known").events_at(&[&one, &old, &two, &old]).ok().await;
    // As if a release had recorded it that does not note what comes late.
    database.execute("UPDATE event_store_stream SET late_timestamp = NULL").await;
    finalize(database).await;
    server.append("acme", "order", "end").events_at(&[&one, &old]).ok().await;
    server.append("acme", "order", "middle").events_at(&[&one]).ok().await;
    server.append("acme", "order", "middle").events_at(&[&old]).ok().await;
    server.append("acme", "order", "middle").events_at(&[&two]).ok().await;
    server.append("acme", "order", "rising").events_at(&[&old, &one, &one, &two]).ok().await;
    server.append("acme", "order", "gone").events_at(&[&old, &old]).ok().await;
    expire(&server, 1).await;
    database.execute("UPDATE event_store_detached SET drop_after = now() - interval '1 second'").await;
    expire(&server, 1).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expired_out_of_order_is_not_taken_for_missing_neither_while_finalized_nor_after_the_way_back() {
    let database = TestDatabase::new().await;
    let server = expired_out_of_order(&database).await;
    assert_eq!(server.verify("").await.found(), []);
    go_back(&database).await.unwrap();
    assert_eq!(server.verify("").await.found(), []);
    // What a process without the flag writes now has no copy, and is not one that was lost.
    let without = TestServer::start(&database, false).await;
    without.append("acme", "order", "end").event("Next").ok().await;
    assert_eq!(server.verify("").await.found(), []);
    assert!(!database.verify_tables().await.differences.is_empty());
    database.backfill().await;
    assert!(database.verify_tables().await.summary.is_green());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_is_reported_though_other_events_of_its_stream_have_expired() {
    let of = |stream: &str, version: i32| {
        format!(
            "DELETE FROM event_store_partitioned WHERE aggregate_id = '{stream}' AND aggregate_version = {version}; "
        )
    };
    for (lost, event, fault) in [
        // In the middle, and at the end, of a stream whose times rise.
        (of("rising", 3), "order/rising@4", Fault::Missing),
        (of("rising", 4), "order/rising@4", Fault::WrongEnd),
        // Behind an event that expired: the stream's record has a greater time than any event that is left.
        (of("middle", 3), "order/middle@3", Fault::WrongEnd),
        // Legacy has it, and it has not expired.
        (of("known", 3), "order/known@4", Fault::WrongEnd),
    ] {
        let database = TestDatabase::new().await;
        let server = expired_out_of_order(&database).await;
        database.tamper(&lost).await;
        let found = server.verify("").await;
        assert!(found.has(event, Table::Partitioned, fault), "{lost}: {:?}", found.found());
    }
}
