use std::time::Duration;

use partita_migration::Shadow;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};

use crate::arrival::ArrivalLayer;
use crate::auth::{AuthConfig, AuthLayer, Authenticator};
use crate::deadline::DeadlineLayer;
use crate::limits::{
    CONCURRENT_STREAMS_MAX, HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    LOCAL_ERROR_RESETS_MAX,
};
use crate::ops::{FiguresLayer, Probes};
use crate::shed::ShedLayer;
use crate::tls::TlsConfig;
use crate::trace;

/// What an operator may tune of the service; the fixed limits stand in [`crate::limits`].
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// How long an append may wait for its turn when the caller's deadline is later or missing. Default: 30 s.
    pub append_timeout: Duration,
    /// How long calls are still taken after the shutdown signal, while health says `NOT_SERVING`. Default: none.
    pub shutdown_notice: Duration,
    /// How long open calls may go on after the shutdown signal; then their connections are cut. Default: 10 s.
    pub drain_timeout: Duration,
    /// How often the database is asked whether it answers, for `grpc.health.v1`. Default: 3 s.
    pub ping_interval: Duration,
    /// How much is done at once.
    pub limits: LimitConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// Certificates; none: calls come in without TLS.
    pub tls: Option<TlsConfig>,
    /// Where the state of this process is told to probes over HTTP as well.
    pub probes: Probes,
    /// What compares some of the reads in both tables, once they are over; whoever sets it runs it. Default: none.
    pub shadow: Option<Shadow>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            append_timeout: Duration::from_secs(30),
            shutdown_notice: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(3),
            limits: LimitConfig::default(),
            auth: AuthConfig::default(),
            tls: None,
            probes: Probes::default(),
            shadow: None,
        }
    }
}

/// How much one process does at once, and one tenant in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConfig {
    /// Most connections of clients that are open. Default: 4,096.
    pub connections_max: usize,
    /// How long a connection is used before its client is told to make another one. Default: for ever; not every library makes
    /// it without an error for the call that it was about to send.
    pub connection_age: Option<Duration>,
    /// Most bytes of messages that have begun to arrive and are not whole, over all calls. Default: 128 MiB.
    pub arriving_bytes_max: usize,
    /// Most calls that are open in the process, health excepted. Default: 4,096.
    pub calls_max: usize,
    /// Most calls that are open of a tenant, 0: no limit. Default: 1,024.
    pub tenant_calls_max: u32,
    /// Most calls of a tenant a second, each append of a pipeline counted, 0: no limit. Default: 0.
    pub tenant_calls_per_second: u32,
    /// How long a client may take nothing of a streaming answer before it is ended. Default: 5 minutes.
    pub stream_idle: Duration,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connection_age: None,
            arriving_bytes_max: 128 * 1024 * 1024,
            calls_max: 4_096,
            tenant_calls_max: 1_024,
            tenant_calls_per_second: 0,
            stream_idle: Duration::from_mins(5),
        }
    }
}

/// The transport with every layer of the service.
pub(crate) type Transport = Server<Layers>;
/// The transport with its services.
pub(crate) type Routes = Router<Layers>;
/// The layer of figures is the outermost: it measures what all others do.
type Layers = Stack<
    ArrivalLayer,
    Stack<AuthLayer, Stack<ShedLayer, Stack<DeadlineLayer, Stack<FiguresLayer, Identity>>>>,
>;

/// A transport within the limits, with one span a call, for callers with a credential.
pub(crate) fn transport(config: &ServerConfig, authenticator: Authenticator) -> Transport {
    let server = match config.limits.connection_age {
        Some(age) => Server::builder().max_connection_age(age),
        None => Server::builder(),
    };
    server
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .http2_max_local_error_reset_streams(Some(LOCAL_ERROR_RESETS_MAX))
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .trace_fn(trace::span)
        // The first is the outermost.
        .layer(FiguresLayer)
        .layer(DeadlineLayer)
        .layer(ShedLayer::new(config.limits.calls_max, config.limits.stream_idle))
        .layer(AuthLayer::new(authenticator))
        .layer(ArrivalLayer::new(config.limits.arriving_bytes_max))
}
