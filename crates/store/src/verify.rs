//! Verification of the hash chain, stream by stream, from the stored rows.

use partita_model::{
    ChainCheck, ChainFault, Checked, Direction, Phase, ReadStream, RecordedEvent, StreamId, TenantId, Version,
};
use sqlx::PgPool;

use crate::StoreError;
use crate::read::page::{Bounds, EVER, NEVER, Page, find_dual};
use crate::read::store_error;

/// Streams of one step.
const STREAMS_A_STEP: i64 = 100;
/// Events read at once: the largest of them weigh 64 MiB.
const PAGE_ROWS: i64 = 64;

/// Checks the chains of one tenant, a step at a time.
///
/// In phase `dual` each stream is checked twice: as it is read, united from both tables, and in the legacy table alone,
/// which holds all of it. So a change to either copy of an event is found.
pub struct ChainVerifier {
    pool: PgPool,
    phase: Phase,
    tenant: TenantId,
    after: Option<(String, String)>,
}

/// What one step found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainStep {
    /// Streams checked.
    pub streams: u64,
    /// Events whose hash is the one that their columns give.
    pub verified: u64,
    /// Events that another program hashed: their links were checked, their columns cannot be.
    pub foreign: u64,
    /// Where chains are broken.
    pub faults: Vec<ChainFinding>,
}

/// A place where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFinding {
    /// The stream.
    pub stream: StreamId,
    /// At which event.
    pub version: Version,
    /// In the legacy table, or in what is read.
    pub table: ChainTable,
    /// How.
    pub fault: ChainFault,
}

/// Where a chain was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainTable {
    /// The legacy table alone.
    Legacy,
    /// The partitioned table united with legacy, as ReadStream serves it.
    Union,
}

struct Listed {
    stream: StreamId,
    record: Option<(Version, String)>,
}

impl ChainVerifier {
    pub(crate) fn new(pool: PgPool, phase: Phase, tenant: TenantId) -> Self {
        Self { pool, phase, tenant, after: None }
    }

    /// Checks the next streams; `None` after the last.
    ///
    /// # Errors
    /// When the database cannot be asked. A broken chain is a finding, not an error.
    pub async fn step(&mut self) -> Result<Option<ChainStep>, StoreError> {
        self.check_streams().await.map_err(|error| store_error(&error))
    }

    async fn check_streams(&mut self) -> sqlx::Result<Option<ChainStep>> {
        let listed = self.list_streams().await?;
        let Some(last) = listed.last() else { return Ok(None) };
        self.after = Some((last.stream.aggregate_type().to_owned(), last.stream.aggregate_id().to_owned()));
        let mut step = ChainStep::default();
        for listed in &listed {
            step.streams += 1;
            self.check(listed, ChainTable::Legacy, NEVER, &mut step).await?;
            if self.phase == Phase::Dual {
                let lived = find_dual(&self.pool, &self.read(listed)).await?.and_then(|(_, lived)| lived);
                let Some((first, last)) = lived else { continue };
                let past_last = last.to_datetime() + time::Duration::microseconds(1);
                self.check(listed, ChainTable::Union, (first.to_datetime(), past_last), &mut step).await?;
            }
        }
        Ok(Some(step))
    }

    async fn check(
        &self,
        listed: &Listed,
        table: ChainTable,
        lived: Bounds,
        step: &mut ChainStep,
    ) -> sqlx::Result<()> {
        let read = self.read(listed);
        let finding = |version, fault| ChainFinding { stream: listed.stream.clone(), version, table, fault };
        let mut chain = ChainCheck::new(&self.tenant);
        let mut next = Some(Version::new(1));
        while let Some(least) = next {
            let page = Page {
                least,
                greatest: Version::new(i32::MAX),
                rows_max: PAGE_ROWS,
                direction: Direction::Forwards,
            };
            let events: Vec<RecordedEvent> = match table {
                ChainTable::Legacy => page.legacy(&self.pool, &read, EVER).await?,
                ChainTable::Union => page.union(&self.pool, &read, EVER, lived).await?,
            };
            for event in &events {
                match chain.next(event) {
                    Checked::Verified => step.verified += 1,
                    Checked::Foreign => step.foreign += 1,
                    Checked::Broken(fault) => step.faults.push(finding(event.version, fault)),
                }
            }
            next = events.last().and_then(|last| last.version.checked_add(1));
        }
        if let Some((version, hash)) = &listed.record
            && let Err(fault) = chain.end(*version, hash)
        {
            step.faults.push(finding(*version, fault));
        }
        Ok(())
    }

    fn read(&self, listed: &Listed) -> ReadStream {
        ReadStream {
            tenant: self.tenant.clone(),
            stream: listed.stream.clone(),
            from_version: None,
            direction: Direction::Forwards,
            max_count: None,
            from_timestamp: None,
            to_timestamp: None,
        }
    }

    async fn list_streams(&self) -> sqlx::Result<Vec<Listed>> {
        let (aggregate_type, aggregate_id) = self
            .after
            .as_ref()
            .map_or(("", ""), |(aggregate_type, aggregate_id)| (aggregate_type, aggregate_id));
        let tenant = self.tenant.as_str();
        let listed = match self.phase {
            Phase::Legacy => sqlx::query_file!(
                "sql/verify/list_streams_legacy.sql",
                tenant,
                aggregate_type,
                aggregate_id,
                STREAMS_A_STEP
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|row| Listed {
                stream: StreamId::from_row(row.aggregate_type, row.aggregate_id),
                record: None,
            })
            .collect(),
            Phase::Dual => sqlx::query_file!(
                "sql/verify/list_streams_dual.sql",
                tenant,
                aggregate_type,
                aggregate_id,
                STREAMS_A_STEP
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|row| Listed {
                stream: StreamId::from_row(row.aggregate_type, row.aggregate_id),
                record: row.version.map(Version::new).zip(row.last_hash),
            })
            .collect(),
        };
        Ok(listed)
    }
}
