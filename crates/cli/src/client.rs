//! What all client commands share: the connection, the audit context, times on the wire.

mod connect;
mod status;

use std::time::Duration;

use clap::Args;
use partita_model::Timestamp;
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::{AppendRequest, AuditContext};

pub(crate) use self::connect::{Channel, ServerArgs, connect, without_credential};
pub(crate) use self::status::{Refusal, failure};

/// An append gets this long. The server knows it too: what it has not begun by then is certainly not recorded.
const APPEND_DEADLINE: Duration = Duration::from_secs(30);
/// A batch of a read may hold one event of 1 MiB, which jsonb prints with more white space than was sent.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The client for appends and reads.
pub(crate) fn events(channel: Channel) -> EventStoreServiceClient<Channel> {
    EventStoreServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// The client for partitions.
pub(crate) fn partitions(channel: Channel) -> PartitionAdminServiceClient<Channel> {
    PartitionAdminServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// An append with its deadline.
pub(crate) fn append_request(message: AppendRequest) -> tonic::Request<AppendRequest> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(APPEND_DEADLINE);
    request
}

/// The audit columns, as flags.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ContextArgs {
    /// Who acts
    #[arg(long = "user", value_name = "ID", default_value = "partita-cli")]
    user_id: String,
    /// Ties together what one business operation caused
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// The event or command that led to this append: a UUID
    #[arg(long, value_name = "UUID")]
    causation_id: Option<String>,
    /// The legal ground, such as `contract`
    #[arg(long, value_name = "TEXT")]
    legal_basis: Option<String>,
    /// How sensitive the data is, such as `pii`
    #[arg(long, value_name = "TEXT")]
    data_classification: Option<String>,
    /// Name of your own retention policy; a record only
    #[arg(long, value_name = "NAME")]
    retention_policy: Option<String>,
    /// Where the request came from
    #[arg(long, value_name = "ADDRESS")]
    ip_address: Option<String>,
    /// The program that made the request
    #[arg(long, value_name = "TEXT")]
    user_agent: Option<String>,
    /// The user's session
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
    /// The request that this append serves
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl From<ContextArgs> for AuditContext {
    fn from(args: ContextArgs) -> Self {
        Self {
            user_id: args.user_id,
            correlation_id: args.correlation_id.unwrap_or_default(),
            causation_id: args.causation_id.unwrap_or_default(),
            legal_basis: args.legal_basis.unwrap_or_default(),
            data_classification: args.data_classification.unwrap_or_default(),
            retention_policy: args.retention_policy.unwrap_or_default(),
            ip_address: args.ip_address.unwrap_or_default(),
            user_agent: args.user_agent.unwrap_or_default(),
            session_id: args.session_id.unwrap_or_default(),
            request_id: args.request_id.unwrap_or_default(),
        }
    }
}

/// An instant for the wire.
pub(crate) fn to_wire(timestamp: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = timestamp.to_unix();
    prost_types::Timestamp { seconds, nanos }
}

/// An instant from the wire, as RFC 3339 in UTC; none where it is absent.
pub(crate) fn from_wire(timestamp: Option<&prost_types::Timestamp>) -> Option<String> {
    let timestamp = timestamp?;
    let parsed = Timestamp::from_unix(timestamp.seconds, timestamp.nanos);
    Some(parsed.map_or_else(|_| format!("{timestamp:?}"), |instant| instant.to_string()))
}
