//! The cluster as its owner sees it: start, stop, crash, restart, connect.

mod launch;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::ClusterError;
use crate::folder::Folder;
use crate::installation::Installation;
use crate::options::ClusterOptions;
use crate::postmaster::Postmaster;
use crate::watchdog::Watchdog;

/// The only address a cluster listens on.
pub const HOST: &str = "127.0.0.1";
/// The database that every cluster is made with.
pub const DATABASE: &str = "partita";
/// The role that every cluster is made with; a superuser.
pub const SUPERUSER: &str = "partita";

/// A running private PostgreSQL, owned by this process.
///
/// Dropping it ends the server in the background and removes a temporary folder; [`stop`](Self::stop) does so and
/// waits.
pub struct Cluster {
    installation: Installation,
    account: Account,
    options: ClusterOptions,
    password: String,
    port: u16,
    postmaster: Option<Postmaster>,
    // Before the folder: its lock is released when the watchdog is on its way.
    watchdog: Watchdog,
    folder: Folder,
}

impl Cluster {
    /// Makes or resumes the cluster in its folder and starts it. When this returns, it takes connections.
    ///
    /// # Errors
    /// Whatever [`ClusterError`] names but the search; nothing is left running then.
    pub async fn start(installation: Installation, options: ClusterOptions) -> Result<Self, ClusterError> {
        let account = Account::choose()?;
        account.must_enter(installation.bin_dir(), "install PostgreSQL where every user can run it").await?;
        let mut folder = Folder::open(&options.data_dir, &account).await?;
        let watchdog = Watchdog::spawn(&folder.data(), folder.temporary())?;
        folder.entrust_removal();
        let (password, port) = (String::new(), 0);
        let mut cluster =
            Self { installation, account, options, password, port, postmaster: None, watchdog, folder };
        match cluster.make_and_launch().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.stop().await;
                Err(error)
            }
        }
    }

    /// A URL of one of its databases, with user and password. `database` is put as it stands.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@{HOST}:{}/{database}", self.password, self.port)
    }

    /// The port on [`HOST`]; it stays the same over a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of [`SUPERUSER`].
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The process id of the server; `None` between [`kill`](Self::kill) and [`restart`](Self::restart).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Postmaster::pid)
    }

    /// The server's log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.folder.log_path()
    }

    /// The folder that holds everything of this cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// Ends the server, gently for 10 s, then with a crash; a temporary folder goes with it.
    pub async fn stop(mut self) {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.shut_down().await;
        }
        let Self { mut watchdog, folder, .. } = self;
        if let Err(error) = watchdog.watch(None).await {
            tracing::warn!(error = %error, "watchdog lost");
        }
        watchdog.dismiss().await;
        // The folder is locked until nobody works in it.
        drop(folder);
    }

    /// Ends the server as a crash would: `SIGKILL`, nothing flushed, no farewell to the clients. For fault tests.
    pub async fn kill(&mut self) {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.kill().await;
        }
    }

    /// Starts the server again with the same data on the same port, after a fast shutdown if it runs.
    ///
    /// # Errors
    /// [`ClusterError::PortInUse`] if another program took the port in between; otherwise as a start.
    pub async fn restart(&mut self) -> Result<(), ClusterError> {
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.shut_down().await;
        }
        self.launch_on(self.port).await?.ok_or(ClusterError::PortInUse { port: self.port })
    }
}

impl fmt::Debug for Cluster {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Cluster");
        debug.field("folder", &self.folder.root()).field("port", &self.port).field("pid", &self.pid());
        debug.finish_non_exhaustive()
    }
}
