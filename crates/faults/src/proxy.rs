use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::plan::{Cut, Plan, Statement};

/// Stands between a client and PostgreSQL, without TLS, and lets everything through until it is told otherwise.
/// Dropped, it cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    plan: Arc<Plan>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Stands before the PostgreSQL at `upstream`, written as `host:port`, which need not be up.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let plan = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, upstream.into(), Arc::clone(&plan)));
        Ok(Self { address, plan, _serving: serving })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the next connection that sends the statement, once.
    pub fn cut(&self, cut: Cut, statement: Statement) {
        self.plan.arm(cut, Some(statement), false);
    }

    /// Cuts the next connection that commits, by whichever statement, once.
    pub fn cut_next_commit(&self, cut: Cut) {
        self.plan.arm(cut, None, false);
    }

    /// As [`cut`](Self::cut), and lets nobody in from then on.
    pub fn cut_and_close(&self, cut: Cut, statement: Statement) {
        self.plan.arm(cut, Some(statement), true);
    }

    /// Lets every piece of what is carried wait for so long.
    pub fn delay(&self, delay: Duration) {
        self.plan.delay(delay);
    }

    /// Carries nothing, and cuts nothing, until it is opened again: a network that swallows everything.
    pub fn hold(&self) {
        self.plan.hold(true);
    }

    /// How many pieces were kept waiting until now, by a delay or a hold.
    pub fn slowed(&self) -> u64 {
        self.plan.slowed()
    }

    /// Lets everything through again, and forgets what it was told.
    pub fn open(&self) {
        self.plan.clear();
    }

    /// Whether the statement was seen that a connection was to be cut at.
    pub fn has_cut(&self) -> bool {
        !self.plan.is_armed()
    }
}

async fn serve(listener: TcpListener, upstream: String, plan: Arc<Plan>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if plan.is_closed() {
            continue;
        }
        let (upstream, plan) = (upstream.clone(), Arc::clone(&plan));
        connections.spawn(async move {
            let server = TcpStream::connect(upstream).await?;
            Connection::new(client, server, plan)?.carry().await
        });
        while connections.try_join_next().is_some() {}
    }
}
