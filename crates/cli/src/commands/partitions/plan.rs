use clap::Args;
use partita_model::limits::{MONTHS_AHEAD_MAX, RETENTION_MONTHS_MAX};
use partita_proto::v1::MaintainPartitionsRequest;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use serde::Serialize;

use crate::client::Channel;
use crate::commands::partitions::maintain::{self, TenantDocument};
use crate::commands::partitions::month_edge;
use crate::failure::Failure;
use crate::output::{self, Output};

const TITLES: [&str; 5] = ["tenant", "would be", "partition", "from", "to"];
const FIELDS: [&str; 5] = ["tenant_id", "action", "partition_name", "range_start", "range_end"];

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
    /// Months after the current one that must exist; without it the server's setting
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=i64::from(MONTHS_AHEAD_MAX)))]
    months_ahead: Option<i32>,
    /// Months before the current one to keep, 0 for ever; without it the server's setting
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=i64::from(RETENTION_MONTHS_MAX)))]
    retention_months: Option<i32>,
}

/// A step, in the order of [`FIELDS`]. Of a floor that is raised, `range_start` is where it is and `range_end` where it
/// would be.
#[derive(Debug, Serialize)]
struct StepDocument {
    tenant_id: String,
    action: &'static str,
    partition_name: String,
    range_start: Option<String>,
    range_end: Option<String>,
}

/// The dry run of maintenance, its steps alone.
pub(crate) async fn run(
    args: PlanArgs,
    client: PartitionAdminServiceClient<Channel>,
    output: Output,
) -> Result<(), Failure> {
    let request = MaintainPartitionsRequest {
        tenant_id: args.tenant.unwrap_or_default(),
        months_ahead: args.months_ahead,
        retention_months: args.retention_months,
        validate_only: true,
    };
    let (summary, tenants) = maintain::collect(request, client, |_| Ok(())).await?;
    let steps: Vec<StepDocument> = tenants.into_iter().flat_map(steps).collect();
    match output {
        Output::Json => output::json(&steps)?,
        Output::Csv => output::csv(&FIELDS, &steps)?,
        Output::Table if steps.is_empty() => output::line("nothing to do")?,
        Output::Table => output::table(&TITLES, steps.iter().map(row).collect())?,
    }
    maintain::end(&summary)
}

fn steps(tenant: TenantDocument) -> impl Iterator<Item = StepDocument> {
    let TenantDocument { tenant_id, actions, .. } = tenant;
    actions.into_iter().map(move |action| StepDocument {
        tenant_id: tenant_id.clone(),
        action: action.name(),
        partition_name: action.partition_name,
        range_start: action.range_start,
        range_end: action.range_end,
    })
}

fn row(step: &StepDocument) -> Vec<String> {
    vec![
        output::cell(&step.tenant_id),
        step.action.to_owned(),
        step.partition_name.clone(),
        month_edge(step.range_start.as_deref()),
        month_edge(step.range_end.as_deref()),
    ]
}
