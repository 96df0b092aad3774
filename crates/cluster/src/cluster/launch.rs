//! Getting the server to run: past a taken port, and past what a killed predecessor left.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Cluster, HOST};
use crate::error::{ClusterError, io_error};
use crate::initialise::initialise;
use crate::pid_file::Occupant;
use crate::postmaster::{NotReady, POLL_INTERVAL, Postmaster};

/// Another program may take a free port before PostgreSQL does. Five times over it is no accident.
const FREE_PORT_TRIES: u32 = 5;

/// How long a dead owner's server is given to end: its watchdog's fast shutdown takes up to ten seconds.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(15);

impl Cluster {
    pub(super) async fn make_and_launch(&mut self) -> Result<(), ClusterError> {
        let Self { installation, account, folder, options, .. } = self;
        self.password = initialise(installation, account, folder, options.durable).await?;
        let tries = if self.options.port.is_some() { 1 } else { FREE_PORT_TRIES };
        for _ in 0..tries {
            self.port = self.options.port.map_or_else(free_port, Ok)?;
            if self.launch_on(self.port).await?.is_some() {
                return Ok(());
            }
        }
        Err(ClusterError::PortInUse { port: self.port })
    }

    /// Starts the server; `None` if the port is taken.
    pub(super) async fn launch_on(&mut self, port: u16) -> Result<Option<()>, ClusterError> {
        let begun = Instant::now();
        loop {
            self.predecessor_gone().await?;
            let mut postmaster =
                Postmaster::spawn(&self.installation, &self.account, &self.folder, &self.options, port)?;
            self.watchdog.watch(Some(postmaster.pid())).await?;
            let why = match postmaster.ready(&self.folder, port, self.options.start_limit).await {
                Ok(()) => {
                    self.postmaster = Some(postmaster);
                    return Ok(Some(()));
                }
                Err(why) => why,
            };
            postmaster.shut_down().await;
            self.watchdog.watch(None).await?;
            match why {
                NotReady::PortTaken => return Ok(None),
                NotReady::Haunted(_) if begun.elapsed() < PREDECESSOR_LIMIT => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                NotReady::Haunted(error) | NotReady::Failed(error) => return Err(error),
            }
        }
    }

    /// Waits for the server of an owner that was killed: its watchdog is ending it.
    async fn predecessor_gone(&self) -> Result<(), ClusterError> {
        let begun = Instant::now();
        loop {
            match self.folder.pid_file().occupant() {
                Occupant::None => return Ok(()),
                Occupant::Stranger => return self.folder.pid_file().remove(),
                Occupant::Postmaster(pid) if begun.elapsed() > PREDECESSOR_LIMIT => {
                    return Err(self.folder.in_use_by(pid));
                }
                Occupant::Postmaster(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }
}

/// A port that nobody has at this moment.
fn free_port() -> Result<u16, ClusterError> {
    let listener = TcpListener::bind((HOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(io_error("listen on", Path::new(HOST)))
}
