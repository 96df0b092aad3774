use clap::Args;
use partita_migration::Migration;
use partita_model::TenantId;
use serde::Serialize;

use super::lists::{MismatchDocument, mismatch_row};
use super::{failure, parse_tenant};
use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, Args)]
pub(super) struct RepairArgs {
    /// One tenant; without it all of them
    #[arg(long, value_parser = parse_tenant)]
    tenant: Option<TenantId>,
    /// Do it; without it only said what would be done
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Serialize)]
struct RepairDocument {
    executed: bool,
    units_to_copy: u64,
    steps: Vec<StepDocument>,
}

#[derive(Debug, Serialize)]
struct StepDocument {
    mismatch: MismatchDocument,
    first: &'static str,
    statements: String,
}

pub(super) async fn run(
    args: RepairArgs,
    migration: &Migration,
    by: &str,
    format: Format,
) -> Result<(), Failure> {
    let broken = |error| failure("nothing repaired", &error);
    let tenant = args.tenant.as_ref();
    let repair = migration.look_at_repair(tenant).await.map_err(broken)?;
    let executed = args.execute && repair.units_to_copy > 0;
    if executed {
        migration.repair(tenant, by).await.map_err(broken)?;
    }
    if format == Format::Json {
        let steps = repair.steps.into_iter().map(|step| StepDocument {
            mismatch: step.mismatch.into(),
            first: step.first,
            statements: step.statements,
        });
        let document =
            RepairDocument { executed, units_to_copy: repair.units_to_copy, steps: steps.collect() };
        return output::json(&document);
    }
    for step in &repair.steps {
        output::line(&mismatch_row(&step.mismatch).join("  "))?;
        output::line(&format!("  first: {}", step.first))?;
        if !step.statements.is_empty() {
            output::line(&format!("  then, as a superuser:\n    {}", step.statements))?;
        }
    }
    match (repair.units_to_copy, executed) {
        (0, _) => output::line("no copy is missing"),
        (units, false) => {
            output::line(&format!("would copy what is missing in {units} months: repeat it with --execute"))
        }
        (units, true) => output::line(&format!(
            "the backfill copies what is missing in {units} months (`partita migration backfill run` where no server runs); then verify again"
        )),
    }
}
