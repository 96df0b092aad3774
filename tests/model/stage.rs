//! A database, three service processes, and what should be there.

use partita_model::{Month, Timestamp};
use partita_store::StoreConfig;
use partita_tests::{Refusal, TestDatabase, TestServer, month};
use tonic::Code;

use crate::operation::{Operation, Process, TENANTS, When};
use crate::world::{Event, Phase, Position, Tables, Tenant, World};

pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    first: TestServer,
    second: TestServer,
    flag_off: TestServer,
    pub(crate) world: World,
    /// What is under way, for messages.
    doing: String,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::new().await;
        let start = async |flag: bool, grace_days: u32| {
            let change = |config: &mut StoreConfig| {
                config.partitions_v1 = flag;
                config.retention_months = 0;
                config.lanes.count = 1;
                config.maintenance.grace_days = grace_days;
            };
            TestServer::start_with(&database, change).await
        };
        let (first, second, flag_off) = (start(true, 0).await, start(true, 7).await, start(false, 0).await);
        let tenants = TENANTS.iter().map(|_| Tenant::default()).collect();
        let world = World { phase: Phase::Open, tenants, sent: Vec::new() };
        Self { database, first, second, flag_off, world, doing: String::new() }
    }

    /// Does it, there and in the model.
    pub(crate) async fn perform(&mut self, index: usize, operation: &Operation) {
        self.doing = format!("operation {index} in phase {:?}: {operation:?}", self.world.phase);
        match operation {
            Operation::Append { process, tenant, parts } => {
                self.append(index, *process, *tenant, parts).await;
            }
            Operation::Repeat { process, which, difference } => {
                self.repeat(*process, *which, *difference).await;
            }
            Operation::Read { process, tenant, stream, backwards, from, most, between } => {
                let options = (*backwards, *from, *most, *between);
                self.read(*process, *tenant, *stream, options).await;
            }
            Operation::Find { process, tenant, which } => self.find(*process, *tenant, which).await,
            Operation::Foreign { tenant, stream, month, day } => {
                self.write_foreign(index, *tenant, *stream, (*month, *day)).await;
            }
            Operation::Expire { process, tenant, months } => self.expire(*process, *tenant, *months).await,
            Operation::Restore { tenant, month } => self.restore_month(*tenant, *month).await,
            Operation::List { page_size } => self.list(*page_size).await,
            Operation::Backfill => self.backfill().await,
            Operation::Verify => self.verify().await,
            Operation::Move { back } => self.change_phase(*back).await,
        }
    }

    pub(crate) fn server(&self, process: Process) -> &TestServer {
        match process {
            Process::First => &self.first,
            Process::Second => &self.second,
            Process::FlagOff => &self.flag_off,
        }
    }

    /// Whether this process serves in the phase; if not it must have been refused so.
    pub(crate) fn serves(&self, process: Process) -> bool {
        process != Process::FlagOff || self.world.phase == Phase::Open
    }

    pub(crate) fn assert_contradiction(&self, refusal: &Refusal) {
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::FailedPrecondition, "PHASE_CONTRADICTION"),
            "{}",
            self.doing()
        );
    }

    /// What is under way.
    pub(crate) fn doing(&self) -> &str {
        &self.doing
    }

    /// Where a process looks ids up.
    pub(crate) fn tables_of_ids(&self, process: Process) -> Tables {
        match (process, self.world.phase) {
            (Process::FlagOff, _) | (_, Phase::Open | Phase::Fenced) => Tables::Legacy,
            (_, Phase::Finalized | Phase::Restoring) => Tables::Both,
        }
    }

    /// Where a process reads a tenant from.
    pub(crate) fn tables_of_reads(&self, process: Process, tenant: usize) -> Tables {
        match (process, self.world.phase) {
            (Process::FlagOff, _) => Tables::Legacy,
            (_, Phase::Open) => Tables::Both,
            (_, Phase::Fenced) if !self.world.tenants[tenant].verified => Tables::Both,
            (_, Phase::Fenced | Phase::Finalized | Phase::Restoring) => Tables::Partitioned,
        }
    }

    /// Holds a position that was told against the one that the event has.
    pub(crate) fn compare_position(doing: &str, event: &mut Event, told: Option<i64>, is_told: bool) {
        let told = match (told, is_told) {
            (None, false) => return,
            (told, is_told) => {
                assert_eq!(told.is_some(), is_told, "a position: {doing}: {event:?}");
                told.unwrap_or_default()
            }
        };
        match event.position {
            Position::Live(position) | Position::History(Some(position)) => {
                assert_eq!(told, position, "{doing}: {event:?}");
            }
            Position::History(None) => {
                assert!(told < 0, "history lies before the live feed: {doing}: {event:?}: {told}");
                event.position = Position::History(Some(told));
            }
        }
    }
}

/// The instant that is meant, if one is.
pub(crate) fn instant(when: When) -> Option<Timestamp> {
    match when {
        When::Unsaid => None,
        When::In { month, day } => Some(instant_in(month, day)),
    }
}

pub(crate) fn instant_in(offset: i32, day: i64) -> Timestamp {
    let month: Month = month(offset);
    let odd = time::Duration::microseconds(if day == 0 { 0 } else { day * 7 + 1 });
    Timestamp::from_datetime(month.start().to_datetime() + time::Duration::days(day) + odd)
}
