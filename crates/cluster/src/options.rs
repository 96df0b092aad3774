//! How a cluster is to be: where its files are, its port, its settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Crash recovery of a large cluster on a slow disk takes its time; a healthy start takes a tenth of a second.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A small private cluster: a developer's machine has other uses for its memory, and a pool of connections for
/// each of a dozen tests at once must fit.
const TUNING: [(&str, &str); 2] = [("max_connections", "100"), ("shared_buffers", "128MB")];

/// A crash of the machine may lose everything, which a test never lives to see. `synchronous_commit` stays on: a
/// test must meet the same order of commits and flushes that production has.
const NOT_DURABLE: [(&str, &str); 2] = [("fsync", "off"), ("full_page_writes", "off")];

/// Where the cluster's files are.
#[derive(Debug, Clone)]
pub enum DataDir {
    /// A new folder below the system's temporary one, removed with the cluster.
    Temporary,
    /// A folder that stays. Created if missing; a cluster that it holds is resumed.
    At {
        /// The folder, whose parent the account that runs PostgreSQL can enter.
        path: PathBuf,
        /// How a user names that folder, for error messages: an option, a variable.
        named_by: String,
    },
}

/// What [`Cluster::start`](crate::Cluster::start) is to start.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Where the files are.
    pub data_dir: DataDir,
    /// The port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// Settings of PostgreSQL by name, over the defaults. Address, port and socket folder are not among them.
    pub settings: Vec<(String, String)>,
    /// Whether committed data outlives a crash of the machine.
    pub durable: bool,
    /// How long to wait for readiness, crash recovery included. 60 s by default.
    pub start_limit: Duration,
}

impl ClusterOptions {
    /// For tests: a temporary folder, a free port, no flush to disk.
    #[must_use]
    pub fn temporary() -> Self {
        Self {
            data_dir: DataDir::Temporary,
            port: None,
            settings: Vec::new(),
            durable: false,
            start_limit: START_LIMIT,
        }
    }

    /// For data that stays: this folder, a free port, durable. `named_by` is how a user names the folder.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>, named_by: impl Into<String>) -> Self {
        let data_dir = DataDir::At { path: path.into(), named_by: named_by.into() };
        Self { data_dir, durable: true, ..Self::temporary() }
    }

    /// The arguments of `postgres`. Of two for one setting it heeds the last: ours that must hold come last.
    pub(crate) fn arguments(&self, port: u16, socket_dir: Option<&Path>) -> Vec<String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut settings: Vec<(String, String)> = TUNING.iter().map(own).collect();
        if !self.durable {
            settings.extend(NOT_DURABLE.iter().map(own));
        }
        settings.extend(self.settings.iter().cloned());
        let socket_dir = socket_dir.map(quote_list_element).unwrap_or_default();
        settings.push(("listen_addresses".to_owned(), crate::HOST.to_owned()));
        settings.push(("port".to_owned(), port.to_string()));
        settings.push(("unix_socket_directories".to_owned(), socket_dir));
        settings.into_iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
    }
}

/// The setting is a list: a comma in a folder's name would part it.
fn quote_list_element(dir: &Path) -> String {
    format!("\"{}\"", dir.display().to_string().replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_override_the_tuning_but_not_the_address() {
        let mut options = ClusterOptions::temporary();
        options.settings = vec![
            ("max_connections".to_owned(), "20".to_owned()),
            ("listen_addresses".to_owned(), "*".to_owned()),
        ];
        let arguments = options.arguments(5433, None);
        let last = |name: &str| arguments.iter().rfind(|argument| argument.starts_with(name)).cloned();
        assert_eq!(last("max_connections=").as_deref(), Some("max_connections=20"));
        assert_eq!(last("listen_addresses=").as_deref(), Some("listen_addresses=127.0.0.1"));
        assert_eq!(last("unix_socket_directories=").as_deref(), Some("unix_socket_directories="));
        assert_eq!(last("fsync=").as_deref(), Some("fsync=off"));
        assert_eq!(last("synchronous_commit="), None);
    }
}
