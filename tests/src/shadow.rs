use partita_migration::{Shadow, ShadowConfig, ShadowTally};
use partita_store::DatabaseUrl;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{TestDatabase, TestServer, eventually};

/// What compares the reads of a server, once it is run.
pub struct TestShadow {
    shadow: Shadow,
    running: Option<(DropGuard, JoinHandle<()>)>,
}

impl TestServer {
    /// Serves with both tables written, and lets so many of a hundred reads be compared; nothing is before
    /// [`TestShadow::run`].
    pub async fn start_shadowed(database: &TestDatabase, config: ShadowConfig) -> (Self, TestShadow) {
        Self::start_shadowed_as(database, database.url(), config).await
    }

    /// The same by a login of its own.
    pub async fn start_shadowed_as(
        database: &TestDatabase,
        url: DatabaseUrl,
        config: ShadowConfig,
    ) -> (Self, TestShadow) {
        let shadow = Shadow::new(url.clone(), config);
        let served = shadow.clone();
        let server = Self::start_configured(
            database,
            |store| {
                store.database_url = url;
                store.partitions_v1 = true;
            },
            |server| server.shadow = Some(served),
        )
        .await;
        (server, TestShadow { shadow, running: None })
    }
}

impl TestShadow {
    /// Compares what waits and what comes, until dropped.
    pub fn run(&mut self) {
        let (stop, shadow) = (CancellationToken::new(), self.shadow.clone());
        let guard = stop.clone().drop_guard();
        self.running = Some((guard, tokio::spawn(async move { shadow.run(&stop).await })));
    }

    /// Ends it, as a process that drains does.
    pub async fn stop(&mut self) {
        if let Some((guard, running)) = self.running.take() {
            drop(guard);
            running.await.unwrap();
        }
    }

    /// What came of all reads so far.
    pub fn tally(&self) -> ShadowTally {
        self.shadow.tally()
    }

    /// Waits until so many reads were compared or skipped, and says what came of all.
    pub async fn after(&self, reads: u64) -> ShadowTally {
        let is_over = async || self.tally().compared + self.tally().skipped >= reads;
        eventually("reads are compared", is_over).await;
        self.tally()
    }
}
