use clap::Args;
use partita_proto::v1::ListPartitionsRequest;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use tonic::transport::Channel;

use crate::client;
use crate::commands::partitions::print_sizes;
use crate::document::PartitionDocument;
use crate::failure::Failure;
use crate::output::{self, Format};

/// The largest page that the server gives.
const PAGE_SIZE: i32 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
}

pub(crate) async fn run(
    args: ListArgs,
    mut client: PartitionAdminServiceClient<Channel>,
    format: Format,
) -> Result<(), Failure> {
    let tenant_id = args.tenant.unwrap_or_default();
    let mut partitions: Vec<PartitionDocument> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            ListPartitionsRequest { tenant_id: tenant_id.clone(), page_size: PAGE_SIZE, page_token };
        let page = client.list_partitions(request).await;
        let page = page.map_err(|status| client::failure("cannot list partitions", status))?.into_inner();
        partitions.extend(page.partitions.into_iter().map(PartitionDocument::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    match format {
        Format::Json => output::json(&partitions),
        Format::Table => print_sizes(&partitions),
    }
}
