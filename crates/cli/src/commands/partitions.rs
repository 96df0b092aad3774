mod check;
mod heat_map;
mod hold;
mod list;
mod maintain;
mod plan;
mod purge;
mod restore;
mod retention;

use clap::{Args, Subcommand};

use crate::client::{self, ServerArgs};
use crate::document::PartitionDocument;
use crate::failure::Failure;
use crate::output::{self, Output};

const TITLES: [&str; 9] =
    ["tenant", "partition", "from", "to", "state", "#rows (estimate)", "#heap", "#indexes", "#total"];

/// Make, expire, restore, check and list partitions.
#[derive(Debug, Args)]
pub(crate) struct PartitionsArgs {
    #[command(subcommand)]
    command: PartitionsCommand,
}

#[derive(Debug, Subcommand)]
enum PartitionsCommand {
    /// Create the months that are missing, raise the floor, detach and drop the months below it
    Maintain(maintain::MaintainArgs),
    /// Tell what maintenance would do now; change nothing
    Plan(plan::PlanArgs),
    /// Look for gaps, missing months and indexes, pending detaches, orphans; exit code 3 where there are any
    Check(check::CheckArgs),
    /// List partitions with their sizes, and the detached months that wait to be restored or dropped
    List(list::ListArgs),
    /// Bring detached months back, and lower the floor to them, while their grace period lasts
    Restore(restore::RestoreArgs),
    /// Set how long a tenant's events are kept
    Retention(retention::RetentionArgs),
    /// Put a tenant under legal hold: nothing of it goes any more
    Hold(hold::HoldArgs),
    /// Release a tenant from its legal hold
    Release(hold::HoldArgs),
    /// Delete expired events from the legacy table, in small batches; without --execute only count them
    PurgeLegacy(purge::PurgeArgs),
}

/// Runs one of them through the admin API.
pub(crate) async fn run(args: PartitionsArgs, server: &ServerArgs, output: Output) -> Result<(), Failure> {
    let client = async || client::connect(server).await.map(client::partitions);
    match args.command {
        PartitionsCommand::Maintain(args) => {
            let format = output.plain()?;
            maintain::run(args, client().await?, format).await
        }
        PartitionsCommand::Plan(args) => plan::run(args, client().await?, output).await,
        PartitionsCommand::Check(args) => check::run(args, client().await?, output).await,
        PartitionsCommand::List(args) => list::run(args, client().await?, output).await,
        PartitionsCommand::Restore(args) => {
            let format = output.plain()?;
            restore::run(args, client().await?, format).await
        }
        PartitionsCommand::Retention(args) => {
            let format = output.plain()?;
            retention::run(args, client().await?, format).await
        }
        PartitionsCommand::Hold(args) => {
            let format = output.plain()?;
            hold::run(args, true, client().await?, format).await
        }
        PartitionsCommand::Release(args) => {
            let format = output.plain()?;
            hold::run(args, false, client().await?, format).await
        }
        PartitionsCommand::PurgeLegacy(args) => {
            let format = output.plain()?;
            purge::run(args, client().await?, format).await
        }
    }
}

/// On whose word something is done, for the record.
#[derive(Debug, Args)]
struct RecordArgs {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who, for the record
    #[arg(long, value_name = "ID", env = "USER", default_value = "partita-cli")]
    user: String,
}

/// The size table, with a line that sums it up.
fn print_sizes(partitions: &[PartitionDocument]) -> Result<(), Failure> {
    let rows = partitions.iter().map(row).collect();
    output::table(&TITLES, rows)?;
    let total = partitions.iter().map(|partition| partition.total_bytes).sum();
    output::line(&format!("{} partitions, {}", partitions.len(), output::bytes(total)))
}

fn row(partition: &PartitionDocument) -> Vec<String> {
    let state = match &partition.drop_after {
        Some(drop_after) => format!("{} until {drop_after}", partition.state),
        None => partition.state.to_owned(),
    };
    vec![
        output::cell(&partition.tenant_id),
        partition.partition_name.clone(),
        month_edge(partition.range_start.as_deref()),
        month_edge(partition.range_end.as_deref()),
        state,
        partition.rows_estimated.map(|rows| rows.to_string()).unwrap_or_default(),
        output::bytes(partition.heap_bytes),
        output::bytes(partition.index_bytes),
        output::bytes(partition.total_bytes),
    ]
}

/// The edges of months are midnights in UTC: the day tells it all.
fn month_edge(instant: Option<&str>) -> String {
    let instant = instant.unwrap_or("-");
    instant.strip_suffix("T00:00:00Z").unwrap_or(instant).to_owned()
}
