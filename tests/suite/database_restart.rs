//! A database that crashes, restarts, or ends sessions while appends are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use partita_tests::{AppendCall, Refusal, TestDatabase, TestServer, any, eventually, standing_at};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

const WRITERS: usize = 16;
/// What a client waits before it tries again.
const PAUSE: Duration = Duration::from_millis(10);

/// What the writers of a test tell it while they write.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

impl Progress {
    /// Waits until so many more were acknowledged, or refused.
    async fn more(&self, what: &str, counter: &AtomicUsize, count: usize) {
        let wanted = counter.load(Ordering::Relaxed) + count;
        eventually(what, async || counter.load(Ordering::Relaxed) >= wanted).await;
    }
}

/// What a writer was told.
#[derive(Default)]
struct Told {
    /// The versions that were acknowledged, by event id.
    recorded: BTreeMap<Uuid, i32>,
    /// The ids of appends that were certainly not applied.
    absent: BTreeSet<Uuid>,
}

impl Told {
    /// Sends an append until its outcome is known. Gives the stream's version if it is recorded.
    async fn send(&mut self, progress: &Progress, call: &AppendCall, ids: &[Uuid]) -> Option<i32> {
        let mut in_doubt = false;
        loop {
            let refusal = match call.clone().send().await {
                Ok(answer) => {
                    let versions = answer.events.iter().map(|event| event.version);
                    self.recorded.extend(ids.iter().copied().zip(versions));
                    progress.acknowledged.fetch_add(1, Ordering::Relaxed);
                    return Some(answer.last_version);
                }
                Err(status) => Refusal::from(status),
            };
            progress.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
            match refusal.reason.as_str() {
                "OUTCOME_UNKNOWN" => in_doubt = true,
                // It is said of this call, not of one before it that was in doubt.
                "DATABASE_UNAVAILABLE" if in_doubt => {}
                "DATABASE_UNAVAILABLE" => {
                    self.absent.extend(ids);
                    return None;
                }
                other => panic!("refused as {other}: {refusal:?}"),
            }
        }
    }
}

/// Half of the writers have a stream of their own and know its version; the others share two streams. Each writes until
/// it is told to stop, and once more.
async fn write(server: Arc<TestServer>, progress: Arc<Progress>, writer: usize) -> Told {
    let (mut told, mut version) = (Told::default(), 0);
    loop {
        let last = progress.stop.load(Ordering::Relaxed);
        let (stream, expected) = match writer % 2 {
            0 => (format!("own-{writer}"), standing_at(version)),
            _ => (format!("shared-{}", writer % 4), any()),
        };
        let ids = [Uuid::new_v4(), Uuid::new_v4()];
        let call = server.append(["acme", "globex"][writer % 3 % 2], "order", &stream).expected(expected);
        let add = |call: AppendCall, id: &Uuid| call.event_with(|event| event.event_id = id.to_string());
        let call = ids.iter().fold(call, add);
        if let Some(now) = told.send(&progress, &call, &ids).await {
            version = now;
            if last {
                return told;
            }
        }
    }
}

struct Load {
    database: TestDatabase,
    server: Arc<TestServer>,
    progress: Arc<Progress>,
    writers: JoinSet<Told>,
}

impl Load {
    async fn start(database: TestDatabase, partitions: bool) -> Self {
        let server = Arc::new(TestServer::start(&database, partitions).await);
        let (progress, mut writers) = (Arc::new(Progress::default()), JoinSet::new());
        for writer in 0..WRITERS {
            writers.spawn(write(server.clone(), progress.clone(), writer));
        }
        let load = Self { database, server, progress, writers };
        load.goes_on().await;
        load
    }

    async fn goes_on(&self) {
        self.progress.more("appends are acknowledged", &self.progress.acknowledged, 10 * WRITERS).await;
    }

    async fn is_refused(&self) {
        self.progress.more("appends are refused", &self.progress.refused, WRITERS).await;
    }

    /// Stops the writers, and holds what they were told against what is recorded.
    async fn must_have_been_told_the_truth(self, partitions: bool) {
        let Self { database, server, progress, writers } = self;
        progress.stop.store(true, Ordering::Relaxed);
        let all = timeout(Duration::from_secs(100), writers.join_all()).await;
        let all = all.expect("every writer is acknowledged once more");
        let rows: Vec<(Uuid, i32)> = sqlx::query_as("SELECT event_id, aggregate_version FROM event_store")
            .fetch_all(database.pool())
            .await
            .unwrap();
        let recorded: BTreeMap<Uuid, i32> = rows.into_iter().collect();
        let mut acknowledged = BTreeMap::new();
        for told in all {
            for id in &told.absent {
                assert!(!recorded.contains_key(id), "{id} was said not to be applied");
            }
            acknowledged.extend(told.recorded);
        }
        for (id, version) in &acknowledged {
            assert_eq!(recorded.get(id), Some(version), "{id} was acknowledged");
        }
        assert_eq!(recorded.len(), acknowledged.len(), "events that nobody was told of");
        if partitions {
            database.assert_sound(&server).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_event_is_missing_after_a_crash_and_a_restart() {
    let (database, mut cluster) = TestDatabase::in_private_cluster().await;
    let load = Load::start(database, true).await;
    cluster.kill().await;
    load.is_refused().await;
    cluster.restart().await.unwrap();
    load.goes_on().await;
    cluster.restart().await.unwrap();
    load.goes_on().await;
    load.must_have_been_told_the_truth(true).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_wrong_when_sessions_are_ended_under_load() {
    for partitions in [true, false] {
        let load = Load::start(TestDatabase::new().await, partitions).await;
        for _ in 0..20 {
            load.database.end_lanes().await;
            load.progress.more("appends are acknowledged", &load.progress.acknowledged, WRITERS).await;
        }
        load.must_have_been_told_the_truth(partitions).await;
    }
}
