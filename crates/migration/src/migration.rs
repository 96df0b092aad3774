use partita_model::{TenantId, Timestamp};
use partita_store::DatabaseUrl;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Direction, MigrationError, Mismatch, Move, Orders, Plan, QuarantinedRow, Refusal, Repair, Restoring,
    RunState, Status, Tuning, VerifyOptions, VerifyReport, VerifySummary, WorkerConfig, control, figures,
    moves, plan, quarantine, repair, session, status, verify,
};

/// The migration of one database: orders, proof and changes of the phase. Clones share connections, which are made when they
/// are needed. The work itself is done by [`crate::Workers`], in this process or in others.
#[derive(Debug, Clone)]
pub struct Migration {
    url: DatabaseUrl,
    pool: PgPool,
}

impl Migration {
    /// Of a database. Nothing is connected to yet.
    pub fn new(url: DatabaseUrl) -> Self {
        let pool = session::control_pool(&url);
        Self { url, pool }
    }

    /// Where it stands.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn status(&self) -> Result<Status, MigrationError> {
        status::read(&self.pool).await
    }

    /// Records the figures that only the database knows, every minute, until dropped.
    pub async fn run_figures(&self) {
        figures::run(&self.pool).await;
    }

    /// Records them once.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn record_figures(&self) -> Result<(), MigrationError> {
        Ok(figures::record(&self.pool).await?)
    }

    /// What the workers are told to do.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn orders(&self) -> Result<Orders, MigrationError> {
        control::read_orders(&self.pool).await
    }

    /// What a backfill would look at; changes nothing.
    ///
    /// # Errors
    /// When the legacy table lacks the index that pages are read by.
    pub async fn plan(&self) -> Result<Plan, MigrationError> {
        plan::look(&self.pool).await
    }

    /// Plans anew and lets the workers begin: months that are done are looked at again, for another program or a process with
    /// the flag off may have written to them; those that were begun go on where they were.
    ///
    /// # Errors
    /// When a backfill in the other direction is under way, the phase is past `fenced`, or the index is missing.
    pub async fn start(&self, tuning: Tuning, by: &str) -> Result<(), MigrationError> {
        let orders = self.orders().await?;
        let is_under_way = matches!(orders.state, RunState::Running | RunState::Paused);
        if is_under_way && orders.direction != Direction::Forward {
            return Err(Refusal::OtherDirection(orders.direction).into());
        }
        let phase = status::read_phase(&self.pool).await?;
        if phase != "open" && phase != "fenced" {
            return Err(Refusal::Phase { phase, wanted: "a backfill", from: "open or fenced" }.into());
        }
        plan::write(&self.pool, Direction::Forward).await?;
        control::tune(&self.pool, tuning, by).await?;
        control::start(&self.pool, Direction::Forward, by).await
    }

    /// Lets the workers stop after their pages, to be resumed.
    ///
    /// # Errors
    /// When they do not work.
    pub async fn pause(&self, by: &str) -> Result<(), MigrationError> {
        control::change_state(&self.pool, &[RunState::Running], RunState::Paused, "paused", by).await
    }

    /// Lets the workers go on.
    ///
    /// # Errors
    /// When they were not paused.
    pub async fn resume(&self, by: &str) -> Result<(), MigrationError> {
        control::change_state(&self.pool, &[RunState::Paused], RunState::Running, "resumed", by).await
    }

    /// Lets the workers stop after their pages, for good. What is copied stays, and a later start goes on from there.
    ///
    /// # Errors
    /// When there is nothing to cancel.
    pub async fn cancel(&self, by: &str) -> Result<(), MigrationError> {
        let from = [RunState::Running, RunState::Paused];
        control::change_state(&self.pool, &from, RunState::Stopped, "cancelled", by).await
    }

    /// Changes the limits that the workers keep to; they notice after their page.
    ///
    /// # Errors
    /// When a limit is out of bounds, or the database cannot be asked.
    pub async fn tune(&self, tuning: Tuning, by: &str) -> Result<(), MigrationError> {
        control::tune(&self.pool, tuning, by).await
    }

    /// A page of the rows that could not be copied, after a number, oldest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn quarantine(&self, after: i64, most: u32) -> Result<Vec<QuarantinedRow>, MigrationError> {
        quarantine::list(&self.pool, after, i64::from(most)).await
    }

    /// A page of the differences that are open, after a number, oldest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn mismatches(
        &self,
        after: i64,
        most: u32,
        tenant: Option<&TenantId>,
    ) -> Result<Vec<Mismatch>, MigrationError> {
        verify::list(&self.pool, after, i64::from(most), tenant).await
    }

    /// Compares both tables, writes down what differs, and marks the tenants that are proved equal. Reports that nobody takes
    /// are dropped.
    ///
    /// # Errors
    /// When the database cannot be asked, there is no such tenant, or the phase is `finalized`. Differences are no error.
    pub async fn verify(
        &self,
        options: &VerifyOptions,
        reports: &mpsc::Sender<VerifyReport>,
    ) -> Result<VerifySummary, MigrationError> {
        verify::verify(&self.url, options, reports).await
    }

    /// How many rows could not be copied back to the legacy table, and wait for a decision; of one tenant, or of all.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn uncopied(&self, tenant: Option<&TenantId>) -> Result<u64, MigrationError> {
        Ok(quarantine::count_open(&self.pool, tenant).await?)
    }

    /// Decides that these rows stay in the partitioned table alone, and writes down who decided it and why; gives how many. The
    /// next `restore` ends without them.
    ///
    /// # Errors
    /// When the phase is not `restoring`.
    pub async fn accept(
        &self,
        tenant: Option<&TenantId>,
        by: &str,
        reason: &str,
    ) -> Result<u64, MigrationError> {
        quarantine::accept(&self.pool, tenant, by, reason).await
    }

    /// What a repair would do; changes nothing.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn look_at_repair(&self, tenant: Option<&TenantId>) -> Result<Repair, MigrationError> {
        repair::look(&self.pool, tenant).await
    }

    /// Lets the backfill copy what is missing in the partitioned table; gives how many months it looks at again.
    ///
    /// # Errors
    /// When nothing is missing.
    pub async fn repair(&self, tenant: Option<&TenantId>, by: &str) -> Result<u64, MigrationError> {
        repair::perform(&self.pool, tenant, by).await
    }

    /// Whether the conditions of a change hold; changes nothing.
    ///
    /// # Errors
    /// The first condition that does not.
    pub async fn check(&self, wanted: Move) -> Result<(), MigrationError> {
        moves::check(&self.pool, wanted).await
    }

    /// Every condition of a change that does not hold; changes nothing.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn obstacles(&self, wanted: Move) -> Result<Vec<Refusal>, MigrationError> {
        moves::list_obstacles(&self.pool, wanted).await
    }

    /// Changes the phase; gives when.
    ///
    /// # Errors
    /// The first condition that does not hold: nothing was changed.
    pub async fn change(&self, wanted: Move, by: &str) -> Result<Timestamp, MigrationError> {
        moves::perform(&self.pool, wanted, by).await
    }

    /// From `finalized` back to `open`: both tables are written again, the legacy table is filled up, and compared. Stopped or
    /// failed in the middle, both tables are written, and another call goes on.
    ///
    /// # Errors
    /// When the phase is neither `finalized` nor `restoring`, a process does not follow, or the tables differ in the end.
    pub async fn restore(
        &self,
        config: WorkerConfig,
        by: &str,
        reports: &mpsc::Sender<Restoring>,
        shutdown: &CancellationToken,
    ) -> Result<(), MigrationError> {
        moves::restore(&self.url, &self.pool, config, by, reports, shutdown).await
    }
}
