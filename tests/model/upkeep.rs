//! Retention, backfill, proof and changes of the phase, and what must hold in the end.

use std::time::Duration;

use partita_migration::{MigrationError, Refusal as Refused, WorkerConfig};
use partita_model::Month;
use partita_proto::v1::chain_finding::Fault;
use partita_proto::v1::{ChainFinding, ListPartitionsRequest, Partition, RestorePartitionRequest};
use partita_tests::{PhaseChange, Refusal, month};
use sqlx::types::time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::operation::{Process, STREAMS, TENANTS};
use crate::stage::Stage;
use crate::world::{Phase, Place, Position, Tables};

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

    /// Asks for a detached month; it comes back where it and all after it are detached.
    pub(crate) async fn restore_month(&mut self, tenant: usize, offset: i32) {
        let asked = month(offset);
        let known = &self.world.tenants[tenant];
        let comes_back = |at| known.is_below_floor(at) && Month::of(at) >= asked;
        let returning: Vec<_> = known.events.iter().filter(|event| comes_back(event.at)).collect();
        // An event that only one of the tables has comes back for those who read that one.
        let is_whole = match self.world.phase {
            Phase::Open => returning.iter().all(|event| event.in_legacy),
            Phase::Fenced | Phase::Restoring | Phase::Finalized => {
                returning.iter().all(|event| event.in_legacy && event.place != Place::Nowhere)
            }
        };
        if !is_whole {
            return;
        }
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
                assert!(can, "restored: {}", self.doing());
                self.world.tenants[tenant].restore_months(asked);
            }
            Err(status) => {
                let refusal = Refusal::from(status);
                assert_eq!(
                    (can, refusal.reason.as_str()),
                    (false, "PARTITION_NOT_FOUND"),
                    "{}",
                    self.doing()
                );
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
                Err(error) => panic!("{}: {error:?}", self.doing()),
            }
        }
        self.world.phase = Phase::Open;
        self.world.tenants.iter_mut().for_each(crate::world::Tenant::restore_legacy);
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
        let mut findings = self.server(Process::Second).verify("").await.findings;
        findings.retain(|finding| !self.is_excused(finding));
        assert_eq!(findings, [], "the chains, after all: {}", self.doing());
    }

    /// Whether a finding is one that docs/reliability.md leaves room for: once legacy is not whole, events that expired behind
    /// or between others of their stream are taken for missing.
    fn is_excused(&self, finding: &ChainFinding) -> bool {
        let place = |all: &[&str], one: &str| all.iter().position(|known| *known == one);
        let is_of_gap = matches!(finding.fault(), Fault::Missing | Fault::WrongEnd);
        let tenant = place(&TENANTS, &finding.tenant_id).map(|tenant| &self.world.tenants[tenant]);
        let (Some(tenant), Some(stream)) = (tenant, place(&STREAMS, &finding.aggregate_id)) else {
            return false;
        };
        let mut visible = tenant.of(stream).filter(|event| tenant.sees(event, Tables::Partitioned));
        let oldest = visible.next().map(|event| event.version);
        let mut expired = tenant.of(stream).filter(|event| tenant.is_below_floor(event.at));
        let is_out_of_order = expired.any(|event| oldest.is_some_and(|oldest| oldest < event.version));
        is_of_gap && is_out_of_order && !self.world.phase.legacy_is_whole()
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
        let wanted = |is_there: fn(&crate::world::Event) -> bool| {
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
        let is_partitioned = |event: &crate::world::Event| event.place == Place::Attached;
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
