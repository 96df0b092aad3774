use clap::Args;
use partita_proto::v1::ListPartitionsRequest;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;

use crate::client::{self, Channel};
use crate::commands::partitions::{heat_map, print_sizes};
use crate::document::PartitionDocument;
use crate::failure::Failure;
use crate::output::{self, Output};

/// The largest page that the server gives.
const PAGE_SIZE: i32 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
    /// Print a map of tenants and months instead, by size
    #[arg(long)]
    heat_map: bool,
}

pub(crate) async fn run(
    args: ListArgs,
    mut client: PartitionAdminServiceClient<Channel>,
    output: Output,
) -> Result<(), Failure> {
    if args.heat_map && output != Output::Table {
        return Err(Failure::usage("--heat-map is for people, and has no other form")
            .next("leave out one of --heat-map and -o"));
    }
    let tenant_id = args.tenant.unwrap_or_default();
    let mut partitions: Vec<PartitionDocument> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPartitionsRequest {
            tenant_id: tenant_id.clone(),
            page_size: PAGE_SIZE,
            page_token,
            include_detached: true,
        };
        let page = client.list_partitions(request).await;
        let page = page.map_err(|status| client::failure("cannot list partitions", status))?.into_inner();
        partitions.extend(page.partitions.into_iter().map(PartitionDocument::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    match output {
        Output::Json => output::json(&partitions),
        Output::Csv => output::csv(&PartitionDocument::FIELDS, &partitions),
        Output::Table if args.heat_map => heat_map::print(&partitions),
        Output::Table => print_sizes(&partitions),
    }
}
