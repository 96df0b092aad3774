//! Whom the commands talk to: a server, or a service of their own within this process.

use clap::Args;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;

use crate::client::{self, Channel, ServerArgs};
use crate::commands::migration::direct::Direct;
use crate::config::ConfigArgs;
use crate::failure::Failure;

/// Where to work, and in whose name.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Work on the configuration's database from this process: no server is needed
    #[arg(long, global = true)]
    direct: bool,
    /// Who says so, for the record
    #[arg(long, value_name = "ID", env = "USER", default_value = "partita-cli", global = true)]
    user: String,
}

/// A client with what stands behind it.
pub(super) struct Session {
    pub(super) client: PartitionAdminServiceClient<Channel>,
    /// Who says so.
    pub(super) user: String,
    /// The service within this process, where there is one.
    pub(super) direct: Option<Direct>,
}

/// Connects to the server, or opens the database.
pub(super) async fn open(args: TargetArgs, config: &ConfigArgs) -> Result<Session, Failure> {
    let (channel, direct) = if args.direct {
        let (channel, direct) = Direct::open(config).await?;
        (channel, Some(direct))
    } else {
        (client::connect(&args.server).await?, None)
    };
    // An empty variable is no name.
    let user = if args.user.is_empty() { "partita-cli".to_owned() } else { args.user };
    Ok(Session { client: client::partitions(channel), user, direct })
}

impl Session {
    /// Lets the database go, where it is open.
    pub(super) async fn close(self) {
        let Self { client, user: _, direct } = self;
        // The service waits for its connection to be closed.
        drop(client);
        if let Some(direct) = direct {
            direct.close().await;
        }
    }
}
