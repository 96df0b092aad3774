use std::io::{self, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// What it runs.
const SCRIPT: &str = include_str!("watchdog.sh");

/// Sees to it that no process outlives this one: a shell at the other end of a pipe kills what is in its charge when the
/// pipe ends.
#[derive(Debug)]
pub struct Watchdog {
    pipe: Mutex<ChildStdin>,
    _shell: Child,
}

impl Watchdog {
    /// Starts it, out of the terminal's reach.
    ///
    /// # Errors
    /// When there is no shell.
    pub fn spawn() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "partita-watchdog"]).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = command.spawn()?;
        let pipe = shell.stdin.take().ok_or_else(|| io::Error::other("the watchdog has no pipe"))?;
        Ok(Self { pipe: Mutex::new(pipe), _shell: shell })
    }

    /// Puts a process in its charge.
    pub fn watch(&self, pid: u32) {
        self.tell('+', pid);
    }

    /// Takes a process out of its charge, before its number can be given to another one.
    pub fn release(&self, pid: u32) {
        self.tell('-', pid);
    }

    fn tell(&self, sign: char, pid: u32) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(pipe, "{sign} {pid}") {
            tracing::warn!(%error, "watchdog lost");
        }
    }
}
