//! The faults. Each is injected while the load runs, is over when its function returns, and leaves nothing broken.

mod callers;
mod database;
mod migration;
mod network;
mod service;
mod standby;
mod upkeep;

use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use rand::RngExt as _;

use crate::plan::Dice;
use crate::stage::Stage;

/// What a round needs beside the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// A PostgreSQL that other rounds use as well.
    Usual,
    /// Services that take next to nothing before they say that they are overloaded.
    Narrow,
    /// Events of past years, which expire.
    Old,
    /// Services whose clocks are days off.
    Skewed,
    /// A fleet that is led through the phases.
    Moving,
    /// A database on a small disk.
    Tight,
}

/// One class of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// `kill -9` of a service process.
    KillService,
    /// SIGTERM to a service process: it drains.
    EndService,
    /// SIGSTOP of a service process, for up to seconds.
    StopService,
    /// `pg_terminate_backend` of sessions of services.
    EndSessions,
    /// `kill -9` of one backend: PostgreSQL restarts itself and recovers.
    KillBackend,
    /// `kill -9` of the postmaster.
    KillPostmaster,
    /// An immediate shutdown (SIGQUIT), and a start.
    RestartAtOnce,
    /// A fast shutdown, and a start.
    Restart,
    /// SIGSTOP of backends, for up to seconds.
    StopBackends,
    /// SIGSTOP of the postmaster, for up to seconds: sessions go on, and no new one comes about.
    StopPostmaster,
    /// The connection is cut before PostgreSQL gets what commits.
    CutBeforeCommit,
    /// The connection is cut in the middle of what commits.
    CutAmidCommit,
    /// The connection is cut when PostgreSQL has all of what commits.
    CutDuringCommit,
    /// The connection is cut in the middle of the answer to a commit.
    CutAmidAnswer,
    /// The connection is cut when PostgreSQL has committed; its answer is lost.
    CutAfterCommit,
    /// Every piece of what services and PostgreSQL say waits.
    Delay,
    /// The network between services and PostgreSQL swallows everything, for up to seconds.
    Silence,
    /// Callers go away in the middle of their calls.
    Cancel,
    /// Deadlines that expire at any point.
    Hurry,
    /// Other sessions take every connection that PostgreSQL has.
    TakeConnections,
    /// Another session locks a tenant's row for longer than is waited.
    LockTenant,
    /// Maintenance of partitions, by a service and by the SQL functions, again and again.
    Maintain,
    /// Indexes made, tables analysed and vacuumed, partitions locked.
    Ddl,
    /// Queues and pools that are full after a few appends.
    Narrow,
    /// Retention while events of past months are appended and read.
    Expire,
    /// Service processes whose clocks are off by days.
    Skew,
    /// Backfill, fence, verify, finalize, restore, while processes, sessions and the server are killed.
    Move,
    /// A full disk below the tables, again and again.
    FillDisk,
    /// A synchronous standby that dies while commits wait for it, and comes back.
    LoseStandby,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 29] = [
        Self::KillService,
        Self::EndService,
        Self::StopService,
        Self::EndSessions,
        Self::KillBackend,
        Self::KillPostmaster,
        Self::RestartAtOnce,
        Self::Restart,
        Self::StopBackends,
        Self::StopPostmaster,
        Self::CutBeforeCommit,
        Self::CutAmidCommit,
        Self::CutDuringCommit,
        Self::CutAmidAnswer,
        Self::CutAfterCommit,
        Self::Delay,
        Self::Silence,
        Self::Cancel,
        Self::Hurry,
        Self::TakeConnections,
        Self::LockTenant,
        Self::Maintain,
        Self::Ddl,
        Self::Narrow,
        Self::Expire,
        Self::Skew,
        Self::Move,
        Self::FillDisk,
        Self::LoseStandby,
    ];

    /// The scene that it needs.
    pub(crate) fn scene(self) -> Scene {
        match self {
            Self::Narrow => Scene::Narrow,
            Self::Expire => Scene::Old,
            Self::Skew => Scene::Skewed,
            Self::Move => Scene::Moving,
            Self::FillDisk => Scene::Tight,
            Self::KillService
            | Self::EndService
            | Self::StopService
            | Self::EndSessions
            | Self::KillBackend
            | Self::KillPostmaster
            | Self::RestartAtOnce
            | Self::Restart
            | Self::StopBackends
            | Self::StopPostmaster
            | Self::CutBeforeCommit
            | Self::CutAmidCommit
            | Self::CutDuringCommit
            | Self::CutAmidAnswer
            | Self::CutAfterCommit
            | Self::Delay
            | Self::Silence
            | Self::Cancel
            | Self::Hurry
            | Self::TakeConnections
            | Self::LockTenant
            | Self::Maintain
            | Self::Ddl
            | Self::LoseStandby => Scene::Usual,
        }
    }

    /// Its name, as on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Does it, and undoes it. Gives how often it was met: processes that were ended, commits that were cut, callers that gave up.
    ///
    /// # Errors
    /// When it could not be done, or was met by nobody: it would prove nothing.
    pub(crate) async fn inject(self, stage: &mut Stage<'_>, dice: &mut Dice) -> anyhow::Result<u64> {
        let met = match self {
            Self::KillService => service::kill(stage, dice).await,
            Self::EndService => service::end(stage, dice).await,
            Self::StopService => service::stop(stage, dice).await,
            Self::EndSessions => database::end_sessions(stage, dice).await,
            Self::KillBackend => database::kill_backend(stage, dice).await,
            Self::KillPostmaster => database::kill_postmaster(stage, dice).await,
            Self::RestartAtOnce => database::restart_at_once(stage).await,
            Self::Restart => database::restart(stage).await,
            Self::StopBackends => database::stop_backends(stage, dice).await,
            Self::StopPostmaster => database::stop_postmaster(stage, dice).await,
            Self::CutBeforeCommit => network::cut(stage, dice, partita_faults::Cut::Before).await,
            Self::CutAmidCommit => network::cut(stage, dice, partita_faults::Cut::Amid).await,
            Self::CutDuringCommit => network::cut(stage, dice, partita_faults::Cut::During).await,
            Self::CutAmidAnswer => network::cut(stage, dice, partita_faults::Cut::AmidAnswer).await,
            Self::CutAfterCommit => network::cut(stage, dice, partita_faults::Cut::After).await,
            Self::Delay => network::delay(stage, dice).await,
            Self::Silence => network::silence(stage, dice).await,
            Self::Cancel => callers::give_up(stage, dice, 300, 0).await,
            Self::Hurry => callers::give_up(stage, dice, 0, 300).await,
            Self::TakeConnections => database::take_connections(stage, dice).await,
            Self::LockTenant => database::lock_tenant(stage, dice).await,
            Self::Maintain => upkeep::maintain(stage).await,
            Self::Ddl => upkeep::change_schema(stage, dice).await,
            Self::Narrow => callers::overload(stage, dice).await,
            Self::Skew => service::skew(stage, dice).await,
            Self::Expire => upkeep::expire(stage, dice).await,
            Self::Move => migration::lead_through(stage, dice).await,
            Self::FillDisk => database::fill_disk(stage, dice).await,
            Self::LoseStandby => standby::lose(stage, dice).await,
        }?;
        ensure!(met > 0, "{} was met by nobody", self.name());
        Ok(met)
    }
}

impl Stage<'_> {
    /// Waits for some milliseconds while the load goes on.
    pub(crate) async fn wait(&self, dice: &mut Dice, millis: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(dice.random_range(millis))).await;
    }
}
