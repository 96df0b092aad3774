use std::pin::pin;
use std::sync::Arc;

use futures_util::Stream;
use partita_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic_reflection::server::Builder as Reflection;

use crate::auth::{Authenticator, KeyError};
use crate::config::{Routes, ServerConfig, transport};
use crate::connection::{Connection, incoming};
use crate::gate::Gate;
use crate::health::Health;
use crate::service::{event_store_service, partition_admin_service};
use crate::tls::{Tls, TlsError};

/// Why the service could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The contract that was built into the binary cannot be read: the build is broken.
    #[error("the built-in description of the API cannot be read: build the binary again")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The keys of tokens cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP/2 transport failed as a whole; a single connection's failure never comes here.
    #[error("the gRPC transport failed: start the service again")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves the API on `listener` until `shutdown` is cancelled, then drains.
///
/// Served are the event store and the partition admin service, `grpc.health.v1` for both and for the whole, and
/// reflection (v1, and v1alpha for older clients). On shutdown health turns `NOT_SERVING`, and calls are served as ever for
/// [`ServerConfig::shutdown_notice`]. Then no new connection is taken, clients are told to go elsewhere (GOAWAY), open calls go on for at most [`ServerConfig::drain_timeout`], and what is then still open is cut. The
/// store stays open: closing it is up to the caller. When the future is dropped, all connections are cut at once.
///
/// A panic in a call ends that call alone: its client sees the stream reset, without an answer, which promises
/// nothing about what was applied. That is the truth, so it is not turned into an error of ours.
///
/// # Errors
/// When the services cannot be built, or the transport as a whole fails.
pub async fn serve(
    listener: TcpListener,
    store: Store,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let health = Health::new(reporter, config.probes.clone()).await;
    let stop = CancellationToken::new();
    let gate = Gate::new(&config.limits);
    let authenticator = Authenticator::open(&config.auth).await?;
    let tls = config.tls.clone().map(Tls::open).transpose()?.map(Arc::new);
    let routes = transport(&config, authenticator)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(event_store_service(&store, &config, &gate, &stop))
        .add_service(partition_admin_service(&store, &config, &gate, &stop));

    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let connections = incoming(listener, tls.clone(), config.limits.connections_max, cut.clone());
    let mut serving = pin!(run(routes, connections, stop.clone()));

    tokio::select! {
        served = &mut serving => return served,
        () = health.follow(&store, config.ping_interval) => {}
        () = follow(tls.as_deref()) => {}
        () = shutdown.cancelled() => {}
    }
    tracing::info!(
        notice_ms = config.shutdown_notice.as_millis(),
        drain.timeout_ms = config.drain_timeout.as_millis(),
        "shutting down"
    );
    health.leave().await;
    // Whoever sends calls here needs time to hear of it: until then they are served as ever.
    tokio::select! {
        served = &mut serving => return served,
        () = tokio::time::sleep(config.shutdown_notice) => {}
    }
    stop.cancel();
    health.close().await;

    tokio::select! {
        served = &mut serving => return served,
        () = tokio::time::sleep(config.drain_timeout) => {}
    }
    tracing::warn!("drain timeout passed, cutting the connections that are still open");
    cut.cancel();
    serving.await
}

/// Keeps the certificates up to date; never ends.
async fn follow(tls: Option<&Tls>) {
    match tls {
        Some(tls) => tls.follow().await,
        None => std::future::pending().await,
    }
}

async fn run(
    routes: Routes,
    connections: impl Stream<Item = Result<Connection, std::convert::Infallible>>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    Ok(routes.serve_with_incoming_shutdown(connections, stop.cancelled()).await?)
}

fn reflection() -> Reflection<'static> {
    Reflection::configure()
        .register_encoded_file_descriptor_set(partita_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
