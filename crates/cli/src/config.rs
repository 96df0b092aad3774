//! The configuration: defaults < file < environment < flags, checked as a whole before anything starts.
//!
//! `docs/configuration.md` is the reference for people, `deploy/partita.example.toml` the one to copy; a test
//! holds both to what stands here.

mod key;
mod layers;
mod log;
mod reader;
mod security;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use partita_migration::{ShadowConfig, WorkerConfig};
use partita_model::limits::{MONTHS_AHEAD_MAX, RETENTION_MONTHS_MAX};
use partita_server::{LimitConfig, Probes, ServerConfig};
use partita_store::{DatabaseUrl, LaneConfig, MaintenanceConfig, MaintenanceMode, RowSecurity, StoreConfig};
use tracing_subscriber::EnvFilter;

pub(crate) use self::key::{Key, Shape};
pub(crate) use self::log::{LogConfig, LogFormat, TraceConfig};
use self::reader::Reader;
use self::security::SecurityConfig;
use crate::failure::Failure;

/// Where configuration comes from besides the environment.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file; without it ./partita.toml is read where it exists
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// Set one key, over file and environment, such as log.filter=debug; may be repeated
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub(crate) set: Vec<String>,
}

/// All settings, each within its limits.
///
/// Not `Debug` outside of tests: the URL may hold a password.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Config {
    /// Where the database is; none: not said.
    pub(crate) database_url: Option<String>,
    /// Connections for everything but appends.
    pub(crate) read_connections_max: u32,
    /// Whether the database is told whose rows a statement is about.
    pub(crate) row_security: RowSecurity,
    /// Address of the gRPC server.
    pub(crate) listen: SocketAddr,
    /// `DB_PARTITIONS_V1`: whether both tables are written.
    pub(crate) partitions_enabled: bool,
    /// Months after the current one that exist.
    pub(crate) months_ahead: u32,
    /// Months before the current one that are kept; 0 keeps for ever.
    pub(crate) retention_months: u32,
    /// Tenants that first writes may bring the database to.
    pub(crate) tenants_max: u32,
    /// Tenants that first writes may bring in within a minute.
    pub(crate) new_tenants_per_minute: u32,
    /// How appends are queued and batched.
    pub(crate) lanes: LaneConfig,
    /// How much is done at once.
    pub(crate) limits: LimitConfig,
    /// Who may call.
    pub(crate) security: SecurityConfig,
    /// What is done for partitions without being asked for.
    pub(crate) maintenance: MaintenanceConfig,
    /// Address of probes and metrics; none: no such port.
    pub(crate) ops_listen: Option<SocketAddr>,
    /// How long calls are still taken after the signal to stop.
    pub(crate) shutdown_notice: Duration,
    /// What this process does for a backfill.
    pub(crate) backfill: WorkerConfig,
    /// How many reads are compared in both tables.
    pub(crate) shadow: ShadowConfig,
    /// How long a stop waits for running calls.
    pub(crate) drain_timeout: Duration,
    /// What is logged, and how.
    pub(crate) log: LogConfig,
    /// Where traces go.
    pub(crate) trace: TraceConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database_url: None,
            read_connections_max: 8,
            row_security: RowSecurity::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 50_051)),
            partitions_enabled: false,
            months_ahead: 2,
            retention_months: 18,
            tenants_max: 500,
            new_tenants_per_minute: 60,
            lanes: LaneConfig::default(),
            limits: LimitConfig::default(),
            security: SecurityConfig::default(),
            maintenance: MaintenanceConfig::default(),
            ops_listen: Some(SocketAddr::from(([127, 0, 0, 1], 9_464))),
            shutdown_notice: Duration::from_secs(5),
            backfill: WorkerConfig::default(),
            shadow: ShadowConfig::default(),
            drain_timeout: ServerConfig::default().drain_timeout,
            log: LogConfig {
                format: LogFormat::Pretty,
                filter: "info,sqlx::postgres::notice=warn".to_owned(),
            },
            trace: TraceConfig { otlp_endpoint: None, otlp_ca_file: None, sample_ratio: 1.0 },
        }
    }
}

impl Config {
    /// Reads all layers above `defaults`.
    ///
    /// # Errors
    /// All mistakes at once: unknown keys and bad values, each with its source and its limit.
    pub(crate) fn load(args: &ConfigArgs, defaults: Self) -> Result<Self, Failure> {
        let mut reader = Reader::new(layers::collect(args, std::env::vars_os())?);
        let config = Self::read(&mut reader, defaults);
        reader.finish()?;
        Ok(config)
    }

    /// The keys, in the order of the one list below, each with what the layers set it to.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn keys(args: &ConfigArgs) -> Result<Vec<Key>, Failure> {
        let mut reader = Reader::new(layers::collect(args, std::env::vars_os())?);
        let _config = Self::read(&mut reader, Self::default());
        reader.finish()
    }

    /// The keys as they are where nothing is set.
    ///
    /// # Errors
    /// None that a user can cause: defaults are within their limits.
    pub(crate) fn keys_unset() -> Result<Vec<Key>, Failure> {
        let mut reader = Reader::new(config::Value::from(config::Map::<String, config::Value>::new()));
        let _config = Self::read(&mut reader, Self::default());
        reader.finish()
    }

    /// The one list of keys. Each is followed by its limit, in words for whoever broke it.
    fn read(reader: &mut Reader, defaults: Self) -> Self {
        let mib = 1024 * 1024;
        let lanes = defaults.lanes;
        Self {
            database_url: reader.database_url("database.url").or(defaults.database_url),
            read_connections_max: reader.number(
                "database.read_connections_max",
                1..=1_000,
                defaults.read_connections_max,
            ),
            row_security: reader.choice(
                "database.row_security",
                &[("auto", RowSecurity::Auto), ("require", RowSecurity::Require), ("off", RowSecurity::Off)],
                defaults.row_security,
            ),
            listen: reader.parsed("listen", "an address with a port, such as 0.0.0.0:50051", defaults.listen),
            partitions_enabled: reader.switch("partitions.enabled", defaults.partitions_enabled),
            months_ahead: reader.number(
                "partitions.months_ahead",
                0..=MONTHS_AHEAD_MAX,
                defaults.months_ahead,
            ),
            retention_months: reader.number(
                "partitions.retention_months",
                0..=RETENTION_MONTHS_MAX,
                defaults.retention_months,
            ),
            tenants_max: reader.number("partitions.tenants_max", 0..=100_000, defaults.tenants_max),
            new_tenants_per_minute: reader.number(
                "partitions.new_tenants_per_minute",
                0..=100_000,
                defaults.new_tenants_per_minute,
            ),
            lanes: LaneConfig {
                count: reader.number("lanes.count", 1..=64, lanes.count),
                batch_events_max: reader.number("lanes.batch_events_max", 1..=10_000, lanes.batch_events_max),
                batch_bytes_max: reader.number(
                    "lanes.batch_bytes_max",
                    mib..=256 * mib,
                    lanes.batch_bytes_max,
                ),
                queue_events_max: reader.number(
                    "lanes.queue_events_max",
                    1_000..=1_000_000,
                    lanes.queue_events_max,
                ),
                queue_bytes_max: reader.number(
                    "lanes.queue_bytes_max",
                    4 * mib..=4_096 * mib,
                    lanes.queue_bytes_max,
                ),
                tenant_queue_events_max: reader.number(
                    "lanes.tenant_queue_events_max",
                    1_000..=1_000_000,
                    lanes.tenant_queue_events_max,
                ),
                lock_timeout: lanes.lock_timeout,
                doubt_timeout: lanes.doubt_timeout,
            },
            limits: read_limits(reader, &defaults.limits),
            security: SecurityConfig::read(reader, defaults.security),
            maintenance: read_maintenance(reader, defaults.maintenance),
            ops_listen: reader
                .take("ops.listen", "an address with a port, such as 0.0.0.0:9464, or off", |text| match text
                {
                    "off" => Some(None),
                    address => address.parse().ok().map(Some),
                })
                .unwrap_or(defaults.ops_listen),
            shutdown_notice: reader.seconds("shutdown_notice_seconds", 0..=300, defaults.shutdown_notice),
            backfill: WorkerConfig {
                workers_max: reader.number("backfill.workers_max", 0..=64, defaults.backfill.workers_max),
                poll_interval: reader.millis(
                    "backfill.poll_interval_ms",
                    50..=60_000,
                    defaults.backfill.poll_interval,
                ),
                ..defaults.backfill
            },
            shadow: ShadowConfig {
                sample_percent: reader.number(
                    "shadow.sample_percent",
                    0..=100,
                    defaults.shadow.sample_percent,
                ),
                ..defaults.shadow
            },
            drain_timeout: reader.seconds("drain_timeout_seconds", 0..=3_600, defaults.drain_timeout),
            log: LogConfig {
                format: reader.choice(
                    "log.format",
                    &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
                    defaults.log.format,
                ),
                filter: reader.text(
                    "log.filter",
                    "directives such as info,partita_store=debug",
                    |text| EnvFilter::try_new(text).is_ok(),
                    defaults.log.filter,
                ),
            },
            trace: TraceConfig {
                otlp_endpoint: reader
                    .take("telemetry.otlp_endpoint", "a URL such as https://collector:4317", |text| {
                        let is_known = text.starts_with("https://") || text.starts_with("http://");
                        is_known.then(|| text.to_owned())
                    })
                    .or(defaults.trace.otlp_endpoint),
                otlp_ca_file: reader.path("telemetry.otlp_ca_file", defaults.trace.otlp_ca_file),
                sample_ratio: reader
                    .take("telemetry.sample_ratio", "a number from 0 to 1", |text| {
                        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
                    })
                    .unwrap_or(defaults.trace.sample_ratio),
            },
        }
    }

    /// The database, for a command that cannot do without.
    ///
    /// # Errors
    /// When no layer names one.
    pub(crate) fn database_url(&self) -> Result<DatabaseUrl, Failure> {
        let Some(url) = &self.database_url else {
            let next = "set DATABASE_URL=postgres://user:password@host:5432/database, or try `partita dev`";
            return Err(Failure::usage("no database is configured").next(next));
        };
        DatabaseUrl::parse(url).map_err(|error| Failure::usage("database.url is no such URL").because(error))
    }

    /// The server's part, on the address that it will listen on.
    ///
    /// # Errors
    /// When keys that belong together are not all there, or everybody would be let in from everywhere.
    pub(crate) fn server(&self, listen: SocketAddr, probes: Probes) -> Result<ServerConfig, Failure> {
        Ok(ServerConfig {
            shutdown_notice: self.shutdown_notice,
            drain_timeout: self.drain_timeout,
            limits: self.limits.clone(),
            auth: self.security.auth(listen)?,
            tls: self.security.tls()?,
            probes,
            ..ServerConfig::default()
        })
    }

    /// The store's part.
    pub(crate) fn store(&self, database_url: DatabaseUrl) -> StoreConfig {
        StoreConfig {
            partitions_v1: self.partitions_enabled,
            months_ahead: self.months_ahead,
            retention_months: self.retention_months,
            tenants_max: self.tenants_max,
            new_tenants_per_minute: self.new_tenants_per_minute,
            read_connections_max: self.read_connections_max,
            row_security: self.row_security,
            lanes: self.lanes,
            maintenance: self.maintenance,
            ..StoreConfig::new(database_url)
        }
    }
}

/// The part of the list that is about limits.
fn read_limits(reader: &mut Reader, defaults: &LimitConfig) -> LimitConfig {
    let age = defaults.connection_age.unwrap_or_default();
    LimitConfig {
        connections_max: reader.number("limits.connections_max", 1..=1_000_000, defaults.connections_max),
        connection_age: Some(reader.seconds("limits.connection_age_seconds", 0..=86_400, age))
            .filter(|age| !age.is_zero()),
        arriving_bytes_max: reader.number(
            "limits.arriving_bytes_max",
            8 * 1024 * 1024..=64 * 1024 * 1024 * 1024,
            defaults.arriving_bytes_max,
        ),
        calls_max: reader.number("limits.calls_max", 1..=1_000_000, defaults.calls_max),
        tenant_calls_max: reader.number("limits.tenant_calls_max", 0..=1_000_000, defaults.tenant_calls_max),
        tenant_calls_per_second: reader.number(
            "limits.tenant_calls_per_second",
            0..=1_000_000,
            defaults.tenant_calls_per_second,
        ),
        stream_idle: reader.seconds("limits.stream_idle_seconds", 10..=86_400, defaults.stream_idle),
    }
}

/// The part of the list that is about maintenance.
fn read_maintenance(reader: &mut Reader, defaults: MaintenanceConfig) -> MaintenanceConfig {
    MaintenanceConfig {
        enabled: reader.switch("maintenance.enabled", defaults.enabled),
        interval: reader.seconds("maintenance.interval_seconds", 10..=604_800, defaults.interval),
        create: reader.switch("maintenance.create", defaults.create),
        detach: reader.switch("maintenance.detach", defaults.detach),
        drop: reader.switch("maintenance.drop", defaults.drop),
        grace_days: reader.number("maintenance.grace_days", 0..=3_650, defaults.grace_days),
        mode: reader.choice(
            "maintenance.mode",
            &[("act", MaintenanceMode::Act), ("observe", MaintenanceMode::Observe)],
            defaults.mode,
        ),
        ..defaults
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
