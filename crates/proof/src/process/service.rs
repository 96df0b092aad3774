use std::fs::OpenOptions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Watchdog;

/// Between two looks at whether something has come about.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// What a connection to a local service may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one question for its health may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// What the health of appends and reads is asked by.
const EVENT_STORE: &str = "partita.v1.EventStoreService";
/// Begins the names of variables that configure a service.
const CONFIGURES: [&str; 3] = ["PARTITA_", "DB_PARTITION", "DATABASE_URL"];

/// How a service process is to be.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// The binary `partita`.
    pub binary: PathBuf,
    /// Its database.
    pub database_url: String,
    /// `DB_PARTITIONS_V1`.
    pub partitions_v1: bool,
    /// Keys of its configuration and their values.
    pub settings: Vec<(String, String)>,
    /// Variables of its environment beside those that configure it.
    pub environment: Vec<(String, String)>,
    /// The file that its log is added to.
    pub log: PathBuf,
}

/// Why a service does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The program cannot be run, or a file of it not be opened.
    #[error("cannot run {binary}: {source}", binary = binary.display())]
    Run {
        /// The program.
        binary: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not serve in time, though it was started again whenever it ended.
    #[error("service {address} does not serve within {} s: {last}; its log is {log}", limit.as_secs(), log = log.display())]
    NotServing {
        /// Its address.
        address: SocketAddr,
        /// How long was waited.
        limit: Duration,
        /// What was seen last.
        last: String,
        /// Its log.
        log: PathBuf,
    },
    /// It does not end in time.
    #[error("service {address} does not end within {} s of SIGTERM", limit.as_secs())]
    NotEnding {
        /// Its address.
        address: SocketAddr,
        /// How long was waited.
        limit: Duration,
    },
}

/// One process `partita serve`, on one port for as long as it is owned. Dropped, it is killed.
#[derive(Debug)]
pub struct Service {
    options: ServiceOptions,
    address: SocketAddr,
    channel: Channel,
    watchdog: Arc<Watchdog>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    pid: u32,
}

impl Service {
    /// Takes a port, and does not start it yet: [`ensure`](Self::ensure) does.
    ///
    /// # Errors
    /// When there is no port.
    pub fn new(options: ServiceOptions, watchdog: Arc<Watchdog>) -> Result<Self, ServiceError> {
        let run = |source| ServiceError::Run { binary: options.binary.clone(), source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = listener.map_err(run)?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|error| run(io::Error::other(error)))?;
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).connect_lazy();
        Ok(Self { options, address, channel, watchdog, running: None })
    }

    /// A connection for clients, which comes back by itself.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What it was started with.
    pub fn options(&self) -> &ServiceOptions {
        &self.options
    }

    /// Sets the flag that it is started with from now on.
    pub fn set_partitions_v1(&mut self, partitions_v1: bool) {
        self.options.partitions_v1 = partitions_v1;
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }

    /// Waits until it serves, and starts it whenever it is not there: as whatever keeps services running does.
    ///
    /// # Errors
    /// When it does not serve within `limit`.
    pub async fn ensure(&mut self, limit: Duration) -> Result<(), ServiceError> {
        let begun = Instant::now();
        let mut last = "it never answered".to_owned();
        loop {
            match self.running.as_mut().map(|running| running.child.try_wait()) {
                Some(Ok(None)) => {}
                Some(Ok(Some(status))) => {
                    last = format!("it ended with {status}");
                    self.forget();
                    self.spawn()?;
                }
                Some(Err(source)) => return Err(self.run_error(source)),
                None => self.spawn()?,
            }
            match self.health().await {
                Ok(ServingStatus::Serving) => return Ok(()),
                Ok(status) => last = format!("its health is {}", status.as_str_name()),
                Err(why) => tracing::trace!(why, "service does not answer yet"),
            }
            if begun.elapsed() > limit {
                let (address, log) = (self.address, self.options.log.clone());
                return Err(ServiceError::NotServing { address, limit, last, log });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends it by `SIGKILL`, and waits for its end.
    pub async fn kill(&mut self) {
        if let Some(running) = &mut self.running
            && let Err(error) = running.child.kill().await
        {
            tracing::warn!(%error, "service could not be killed");
        }
        self.forget();
    }

    /// Asks it to end, and waits until it has drained.
    ///
    /// # Errors
    /// When it does not end within `limit`; it is killed then.
    pub async fn terminate(&mut self, limit: Duration) -> Result<Option<ExitStatus>, ServiceError> {
        self.signal(Signal::SIGTERM);
        let Some(running) = &mut self.running else { return Ok(None) };
        match tokio::time::timeout(limit, running.child.wait()).await {
            Ok(status) => {
                self.forget();
                status.map(Some).map_err(|source| self.run_error(source))
            }
            Err(_) => {
                self.kill().await;
                Err(ServiceError::NotEnding { address: self.address, limit })
            }
        }
    }

    /// Sends it a signal, such as the one that stops it in its tracks.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) else { return };
        if let Err(error) = kill(Pid::from_raw(pid), signal) {
            tracing::warn!(service.pid = pid, %signal, %error, "signal refused");
        }
    }

    fn spawn(&mut self) -> Result<(), ServiceError> {
        let options = &self.options;
        let log = OpenOptions::new().create(true).append(true).open(&options.log);
        let log = log.map_err(|source| self.run_error(source))?;
        let mut command = Command::new(&options.binary);
        for (name, _) in std::env::vars_os() {
            if CONFIGURES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.arg("serve").arg("--listen").arg(self.address.to_string());
        for (key, value) in &options.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.env("DATABASE_URL", &options.database_url);
        command.env("DB_PARTITIONS_V1", if options.partitions_v1 { "1" } else { "0" });
        command.env("NO_COLOR", "1").envs(options.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
        let child = command.spawn().map_err(|source| self.run_error(source))?;
        // A child that was not waited for has its number.
        let pid = child.id().unwrap_or_default();
        self.watchdog.watch(pid);
        self.running = Some(Running { child, pid });
        Ok(())
    }

    async fn health(&self) -> Result<ServingStatus, String> {
        let mut request = tonic::Request::new(HealthCheckRequest { service: EVENT_STORE.to_owned() });
        request.set_timeout(HEALTH_TIMEOUT);
        let answer = HealthClient::new(self.channel()).check(request).await;
        answer.map(|answer| answer.into_inner().status()).map_err(|status| status.to_string())
    }

    /// Forgets a process that has ended and was waited for.
    fn forget(&mut self) {
        if let Some(running) = self.running.take() {
            self.watchdog.release(running.pid);
        }
    }

    fn run_error(&self, source: io::Error) -> ServiceError {
        ServiceError::Run { binary: self.options.binary.clone(), source }
    }
}
