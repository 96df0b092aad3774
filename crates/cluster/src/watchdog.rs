//! The process that outlives us just long enough to end PostgreSQL.
//!
//! A destructor does not run under `kill -9`, and a parent-death signal is a Linux matter that needs unsafe code.
//! The end of a pipe is seen everywhere.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};

use crate::error::{ClusterError, io_error};

const SHELL: &str = "/bin/sh";
const SCRIPT: &str = include_str!("watchdog.sh");

/// With PostgreSQL gone, what is left to it is to remove a folder of some 40 MB.
const END_LIMIT: Duration = Duration::from_secs(20);

/// The watchdog of one cluster. Dropping it without [`dismiss`](Self::dismiss) lets it loose.
#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    pipe: ChildStdin,
}

impl Watchdog {
    /// Starts it, in a process group of its own: an interrupt from the terminal is meant for us. `remove` is the
    /// folder to remove in the end.
    pub(crate) fn spawn(data: &Path, remove: Option<&Path>) -> Result<Self, ClusterError> {
        let mut command = Command::new(SHELL);
        command.args(["-c", SCRIPT, "partita-watchdog"]).arg(data).arg(remove.unwrap_or(Path::new("")));
        command.process_group(0).current_dir("/");
        // Its messages have no reader, and an inherited output would keep the reader of ours waiting.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = |command: &mut Command| {
            let mut child = command.spawn()?;
            let pipe = child.stdin.take().ok_or_else(|| std::io::Error::other("no pipe to the child"))?;
            Ok(Self { child, pipe })
        };
        start(&mut command).map_err(io_error("run", Path::new(SHELL)))
    }

    /// Says which postmaster to end when we are gone; `None` when there is none to end.
    pub(crate) async fn watch(&mut self, pid: Option<u32>) -> Result<(), ClusterError> {
        let line = pid.map(|pid| pid.to_string()).unwrap_or_default() + "\n";
        self.pipe
            .write_all(line.as_bytes())
            .await
            .map_err(io_error("write to the watchdog", Path::new(SHELL)))?;
        self.pipe.flush().await.map_err(io_error("write to the watchdog", Path::new(SHELL)))
    }

    /// Closes the pipe and waits until its work is done.
    pub(crate) async fn dismiss(self) {
        let Self { mut child, pipe } = self;
        drop(pipe);
        match tokio::time::timeout(END_LIMIT, child.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "watchdog lost"),
            Err(_) => tracing::warn!(limit_s = END_LIMIT.as_secs(), "watchdog still at work"),
        }
    }
}
