//! Clients that go away in the middle of an append, at any moment.

use std::collections::HashMap;
use std::time::Duration;

use partita_model::{Append, AppendDraft, ContextDraft, EventDraft, ExpectedVersion, StreamDraft};
use partita_store::{Store, StoreConfig, StoreError};
use partita_tests::{AppendCall, LOCK_LIMIT, TestDatabase, TestServer, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const CLIENTS: u64 = 20;
const CALLS_PER_CLIENT: u64 = 50;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Sends an append with a deadline that the service is told of as well.
async fn send_within(server: &TestServer, call: AppendCall, limit: Duration) -> Result<(), Status> {
    let mut request = Request::new(call.request);
    request.set_timeout(limit);
    server.events().append(request).await.map(drop)
}

/// Sends one append after the other, each under a request id of its own, and loses patience at random. Gives the ids
/// with how many events each had, and those of the appends that were acknowledged.
async fn impatient(server: &TestServer, client: u64) -> (HashMap<String, i64>, Vec<String>) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (client + 1));
    let (mut sent, mut acknowledged) = (HashMap::new(), Vec::new());
    for number in 0..CALLS_PER_CLIENT {
        let id = format!("{client}-{number}");
        let events = 1 + dice.below(4);
        let (tenant, stream) = (format!("tenant-{}", dice.below(4)), dice.below(6).to_string());
        let call = server.append(&tenant, "order", &stream).events(usize::try_from(events).unwrap());
        let call = call.context(|context| context.request_id = id.clone());
        let patience = Duration::from_micros(dice.below(8_000));
        let answered = match dice.below(3) {
            0 => send_within(server, call, patience.max(Duration::from_micros(1))).await.is_ok(),
            _ => matches!(timeout(patience, call.send()).await, Ok(Ok(_))),
        };
        acknowledged.extend(answered.then(|| id.clone()));
        sent.insert(id, i64::try_from(events).unwrap());
    }
    (sent, acknowledged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_dropped_calls_leave_whole_appends_and_no_open_transaction() {
    let database = TestDatabase::new().await;
    let server = std::sync::Arc::new(TestServer::start(&database, true).await);
    for tenant in 0..4 {
        server.append(&format!("tenant-{tenant}"), "order", "first").event("First").ok().await;
    }
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let server = server.clone();
        clients.spawn(async move { impatient(&server, client).await });
    }
    let (mut sent, mut acknowledged) = (HashMap::new(), Vec::new());
    for (client_sent, client_acknowledged) in clients.join_all().await {
        sent.extend(client_sent);
        acknowledged.extend(client_acknowledged);
    }
    assert!(acknowledged.len() < sent.len(), "no call was dropped");

    // A lane answers a tenant's appends in their order: none is under way behind these.
    for tenant in 0..4 {
        server.append(&format!("tenant-{tenant}"), "order", "last").event("Last").ok().await;
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name LIKE 'partita%' AND (state LIKE 'idle in transaction%' OR state = 'active')";
    eventually("no session is in a transaction", async || database.scalar::<i64>(open).await == 0).await;

    let recorded: Vec<(String, i64)> = sqlx::query_as(
        "SELECT request_id::text, count(*) FROM event_store WHERE request_id IS NOT NULL GROUP BY request_id",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    let recorded: HashMap<_, _> = recorded.into_iter().collect();
    for (id, events) in &recorded {
        assert_eq!(sent.get(id), Some(events), "append {id} is recorded in part");
    }
    for id in &acknowledged {
        assert!(recorded.contains_key(id), "append {id} was acknowledged and is not recorded");
    }
    database.assert_sound(&server).await;
}

#[tokio::test]
async fn an_append_that_is_under_way_when_its_deadline_passes_is_completed() {
    for partitions in [true, false] {
        let database = TestDatabase::new().await;
        let server = TestServer::start(&database, partitions).await;
        // Without partitions no tenant's row is locked: there, a row of the same stream makes the append wait.
        server.append("acme", "order", "1").event("First").ok().await;
        let mut other = database.connect().await;
        sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
        partita_tests::ForeignEvent::new("acme", "1", 2).write(&mut other).await.unwrap();
        let call = server.append("acme", "order", "1").event("Second");
        let sent = send_within(&server, call, Duration::from_secs(3));
        let (status, ()) = tokio::join!(sent, database.lane_waits());
        let status = status.unwrap_err();
        // The client's library may keep the deadline by itself, and then knows nothing of what was applied.
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
        if let Some(info) = status.get_error_details().error_info() {
            assert_eq!(info.reason, "OUTCOME_UNKNOWN");
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
        let recorded = async || database.count("event_store").await == 2;
        eventually("the append is recorded", recorded).await;
        server.append("acme", "order", "1").expected(partita_tests::exact(2)).event("Third").ok().await;
    }
}

fn draft(aggregate_id: &str) -> Append {
    let event = EventDraft { event_type: "Sent".to_owned(), data: "{}".to_owned(), ..EventDraft::default() };
    let stream = StreamDraft {
        aggregate_type: "order".to_owned(),
        aggregate_id: aggregate_id.to_owned(),
        expected: Some(ExpectedVersion::Any),
        events: vec![event],
    };
    let context = ContextDraft { user_id: "ann".to_owned(), ..ContextDraft::default() };
    let draft = AppendDraft { tenant_id: "acme".to_owned(), streams: vec![stream], context };
    Append::parse(draft).unwrap()
}

/// Straight at the store, where it is certain what has been queued: the first look at an append queues it.
#[tokio::test]
async fn an_append_that_is_given_up_while_it_waits_is_certainly_not_applied() {
    let database = TestDatabase::new().await;
    let mut config = StoreConfig { partitions_v1: true, ..StoreConfig::new(database.url()) };
    config.lanes.lock_timeout = LOCK_LIMIT;
    let store = Store::connect(config).await.unwrap();
    store.append(draft("first"), None).await.unwrap();
    let hold = database.hold_tenant("acme").await;
    let mut under_way = Box::pin(store.append(draft("under way"), None));
    assert!(timeout(Duration::ZERO, &mut under_way).await.is_err());
    database.lane_waits().await;

    let mut overdue = Box::pin(store.append(draft("overdue"), Some(Instant::now())));
    let mut dropped = Box::pin(store.append(draft("dropped"), None));
    let mut patient = Box::pin(store.append(draft("patient"), None));
    assert!(timeout(Duration::ZERO, &mut overdue).await.is_err());
    assert!(timeout(Duration::ZERO, &mut dropped).await.is_err());
    assert!(timeout(Duration::ZERO, &mut patient).await.is_err());
    drop(dropped);
    drop(under_way);
    hold.release().await;
    assert!(matches!(overdue.await, Err(StoreError::DeadlineExceeded)));
    patient.await.unwrap();
    store.close().await;
    let recorded = "SELECT aggregate_id::text FROM event_store ORDER BY aggregate_id";
    assert_eq!(database.column::<String>(recorded).await, ["first", "patient", "under way"]);
}
