mod list;
mod maintain;
mod restore;

use clap::{Args, Subcommand};

use crate::client;
use crate::document::PartitionDocument;
use crate::failure::Failure;
use crate::output::{self, Format};

const TITLES: [&str; 9] =
    ["tenant", "partition", "from", "to", "state", "#rows (estimate)", "#heap", "#indexes", "#total"];

/// Make, expire, restore and list partitions.
#[derive(Debug, Args)]
pub(crate) struct PartitionsArgs {
    #[command(subcommand)]
    command: PartitionsCommand,
}

#[derive(Debug, Subcommand)]
enum PartitionsCommand {
    /// Create the months that are missing, raise the floor, detach and drop the months below it
    Maintain(maintain::MaintainArgs),
    /// Bring detached months back, and lower the floor to them, while their grace period lasts
    Restore(restore::RestoreArgs),
    /// List partitions with their sizes
    List(list::ListArgs),
}

/// Runs one of them through the admin API.
pub(crate) async fn run(args: PartitionsArgs, server: &str, format: Format) -> Result<(), Failure> {
    let channel = client::connect(server).await?;
    let client = client::partitions(channel);
    match args.command {
        PartitionsCommand::Maintain(args) => maintain::run(args, client, format).await,
        PartitionsCommand::Restore(args) => restore::run(args, client, format).await,
        PartitionsCommand::List(args) => list::run(args, client, format).await,
    }
}

/// The size table, with a line that sums it up.
fn print_sizes(partitions: &[PartitionDocument]) -> Result<(), Failure> {
    let rows = partitions.iter().map(row).collect();
    output::table(&TITLES, rows)?;
    let total = partitions.iter().map(|partition| partition.total_bytes).sum();
    output::line(&format!("{} partitions, {}", partitions.len(), output::bytes(total)))
}

fn row(partition: &PartitionDocument) -> Vec<String> {
    vec![
        output::cell(&partition.tenant_id),
        partition.partition_name.clone(),
        month_edge(partition.range_start.as_deref()),
        month_edge(partition.range_end.as_deref()),
        partition.state.to_owned(),
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
