//! Connections to the database that break where it hurts most: around a commit.

use partita_proto::v1::AppendResponse;
use partita_store::{LaneConfig, StoreConfig};
use partita_tests::{
    AppendCall, Cut, Proxy, Statement, TestDatabase, TestServer, behind_row_security, exact, standing_at,
};
use tonic::Code;
use uuid::Uuid;

struct Scene {
    database: TestDatabase,
    proxy: Proxy,
    server: TestServer,
}

impl Scene {
    async fn new(partitions: bool) -> Self {
        Self::with(partitions, |_| {}).await
    }

    async fn with(partitions: bool, also: impl FnOnce(&mut StoreConfig)) -> Self {
        let database = TestDatabase::new().await;
        let proxy = Proxy::start(&database).await;
        let change = |config: &mut StoreConfig| {
            config.partitions_v1 = partitions;
            config.database_url = proxy.url();
            also(config);
        };
        let server = TestServer::start_with(&database, change).await;
        // The tenant's partitions are made in transactions of their own.
        server.append("acme", "order", "first").event("First").ok().await;
        Self { database, proxy, server }
    }

    /// An append of two events whose lane will send this statement: to a stream that it remembers, or to a new one.
    async fn append(&self, statement: Statement) -> AppendCall {
        let stream = Uuid::new_v4().to_string();
        let version = match statement {
            Statement::Commit => 0,
            Statement::Record => {
                self.server.append("acme", "order", &stream).event("Learnt").ok().await.last_version
            }
        };
        let call = self.server.append("acme", "order", &stream).expected(standing_at(version));
        let id = |call: AppendCall| call.event_with(|event| event.event_id = Uuid::new_v4().to_string());
        id(id(call))
    }

    async fn recorded(&self, call: &AppendCall) -> usize {
        let mut recorded = 0;
        for event in &call.request.events {
            let query = format!("SELECT count(*) FROM event_store WHERE event_id = '{}'", event.event_id);
            recorded += usize::try_from(self.database.scalar::<i64>(query).await).unwrap();
        }
        recorded
    }
}

/// What is cut, with `DB_PARTITIONS_V1` on or off.
const CASES: [(bool, Statement); 3] =
    [(true, Statement::Record), (true, Statement::Commit), (false, Statement::Commit)];

/// The caller notices nothing, the append is recorded once.
async fn is_mended(cut: Cut) {
    for (partitions, statement) in CASES {
        let scene = Scene::new(partitions).await;
        let call = scene.append(statement).await;
        scene.proxy.cut(cut, statement);
        let answer = call.clone().ok().await;
        assert!(scene.proxy.has_cut(), "{statement:?} was not sent");
        assert!(!answer.replayed);
        assert_eq!(answer.events.len(), 2);
        assert_eq!(scene.recorded(&call).await, 2);
        assert_eq!(call.ok().await, AppendResponse { replayed: true, ..answer });
        scene.append(Statement::Record).await.ok().await;
        if partitions {
            scene.database.assert_sound(&scene.server).await;
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_and_acknowledged() {
    is_mended(Cut::After).await;
}

#[tokio::test]
async fn a_commit_that_did_not_arrive_is_run_again() {
    is_mended(Cut::Before).await;
}

/// Whoever looks an event up without naming its tenant finds none, and would run the commit a second time.
#[tokio::test]
async fn a_commit_in_doubt_is_looked_up_behind_row_security() {
    behind_row_security(is_mended(Cut::After)).await;
    behind_row_security(is_mended(Cut::Before)).await;
}

#[tokio::test]
async fn a_statement_that_still_runs_when_its_connection_breaks_is_waited_for() {
    let scene = Scene::new(true).await;
    let call = scene.append(Statement::Record).await;
    let hold = scene.database.hold_tenant("acme").await;
    scene.proxy.cut(Cut::During, Statement::Record);
    let sent = tokio::spawn(call.clone().ok());
    scene.database.lane_waits().await;
    assert!(scene.proxy.has_cut());
    assert_eq!(scene.recorded(&call).await, 0);
    hold.release().await;
    let answer = sent.await.unwrap();
    assert!(!answer.replayed);
    assert_eq!(call.ok().await, AppendResponse { replayed: true, ..answer });
    scene.database.assert_sound(&scene.server).await;
}

/// Nobody gets to the database for longer than the lane looks.
async fn stays_in_doubt(cut: Cut, (partitions, statement): (bool, Statement)) {
    let patience = LaneConfig::default().doubt_timeout;
    let scene = Scene::with(partitions, |config| config.lanes.doubt_timeout = patience).await;
    let call = scene.append(statement).await;
    scene.proxy.cut_and_close(cut, statement);
    let refusal = call.clone().refused().await;
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "OUTCOME_UNKNOWN"));
    let recorded = if cut == Cut::After { 2 } else { 0 };
    assert_eq!(scene.recorded(&call).await, recorded);
    // An append that nobody began is not in doubt.
    let other = scene.server.append("acme", "order", "other").event("Other").refused().await;
    assert_eq!((other.code, other.reason.as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));

    scene.proxy.open();
    let answer = call.clone().ok().await;
    assert_eq!((answer.replayed, answer.events.len()), (cut == Cut::After, 2));
    assert_eq!(scene.recorded(&call).await, 2);
    assert!(call.ok().await.replayed);
    assert_eq!(scene.server.read("acme", "order", "other").refused().await.reason, "STREAM_NOT_FOUND");
}

#[tokio::test]
async fn an_outcome_that_cannot_be_looked_up_is_unknown_and_the_retry_is_safe() {
    tokio::join!(
        stays_in_doubt(Cut::After, CASES[0]),
        stays_in_doubt(Cut::Before, CASES[0]),
        stays_in_doubt(Cut::After, CASES[1]),
        stays_in_doubt(Cut::Before, CASES[1]),
        stays_in_doubt(Cut::After, CASES[2]),
    );
}

#[tokio::test]
async fn a_session_that_is_ended_between_two_appends_is_replaced_unnoticed() {
    for partitions in [true, false] {
        let database = TestDatabase::new().await;
        let server = TestServer::start(&database, partitions).await;
        server.append("acme", "order", "known").event("First").ok().await;
        for version in 1..10 {
            database.end_lanes().await;
            server.append("acme", "order", "known").expected(exact(version)).event("Next").ok().await;
            database.end_lanes().await;
            server.append("acme", "order", &format!("new-{version}")).event("New").ok().await;
        }
        assert_eq!(database.count("event_store").await, 1 + 9 + 9);
    }
}

#[tokio::test]
async fn a_session_that_is_ended_while_it_waits_for_a_lock_is_replaced_unnoticed() {
    let database = TestDatabase::new().await;
    let server = TestServer::start(&database, true).await;
    server.append("acme", "order", "1").event("First").ok().await;
    // A stream that the lane remembers, then one that it has to look at.
    for stream in ["1", "2"] {
        let hold = database.hold_tenant("acme").await;
        let sent = tokio::spawn(server.append("acme", "order", stream).event("Next").ok());
        database.lane_waits().await;
        database.end_lanes().await;
        hold.release().await;
        sent.await.unwrap();
    }
    assert_eq!(database.last_position("acme").await, 3);
    database.assert_sound(&server).await;
}
