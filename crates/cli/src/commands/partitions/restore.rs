use clap::Args;
use partita_proto::v1::RestorePartitionRequest;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use serde::Serialize;

use crate::client::{self, Channel};
use crate::commands::partitions::{RecordArgs, month_edge};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Bring detached months back.
///
/// The next maintenance expires them again, unless the tenant is kept by a legal hold or a longer retention first.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The tenant
    #[arg(long)]
    tenant: String,
    /// The first month to bring back, in UTC; detached months after it come with it
    #[arg(long, value_name = "YYYY-MM")]
    month: String,
    #[command(flatten)]
    record: RecordArgs,
}

#[derive(Debug, Serialize)]
struct RestoredDocument {
    months_restored: i32,
    retention_floor: Option<String>,
}

pub(crate) async fn run(
    args: RestoreArgs,
    mut client: PartitionAdminServiceClient<Channel>,
    format: Format,
) -> Result<(), Failure> {
    let RestoreArgs { tenant, month, record } = args;
    let request =
        RestorePartitionRequest { tenant_id: tenant, month, user_id: record.user, reason: record.reason };
    let restored = client.restore_partition(request).await;
    let restored = restored.map_err(|status| client::failure("not restored", status))?.into_inner();
    let document = RestoredDocument {
        months_restored: restored.months_restored,
        retention_floor: client::from_wire(restored.retention_floor.as_ref()),
    };
    match format {
        Format::Json => output::json(&document),
        Format::Table => output::line(&format!(
            "months restored {}, floor {}",
            document.months_restored,
            month_edge(document.retention_floor.as_deref())
        )),
    }
}
