//! Changes of the phase: what each will do and what stands in its way, then the change.

use clap::Args;
use partita_proto::v1::change_phase_request::Move;
use partita_proto::v1::change_phase_response::Report;
use partita_proto::v1::{ChangePhaseRequest, PhaseChange, PhasePlan, VerificationSummary};
use serde::Serialize;

use crate::client;
use crate::commands::migration::document::{ChangeDocument, ObstacleDocument, phase_word};
use crate::commands::migration::progress::{Progress, standing};
use crate::commands::migration::target::Session;
use crate::commands::migration::words::number;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Without `--execute` it is only told what would be done, and what stands in the way; exit code 3 if something does.
#[derive(Debug, Args)]
pub(crate) struct ExecuteArgs {
    /// Do it
    #[arg(long)]
    execute: bool,
}

/// What was told and done, for programs.
#[derive(Debug, Serialize)]
struct PhaseDocument {
    phase_from: String,
    phase_to: String,
    steps: Vec<String>,
    obstacles: Vec<ObstacleDocument>,
    executed: bool,
    changes: Vec<ChangeDocument>,
}

pub(super) async fn fence(args: ExecuteArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    run(session, Move::Fence, "fence", args.execute, format).await
}

/// Free at any time, and wanted in a hurry: it asks for no flag.
pub(super) async fn unfence(session: &mut Session, format: Format) -> Result<(), Failure> {
    run(session, Move::Unfence, "unfence", true, format).await
}

pub(super) async fn finalize(
    args: ExecuteArgs,
    session: &mut Session,
    format: Format,
) -> Result<(), Failure> {
    run(session, Move::Finalize, "finalize", args.execute, format).await
}

pub(super) async fn restore(args: ExecuteArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    run(session, Move::Restore, "restore", args.execute, format).await
}

async fn run(
    session: &mut Session,
    wanted: Move,
    name: &str,
    execute: bool,
    format: Format,
) -> Result<(), Failure> {
    let plan = look(session, wanted, name).await?;
    if format == Format::Table {
        print_plan(&plan, name)?;
    }
    let is_blocked = !plan.obstacles.is_empty();
    let blocked = blocked(&plan, name);
    let changes =
        if execute && !is_blocked { change(session, wanted, name, format).await? } else { Vec::new() };
    match format {
        Format::Json => output::json(&PhaseDocument {
            phase_from: phase_word(plan.phase_from()),
            phase_to: phase_word(plan.phase_to()),
            executed: !changes.is_empty(),
            steps: plan.steps,
            obstacles: plan.obstacles.into_iter().map(ObstacleDocument::from).collect(),
            changes: changes.into_iter().map(ChangeDocument::from).collect(),
        })?,
        Format::Table if is_blocked || execute => {}
        Format::Table => {
            output::line("nothing stands in the way, and nothing was done: add --execute to do it")?;
        }
    }
    if is_blocked { Err(blocked) } else { Ok(()) }
}

/// Asks what would be done.
async fn look(session: &mut Session, wanted: Move, name: &str) -> Result<PhasePlan, Failure> {
    let broken = |status| client::failure(&format!("cannot tell what {name} would do"), status);
    let request = ChangePhaseRequest { r#move: wanted.into(), validate_only: true, user_id: String::new() };
    let mut reports = session.client.change_phase(request).await.map_err(broken)?.into_inner();
    match reports.message().await.map_err(broken)?.and_then(|message| message.report) {
        Some(Report::Plan(plan)) => Ok(plan),
        Some(Report::Progress(_) | Report::Verification(_) | Report::Change(_)) | None => {
            Err(Failure::internal("the server's report was cut short"))
        }
    }
}

/// Does it; gives the changes of the phase.
async fn change(
    session: &mut Session,
    wanted: Move,
    name: &str,
    format: Format,
) -> Result<Vec<PhaseChange>, Failure> {
    let broken = |status| client::failure(&format!("{name} did not end"), status);
    let user_id = session.user.clone();
    let request = ChangePhaseRequest { r#move: wanted.into(), validate_only: false, user_id };
    let mut reports = session.client.change_phase(request).await.map_err(broken)?.into_inner();
    let mut progress = Progress::new();
    let mut changes = Vec::new();
    while let Some(message) = reports.message().await.map_err(broken)? {
        match message.report {
            Some(Report::Progress(now)) => progress.show(now.rows_copied, now.rows_total, &standing(&now)),
            Some(Report::Verification(summary)) => progress.tell(&told_verification(&summary)),
            Some(Report::Change(change)) => {
                if format == Format::Table {
                    output::line(&told_change(&change))?;
                }
                changes.push(change);
            }
            Some(Report::Plan(_)) | None => {}
        }
    }
    progress.finish();
    if changes.is_empty() {
        return Err(Failure::internal("the server's report was cut short")
            .next("`partita migration status` tells the phase"));
    }
    Ok(changes)
}

fn print_plan(plan: &PhasePlan, name: &str) -> Result<(), Failure> {
    output::line(&format!("{name}: {} to {}", phase_word(plan.phase_from()), phase_word(plan.phase_to())))?;
    for step in &plan.steps {
        output::line(&format!("  - {step}"))?;
    }
    for obstacle in &plan.obstacles {
        output::line(&format!("obstacle {}: {}", obstacle.code, obstacle.description))?;
        output::line(&format!("  mend: {}", obstacle.mend))?;
    }
    Ok(())
}

fn blocked(plan: &PhasePlan, name: &str) -> Failure {
    let codes: Vec<_> = plan.obstacles.iter().map(|obstacle| obstacle.code.as_str()).collect();
    let failure = Failure::refused(format!("{name} is not possible now: nothing was changed"));
    let failure = failure.fact("obstacles", codes.join(", "));
    match plan.obstacles.first() {
        Some(first) => failure.next(&first.mend),
        None => failure,
    }
}

fn told_change(change: &PhaseChange) -> String {
    format!(
        "phase {} since {}, before {}",
        phase_word(change.phase_to()),
        client::from_wire(change.changed_at.as_ref()).unwrap_or_default(),
        phase_word(change.phase_from())
    )
}

fn told_verification(summary: &VerificationSummary) -> String {
    let VerificationSummary { rows, units, mismatches, .. } = summary;
    format!(
        "compared: {} rows in {} months, {} differences",
        number(*rows),
        number(*units),
        number(*mismatches)
    )
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::Obstacle;

    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_blocked_change_names_its_obstacles_and_what_mends_the_first() {
        let obstacle = |code: &str, mend: &str| Obstacle {
            code: code.to_owned(),
            mend: mend.to_owned(),
            ..Obstacle::default()
        };
        let obstacles = vec![obstacle("NOT_VERIFIED", "verify"), obstacle("INSTANCES", "restart it")];
        let failure = blocked(&PhasePlan { obstacles, ..Default::default() }, "finalize");
        assert_eq!(failure.exit(), Exit::Refused);
        let text = failure.text();
        assert!(
            text.contains("obstacles: NOT_VERIFIED, INSTANCES") && text.contains("next: verify"),
            "{text}"
        );
    }
}
