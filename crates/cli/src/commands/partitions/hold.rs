use clap::Args;
use partita_proto::v1::SetLegalHoldRequest;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;

use crate::client::{self, Channel};
use crate::commands::partitions::{RecordArgs, retention};
use crate::failure::Failure;
use crate::output::Format;

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// The tenant
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    record: RecordArgs,
}

/// Holds the tenant, or releases it.
pub(crate) async fn run(
    args: HoldArgs,
    legal_hold: bool,
    mut client: PartitionAdminServiceClient<Channel>,
    format: Format,
) -> Result<(), Failure> {
    let HoldArgs { tenant, record } = args;
    let request =
        SetLegalHoldRequest { tenant_id: tenant, legal_hold, user_id: record.user, reason: record.reason };
    let set = client.set_legal_hold(request).await;
    let set = set.map_err(|status| client::failure("legal hold not changed", status))?.into_inner();
    retention::print(&set.retention.unwrap_or_default(), format)
}
