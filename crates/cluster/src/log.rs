//! The log file of a cluster: bounded, and quoted where a start fails.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{ClusterError, io_error};

/// A log larger than this at a start is begun anew: nobody rotates the log of a private cluster.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How many lines an error message quotes.
const TAIL_LINES_MAX: usize = 12;

/// The log of one start: what was there before it is not quoted.
#[derive(Debug)]
pub(crate) struct StartLog {
    path: PathBuf,
    begins_at: usize,
}

impl StartLog {
    /// Opens the log for appending, for the new process to write to.
    pub(crate) fn open(path: &Path) -> Result<(Self, File), ClusterError> {
        let open = |truncate: bool| {
            let mut options = OpenOptions::new();
            options.create(true).mode(0o600);
            if truncate {
                options.write(true).truncate(true)
            } else {
                options.append(true)
            };
            options.open(path).map_err(io_error("open", path))
        };
        let mut size = open(false)?.metadata().map_err(io_error("read the size of", path))?.len();
        if size > LOG_BYTES_MAX {
            open(true)?;
            size = 0;
        }
        let begins_at = usize::try_from(size).unwrap_or_default();
        Ok((Self { path: path.to_path_buf(), begins_at }, open(false)?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this start wrote the text.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// The last lines of this start, for an error message.
    pub(crate) fn tail(&self) -> String {
        tail(&self.text())
    }

    fn text(&self) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.begins_at..).unwrap_or_default()).into_owned()
    }
}

/// The last lines of what a program printed, on one line of ours.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(TAIL_LINES_MAX);
    lines.get(from..).unwrap_or_default().join(" | ")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_this_start_is_quoted_and_only_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgresql.log");
        fs::write(&path, "FATAL: of yesterday\n").unwrap();
        let (log, mut file) = StartLog::open(&path).unwrap();
        for line in 1..=TAIL_LINES_MAX + 1 {
            writeln!(file, "line {line}").unwrap();
        }
        assert!(!log.contains("yesterday"));
        assert!(log.tail().starts_with("line 2 | line 3"), "{}", log.tail());
    }
}
