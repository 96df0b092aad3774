use std::time::Duration;

use partita_migration::{WorkerConfig, Workers};
use partita_proto::v1::backfill_orders::State;
use partita_proto::v1::change_phase_request::Move;
use partita_proto::v1::change_phase_response::Report as PhaseReport;
use partita_proto::v1::control_backfill_request::Action;
use partita_proto::v1::verify_migration_response::Report;
use partita_proto::v1::{
    BackfillLimits, ChangePhaseRequest, ControlBackfillRequest, GetMigrationStatusRequest,
    GetMigrationStatusResponse, Mismatch, Obstacle, VerificationSummary, VerifyMigrationRequest,
};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Refusal, TestDatabase, TestServer, eventually, messages};

/// The backfill's workers of a process, until dropped.
pub struct Workforce {
    _stop: DropGuard,
    _working: JoinHandle<()>,
}

impl TestDatabase {
    /// Lets two workers do what the backfill is told.
    pub fn work(&self) -> Workforce {
        let stop = CancellationToken::new();
        let config = WorkerConfig {
            workers_max: 2,
            poll_interval: Duration::from_millis(20),
            ..WorkerConfig::default()
        };
        let workers = Workers::new(self.url(), config);
        let guard = stop.clone().drop_guard();
        Workforce { _stop: guard, _working: tokio::spawn(async move { workers.run(&stop).await }) }
    }
}

impl TestServer {
    /// Where the migration stands.
    pub async fn migration(&self) -> GetMigrationStatusResponse {
        self.partitions().get_migration_status(GetMigrationStatusRequest {}).await.unwrap().into_inner()
    }

    /// Tells the backfill what to do.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn backfill(&self, action: Action, limits: Option<BackfillLimits>) -> Result<State, Refusal> {
        let request = ControlBackfillRequest { action: action.into(), limits, user_id: "ann".to_owned() };
        let told = self.partitions().control_backfill(request).await.map_err(Refusal::from)?;
        Ok(told.into_inner().orders.unwrap().state())
    }

    /// Starts the backfill without a limit, and waits until it found nothing left.
    pub async fn backfill_all(&self) {
        let limits = BackfillLimits { rows_per_second: Some(0), ..Default::default() };
        assert_eq!(self.backfill(Action::Start, Some(limits)).await, Ok(State::Running));
        let is_over = async || self.migration().await.orders.unwrap().state() == State::Finished;
        eventually("the backfill is finished", is_over).await;
    }

    /// Compares the tables.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn compare(&self, tenant: &str) -> Result<(Vec<Mismatch>, VerificationSummary), Refusal> {
        let request = VerifyMigrationRequest { tenant_id: tenant.to_owned(), ..Default::default() };
        let stream = self.partitions().verify_migration(request).await.map_err(Refusal::from)?.into_inner();
        let (mut found, mut summary) = (Vec::new(), None);
        for message in messages(stream).await.map_err(Refusal::from)? {
            assert!(summary.is_none(), "a message after the summary");
            match message.report {
                Some(Report::Mismatch(mismatch)) => found.push(mismatch),
                Some(Report::Summary(last)) => summary = Some(last),
                Some(Report::Plan(_) | Report::Unit(_) | Report::Tenant(_)) => {}
                None => panic!("a message without a report"),
            }
        }
        Ok((found, summary.expect("a summary comes last")))
    }

    /// What stands in the way of a change of the phase.
    pub async fn obstacles(&self, wanted: Move) -> Vec<Obstacle> {
        let request =
            ChangePhaseRequest { r#move: wanted.into(), validate_only: true, user_id: String::new() };
        let mut stream = self.partitions().change_phase(request).await.unwrap().into_inner();
        match stream.message().await.unwrap().unwrap().report {
            Some(PhaseReport::Plan(plan)) => plan.obstacles,
            other => panic!("not a plan: {other:?}"),
        }
    }

    /// Changes the phase; gives the words for the phases that it went through.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn change_phase(&self, wanted: Move) -> Result<Vec<String>, Refusal> {
        let request =
            ChangePhaseRequest { r#move: wanted.into(), validate_only: false, user_id: "ann".to_owned() };
        let stream = self.partitions().change_phase(request).await.map_err(Refusal::from)?.into_inner();
        let mut phases = Vec::new();
        for message in messages(stream).await.map_err(Refusal::from)? {
            if let Some(PhaseReport::Change(change)) = message.report {
                assert_eq!(change.changed_by, "ann");
                phases.push(
                    change.phase_to().as_str_name().trim_start_matches("MIGRATION_PHASE_").to_lowercase(),
                );
            }
        }
        Ok(phases)
    }
}
