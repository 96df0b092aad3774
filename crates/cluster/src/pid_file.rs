//! `postmaster.pid`: who runs on a data folder and how far it is. The format is that of PostgreSQL's `pidfile.h`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::error::{ClusterError, io_error};

/// Line of the port, counted from 0.
const LINE_PORT: usize = 3;
/// Line of the status, counted from 0; padded with blanks.
const LINE_STATUS: usize = 7;

/// Whom the recorded number belongs to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// Nobody.
    None,
    /// A postmaster of this folder.
    Postmaster(u32),
    /// A program that has nothing to do with this folder.
    Stranger,
}

/// The file of one data folder.
#[derive(Debug, Clone)]
pub(crate) struct PidFile {
    data: PathBuf,
}

impl PidFile {
    pub(crate) fn of(data: &Path) -> Self {
        Self { data: data.to_path_buf() }
    }

    fn path(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    /// The process that wrote the file, living or dead.
    fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.path()).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Whether this postmaster says that it takes connections on this port.
    pub(crate) fn says_ready(&self, pid: u32, port: u16) -> bool {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let line = |at: usize| lines.get(at).copied().unwrap_or_default();
        line(0) == pid.to_string() && line(LINE_PORT) == port.to_string() && line(LINE_STATUS) == "ready"
    }

    /// Who runs on the folder. A number in the file is not enough to tell: after a crash of the machine, or in a
    /// restarted container, it may belong to any program.
    pub(crate) fn occupant(&self) -> Occupant {
        let Some(pid) = self.pid() else { return Occupant::None };
        let alive = i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH));
        let data = self.data.display().to_string();
        // Where nothing can be learned about a process, it is taken for a postmaster: waiting is safe.
        match alive {
            false => Occupant::None,
            true if command_line(pid).is_none_or(|line| line.contains(&data)) => Occupant::Postmaster(pid),
            true => Occupant::Stranger,
        }
    }

    /// Removes the file. For a [`Stranger`](Occupant::Stranger) only: PostgreSQL takes it for its predecessor and
    /// refuses to start. The file of a dead process is left to PostgreSQL, which learns more from it than that.
    pub(crate) fn remove(&self) -> Result<(), ClusterError> {
        let path = self.path();
        fs::remove_file(&path).map_err(io_error("remove", &path))
    }
}

/// What a process was started as: by `/proc`, or by `ps` where there is none.
fn command_line(pid: u32) -> Option<String> {
    if let Ok(bytes) = fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let ps = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    ps.status.success().then(|| String::from_utf8_lossy(&ps.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(text: &str) -> (tempfile::TempDir, PidFile) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("postmaster.pid"), text).unwrap();
        let file = PidFile::of(dir.path());
        (dir, file)
    }

    #[test]
    fn readiness_is_that_of_the_same_process_and_port() {
        let (_dir, file) = file_with("71\n/data\n1700000000\n5433\n\n127.0.0.1\n 1 2\nready   \n");
        assert!(file.says_ready(71, 5433));
        assert!(!file.says_ready(72, 5433));
        assert!(!file.says_ready(71, 5434));
    }

    #[test]
    fn a_postmaster_that_is_starting_is_not_ready() {
        let (_dir, file) = file_with("71\n/data\n1700000000\n5433\n\n127.0.0.1\n 1 2\nstarting\n");
        assert!(!file.says_ready(71, 5433));
        let (_dir, file) = file_with("71\n/data\n");
        assert!(!file.says_ready(71, 5433));
    }

    #[test]
    fn a_number_given_to_another_program_is_no_postmaster() {
        let (_dir, file) = file_with(&format!("{}\n/data\n", std::process::id()));
        assert_eq!(file.occupant(), Occupant::Stranger);
        file.remove().unwrap();
        assert_eq!(file.occupant(), Occupant::None);
    }
}
