use partita_model::{ChainCheck, ChainFault, Checked, RecordedEvent, StreamId, TenantId, Timestamp, Version};

use super::feed::{find_floor, may_lack_expired};
use super::{ChainFinding, ChainStep, ChainTable, Fault};
use crate::sessions::TenantSessions;
use crate::{StoreError, StreamReader};

/// One stream that is being followed.
pub(super) struct Walk {
    stream: StreamId,
    check: ChainCheck,
    table: ChainTable,
    /// The least and the greatest timestamp that the stream's record names.
    lived: Option<(Timestamp, Timestamp)>,
    /// Whether any event was met.
    begun: bool,
    /// None for a stream that the table does not have.
    events: Option<StreamReader>,
    /// The greatest timestamp that was met.
    greatest: Option<Timestamp>,
    /// What is missing and may have expired: accused after all where the stream lacks an event that cannot have.
    doubtful: Vec<ChainFinding>,
    /// Versions that are missing and were excused.
    gone: u64,
    /// Whether some of them are in the partitioned table, by somebody's decision.
    left_behind: bool,
}

/// Why versions of a stream may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excuse {
    /// Each of them is known to have expired, or to have been left behind.
    Known,
    /// Events of the stream have expired that were recorded behind others of a greater time.
    Late,
}

impl Walk {
    pub(super) fn new(
        tenant: TenantId,
        stream: StreamId,
        record: Option<(Version, String)>,
        table: ChainTable,
        lived: Option<(Timestamp, Timestamp)>,
        events: Option<StreamReader>,
    ) -> Self {
        Self {
            stream,
            check: ChainCheck::new(tenant, record),
            table,
            lived,
            begun: false,
            events,
            greatest: None,
            doubtful: Vec::new(),
            gone: 0,
            left_behind: false,
        }
    }

    pub(super) fn table(&self) -> ChainTable {
        self.table
    }

    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<RecordedEvent>>, StoreError> {
        match &mut self.events {
            Some(events) => events.next_page().await,
            None => Ok(None),
        }
    }

    pub(super) async fn check_page(
        &mut self,
        sessions: &TenantSessions,
        events: &[RecordedEvent],
        step: &mut ChainStep,
    ) -> sqlx::Result<()> {
        for event in events {
            let missing = (self.check.last().get().saturating_add(1), event.version.get().saturating_sub(1));
            if missing.0 <= missing.1 {
                self.excuse(sessions, missing, event.version).await?;
            }
            self.begun = true;
            self.greatest = self.greatest.max(Some(event.event_timestamp));
            match self.check.next(event) {
                Checked::Verified => step.verified += 1,
                Checked::Foreign => step.foreign += 1,
                Checked::Broken(fault) => {
                    step.findings.push(self.finding(event.version, Fault::Chain(fault)));
                }
            }
        }
        Ok(())
    }

    /// Ends the walk; says how many expired events the legacy table lacks, where that is the one that was followed.
    pub(super) async fn end(mut self, sessions: &TenantSessions, step: &mut ChainStep) -> sqlx::Result<u64> {
        step.streams += 1;
        if let Err((version, fault)) = self.check.end() {
            let missing = (self.check.last().get().saturating_add(1), version.get());
            let finding = self.finding(version, Fault::Chain(fault));
            if self.is_expired(sessions).await? {
                self.count_gone(missing);
            } else {
                match self.find_excuse(sessions, missing).await? {
                    Some(Excuse::Known) => self.count_gone(missing),
                    Some(Excuse::Late) => {
                        self.count_gone(missing);
                        self.doubtful.push(finding);
                    }
                    None => step.findings.push(finding),
                }
            }
        }
        if !self.doubtful.is_empty() && self.lacks_a_live_event(sessions).await? {
            step.findings.append(&mut self.doubtful);
        }
        Ok(match self.table {
            ChainTable::Legacy => self.gone,
            ChainTable::Partitioned => 0,
        })
    }

    /// Looks whether the versions that are missing before an event may be.
    async fn excuse(
        &mut self,
        sessions: &TenantSessions,
        missing: (i32, i32),
        next: Version,
    ) -> sqlx::Result<()> {
        let after = self.check.last();
        if !self.begun && self.has_lost_its_beginning(sessions).await? {
            self.check.excuse_beginning();
            self.count_gone(missing);
            return Ok(());
        }
        let Some(excuse) = self.find_excuse(sessions, missing).await? else { return Ok(()) };
        match self.begun {
            true => self.check.excuse_before(next),
            false => self.check.excuse_beginning(),
        }
        self.count_gone(missing);
        if excuse == Excuse::Late {
            self.doubtful.push(self.finding(next, Fault::Chain(ChainFault::Missing { after })));
        }
        Ok(())
    }

    /// Whether what is missing before the first event has expired. The floor is read after the events were: it only
    /// rises, so what it took from them lies below it. A stream of the legacy table that has no
    /// record may have begun at any time.
    async fn has_lost_its_beginning(&self, sessions: &TenantSessions) -> sqlx::Result<bool> {
        if !self.may_lose_expired(sessions).await? {
            return Ok(false);
        }
        let floor = find_floor(sessions).await?;
        let unrecorded = self.table == ChainTable::Legacy;
        Ok(floor.is_some_and(|floor| self.lived.map_or(unrecorded, |(first, _)| first < floor)))
    }

    /// Whether expired events leave the table: the partitioned one with their months, the legacy one by a purge; or they
    /// never came to it, because it was not written.
    async fn may_lose_expired(&self, sessions: &TenantSessions) -> sqlx::Result<bool> {
        match self.table {
            ChainTable::Partitioned => Ok(true),
            ChainTable::Legacy => may_lack_expired(sessions).await,
        }
    }

    /// Whether the stream has no event any more because all have expired.
    async fn is_expired(&self, sessions: &TenantSessions) -> sqlx::Result<bool> {
        if self.begun || !self.may_lose_expired(sessions).await? {
            return Ok(false);
        }
        let floor = find_floor(sessions).await?;
        Ok(floor.zip(self.lived).is_some_and(|(floor, (_, last))| last < floor))
    }

    /// Why these versions, which have events before them, may be missing. Legacy tells of each that it still has; of the
    /// others there is the stream's own record, which says whether it ever had an event behind one of a greater time, and
    /// from when: only such an event expires before the one that it came behind.
    async fn find_excuse(
        &mut self,
        sessions: &TenantSessions,
        (first, last): (i32, i32),
    ) -> sqlx::Result<Option<Excuse>> {
        let row = sqlx::query_file!(
            "sql/verify/explain_gap.sql",
            self.check.tenant().as_str(),
            self.stream.aggregate_type(),
            self.stream.aggregate_id(),
            first,
            last
        )
        .fetch_one(&mut *sessions.session().await?)
        .await?;
        if row.live > 0 {
            return Ok(None);
        }
        self.left_behind |= row.accepted > 0;
        if (row.expired + row.accepted).unsigned_abs() >= count((first, last)) {
            return Ok(Some(Excuse::Known));
        }
        let is_late = row.has_late && self.may_lose_expired(sessions).await?;
        Ok(is_late.then_some(Excuse::Late))
    }

    /// Whether the greatest timestamp that the stream ever had is above the floor, and no event has it: one is lost that
    /// cannot have expired.
    async fn lacks_a_live_event(&self, sessions: &TenantSessions) -> sqlx::Result<bool> {
        if self.left_behind {
            return Ok(false);
        }
        let floor = find_floor(sessions).await?;
        let is_live = |last: &Timestamp| floor.is_none_or(|floor| *last >= floor);
        let last = self.lived.map(|(_, last)| last).filter(is_live);
        Ok(last.is_some_and(|last| self.greatest.is_none_or(|greatest| greatest < last)))
    }

    fn count_gone(&mut self, missing: (i32, i32)) {
        self.gone += count(missing);
    }

    fn finding(&self, version: Version, fault: Fault) -> ChainFinding {
        finding(&self.stream, version, self.table, fault)
    }
}

/// How many versions there are from the first to the last.
fn count((first, last): (i32, i32)) -> u64 {
    u64::from(first.abs_diff(last)) + 1
}

pub(super) fn finding(stream: &StreamId, version: Version, table: ChainTable, fault: Fault) -> ChainFinding {
    ChainFinding { stream: Some(stream.clone()), version, position: None, table, fault }
}
