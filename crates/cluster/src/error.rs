//! What can go wrong between looking for PostgreSQL and having it answer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::installation::PgVersion;

/// Why there is no cluster. Every message names the place and the way out of it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No usable installation on this machine, and downloading one was not asked for or did not work.
    #[error(
        "no PostgreSQL {min} or newer found: looked at {looked}{download}: install it (`apt-get install \
         postgresql`, `brew install postgresql@18`) or name its bin folder with {setting}",
        min = crate::VERSION_MIN,
        download = fetch_error.as_ref().map(|e| format!("; downloading it failed: {e}")).unwrap_or_default()
    )]
    NotFound {
        /// The places, and what was wrong with what was found there.
        looked: String,
        /// How the caller's user names a bin folder.
        setting: String,
        /// Why no installation could be downloaded, where that was tried.
        fetch_error: Option<String>,
    },

    /// The bin folder that was asked for cannot be used; nothing else was tried in its stead.
    #[error("{path} is no usable PostgreSQL bin folder: {reason}: mend what {setting} names, or unset it", path = path.display())]
    Unusable {
        /// The folder asked for.
        path: PathBuf,
        /// What was missing or wrong.
        reason: String,
        /// How it was asked for.
        setting: String,
    },

    /// Started by root, who may not run PostgreSQL, on a machine without an account to run it instead.
    #[error(
        "PostgreSQL refuses to run as root, and neither user postgres nor nobody exists: run as another user"
    )]
    NoAccount,

    /// The account that runs PostgreSQL cannot reach a folder.
    #[error("user {account} cannot enter {folder}: {remedy}", folder = folder.display())]
    CannotEnter {
        /// The outermost folder that is closed to the account.
        folder: PathBuf,
        /// The account that PostgreSQL runs as.
        account: String,
        /// What to open, or to choose in its stead.
        remedy: String,
    },

    /// Another process owns the folder.
    #[error(
        "{folder} is in use by process {pid}: stop that process, or choose another folder with {named_by}",
        folder = folder.display()
    )]
    InUse {
        /// The cluster's folder.
        folder: PathBuf,
        /// The owner, or the postmaster that another program started there.
        pid: u32,
        /// How the caller's user names a folder.
        named_by: String,
    },

    /// The folder holds a cluster of another major version.
    #[error(
        "{folder} was made by PostgreSQL {made_by}, and {found} was found: name a bin folder of PostgreSQL {made_by}, \
         or start over in an empty folder",
        folder = folder.display()
    )]
    OtherVersion {
        /// The cluster's folder.
        folder: PathBuf,
        /// Its major version, as `PG_VERSION` tells it.
        made_by: String,
        /// The installation at hand.
        found: PgVersion,
    },

    /// The folder holds a cluster whose password is lost.
    #[error("{path} is missing or empty, and the cluster beside it cannot be opened without: start over in an empty folder", path = path.display())]
    PasswordLost {
        /// Where the password was kept.
        path: PathBuf,
    },

    /// The programs that make a new cluster failed.
    #[error("{program} ended with {status} while making a new cluster: {output}")]
    Initialise {
        /// `initdb` or `postgres --single`.
        program: &'static str,
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        output: String,
    },

    /// The port that was asked for, or that a restarted cluster had, is taken.
    #[error(
        "port {port} of 127.0.0.1 is taken by another program: choose another port, or none for a free one"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },

    /// PostgreSQL ended before it was ready.
    #[error("PostgreSQL ended with {status} before it was ready, its log {log} closes with: {tail}", log = log.display())]
    Ended {
        /// Exit status of the postmaster.
        status: String,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// PostgreSQL runs but was not ready within the bound.
    #[error("PostgreSQL was not ready within {} s, its log {log} closes with: {tail}", limit.as_secs(), log = log.display())]
    NotReady {
        /// How long was waited.
        limit: Duration,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// A file, folder or program was refused by the operating system.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// The verb of what was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// For `map_err`: says what was being done to which path.
pub(crate) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.to_path_buf();
    move |source| ClusterError::Io { doing, path, source }
}
