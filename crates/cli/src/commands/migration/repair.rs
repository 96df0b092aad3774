use clap::Args;
use partita_proto::v1::{
    GetMigrationStatusRequest, RepairMismatchesRequest, RepairMismatchesResponse, RepairStep,
};
use serde::Serialize;

use crate::client;
use crate::commands::migration::document::MismatchDocument;
use crate::commands::migration::mismatches::mismatch_row;
use crate::commands::migration::target::Session;
use crate::commands::migration::words::number;
use crate::commands::migration::workers;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Mend the differences whose cause is known, and tell what would mend the others.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
    /// Do it; without this flag it is only told what would be done
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Serialize)]
struct RepairDocument {
    validate_only: bool,
    months_to_copy: i64,
    steps: Vec<StepDocument>,
}

#[derive(Debug, Serialize)]
struct StepDocument {
    mismatch: MismatchDocument,
    advice: String,
    statements: String,
}

pub(super) async fn run(args: RepairArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    let RepairArgs { tenant, execute } = args;
    let tenant_id = tenant.unwrap_or_default();
    let looked = repair(session, &tenant_id, true).await?;
    let is_work = looked.months_to_copy > 0;
    let repaired = if execute && is_work { repair(session, &tenant_id, false).await? } else { looked };
    let unmended = repaired.steps.len() as i64;
    print(&repaired, format)?;
    if execute && is_work && session.direct.is_some() {
        let status = session.client.get_migration_status(GetMigrationStatusRequest {}).await;
        let status = status.map_err(|status| client::failure("cannot tell what the workers do", status))?;
        workers::to_end(session, &status.into_inner().orders.unwrap_or_default()).await?;
    }
    if unmended > 0 {
        let failure = Failure::refused(format!("{} differences need a decision", number(unmended)));
        return Err(
            failure.next("find out which side is right, run the statements, then `partita migration verify`")
        );
    }
    match format {
        Format::Table if execute && is_work => {
            output::line("then close the differences: `partita migration verify`")
        }
        Format::Table if is_work => output::line("nothing was done: add --execute to do it"),
        Format::Table | Format::Json => Ok(()),
    }
}

async fn repair(
    session: &mut Session,
    tenant_id: &str,
    validate_only: bool,
) -> Result<RepairMismatchesResponse, Failure> {
    let (tenant_id, user_id) = (tenant_id.to_owned(), session.user.clone());
    let request = RepairMismatchesRequest { tenant_id, validate_only, user_id };
    let answer = session.client.repair_mismatches(request).await;
    Ok(answer.map_err(|status| client::failure("nothing was repaired", status))?.into_inner())
}

fn print(repaired: &RepairMismatchesResponse, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(&RepairDocument {
            validate_only: repaired.validate_only,
            months_to_copy: repaired.months_to_copy,
            steps: repaired.steps.iter().cloned().map(StepDocument::from).collect(),
        });
    }
    let months = number(repaired.months_to_copy);
    match (repaired.months_to_copy, repaired.validate_only) {
        (0, _) => output::line("no copy is missing that a command could make")?,
        (_, true) => {
            output::line(&format!("{months} months with missing copies: the backfill would copy them"))?;
        }
        (_, false) => {
            output::line(&format!("{months} months with missing copies: the backfill copies them"))?;
        }
    }
    repaired.steps.iter().try_for_each(print_step)
}

fn print_step(step: &RepairStep) -> Result<(), Failure> {
    let mismatch = step.mismatch.as_ref().map(mismatch_row).unwrap_or_default();
    let told: Vec<_> = mismatch.into_iter().filter(|cell| !cell.is_empty()).collect();
    output::line("")?;
    output::line(&told.join("  "))?;
    output::line(&format!("  {}", step.advice))?;
    match step.statements.as_str() {
        "" => Ok(()),
        statements => output::line(&format!("  {}", shown(statements))),
    }
}

/// Whole, because it is to be pasted; but a stranger's control characters are not obeyed by the terminal.
fn shown(statements: &str) -> String {
    let is_harmless = |character: char| !character.is_control();
    if statements.chars().all(is_harmless) {
        return statements.to_owned();
    }
    "(the statements hold control characters: ask for them with -o json)".to_owned()
}

impl From<RepairStep> for StepDocument {
    fn from(step: RepairStep) -> Self {
        Self {
            mismatch: step.mismatch.unwrap_or_default().into(),
            advice: step.advice,
            statements: step.statements,
        }
    }
}
