//! Retention, backfill, proof and changes of the phase, and what must hold in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use partita_migration::{MigrationError, Refusal as Refused, WorkerConfig};
use partita_model::Month;
use partita_proto::v1::{ListPartitionsRequest, Partition, RestorePartitionRequest};
use partita_tests::{PhaseChange, Refusal, month};
use sqlx::types::time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::operation::{Process, STREAMS, TENANTS};
use crate::stage::Stage;
use crate::world::{Event, Phase, Place, Position};

/// How often the end of a restore is tried while processes say that they serve in another phase.
const ATTEMPTS_MAX: u32 = 20;

impl Stage {
    /// Raises the tenant's floor so that this many months before the present one are left.
    pub(crate) async fn expire(&mut self, process: Process, tenant: usize, months: u32) {
        let change = |request: &mut partita_proto::v1::MaintainPartitionsRequest| {
            request.retention_months = Some(months.cast_signed());
        };
        let run = self.server(process).maintain(TENANTS[tenant], change).await;
        assert_eq!(run.summary.tenants_failed, 0, "{}: {run:?}", self.doing());
        let place = if process == Process::First { Place::Nowhere } else { Place::Detached };
        self.world.tenants[tenant].expire(month(-months.cast_signed()).start(), place);
    }

    /// Asks for a detached month; it comes back where it and all after it are detached. Where legacy is not read, it does not
    /// without what legacy alone has of these months.
    pub(crate) async fn restore_month(&mut self, tenant: usize, offset: i32) {
        let known = &self.world.tenants[tenant];
        let waiting = known.events.iter().filter(|event| event.place == Place::Detached);
        let waiting: BTreeSet<Month> = waiting.map(|event| Month::of(event.at)).collect();
        let which = usize::try_from(offset.unsigned_abs()).unwrap().checked_rem(waiting.len());
        let asked = which.and_then(|which| waiting.into_iter().nth(which)).unwrap_or(month(offset));
        let comes_back = |at| known.is_below_floor(at) && Month::of(at) >= asked;
        let is_lacking = |event: &Event| event.in_legacy && event.place == Place::Nowhere;
        let is_incomplete = !self.world.phase.legacy_is_whole()
            && known.events.iter().any(|event| comes_back(event.at) && is_lacking(event));
        let can: bool = sqlx::query_scalar(
            "SELECT bool_or(range_start = $2 AND dropped_at IS NULL) AND bool_and(dropped_at IS NULL) IS TRUE \
             FROM event_store_detached WHERE tenant_id = $1 AND range_start >= $2",
        )
        .bind(TENANTS[tenant])
        .bind(asked.start().to_datetime() as OffsetDateTime)
        .fetch_one(self.database.pool())
        .await
        .map(|can: Option<bool>| can.unwrap_or(false))
        .unwrap();
        let request = RestorePartitionRequest {
            tenant_id: TENANTS[tenant].to_owned(),
            month: asked.to_string(),
            user_id: "ann".to_owned(),
            reason: "a trial".to_owned(),
        };
        match self.server(Process::First).partitions().restore_partition(request).await {
            Ok(_) => {
                assert!(can && !is_incomplete, "restored: {}", self.doing());
                let known = &mut self.world.tenants[tenant];
                known.restore_months(asked);
                known.verified = false;
            }
            Err(status) => {
                let refusal = Refusal::from(status);
                let wanted = match (can, is_incomplete) {
                    (false, _) => "PARTITION_NOT_FOUND",
                    (true, true) => "MONTH_INCOMPLETE",
                    (true, false) => "nothing",
                };
                assert_eq!(refusal.reason, wanted, "{}", self.doing());
            }
        }
    }

    /// The list in pages of this size is the list in one page.
    pub(crate) async fn list(&self, page_size: i32) {
        let server = self.server(Process::First);
        let mut partitions: Vec<Partition> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListPartitionsRequest { page_size, page_token, ..Default::default() };
            let page = server.partitions().list_partitions(request).await.unwrap().into_inner();
            assert!(page.partitions.len() <= usize::try_from(page_size).unwrap(), "{}", self.doing());
            partitions.extend(page.partitions);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let names = |partitions: &[Partition]| -> Vec<String> {
            partitions.iter().map(|partition| partition.partition_name.clone()).collect()
        };
        assert_eq!(names(&partitions), names(&server.list("").await.unwrap()), "{}", self.doing());
    }

    /// Copies history, where the phase allows it.
    pub(crate) async fn backfill(&mut self) {
        if !self.world.phase.legacy_is_whole() {
            return;
        }
        let status = self.database.backfill().await;
        assert_eq!(
            (status.progress.units_failed, status.progress.quarantined),
            (0, 0),
            "{}: {status:?}",
            self.doing()
        );
        self.world.tenants.iter_mut().for_each(crate::world::Tenant::backfill);
    }

    /// Compares the tables, which must be equal after a backfill.
    pub(crate) async fn verify(&mut self) {
        if !self.world.phase.legacy_is_whole() {
            return;
        }
        self.backfill().await;
        let verified = self.database.verify_tables().await;
        assert!(verified.summary.is_green(), "{}: {verified:?}", self.doing());
        for tenant in &mut self.world.tenants {
            tenant.verified = self.world.phase == Phase::Fenced;
        }
    }

    pub(crate) async fn change_phase(&mut self, back: bool) {
        match (self.world.phase, back) {
            (Phase::Open, _) => {
                self.backfill().await;
                self.database.change_phase(PhaseChange::RaiseFence).await;
                self.world.phase = Phase::Fenced;
                self.world.tenants.iter_mut().for_each(|tenant| tenant.verified = false);
            }
            (Phase::Fenced, true) => {
                self.database.change_phase(PhaseChange::LowerFence).await;
                self.world.phase = Phase::Open;
            }
            (Phase::Fenced, false) => {
                self.verify().await;
                self.database.change_phase(PhaseChange::Finalize).await;
                self.world.phase = Phase::Finalized;
            }
            (Phase::Finalized, _) => {
                self.database.change_phase(PhaseChange::BeginRestore).await;
                self.world.phase = Phase::Restoring;
            }
            (Phase::Restoring, _) => self.end_restore().await,
        }
    }

    async fn end_restore(&mut self) {
        let config = WorkerConfig { poll_interval: Duration::from_millis(20), ..WorkerConfig::default() };
        for attempt in 1.. {
            // They are on the list with the phase that they saw last, up to five seconds ago.
            self.database.execute("DELETE FROM event_store_instance").await;
            let (reports, _unheard) = mpsc::channel(1_000);
            let stop = CancellationToken::new();
            match self.database.migration().restore(config, "test", &reports, &stop).await {
                Ok(()) => break,
                Err(MigrationError::Refused(Refused::Instances { .. })) if attempt < ATTEMPTS_MAX => {}
                Err(MigrationError::Refused(Refused::Uncopied { rows })) if attempt < ATTEMPTS_MAX => {
                    self.leave_behind(rows).await;
                }
                Err(error) => panic!("{}: {error:?}", self.doing()),
            }
        }
        self.world.phase = Phase::Open;
        self.world.tenants.iter_mut().for_each(crate::world::Tenant::restore_legacy);
    }

    /// Leaves behind what could not be copied to the legacy table, for which there must be a reason.
    async fn leave_behind(&mut self, rows: u64) {
        let migration = self.database.migration();
        let quarantined = migration.quarantine(0, 1_000).await.unwrap();
        let waiting: Vec<_> = quarantined.into_iter().filter(|row| row.accepted.is_none()).collect();
        assert_eq!(waiting.len() as u64, rows, "{}: {waiting:?}", self.doing());
        for row in waiting {
            assert_eq!(row.code, "23505", "{}: {row:?}", self.doing());
            let place = |all: &[&str], one: Option<String>| {
                all.iter().position(|known| Some(*known) == one.as_deref())
            };
            let tenant = place(&TENANTS, row.tenant_id).unwrap();
            let (id, version) = (row.event_id.unwrap(), row.aggregate_version.unwrap());
            self.world.tenants[tenant].leave_behind(id.parse().unwrap(), version.parse().unwrap());
        }
        assert_eq!(migration.accept(None, "test", "a trial").await.unwrap(), rows, "{}", self.doing());
    }

    /// All streams read whole, the tables, the positions and the chains are as the model has them.
    pub(crate) async fn finish(&mut self) {
        self.verify().await;
        for tenant in 0..TENANTS.len() {
            for stream in 0..STREAMS.len() {
                for process in [Process::First, Process::FlagOff] {
                    self.read(process, tenant, stream, (false, 0, 0, None)).await;
                }
            }
            self.compare_tables(tenant).await;
        }
        let findings = self.server(Process::Second).verify("").await.findings;
        assert_eq!(findings, [], "the chains, after all: {}", self.doing());
    }

    async fn compare_tables(&self, tenant: usize) {
        let rows = |table: &str| {
            let query = format!(
                "SELECT aggregate_id || '@' || aggregate_version FROM {table} WHERE tenant_id = $1 ORDER BY 1"
            );
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(query))
                .bind(TENANTS[tenant])
                .fetch_all(self.database.pool())
        };
        let known = &self.world.tenants[tenant];
        let wanted = |is_there: fn(&Event) -> bool| {
            let there = known.events.iter().filter(|event| is_there(event));
            let mut rows: Vec<String> =
                there.map(|event| format!("{}@{}", STREAMS[event.stream], event.version)).collect();
            rows.sort_unstable();
            rows
        };
        let sorted = |mut rows: Vec<String>| {
            rows.sort_unstable();
            rows
        };
        assert_eq!(sorted(rows("event_store").await.unwrap()), wanted(|event| event.in_legacy));
        let is_partitioned = |event: &Event| event.place == Place::Attached;
        assert_eq!(sorted(rows("event_store_partitioned").await.unwrap()), wanted(is_partitioned));

        let positions: Vec<i64> = sqlx::query_scalar(
            "SELECT position FROM event_store_partitioned WHERE tenant_id = $1 AND position > 0 ORDER BY 1",
        )
        .bind(TENANTS[tenant])
        .fetch_all(self.database.pool())
        .await
        .unwrap();
        let live = known.events.iter().filter(|event| is_partitioned(event));
        let mut live: Vec<i64> = live
            .filter_map(|event| match event.position {
                Position::Live(position) => Some(position),
                Position::History(_) => None,
            })
            .collect();
        live.sort_unstable();
        assert_eq!(positions, live);
        if known.last_position > 0 {
            assert_eq!(self.database.last_position(TENANTS[tenant]).await, known.last_position);
        }
    }
}
