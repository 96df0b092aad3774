//! Verification of what is stored, from the stored rows: first each tenant's feed, then its streams.
//!
//! The legacy table holds every event, and the partitioned table copies of them. So the hash chains are followed in the
//! legacy table, and the copies are compared with it, column by column. Together they find what was changed in either.
//! What is missing from the partitioned table is known by its position: a gap in the feed says when such an event was
//! recorded, and the walk along the streams meets the event itself.
//!
//! In the phases where the legacy table is not whole the chains are followed in the partitioned table, from the first
//! event that has not expired, and no copy is missed. What has expired further on, or never came to the legacy table, is
//! excused where something tells so.

mod feed;
mod finding;
mod gaps;
mod streams;
mod walk;

use partita_model::TenantId;
use sqlx::PgPool;

use self::feed::Feed;
pub use self::finding::{ChainFinding, ChainTable, Fault};
use self::gaps::Gaps;
use self::streams::Streams;
use crate::read::store_error;
use crate::sessions::TenantSessions;
use crate::{Forbidding, StoreError, row_security};

/// Tenants that are listed at once.
const TENANTS_A_PAGE: i64 = 100;

/// Verifies one tenant, a step at a time. A step is bounded, and between two no connection is held.
pub struct ChainVerifier {
    sessions: TenantSessions,
    tenant: TenantId,
    stage: Stage,
    gaps: Gaps,
}

enum Stage {
    Feed(Feed),
    Streams(Box<Streams>),
    Done,
}

/// What one step looked at, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainStep {
    /// Rows of the partitioned table that were compared with the legacy table.
    pub compared: u64,
    /// Streams that were followed to their end.
    pub streams: u64,
    /// Events whose hash is the one that their columns give.
    pub verified: u64,
    /// Events that another program hashed: their links were checked, their columns cannot be.
    pub foreign: u64,
    /// What is not as it was recorded.
    pub findings: Vec<ChainFinding>,
}

impl ChainVerifier {
    pub(crate) fn new(sessions: TenantSessions, tenant: TenantId) -> Self {
        let stage = Stage::Feed(Feed::new(tenant.clone()));
        Self { sessions, tenant, stage, gaps: Gaps::default() }
    }

    /// Looks at the next rows; `None` after the last.
    ///
    /// # Errors
    /// When the database cannot be asked. What is wrong with the rows is a finding, not an error.
    pub async fn step(&mut self) -> Result<Option<ChainStep>, StoreError> {
        match &mut self.stage {
            Stage::Feed(feed) => {
                let compared = feed.step(&self.sessions, &mut self.gaps).await;
                let (step, finished) = compared.map_err(|error| store_error(&error))?;
                if finished {
                    self.stage = Stage::Streams(Box::new(Streams::new(self.tenant.clone())));
                }
                Ok(Some(step))
            }
            Stage::Streams(streams) => {
                let step = streams.step(&self.sessions, &self.gaps).await?;
                if step.is_none() {
                    self.stage = Stage::Done;
                }
                Ok(step)
            }
            Stage::Done => Ok(None),
        }
    }
}

/// Every tenant that has events, or once had, whether or not the platform's own list of tenants knows it.
///
/// # Errors
/// When row security would leave out all that are not named: a list that says so is better than one that is too short.
pub(crate) async fn list_tenants(pool: &PgPool) -> Result<Vec<TenantId>, StoreError> {
    let standing = row_security::find(pool).await.map_err(|error| store_error(&error))?;
    if standing.binds_legacy {
        return Err(StoreError::Forbidden(Forbidding::RowSecurity));
    }
    let mut tenants = Vec::new();
    let mut after = String::new();
    loop {
        let page = sqlx::query_file_scalar!("sql/verify/list_tenants.sql", after, TENANTS_A_PAGE)
            .fetch_all(pool)
            .await
            .map_err(|error| store_error(&error))?;
        let Some(last) = page.last() else { return Ok(tenants) };
        after.clone_from(last);
        tenants.extend(page.into_iter().filter_map(|name| TenantId::parse(name).ok()));
    }
}
