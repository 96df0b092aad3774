use std::time::Duration;

use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};

use crate::deadline::DeadlineLayer;
use crate::limits::{
    CONCURRENT_STREAMS_MAX, HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    LOCAL_ERROR_RESETS_MAX,
};

/// What an operator may tune of the service; the fixed limits stand in [`crate::limits`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// How long an append may wait for its turn when the caller's deadline is later or missing. Default: 30 s.
    pub append_timeout: Duration,
    /// How long open calls may go on after the shutdown signal; then their connections are cut. Default: 10 s.
    pub drain_timeout: Duration,
    /// How often the database is asked whether it answers, for `grpc.health.v1`. Default: 3 s.
    pub ping_interval: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            append_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(3),
        }
    }
}

/// The transport with every layer of the service.
pub(crate) type Transport = Server<Stack<DeadlineLayer, Identity>>;
/// The transport with its services.
pub(crate) type Routes = Router<Stack<DeadlineLayer, Identity>>;

/// A transport within the limits, with one span a call.
pub(crate) fn transport() -> Transport {
    Server::builder()
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .http2_max_local_error_reset_streams(Some(LOCAL_ERROR_RESETS_MAX))
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        // A handler adds the tenant once it has one. Nothing else of a request belongs into a log.
        .trace_fn(|request| {
            let method = request.uri().path().trim_start_matches('/');
            tracing::info_span!("rpc", rpc.method = method, tenant = tracing::field::Empty)
        })
        .layer(DeadlineLayer)
}
