//! PostgreSQL and three services in front of it: set, killed, and made well again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use partita_cluster::{Cluster, DATABASE};
use partita_proof::process::{Service, ServiceOptions};
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use sqlx::{Connection as _, PgConnection};

use super::ground::Ground;
use super::leg::{Kill, Leg};
use super::report::Kills;
use crate::failure::Failure;

/// How long anything may take to get well again.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at whether something has come about.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// How long a process that must not serve is looked at.
const REFUSED_LIMIT: Duration = Duration::from_secs(2);
/// The sessions of services, those at work first.
const SESSIONS: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name LIKE 'partita%' ORDER BY state = 'idle', random() LIMIT 1";
/// What services are told: quick ends, a port for calls alone, maintenance now and then.
const SETTINGS: [(&str, &str); 5] = [
    ("ops.listen", "off"),
    ("shutdown_notice_seconds", "0"),
    ("drain_timeout_seconds", "5"),
    ("maintenance.interval_seconds", "10"),
    ("backfill.poll_interval_ms", "200"),
];

/// What can be killed.
pub(super) struct Fleet<'g> {
    pub(super) services: Vec<Service>,
    cluster: &'g mut Cluster,
    /// Never started while all is well.
    stranger: Service,
}

impl<'g> Fleet<'g> {
    /// Three services without the flag; nothing is started yet.
    pub(super) fn new(ground: &'g mut Ground) -> Result<Self, Failure> {
        let binary = std::env::current_exe();
        let binary =
            binary.map_err(|error| Failure::internal("cannot tell where this program is").because(error))?;
        let options = ServiceOptions {
            binary,
            database_url: ground.url(),
            partitions_v1: false,
            settings: SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            environment: Vec::new(),
            log: ground.log.clone(),
        };
        let service =
            || Service::new(options.clone(), Arc::clone(&ground.watchdog)).map_err(|error| stuck(&error));
        let services = (0..3).map(|_| service()).collect::<Result<_, _>>()?;
        Ok(Self { services, stranger: service()?, cluster: &mut ground.cluster })
    }

    /// Restarts, one after the other, the services whose flag is another one.
    pub(super) async fn set_flags(&mut self, leg: Leg) -> Result<(), Failure> {
        for (service, flag) in self.services.iter_mut().zip(leg.flags()) {
            if service.options().partitions_v1 != flag {
                service.terminate(SETTLE_LIMIT).await.map_err(|error| stuck(&error))?;
                service.set_partitions_v1(flag);
            }
            service.ensure(SETTLE_LIMIT).await.map_err(|error| stuck(&error))?;
        }
        Ok(())
    }

    /// Waits until every service serves; one that has ended is started again.
    pub(super) async fn ensure(&mut self) -> Result<(), Failure> {
        for service in &mut self.services {
            service.ensure(SETTLE_LIMIT).await.map_err(|error| stuck(&error))?;
        }
        Ok(())
    }

    /// Ends them in order.
    pub(super) async fn terminate(&mut self) -> Result<(), Failure> {
        for service in &mut self.services {
            service.terminate(SETTLE_LIMIT).await.map_err(|error| stuck(&error))?;
        }
        Ok(())
    }

    /// Kills in turn until the leg is over, each at least once, and makes everything well after each.
    pub(super) async fn harm(
        &mut self,
        leg: Leg,
        length: Duration,
        dice: &mut Xoshiro256PlusPlus,
    ) -> Result<Kills, Failure> {
        let (begun, mut kills) = (Instant::now(), Kills::default());
        let pause_max = (length / 4).max(Duration::from_millis(400));
        for (turn, wanted) in leg.kills().iter().cycle().enumerate() {
            tokio::time::sleep(dice.random_range(pause_max / 4..pause_max)).await;
            if turn >= leg.kills().len() && begun.elapsed() >= length {
                break;
            }
            self.kill(*wanted, dice).await?;
            kills.count(*wanted);
        }
        Ok(kills)
    }

    async fn kill(&mut self, wanted: Kill, dice: &mut Xoshiro256PlusPlus) -> Result<(), Failure> {
        match wanted {
            Kill::Service => {
                let index = dice.random_range(0..self.services.len());
                let victim = &mut self.services[index];
                let pid = victim.pid();
                victim.kill().await;
                self.ensure().await?;
                self.forget(pid).await
            }
            Kill::Backend => {
                let mut session = self.connect().await?;
                while let Some(victim) = sqlx::query_scalar::<_, i32>(SESSIONS)
                    .fetch_optional(&mut session)
                    .await
                    .map_err(|error| lost(&error))?
                {
                    match kill(Pid::from_raw(victim), Signal::SIGKILL) {
                        Ok(()) => break,
                        // It ended by itself between the look and the signal: the next one.
                        Err(Errno::ESRCH) => {}
                        Err(error) => {
                            return Err(Failure::internal("a backend could not be killed").because(error));
                        }
                    }
                }
                drop(session);
                self.answers().await?;
                self.ensure().await
            }
            Kill::Postmaster => {
                self.cluster.kill().await;
                let restarted = self.cluster.restart().await;
                restarted.map_err(|error| stuck(&error))?;
                self.ensure().await
            }
        }
    }

    /// Takes a process that is known to be dead off the list of those that serve: an operator who does not know waits for
    /// half a minute.
    async fn forget(&self, pid: Option<u32>) -> Result<(), Failure> {
        let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) else { return Ok(()) };
        let mut session = self.connect().await?;
        let forgotten = sqlx::query("DELETE FROM public.event_store_instance WHERE pid = $1").bind(pid);
        forgotten.execute(&mut session).await.map_err(|error| lost(&error))?;
        Ok(())
    }

    /// Whether a process without the flag serves: behind the fence it must not.
    pub(super) async fn stranger_serves(&mut self) -> Result<bool, Failure> {
        let serves = self.stranger.ensure(REFUSED_LIMIT).await.is_ok();
        self.stranger.kill().await;
        let mut session = self.connect().await?;
        let forgotten = sqlx::query("DELETE FROM public.event_store_instance WHERE NOT flag");
        forgotten.execute(&mut session).await.map_err(|error| lost(&error))?;
        Ok(serves)
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        PgConnection::connect(&self.cluster.url(DATABASE)).await.map_err(|error| lost(&error))
    }

    /// Waits until PostgreSQL takes connections.
    async fn answers(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            match self.connect().await {
                Ok(_) => return Ok(()),
                Err(failure) if begun.elapsed() > SETTLE_LIMIT => return Err(failure),
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }
}

/// Something did not get well again.
pub(super) fn stuck(error: &dyn std::error::Error) -> Failure {
    Failure::refused(format!("the drill got stuck: {error}")).because_of(error)
}

pub(super) fn lost(error: &sqlx::Error) -> Failure {
    stuck(error)
}
