use std::net::SocketAddr;
use std::time::Duration;

use partita_proof::within;
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_server::{ServeError, ServerConfig, serve};
use partita_store::{Store, StoreConfig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Endpoint};

use crate::TestDatabase;
use crate::ops::recorder;

/// How long a call may take to be answered, the end of a service, and whatever else happens in one go.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(120);

/// How long an append waits for a lock that its test holds: whatever the test does meanwhile, a busy machine may take long
/// for it. Less than a statement may take.
pub const LOCK_LIMIT: Duration = Duration::from_secs(25);

/// How long a connection to a busy PostgreSQL may take, from a process that does the work of many.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// A service in this process on a free port, with a store of its own: as far as the database can tell, a process of
/// its own. Several may serve one database. Dropped, it stops serving; [`stop`](Self::stop) waits for the end.
pub struct TestServer {
    store: Store,
    address: SocketAddr,
    channel: Channel,
    shutdown: DropGuard,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl TestServer {
    /// Serves with the documented defaults; `partitions_v1` is the flag `DB_PARTITIONS_V1`.
    pub async fn start(database: &TestDatabase, partitions_v1: bool) -> Self {
        Self::start_with(database, |config| config.partitions_v1 = partitions_v1).await
    }

    /// Serves with both tables written and nothing ever expired, for events of long ago.
    pub async fn start_keeping_all(database: &TestDatabase) -> Self {
        let change = |config: &mut StoreConfig| {
            config.partitions_v1 = true;
            config.retention_months = 0;
        };
        Self::start_with(database, change).await
    }

    /// Serves with a configuration that differs from the defaults.
    pub async fn start_with(database: &TestDatabase, change: impl FnOnce(&mut StoreConfig)) -> Self {
        Self::start_configured(database, change, |_| {}).await
    }

    /// Serves with configurations of the store and of the service that differ from the defaults.
    pub async fn start_configured(
        database: &TestDatabase,
        change: impl FnOnce(&mut StoreConfig),
        change_server: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        recorder();
        let mut config = StoreConfig::new(database.service_url());
        config.read_connections_max = 4;
        config.lanes.lock_timeout = LOCK_LIMIT;
        config.connect_timeout = CONNECT_LIMIT;
        config.lanes.doubt_timeout = CONNECT_LIMIT;
        // What expires goes at once: tests of the grace period ask for one.
        config.maintenance.grace_days = 0;
        change(&mut config);
        let store = Store::connect(config).await.unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        // A test that waits for a change of health need not wait for long.
        let mut server_config =
            ServerConfig { ping_interval: Duration::from_millis(200), ..Default::default() };
        change_server(&mut server_config);
        let served = serve(listener, store.clone(), server_config, shutdown.clone());
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.timeout(CALL_LIMIT).connect_lazy();
        Self { store, address, channel, shutdown: shutdown.drop_guard(), serving: tokio::spawn(served) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection for clients of other services.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A client of the event store.
    pub fn events(&self) -> EventStoreServiceClient<Channel> {
        EventStoreServiceClient::new(self.channel())
    }

    /// A client of the partition admin service.
    pub fn partitions(&self) -> PartitionAdminServiceClient<Channel> {
        PartitionAdminServiceClient::new(self.channel())
    }

    /// Runs what the service does for partitions by itself, until the token is dropped or cancelled.
    pub fn maintain_by_itself(&self) -> (DropGuard, JoinHandle<()>) {
        let (store, stop) = (self.store.clone(), CancellationToken::new());
        let guard = stop.clone().drop_guard();
        (guard, tokio::spawn(async move { store.run_maintenance(&stop).await }))
    }

    /// Shuts down as a process does: drains, then closes its connections to the database.
    pub async fn stop(self) {
        let Self { store, shutdown, serving, address: _, channel: _ } = self;
        drop(shutdown);
        within(CALL_LIMIT, "the end of a service", serving).await.unwrap().unwrap().unwrap();
        within(CALL_LIMIT, "the end of its connections", store.close()).await.unwrap();
    }
}
