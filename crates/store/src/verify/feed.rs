use partita_model::{
    ChainFault, RecordedEvent, StreamId, TenantId, Uuid, Version, is_intact, is_partita_hash,
};
use time::OffsetDateTime;

use super::gaps::Gaps;
use super::{ChainFinding, ChainStep, ChainTable, Fault};
use crate::phase::parse;
use crate::read::page::EVER;
use crate::read::row::EventRow;
use crate::sessions::TenantSessions;

/// Rows of one step. They are compared where they are, so few bytes of each are moved.
const PAGE_ROWS: i64 = 1_000;

/// Walks along a tenant's feed: compares each row of the partitioned table with the legacy table, and its position with
/// the one before. Gaps of history are not looked for: what expires leaves them, and nothing says when.
pub(super) struct Feed {
    tenant: TenantId,
    registered: Option<Option<Registered>>,
    after: (i64, Uuid),
    /// The last live position, and when its event was recorded.
    last: Option<(i64, OffsetDateTime)>,
}

/// What the registry said of the tenant before the walk began.
struct Registered {
    last_position: i64,
    /// Before any position was drawn.
    created_at: OffsetDateTime,
}

/// A row of the partitioned table, compared.
struct Compared {
    event_id: Uuid,
    aggregate_type: String,
    aggregate_id: String,
    aggregate_version: i32,
    event_timestamp: OffsetDateTime,
    created_at: OffsetDateTime,
    position: i64,
    is_drawn: bool,
    phase: String,
    is_in_legacy: bool,
    /// Left behind by a restore: legacy is not to have it.
    is_accepted: bool,
    is_same: bool,
    is_covered: bool,
}

impl Feed {
    pub(super) fn new(tenant: TenantId) -> Self {
        Self { tenant, registered: None, after: (i64::MIN, Uuid::nil()), last: None }
    }

    /// Compares the next rows; says whether they were the last.
    pub(super) async fn step(
        &mut self,
        sessions: &TenantSessions,
        gaps: &mut Gaps,
    ) -> sqlx::Result<(ChainStep, bool)> {
        if self.registered.is_none() {
            self.registered = Some(self.find_registered(sessions).await?);
        }
        let rows = self.page(sessions).await?;
        let finished = i64::try_from(rows.len()).is_ok_and(|count| count < PAGE_ROWS);
        let mut step = ChainStep { compared: rows.len() as u64, ..ChainStep::default() };
        let mut missing = Vec::new();
        for row in rows {
            self.check_row(sessions, &row, &mut step).await?;
            missing.extend(self.check_position(&row, gaps, &mut step));
            self.after = (row.position, row.event_id);
        }
        if finished {
            missing.extend(self.check_end(gaps));
        }
        // Read after the rows: a month that went while they were read went below this floor.
        if !missing.is_empty() && find_floor(sessions).await?.is_none() {
            step.findings.extend(missing.into_iter().map(position_missing));
        }
        Ok((step, finished))
    }

    /// Where legacy is not whole the chains are followed in the partitioned table, so what a hash can tell is told there.
    async fn check_row(
        &self,
        sessions: &TenantSessions,
        row: &Compared,
        step: &mut ChainStep,
    ) -> sqlx::Result<()> {
        let legacy_is_whole = parse(&row.phase).legacy_is_whole();
        if !row.is_in_legacy && !row.is_accepted && legacy_is_whole {
            step.findings.push(row.finding(ChainTable::Legacy, Fault::NoCopy));
        }
        if !row.is_same
            && (legacy_is_whole || row.is_in_legacy)
            && let Some(copy) = self.find_copy(sessions, row).await?
        {
            let changed = is_partita_hash(&copy.event_hash) && !is_intact(&self.tenant, &copy);
            if changed && legacy_is_whole {
                step.findings.push(row.finding(ChainTable::Partitioned, Fault::Chain(ChainFault::Changed)));
            } else if !changed && row.is_in_legacy {
                step.findings.push(row.finding(ChainTable::Partitioned, Fault::CopyDiffers));
            }
        }
        if !row.is_covered {
            step.findings.push(row.finding(ChainTable::Partitioned, Fault::Unrecorded));
        }
        Ok(())
    }

    /// Gives the positions that are missing before the row.
    fn check_position(
        &mut self,
        row: &Compared,
        gaps: &mut Gaps,
        step: &mut ChainStep,
    ) -> Option<(i64, i64)> {
        if self.after.0 == row.position {
            step.findings.push(row.finding(ChainTable::Partitioned, Fault::PositionRepeated));
        }
        if !row.is_drawn {
            step.findings.push(row.finding(ChainTable::Partitioned, Fault::PositionUnknown));
            return None;
        }
        if row.position < 1 {
            return None;
        }
        let (previous, recorded_at) = self.last_live();
        self.last = Some((row.position, row.created_at));
        let missing = Some((previous + 1, row.position - 1)).filter(|(first, last)| first <= last);
        if let Some(positions) = missing {
            gaps.push(positions, recorded_at, Some(row.created_at));
        }
        missing
    }

    /// Gives the positions that are missing behind the last row. The registry was asked before the rows were.
    fn check_end(&self, gaps: &mut Gaps) -> Option<(i64, i64)> {
        let registered = self.registered.as_ref()?.as_ref()?;
        let (previous, recorded_at) = self.last_live();
        let missing = Some((previous + 1, registered.last_position)).filter(|(first, last)| first <= last);
        if let Some(positions) = missing {
            gaps.push(positions, recorded_at, None);
        }
        missing
    }

    /// The last live position so far, and when it was drawn; before the first, when the tenant was registered.
    fn last_live(&self) -> (i64, OffsetDateTime) {
        let begin =
            self.registered.iter().flatten().next().map_or(EVER.0, |registered| registered.created_at);
        self.last.unwrap_or((0, begin))
    }

    async fn find_registered(&self, sessions: &TenantSessions) -> sqlx::Result<Option<Registered>> {
        let row = sqlx::query_file!("sql/verify/find_feed.sql", self.tenant.as_str());
        let row = row.fetch_optional(&mut *sessions.session().await?).await?;
        Ok(row.map(|row| Registered { last_position: row.last_position, created_at: row.created_at }))
    }

    async fn page(&self, sessions: &TenantSessions) -> sqlx::Result<Vec<Compared>> {
        let (position, event_id) = self.after;
        sqlx::query_file_as!(
            Compared,
            "sql/verify/compare_feed.sql",
            self.tenant.as_str(),
            position,
            event_id,
            PAGE_ROWS
        )
        .fetch_all(&mut *sessions.session().await?)
        .await
    }

    async fn find_copy(
        &self,
        sessions: &TenantSessions,
        row: &Compared,
    ) -> sqlx::Result<Option<RecordedEvent>> {
        let copy = sqlx::query_file_as!(
            EventRow,
            "sql/verify/find_copy.sql",
            self.tenant.as_str(),
            row.event_id,
            row.event_timestamp
        );
        Ok(copy.fetch_optional(&mut *sessions.session().await?).await?.map(RecordedEvent::from))
    }
}

/// A tenant's floor; none while it keeps its events for ever.
pub(super) async fn find_floor(sessions: &TenantSessions) -> sqlx::Result<Option<partita_model::Timestamp>> {
    let row = sqlx::query_file!("sql/verify/find_feed.sql", sessions.tenant())
        .fetch_optional(&mut *sessions.session().await?)
        .await?;
    Ok(row.and_then(|row| row.retention_floor).map(partita_model::Timestamp::from_datetime))
}

/// How many rows of a tenant were purged from the legacy table by command.
pub(super) async fn count_purged(sessions: &TenantSessions) -> sqlx::Result<u64> {
    let purged = sqlx::query_file_scalar!("sql/verify/count_purged.sql", sessions.tenant());
    Ok(u64::try_from(purged.fetch_one(&mut *sessions.session().await?).await?).unwrap_or_default())
}

/// Whether the legacy table may lack events of a tenant that have expired.
pub(super) async fn may_lack_expired(sessions: &TenantSessions) -> sqlx::Result<bool> {
    sqlx::query_file_scalar!("sql/verify/may_lack_expired.sql", sessions.tenant())
        .fetch_one(&mut *sessions.session().await?)
        .await
}

impl Compared {
    fn finding(&self, table: ChainTable, fault: Fault) -> ChainFinding {
        ChainFinding {
            stream: Some(StreamId::from_row(self.aggregate_type.clone(), self.aggregate_id.clone())),
            version: Version::new(self.aggregate_version),
            position: Some(self.position),
            table,
            fault,
        }
    }
}

fn position_missing((first, last): (i64, i64)) -> ChainFinding {
    ChainFinding {
        stream: None,
        version: Version::NONE,
        position: Some(first),
        table: ChainTable::Partitioned,
        fault: Fault::PositionMissing { first, last },
    }
}
