//! The continuous mode of verification: some of the reads that are served are looked at once more, in both tables.
//!
//! **Invariant:** no read waits for it, and none fails by it. What a read was answered is not compared, for that was another
//! snapshot: both tables are, in one, over the versions that the read looked at.

mod compare;
mod note;
mod tally;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use partita_model::Version;
use partita_store::{DatabaseUrl, ReadRange};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::tally::Outcome;
use crate::session;

pub use self::tally::ShadowTally;

/// Most versions that are compared for a read. A longer one is compared in part, drawn anew each time.
const VERSIONS_MAX: u32 = 1_000;
/// Longest wait for the session to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often an error that is not expected is logged at most.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowConfig {
    /// How many of a hundred reads are compared, 0 to 100.
    pub sample_percent: u32,
    /// Reads that may wait to be compared, at least 1; one more is dropped.
    pub reads_waiting_max: usize,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        Self { sample_percent: 1, reads_waiting_max: 256 }
    }
}

/// The shadow of a process's reads. Clones share it; one of them has to [`run`](Self::run).
#[derive(Debug, Clone)]
pub struct Shadow(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: DatabaseUrl,
    sample_percent: u32,
    offered: mpsc::Sender<ReadRange>,
    /// Taken by whoever runs it.
    waiting: Mutex<Option<mpsc::Receiver<ReadRange>>>,
    tally: Mutex<ShadowTally>,
}

impl Shadow {
    /// For the reads of a database. Nothing is connected to yet.
    pub fn new(url: DatabaseUrl, config: ShadowConfig) -> Self {
        let (offered, waiting) = mpsc::channel(config.reads_waiting_max.max(1));
        let (waiting, tally) = (Mutex::new(Some(waiting)), Mutex::default());
        Self(Arc::new(Inner { url, sample_percent: config.sample_percent, offered, waiting, tally }))
    }

    /// Draws whether a read that begins is to be compared.
    pub fn draw(&self) -> bool {
        match self.0.sample_percent {
            0 => false,
            percent => rand::random_range(0..100) < percent,
        }
    }

    /// Hands over what a read looked at that is over. Never waits: where too many wait, it is dropped and counted.
    pub fn offer(&self, range: ReadRange) {
        let part = draw_part(range, |offsets| rand::random_range(0..=offsets));
        if self.0.offered.try_send(part).is_err() {
            self.count(&Outcome::Dropped);
        }
    }

    /// What came of all reads so far.
    pub fn tally(&self) -> ShadowTally {
        *self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares what was handed over, one read after the other, until it is told to stop; what waits then is forgotten.
    /// Silent while the database is away.
    pub async fn run(&self, shutdown: &CancellationToken) {
        let taken = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = taken else { return };
        tally::begin();
        let pool = session::shadow_pool(&self.0.url);
        let work = async {
            let mut logged: Option<Instant> = None;
            while let Some(range) = waiting.recv().await {
                let outcome = match look(&pool, &range).await {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        let text = error.to_string();
                        let outcome = Outcome::of(error);
                        let is_due = logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
                        if matches!(outcome, Outcome::Failed) && is_due {
                            logged = Some(Instant::now());
                            tracing::warn!(error = text, "reads cannot be compared");
                        }
                        outcome
                    }
                };
                self.count(&outcome);
            }
        };
        shutdown.run_until_cancelled(work).await;
        // A statement that is under way ends by itself.
        timeout(CLOSE_TIMEOUT, pool.close()).await.ok();
    }

    fn count(&self, outcome: &Outcome) {
        outcome.record();
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
    }
}

/// Compares, and notes what differs.
async fn look(pool: &PgPool, range: &ReadRange) -> sqlx::Result<Outcome> {
    let mut session = pool.acquire().await?;
    // Row security may bind one table alone: unnamed, a tenant would have no copies.
    let tenant = range.tenant.as_str();
    sqlx::query_file!("sql/session/name_tenant.sql", tenant).fetch_one(&mut *session).await?;
    let Some(compared) = compare::compare(&mut session, range).await? else { return Ok(Outcome::Phase) };
    note::note(&mut session, &compared).await;
    Ok(Outcome::Compared(compared))
}

/// As many versions as are compared at a time, and weigh about 1 MiB; `draw` gives a number from 0 to the one it is given.
fn draw_part(range: ReadRange, draw: impl FnOnce(i32) -> i32) -> ReadRange {
    let versions_max = i32::try_from(range.rows_max.clamp(1, VERSIONS_MAX)).unwrap_or(1);
    let (least, greatest) = (range.least.get(), range.greatest.get());
    // Both are at least 1: their difference fits.
    let surplus = (greatest - least) - (versions_max - 1);
    if surplus <= 0 {
        return range;
    }
    let least = least + draw(surplus);
    ReadRange { least: Version::new(least), greatest: Version::new(least + (versions_max - 1)), ..range }
}

#[cfg(test)]
mod tests {
    use partita_model::{ReadDraft, ReadStream};

    use super::*;

    fn range(least: i32, greatest: i32, rows_max: u32) -> ReadRange {
        let (tenant_id, aggregate_type, aggregate_id) = ("acme".into(), "order".into(), "1".into());
        let draft = ReadDraft { tenant_id, aggregate_type, aggregate_id, ..ReadDraft::default() };
        let ReadStream { tenant, stream, .. } = ReadStream::parse(draft).unwrap();
        let (least, greatest) = (Version::new(least), Version::new(greatest));
        ReadRange { tenant, stream, least, greatest, rows_max }
    }

    fn part(range: ReadRange, draw: impl FnOnce(i32) -> i32) -> (i32, i32) {
        let part = draw_part(range, draw);
        (part.least.get(), part.greatest.get())
    }

    #[test]
    fn a_short_read_is_compared_whole() {
        let undrawn = |_| panic!("drawn");
        assert_eq!(part(range(3, 3, 1), undrawn), (3, 3));
        assert_eq!(part(range(1, 1_000, 2_000), undrawn), (1, 1_000));
    }

    #[test]
    fn of_a_long_read_any_part_may_be_drawn_to_both_ends() {
        assert_eq!(part(range(1, i32::MAX, 2_000), |_| 0), (1, 1_000));
        assert_eq!(part(range(1, i32::MAX, 2_000), |last| last), (i32::MAX - 999, i32::MAX));
        assert_eq!(part(range(5, 14, 4), |last| last), (11, 14));
        assert_eq!(part(range(5, 14, 0), |_| 1), (6, 6));
    }

    #[tokio::test]
    async fn what_is_offered_to_a_full_queue_is_dropped_and_counted() {
        let url = DatabaseUrl::parse("postgres://nobody@localhost:1/nowhere").unwrap();
        let shadow = Shadow::new(url, ShadowConfig { sample_percent: 100, reads_waiting_max: 2 });
        assert!(shadow.draw());
        for _ in 0..5 {
            shadow.offer(range(1, 9, 128));
        }
        assert_eq!(shadow.tally(), ShadowTally { dropped: 3, ..ShadowTally::default() });
    }

    #[test]
    fn nothing_is_drawn_of_none() {
        let url = DatabaseUrl::parse("postgres://nobody@localhost:1/nowhere").unwrap();
        let shadow = Shadow::new(url, ShadowConfig { sample_percent: 0, ..ShadowConfig::default() });
        assert!((0..10_000).all(|_| !shadow.draw()));
    }
}
