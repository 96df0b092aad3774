use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{future, stream};
use hyper_util::rt::TokioIo;
use partita_store::Store;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::auth::Authenticator;
use crate::config::{ServerConfig, transport};
use crate::gate::Gate;
use crate::serve::ServeError;
use crate::service::partition_admin_service;

/// Bytes that are on their way in each direction before the other side takes some.
const PIPE_BYTES: usize = 64 * 1024;

/// How long an answer may lie there.
const PATIENCE: Duration = Duration::from_hours(365 * 24);

/// Serves the partition admin service to this process alone, without a port: gives the channel that leads to it, and the
/// service, which runs as long as its future is polled, until `shutdown` is cancelled.
///
/// So that a command works on a database without a server by the very code that it uses with one. The channel has one
/// connection: once that is closed, it leads nowhere.
pub fn serve_in_memory(
    store: &Store,
    shutdown: CancellationToken,
) -> (Channel, impl Future<Output = Result<(), ServeError>> + Send + use<>) {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let store = store.clone();
    let serving = async move {
        // Whoever holds both ends of a pipe of this process is the operator already: nobody is asked for a credential.
        let mut config = ServerConfig::default();
        // Its one connection must not be told to go, and whoever reads its answers may do so in a pager.
        config.limits.connection_age = None;
        config.limits.stream_idle = PATIENCE;
        let authenticator = Authenticator::open(&config.auth).await?;
        let gate = Gate::new(&config.limits);
        let routes = transport(&config, authenticator)
            .add_service(partition_admin_service(&store, &config, &gate, &shutdown));
        let connections = stream::iter([Ok::<DuplexStream, std::io::Error>(far)]);
        // The transport would end with the last of the connections; the only one is taken at once.
        let connections = stream::StreamExt::chain(connections, stream::pending());
        Ok(routes.serve_with_incoming_shutdown(connections, shutdown.cancelled_owned()).await?)
    };
    let near = Mutex::new(Some(near));
    let connect = tower::service_fn(move |_: Uri| {
        let near = near.lock().unwrap_or_else(PoisonError::into_inner).take();
        let taken =
            || std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "the one connection is closed");
        future::ready(near.map(TokioIo::new).ok_or_else(taken))
    });
    (Endpoint::from_static("http://in-memory").connect_with_connector_lazy(connect), serving)
}
