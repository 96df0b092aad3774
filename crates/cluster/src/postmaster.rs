//! One run of the PostgreSQL server: spawned, waited for, ended.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::account::Account;
use crate::error::{ClusterError, io_error};
use crate::folder::Folder;
use crate::installation::Installation;
use crate::log::StartLog;
use crate::options::ClusterOptions;

/// Between two looks at whether something has come about.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Fast shutdown (sessions are ended, a checkpoint is written), then immediate shutdown (recovery at the next start),
/// then the signal that cannot be refused; each with the time it is given.
const SHUTDOWN: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(10)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// What the server says where a killed predecessor's processes are still there.
const HAUNTED: [&str; 2] =
    ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

/// A server process, our direct child.
#[derive(Debug)]
pub(crate) struct Postmaster {
    child: Child,
    pid: u32,
    log: StartLog,
}

/// Why a server did not get ready.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// Another program has the port.
    PortTaken,
    /// Processes of a killed predecessor have not all noticed its death yet.
    Haunted(ClusterError),
    /// Anything else.
    Failed(ClusterError),
}

impl Postmaster {
    /// Starts the server in a process group of its own: an interrupt from the terminal is meant for us, and we end
    /// it in order.
    pub(crate) fn spawn(
        installation: &Installation,
        account: &Account,
        folder: &Folder,
        options: &ClusterOptions,
        port: u16,
    ) -> Result<Self, ClusterError> {
        let program = installation.program("postgres");
        let socket_dir = folder.new_socket_dir(port, account)?;
        let (log, output) = StartLog::open(&folder.log_path())?;
        let errors = output.try_clone().map_err(io_error("open", log.path()))?;
        let mut command = account.command(&program);
        command.arg("-D").arg(folder.data()).args(options.arguments(port, socket_dir.as_deref()));
        command.process_group(0).stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        let child = command.spawn().map_err(io_error("run", &program))?;
        // A child that was not waited for has its number.
        let pid = child.id().unwrap_or_default();
        Ok(Self { child, pid, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the server says that it takes connections, and takes one.
    pub(crate) async fn ready(
        &mut self,
        folder: &Folder,
        port: u16,
        limit: Duration,
    ) -> Result<(), NotReady> {
        let begun = Instant::now();
        let pid_file = folder.pid_file();
        loop {
            let ended = self.child.try_wait().map_err(io_error("wait for", self.log.path()));
            if let Some(status) = ended.map_err(NotReady::Failed)? {
                return Err(self.why_ended(status));
            }
            if pid_file.says_ready(self.pid, port) && TcpStream::connect((crate::HOST, port)).await.is_ok() {
                return Ok(());
            }
            if begun.elapsed() > limit {
                let (log, tail) = (self.log.path().to_path_buf(), self.log.tail());
                return Err(NotReady::Failed(ClusterError::NotReady { limit, log, tail }));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The log is in English: the process was started with the C locale.
    fn why_ended(&self, status: ExitStatus) -> NotReady {
        if self.log.contains("could not bind") && self.log.contains("Address already in use") {
            return NotReady::PortTaken;
        }
        let (log, tail) = (self.log.path().to_path_buf(), self.log.tail());
        let error = ClusterError::Ended { status: status.to_string(), log, tail };
        if HAUNTED.iter().any(|text| self.log.contains(text)) {
            NotReady::Haunted(error)
        } else {
            NotReady::Failed(error)
        }
    }

    /// Ends the server: in order, and if that takes too long, at once.
    pub(crate) async fn shut_down(self) {
        self.end(&SHUTDOWN).await;
    }

    /// Ends the server as a crash would. Its sessions notice by themselves.
    pub(crate) async fn kill(self) {
        self.end(SHUTDOWN.get(2..).unwrap_or_default()).await;
    }

    async fn end(mut self, signals: &[(Signal, Duration)]) {
        for (signal, limit) in signals {
            // Without a number it has ended and was waited for: the number may be another's by now.
            let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
            if let Err(error) = kill(Pid::from_raw(pid), *signal) {
                tracing::warn!(postgresql.pid = pid, signal = %signal, error = %error, "signal refused");
            }
            if tokio::time::timeout(*limit, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(postgresql.pid = pid, signal = %signal, limit_s = limit.as_secs(), "postgresql still runs");
        }
    }
}
