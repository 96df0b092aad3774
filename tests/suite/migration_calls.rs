//! The migration, from its first look to its end and back, driven by its calls as an operator would.

use partita_proto::v1::backfill_orders::State;
use partita_proto::v1::change_phase_request::Move;
use partita_proto::v1::control_backfill_request::Action;
use partita_proto::v1::mismatch::Reason;
use partita_proto::v1::plan_migration_response::Plan;
use partita_proto::v1::{
    ChangePhaseRequest, ListMismatchesRequest, ListMismatchesResponse, PlanMigrationRequest,
    RepairMismatchesRequest, RepairMismatchesResponse,
};
use partita_tests::{Refusal, Setting, TestDatabase, TestServer, eventually};
use tonic::Code;

/// Five events that a process without the flag appended: history.
async fn history(database: &TestDatabase) {
    let server = TestServer::start(database, false).await;
    server.append("acme", "order", "1").events(5).ok().await;
    server.stop().await;
}

/// Appends one event, and reads the whole stream.
async fn append_and_read(server: &TestServer, version: i32) {
    let answer = server.append("acme", "order", "1").event("Counted").ok().await;
    assert_eq!(answer.last_version, version);
    assert_eq!(server.read("acme", "order", "1").versions().await, (1..=version).collect::<Vec<_>>());
}

async fn list(
    server: &TestServer,
    page_size: i32,
    page_token: &str,
) -> Result<ListMismatchesResponse, Refusal> {
    let request =
        ListMismatchesRequest { tenant_id: String::new(), page_size, page_token: page_token.to_owned() };
    let page = server.partitions().list_mismatches(request).await;
    page.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn repair(server: &TestServer, validate_only: bool) -> Result<RepairMismatchesResponse, Refusal> {
    let request =
        RepairMismatchesRequest { tenant_id: String::new(), validate_only, user_id: "ann".to_owned() };
    let repaired = server.partitions().repair_mismatches(request).await;
    repaired.map(tonic::Response::into_inner).map_err(Refusal::from)
}

fn codes(obstacles: &[partita_proto::v1::Obstacle]) -> Vec<&str> {
    obstacles.iter().map(|obstacle| obstacle.code.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_goes_all_the_way_and_back_with_appends_in_each_phase() {
    let database = TestDatabase::new().await;
    history(&database).await;
    let server = TestServer::start(&database, true).await;
    let _workforce = database.work();

    let request = PlanMigrationRequest::default();
    let mut plan = server.partitions().plan_migration(request).await.unwrap().into_inner();
    let first = plan.message().await.unwrap().unwrap().plan.unwrap();
    let Plan::Tenant(tenant) = first else { panic!("{first:?}") };
    assert_eq!((tenant.tenant_id.as_str(), tenant.months.len()), ("acme", 1));

    append_and_read(&server, 6).await;
    server.backfill_all().await;
    assert_eq!(database.differing_rows().await, 0);
    append_and_read(&server, 7).await;
    let (found, summary) = server.compare("").await.unwrap();
    assert_eq!((found.len(), summary.tenants_verified, summary.rows), (0, 1, 7));

    assert_eq!(server.change_phase(Move::Fence).await.unwrap(), ["fenced"]);
    append_and_read(&server, 8).await;
    assert_eq!(codes(&server.obstacles(Move::Finalize).await)[0], "NOT_VERIFIED");
    assert_eq!(server.compare("").await.unwrap().1.tenants_verified, 1);
    // The list of those that serve is written every few seconds.
    eventually("the server is seen to have followed", async || {
        server.obstacles(Move::Finalize).await.is_empty()
    })
    .await;
    assert_eq!(server.change_phase(Move::Finalize).await.unwrap(), ["finalized"]);
    append_and_read(&server, 9).await;
    assert_eq!(
        (database.count("event_store").await, database.count("event_store_partitioned").await),
        (8, 9)
    );

    eventually("the server is seen to have followed", async || {
        server.obstacles(Move::Restore).await.is_empty()
    })
    .await;
    // It may be refused at its very end, while the list is behind: called again, it goes on.
    let mut phases = Vec::new();
    eventually("the legacy table is restored", async || match server.change_phase(Move::Restore).await {
        Ok(gone_through) => {
            phases = gone_through;
            true
        }
        Err(refusal) => {
            assert_eq!(
                (refusal.reason.as_str(), refusal.fact("obstacles")),
                ("MIGRATION_OBSTACLE", "INSTANCES")
            );
            false
        }
    })
    .await;
    assert_eq!(phases.last().unwrap(), "open");
    append_and_read(&server, 10).await;
    assert_eq!(database.differing_rows().await, 0);
    assert_eq!(server.verify("").await.found(), []);
}

#[tokio::test]
async fn a_fence_is_refused_with_every_obstacle_and_what_mends_it() {
    let database = TestDatabase::new().await;
    history(&database).await;
    let [on, _off] = [TestServer::start(&database, true).await, TestServer::start(&database, false).await];
    let obstacles = on.obstacles(Move::Fence).await;
    assert_eq!(codes(&obstacles), ["NOT_BACKFILLED", "INSTANCES"]);
    assert!(obstacles[0].mend.contains("partita migration backfill start"), "{obstacles:?}");
    assert!(obstacles[1].description.contains("DB_PARTITIONS_V1=0"), "{obstacles:?}");
    let refusal = on.change_phase(Move::Fence).await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "MIGRATION_OBSTACLE"));
    assert_eq!(refusal.fact("obstacles"), "NOT_BACKFILLED,INSTANCES");
    for wrong in [Move::Unfence, Move::Finalize, Move::Restore] {
        assert_eq!(codes(&on.obstacles(wrong).await), ["PHASE"], "{wrong:?}");
    }
    assert_eq!(database.scalar::<String>("SELECT phase FROM event_store_control").await, "open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_copy_is_found_listed_and_blocks_and_a_missing_one_is_made_again() {
    let database = TestDatabase::new().await;
    history(&database).await;
    let server = TestServer::start(&database, true).await;
    let _workforce = database.work();
    server.backfill_all().await;
    database
        .tamper(
            "UPDATE event_store_partitioned SET event_data = '{\"n\": 0}' WHERE aggregate_version = 2; \
             DELETE FROM event_store_partitioned WHERE aggregate_version = 4",
        )
        .await;
    let (mut found, summary) = server.compare("").await.unwrap();
    found.sort_by_key(|mismatch| mismatch.version);
    let reasons: Vec<_> =
        found.iter().map(|mismatch| (mismatch.version.unwrap(), mismatch.reason())).collect();
    assert_eq!(reasons, [(2, Reason::ColumnsDiffer), (4, Reason::MissingInPartitioned)]);
    assert_eq!(found[0].columns, ["event_data"]);
    assert_eq!((summary.mismatches, summary.tenants_verified), (2, 0));

    let page = list(&server, 1, "").await.unwrap();
    let rest = list(&server, 1_000, &page.next_page_token).await.unwrap();
    assert_eq!((page.mismatches.len(), rest.mismatches.len(), rest.next_page_token.as_str()), (1, 1, ""));
    assert_eq!(list(&server, 1, "nonsense").await.unwrap_err().fields, ["page_token"]);
    assert!(codes(&server.obstacles(Move::Fence).await).contains(&"MISMATCHES"));

    let before = database.contents().await;
    let looked = repair(&server, true).await.unwrap();
    assert_eq!((looked.months_to_copy, looked.steps.len()), (1, 1));
    assert_eq!(database.contents().await, before);
    database.tamper(&looked.steps[0].statements).await;
    repair(&server, false).await.unwrap();
    let is_over = async || server.migration().await.orders.unwrap().state() == State::Finished;
    eventually("the copy is made", is_over).await;
    assert_eq!(server.compare("").await.unwrap().1.tenants_verified, 1);
    assert_eq!(server.migration().await.mismatches, 0);
    assert_eq!(repair(&server, false).await.unwrap_err().fact("obstacles"), "NOTHING_TO_REPAIR");
    assert_eq!(database.differing_rows().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finalize_is_refused_while_a_difference_stands_and_says_what_mends_it() {
    let database = TestDatabase::new().await;
    history(&database).await;
    let server = TestServer::start(&database, true).await;
    let _workforce = database.work();
    server.backfill_all().await;
    assert_eq!(server.change_phase(Move::Fence).await.unwrap(), ["fenced"]);
    assert_eq!(server.compare("").await.unwrap().1.tenants_verified, 1);
    eventually("the server is seen to have followed", async || {
        server.obstacles(Move::Finalize).await.is_empty()
    })
    .await;

    let change = "UPDATE event_store_partitioned SET event_data = '{\"n\": 0}' WHERE aggregate_version = 2";
    database.tamper(change).await;
    assert_eq!(server.compare("").await.unwrap().1.mismatches, 1);
    let before = database.contents().await;
    let refusal = server.change_phase(Move::Finalize).await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "MIGRATION_OBSTACLE"));
    assert_eq!(refusal.fact("obstacles"), "MISMATCHES,NOT_VERIFIED");
    assert!(refusal.message.contains("1 differences between the tables are open"), "{}", refusal.message);
    let obstacles = server.obstacles(Move::Finalize).await;
    for command in ["partita migration mismatches", "partita migration repair", "partita migration verify"] {
        assert!(obstacles[0].mend.contains(command), "{obstacles:?}");
    }
    assert_eq!(database.scalar::<String>("SELECT phase FROM event_store_control").await, "fenced");
    assert_eq!(database.contents().await, before);

    database.tamper(&repair(&server, true).await.unwrap().steps[0].statements).await;
    assert_eq!(server.compare("").await.unwrap().1.tenants_verified, 1);
    assert_eq!(server.change_phase(Move::Finalize).await.unwrap(), ["finalized"]);
}

#[tokio::test]
async fn a_change_that_cannot_have_the_tables_names_who_holds_them_and_changes_nothing() {
    let database = TestDatabase::new().await;
    history(&database).await;
    database.backfill().await;
    let server = TestServer::start(&database, true).await;
    let mut holder = database.connect().await;
    let hold = "SET application_name = 'nightly report'; BEGIN; LOCK TABLE event_store IN SHARE MODE";
    sqlx::raw_sql(hold).execute(&mut holder).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut holder).await.unwrap();
    let control = "SELECT control::text FROM event_store_control AS control";
    let (before, kept) = (database.scalar::<String>(control).await, database.contents().await);

    let refusal = server.change_phase(Move::Fence).await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "TABLE_LOCKED"));
    assert!(refusal.retry_after.is_some(), "{refusal:?}");
    let named =
        format!("pid {pid} (nightly report) holds ShareLock on public.event_store, in a transaction of ");
    let age = refusal.message.split(&named).nth(1).and_then(|rest| rest.split(' ').next());
    assert!(age.is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{}", refusal.message);
    assert_eq!((database.scalar::<String>(control).await, database.contents().await), (before, kept));
    assert_eq!(database.count("event_store_phase_change").await, 0);

    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_eq!(server.change_phase(Move::Fence).await.unwrap(), ["fenced"]);
}

/// Begins a restore whose client goes away as soon as the condition holds.
async fn drop_restore(server: &TestServer, what: &str, condition: impl AsyncFnMut() -> bool) {
    let request =
        ChangePhaseRequest { r#move: Move::Restore.into(), validate_only: false, user_id: "ann".to_owned() };
    let mut client = server.partitions();
    let call = tokio::spawn(async move {
        let mut messages = client.change_phase(request).await.unwrap().into_inner();
        while messages.message().await.unwrap().is_some() {}
    });
    eventually(what, condition).await;
    assert!(!call.is_finished(), "the call came to its end");
    call.abort();
    call.await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_whose_call_is_dropped_goes_on_with_the_next_one() {
    let database = TestDatabase::in_phase(Setting::Finalized).await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").events(50).ok().await;
    let phase = async || database.scalar::<String>("SELECT phase FROM event_store_control").await;

    // Before the workers are told anything: orders cannot be given.
    let mut holder = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE event_store_backfill IN SHARE MODE").execute(&mut holder).await.unwrap();
    drop_restore(&server, "both tables are written", async || phase().await == "restoring").await;
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    server.append("acme", "order", "1").event("Meanwhile").ok().await;

    // In the middle of a page: rows cannot be copied.
    sqlx::raw_sql("BEGIN; LOCK TABLE event_store IN SHARE MODE").execute(&mut holder).await.unwrap();
    let copies = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'partita backfill' AND wait_event_type = 'Lock'";
    drop_restore(&server, "a page is copied", async || database.scalar::<i64>(copies).await > 0).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_eq!(phase().await, "restoring");
    assert_eq!(server.migration().await.orders.unwrap().state(), State::Running);

    // The list of those that serve may be behind at the end.
    eventually("the legacy table is restored", async || match server.change_phase(Move::Restore).await {
        Ok(phases) => phases.last().is_some_and(|last| last == "open"),
        Err(refusal) => {
            assert_eq!(refusal.fact("obstacles"), "INSTANCES", "{refusal:?}");
            false
        }
    })
    .await;
    assert_eq!(phase().await, "open");
    assert_eq!(
        (database.count("event_store").await, database.count("event_store_partitioned").await),
        (51, 51)
    );
    append_and_read(&server, 52).await;
}

#[tokio::test]
async fn the_backfill_goes_from_state_to_state_and_no_other_way() {
    let database = TestDatabase::new().await;
    history(&database).await;
    let server = TestServer::start(&database, true).await;
    let refused = server.backfill(Action::Pause, None).await.unwrap_err();
    assert_eq!(
        (refused.reason.as_str(), refused.fact("obstacles")),
        ("MIGRATION_OBSTACLE", "BACKFILL_STATE")
    );
    for (action, state) in [
        (Action::Start, State::Running),
        (Action::Pause, State::Paused),
        (Action::Resume, State::Running),
        (Action::Cancel, State::Stopped),
    ] {
        assert_eq!(server.backfill(action, None).await, Ok(state));
    }
    assert_eq!(server.backfill(Action::Resume, None).await.unwrap_err().reason, "MIGRATION_OBSTACLE");
    assert_eq!(server.backfill(Action::Tune, None).await.unwrap_err().fields, ["limits"]);
    let status = server.migration().await;
    assert_eq!((status.instances.len(), status.progress.unwrap().units), (1, 1));
    assert!(status.instances[0].partitions_v1);
}

#[tokio::test]
async fn an_unknown_tenant_is_named() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    let refusal = server.compare("nobody").await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.fact("tenant_id")), ("TENANT_NOT_FOUND", "nobody"));
    let (found, summary) = server.compare("").await.unwrap();
    assert_eq!((found.len(), summary.tenants, summary.units), (0, 0, 0));
}
