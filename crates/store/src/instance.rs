//! The list of serving processes, which a change of the phase looks at; and the beat that keeps an idle process informed.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::phase::{PhaseCell, parse};

/// How often a process says that it is there, and asks for the phase.
const BEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for the database when a process takes its leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// This process in the list, from its start to its end. One that ends without a word stays there, silent, for a day.
pub(crate) struct Instance {
    entry: Entry,
    stop: CancellationToken,
    _stopped_when_dropped: DropGuard,
    beating: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Entry {
    pool: PgPool,
    phase: Arc<PhaseCell>,
    id: Uuid,
    host: String,
}

impl Instance {
    /// Puts this process on the list, and keeps it there. A database that does not let it is logged: it serves all the same.
    pub(crate) async fn start(pool: PgPool, phase: Arc<PhaseCell>) -> Self {
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
        let entry = Entry { pool, phase, id: Uuid::now_v7(), host: host.unwrap_or_default() };
        entry.beat().await;
        if let Err(error) = sqlx::query_file!("sql/instance/forget_dead.sql").execute(&entry.pool).await {
            tracing::warn!(%error, "processes that are gone could not be taken off the list");
        }
        let stop = CancellationToken::new();
        let beating = tokio::spawn(entry.clone().keep(stop.clone()));
        let _stopped_when_dropped = stop.clone().drop_guard();
        Self { entry, stop, _stopped_when_dropped, beating: Mutex::new(Some(beating)) }
    }

    /// Takes this process off the list.
    pub(crate) async fn leave(&self) {
        let Some(beating) = self.beating.lock().await.take() else { return };
        self.stop.cancel();
        let leaving = async {
            // A beat that is under way is waited for: it would put this process back on the list.
            drop(beating.await);
            sqlx::query_file!("sql/instance/leave.sql", self.entry.id).execute(&self.entry.pool).await
        };
        match timeout(LEAVE_TIMEOUT, leaving).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "this process stays on the list of those that serve"),
            Err(_) => tracing::warn!("this process stays on the list of those that serve"),
        }
    }
}

impl Entry {
    async fn keep(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(BEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.beat().await;
        }
    }

    /// Writes the phase down, again if the answer changed it.
    async fn beat(&self) {
        for _ in 0..2 {
            let before = self.phase.get();
            match self.write(&self.phase.name()).await {
                Ok(said) if self.phase.learn(parse(&said)) == before => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "this process could not say that it serves");
                    return;
                }
            }
        }
    }

    async fn write(&self, phase: &str) -> sqlx::Result<String> {
        sqlx::query_file_scalar!(
            "sql/instance/beat.sql",
            self.id,
            self.host,
            i32::try_from(std::process::id()).unwrap_or_default(),
            env!("CARGO_PKG_VERSION"),
            self.phase.flag(),
            phase
        )
        .fetch_one(&self.pool)
        .await
    }
}
