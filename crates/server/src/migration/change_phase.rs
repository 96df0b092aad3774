use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use partita_migration::{Migration, MigrationError, Move, Refusal, Restoring, WorkerConfig};
use partita_model::Violations;
use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use partita_proto::v1::change_phase_request::Move as WireMove;
use partita_proto::v1::change_phase_response::Report;
use partita_store::StoreError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::deadline::CallDeadline;
use crate::migration::message::{obstacle, phase, progress, verification};
use crate::migration::request::check_user;
use crate::migration::running::{Ends, Told, run};
use crate::service::Messages;
use crate::status::{refuse, refuse_migration, refuse_obstacles};

/// Says what a change of the phase does and what stands in its way; and makes it, unless it was only asked about.
pub(crate) async fn change_phase(
    migration: &Migration,
    shutdown: &CancellationToken,
    request: Request<v1::ChangePhaseRequest>,
) -> Result<Response<Messages<v1::ChangePhaseResponse>>, Status> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let ends = Ends { deadline, shutdown: shutdown.clone() };
    let request = request.into_inner();
    let wanted = parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let change = Change::look(migration, wanted, request.user_id).await;
    let change = change.map_err(|error| refuse_migration(&error))?;
    let plan = Report::Plan(change.plan());
    if request.validate_only {
        return Ok(Response::new(Box::pin(stream::iter([Ok(message(plan))]))));
    }
    if !change.obstacles.is_empty() {
        return Err(refuse_obstacles(&change.obstacles));
    }
    let stop = shutdown.child_token();
    let made = run(ends, |reports| async move { change.make(&reports, &stop).await });
    let made = made.map_ok(|told| match told {
        Told::Report(report) => report,
        Told::Outcome(change) => Report::Change(change),
    });
    Ok(Response::new(Box::pin(stream::iter([Ok(plan)]).chain(made).map_ok(message))))
}

fn message(report: Report) -> v1::ChangePhaseResponse {
    v1::ChangePhaseResponse { report: Some(report) }
}

/// A change that is looked at, and may be made.
struct Change {
    migration: Migration,
    wanted: Move,
    by: String,
    phase_from: v1::MigrationPhase,
    obstacles: Vec<Refusal>,
}

impl Change {
    async fn look(migration: &Migration, wanted: WireMove, by: String) -> Result<Self, MigrationError> {
        let phase_from = phase(&migration.status().await?.phase);
        let (wanted, is_checked) = match wanted {
            WireMove::Fence => (Move::Fence, true),
            WireMove::Unfence => (Move::Unfence, true),
            WireMove::Finalize => (Move::Finalize, true),
            // It goes on, and its end is checked when it is there.
            WireMove::Restore if phase_from == v1::MigrationPhase::Restoring => (Move::EndRestore, false),
            WireMove::Restore | WireMove::Unspecified => (Move::BeginRestore, true),
        };
        let obstacles = if is_checked { migration.obstacles(wanted).await? } else { Vec::new() };
        Ok(Self { migration: migration.clone(), wanted, by, phase_from, obstacles })
    }

    fn phase_to(&self) -> v1::MigrationPhase {
        match self.wanted {
            Move::Fence => v1::MigrationPhase::Fenced,
            Move::Finalize => v1::MigrationPhase::Finalized,
            Move::Unfence | Move::BeginRestore | Move::EndRestore => v1::MigrationPhase::Open,
        }
    }

    fn plan(&self) -> v1::PhasePlan {
        v1::PhasePlan {
            phase_from: self.phase_from.into(),
            phase_to: self.phase_to().into(),
            steps: self.wanted.consequences().iter().map(|step| (*step).to_owned()).collect(),
            obstacles: self.obstacles.iter().map(obstacle).collect(),
        }
    }

    /// Makes it; gives the last change of the phase, behind the reports of what came before.
    async fn make(
        self,
        reports: &mpsc::Sender<Report>,
        stop: &CancellationToken,
    ) -> Result<v1::PhaseChange, MigrationError> {
        match self.wanted {
            Move::Fence | Move::Unfence | Move::Finalize => {
                self.migration.change(self.wanted, &self.by).await?;
                self.changed(self.phase_from).await
            }
            Move::BeginRestore | Move::EndRestore => self.restore(reports, stop).await,
        }
    }

    async fn restore(
        &self,
        reports: &mpsc::Sender<Report>,
        stop: &CancellationToken,
    ) -> Result<v1::PhaseChange, MigrationError> {
        let (sender, mut told) = mpsc::channel(1);
        let restore = async {
            let sender = sender;
            self.migration.restore(WorkerConfig::default(), &self.by, &sender, stop).await
        };
        let tell = async {
            while let Some(told) = told.recv().await {
                let report = match told {
                    // What began before was told to whoever began it.
                    Restoring::Begun if self.wanted == Move::EndRestore => continue,
                    Restoring::Begun => Report::Change(self.changed(self.phase_from).await?),
                    Restoring::Copying(standing) => Report::Progress(progress(standing)),
                    Restoring::Verified(summary) => Report::Verification(verification(summary)),
                    Restoring::Ended => continue,
                };
                // Whoever goes away takes the whole call along.
                reports.send(report).await.ok();
            }
            Ok(())
        };
        tokio::try_join!(restore, tell)?;
        self.changed(v1::MigrationPhase::Restoring).await
    }

    /// The change that was made last.
    async fn changed(&self, phase_from: v1::MigrationPhase) -> Result<v1::PhaseChange, MigrationError> {
        let standing = self.migration.status().await?;
        Ok(v1::PhaseChange {
            phase_from: phase_from.into(),
            phase_to: phase(&standing.phase).into(),
            changed_at: Some(timestamp_to_wire(standing.phase_changed_at)),
            changed_by: standing.phase_changed_by,
        })
    }
}

pub(super) fn parse(request: &v1::ChangePhaseRequest) -> Result<WireMove, Violations> {
    let mut violations = Violations::default();
    let wanted = match WireMove::try_from(request.r#move) {
        Ok(WireMove::Unspecified) => Err("is missing: give 1 (fence) to 4 (restore)".to_owned()),
        Ok(wanted) => Ok(wanted),
        Err(_) => Err(format!("has the unknown value {}: give 1 (fence) to 4 (restore)", request.r#move)),
    };
    let wanted = violations.check("move", wanted).unwrap_or_default();
    check_user(&mut violations, &request.user_id, request.validate_only);
    if violations.is_empty() { Ok(wanted) } else { Err(violations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(wanted: i32, validate_only: bool) -> Vec<String> {
        let request = v1::ChangePhaseRequest { r#move: wanted, validate_only, user_id: String::new() };
        let violations = parse(&request).err().unwrap_or_default();
        violations.iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn who_only_asks_need_not_say_who_he_is() {
        assert_eq!(fields(WireMove::Fence.into(), true), [""; 0]);
        assert_eq!(fields(WireMove::Fence.into(), false), ["user_id"]);
        assert_eq!(fields(0, true), ["move"]);
        assert_eq!(fields(9, false), ["move", "user_id"]);
    }
}
