use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::append::DOUBT_TIMEOUT;
use crate::connect::{CONNECT_TIMEOUT, LOCK_TIMEOUT};
use crate::{MaintenanceConfig, RowSecurity};

/// How to reach the database, parsed from a URL such as `postgres://user:password@host:5432/database`. Its
/// printed form leaves out the password.
#[derive(Clone)]
pub struct DatabaseUrl(PgConnectOptions);

impl DatabaseUrl {
    /// Parses a URL; what it leaves out is taken from libpq's environment variables (manual, section 34.15).
    ///
    /// # Errors
    /// Says what is wrong, without repeating the text: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("must begin with postgres:// or postgresql://".to_owned());
        }
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            "is not a PostgreSQL URL such as postgres://user:password@host:5432/database".to_owned()
        })?;
        Ok(Self(options))
    }

    /// How a driver connects to it, for crates that have sessions of their own.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options()
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.0.clone()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.0;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        write!(
            f,
            "postgres://{}@{}:{}/{database}",
            options.get_username(),
            options.get_host(),
            options.get_port()
        )
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a [`crate::Store`] is told by its process.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The database.
    pub database_url: DatabaseUrl,
    /// `DB_PARTITIONS_V1`: write both tables, read them united.
    pub partitions_v1: bool,
    /// How many months after the current one have partitions, 0 to 120.
    pub months_ahead: u32,
    /// How many whole months before the current one are kept, up to 1,200; 0 keeps for ever.
    pub retention_months: u32,
    /// Most tenants with partitions of their own that first writes may bring the database to, counted over all processes.
    pub tenants_max: u32,
    /// Most new tenants that first writes through this process may bring in within a minute.
    pub new_tenants_per_minute: u32,
    /// Most connections for reads and for maintenance together, at least 1. Lanes have their own.
    pub read_connections_max: u32,
    /// Longest wait of a call for a connection, from the pool or anew.
    pub connect_timeout: Duration,
    /// Whether the database is told whose rows a statement is about.
    pub row_security: RowSecurity,
    /// How appends are gathered.
    pub lanes: LaneConfig,
    /// What is done for partitions without being asked for.
    pub maintenance: MaintenanceConfig,
    /// Whether this process is on the list of those that serve, which a change of the phase looks at. Off for commands.
    pub is_listed: bool,
}

impl StoreConfig {
    /// The documented defaults for a database, the flag off.
    pub fn new(database_url: DatabaseUrl) -> Self {
        Self {
            database_url,
            partitions_v1: false,
            months_ahead: 2,
            retention_months: 18,
            tenants_max: 500,
            new_tenants_per_minute: 60,
            read_connections_max: 8,
            connect_timeout: CONNECT_TIMEOUT,
            row_security: RowSecurity::default(),
            lanes: LaneConfig::default(),
            maintenance: MaintenanceConfig::default(),
            is_listed: true,
        }
    }
}

/// How many lanes there are, how much one transaction takes, and how much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneConfig {
    /// Lanes, each a task with a connection of its own; at least 1.
    pub count: usize,
    /// Most events in one transaction. A single append may hold more and is then alone.
    pub batch_events_max: usize,
    /// Most bytes of data and metadata in one transaction, likewise.
    pub batch_bytes_max: usize,
    /// Most events that wait in a lane.
    pub queue_events_max: usize,
    /// Most bytes of data and metadata that wait in a lane.
    pub queue_bytes_max: usize,
    /// Most events of one tenant that wait in a lane: a flood of one tenant must not fill it for the others.
    pub tenant_queue_events_max: usize,
    /// Longest wait of an append for a lock of another session, at least a millisecond; past it the append is turned away.
    pub lock_timeout: Duration,
    /// How long the fate of a commit whose answer was lost is looked for before its callers are told that it is unknown.
    pub doubt_timeout: Duration,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            count: 2,
            batch_events_max: 256,
            batch_bytes_max: 4 * 1024 * 1024,
            queue_events_max: 8_192,
            queue_bytes_max: 64 * 1024 * 1024,
            tenant_queue_events_max: 4_096,
            lock_timeout: LOCK_TIMEOUT,
            doubt_timeout: DOUBT_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_url_has_no_password() {
        let url = DatabaseUrl::parse("postgres://ann:hush@db.example:5433/events").unwrap();
        assert_eq!(url.to_string(), "postgres://ann@db.example:5433/events");
        assert!(!format!("{url:?}").contains("hush"));
    }

    #[test]
    fn a_refused_url_is_not_repeated() {
        for bad in ["", "hush", "mysql://a:hush@b/c", "postgres://a:hush@b:port/c"] {
            assert!(!DatabaseUrl::parse(bad).unwrap_err().contains("hush"), "{bad}");
        }
    }
}
