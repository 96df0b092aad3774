//! What an operator does, as the pages of `docs/operations/` say, and again where something was killed meanwhile.

use std::future::Future;
use std::time::{Duration, Instant};

use partita_migration::{
    Migration, MigrationError, Move, Refusal, RunState, Tuning, VerifyOptions, VerifySummary, WorkerConfig,
};
use partita_proof::Mood;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fleet::stuck;
use super::leg::Leg;
use crate::failure::Failure;

/// How long a step may take, all its tries together.
const STEP_LIMIT: Duration = Duration::from_secs(180);
/// How long all steps of a leg may take.
const ACT_LIMIT: Duration = Duration::from_secs(600);
/// What an operator waits before another try.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Months that are read, or copied back, at a time.
const WORKERS: u32 = 2;
/// Who acts.
const BY: &str = "drill";
/// As fast as it goes, whoever waits for locks meanwhile.
const UNTHROTTLED: Tuning =
    Tuning { workers: None, rows_per_second: Some(None), lag_ms_max: Some(None), lock_waits_max: Some(None) };

/// Leads the fleet through the phases.
pub(super) struct Operator {
    migration: Migration,
}

impl Operator {
    pub(super) fn new(migration: Migration) -> Self {
        Self { migration }
    }

    /// Does what the leg is about, within ten minutes.
    pub(super) async fn act(&self, leg: Leg, mood: &Mood) -> Result<(), Failure> {
        within(ACT_LIMIT, "the operator is not done", self.steps(leg, mood)).await?
    }

    async fn steps(&self, leg: Leg, mood: &Mood) -> Result<(), Failure> {
        match leg {
            Leg::Legacy | Leg::Dual | Leg::Open | Leg::FlagOff => Ok(()),
            Leg::Backfill => self.backfill().await,
            Leg::Verify => self.prove(mood).await,
            Leg::Fence => self.fence(mood).await,
            Leg::Reverify => self.prove_again().await,
            Leg::Finalize => self.change(Move::Finalize, "finalized").await,
            Leg::Restore => self.restore().await,
        }
    }

    /// Lets the workers of the services copy until nothing is left.
    pub(super) async fn backfill(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            self.start().await?;
            while self.ask(|| self.migration.orders()).await?.state != RunState::Finished {
                patience(begun, "the backfill does not end")?;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            let progress = self.ask(|| self.migration.status()).await?.progress;
            if progress.quarantined > 0 {
                return Err(Failure::refused(format!("{} rows are in quarantine", progress.quarantined)));
            }
            if progress.units_failed == 0 {
                return Ok(());
            }
            patience(begun, "units fail again and again")?;
        }
    }

    /// Plans anew, and lets workers begin.
    pub(super) async fn start(&self) -> Result<(), Failure> {
        self.ask(|| self.migration.start(UNTHROTTLED, BY)).await
    }

    /// Compares both tables.
    pub(super) async fn verify(&self) -> Result<VerifySummary, Failure> {
        let options =
            VerifyOptions { tenant: None, sample_percent: 100.0, workers: WORKERS, only_unverified: false };
        // What matters is what it comes to.
        let (unheard, _) = mpsc::channel(1);
        self.ask(|| self.migration.verify(&options, &unheard)).await
    }

    /// Before the fence it is green only while nobody writes to the legacy table alone.
    async fn prove(&self, mood: &Mood) -> Result<(), Failure> {
        mood.silence_foreigner(true);
        let proved = self.prove_again().await;
        mood.silence_foreigner(false);
        proved
    }

    async fn prove_again(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            self.backfill().await?;
            let summary = self.verify().await?;
            if is_green(&summary) {
                return Ok(());
            }
            patience(begun, &format!("the tables stay unequal: {} differences", summary.differences))?;
        }
    }

    async fn fence(&self, mood: &Mood) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            match self.try_change(Move::Fence, "fenced").await? {
                None => return Ok(()),
                // A month that a writer began since the last look.
                Some(refusal @ (Refusal::NotBackfilled { .. } | Refusal::TailTooLong { .. })) => {
                    patience(begun, &refusal.to_string())?;
                    self.backfill().await?;
                }
                Some(refusal @ Refusal::Mismatches { .. }) => {
                    patience(begun, &refusal.to_string())?;
                    self.prove(mood).await?;
                }
                Some(refusal) => wait(begun, &refusal).await?,
            }
        }
    }

    async fn change(&self, wanted: Move, target: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        while let Some(refusal) = self.try_change(wanted, target).await? {
            wait(begun, &refusal).await?;
        }
        Ok(())
    }

    /// One try; none where the fleet is there, also if the answer to an earlier try was lost.
    async fn try_change(&self, wanted: Move, target: &str) -> Result<Option<Refusal>, Failure> {
        let begun = Instant::now();
        loop {
            match self.migration.change(wanted, BY).await {
                Ok(_) => return Ok(None),
                Err(MigrationError::Refused(Refusal::Phase { phase, .. })) if phase == target => {
                    return Ok(None);
                }
                Err(MigrationError::Refused(refusal)) => return Ok(Some(refusal)),
                Err(error) if error.passes() => {
                    patience(begun, &error.to_string())?;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(stuck(&error)),
            }
        }
    }

    async fn restore(&self) -> Result<(), Failure> {
        let (begun, config, never) = (Instant::now(), WorkerConfig::default(), CancellationToken::new());
        let config =
            WorkerConfig { workers_max: WORKERS, poll_interval: Duration::from_millis(200), ..config };
        loop {
            let (unheard, _) = mpsc::channel(1);
            match self.migration.restore(config, BY, &unheard, &never).await {
                Ok(()) => return Ok(()),
                Err(MigrationError::Refused(Refusal::Phase { phase, .. })) if phase == "open" => {
                    return Ok(());
                }
                Err(MigrationError::Refused(refusal)) => wait(begun, &refusal).await?,
                Err(error) if error.passes() => {
                    patience(begun, &error.to_string())?;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(stuck(&error)),
            }
        }
    }

    /// Asks until the database answers: it may just be killed.
    async fn ask<T, F>(&self, question: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, MigrationError>>,
    {
        let begun = Instant::now();
        loop {
            match question().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.passes() => {
                    patience(begun, &error.to_string())?;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(MigrationError::Refused(refusal)) => return Err(stuck(&refusal)),
                Err(error) => return Err(stuck(&error)),
            }
        }
    }
}

/// Whether all tenants are proved equal.
pub(super) fn is_green(summary: &VerifySummary) -> bool {
    summary.differences == 0 && summary.quarantined == 0 && summary.tenants_verified == summary.tenants
}

/// Waits for what passes by itself, such as a process that has not heard yet.
async fn wait(begun: Instant, refusal: &Refusal) -> Result<(), Failure> {
    patience(begun, &refusal.to_string())?;
    tokio::time::sleep(RETRY_PAUSE).await;
    Ok(())
}

/// What comes to its end in time.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let late = |_| Failure::refused(format!("the drill got stuck for {} s: {what}", limit.as_secs()));
    tokio::time::timeout(limit, work).await.map_err(late)
}

fn patience(begun: Instant, what: &str) -> Result<(), Failure> {
    if begun.elapsed() < STEP_LIMIT {
        return Ok(());
    }
    Err(Failure::refused(format!("the drill got stuck for {} s: {what}", STEP_LIMIT.as_secs())))
}
