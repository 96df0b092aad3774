use std::collections::BTreeSet;
use std::time::Duration;

use partita_model::TenantId;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use super::refusal::{Failure, before_commit};
use crate::connect::IDLE_MAX;

/// A lane's connection, and how to recognise it from another one after it is lost.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) id: SessionId,
    last_used: Instant,
    /// The tenants that row security was told, in order; none when that is not known.
    told: Option<Vec<TenantId>>,
}

/// A session of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionId {
    pub(super) pid: i32,
    pub(super) started: OffsetDateTime,
}

/// How a lane connects.
pub(super) struct Opener {
    options: PgConnectOptions,
    limit: Duration,
}

impl Opener {
    pub(super) fn new(options: PgConnectOptions, limit: Duration) -> Self {
        Self { options, limit }
    }

    /// Connects, within the limit.
    pub(super) async fn open(&self) -> Result<Session, Failure> {
        match timeout(self.limit, Session::connect(&self.options)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => {
                tracing::warn!(%error, "lane cannot connect");
                Err(Failure::Unavailable)
            }
            Err(_) => {
                tracing::warn!(timeout_ms = millis(self.limit), "lane cannot connect in time");
                Err(Failure::Unavailable)
            }
        }
    }
}

impl Session {
    /// Makes sure that a session which was left alone for a while is still there: a statement that is sent to a dead one
    /// leaves its outcome in doubt.
    ///
    /// # Errors
    /// `Unavailable`; nothing was sent.
    pub(super) async fn wake(&mut self) -> Result<(), Failure> {
        if self.last_used.elapsed() >= IDLE_MAX {
            self.connection.ping().await.map_err(|error| {
                tracing::debug!(%error, "idle lane connection is gone");
                Failure::Unavailable
            })?;
        }
        self.last_used = Instant::now();
        Ok(())
    }

    /// Tells row security whose rows the next statements are about: these tenants, and no other. Said in a statement of its
    /// own, outside of any transaction, so that it stands whatever becomes of the next one; and said again only to others.
    ///
    /// # Errors
    /// Nothing is recorded.
    pub(super) async fn name_tenants(
        &mut self,
        tenants: impl Iterator<Item = &TenantId>,
    ) -> Result<(), Failure> {
        let tenants: BTreeSet<&TenantId> = tenants.collect();
        if self.told.as_ref().is_some_and(|told| told.iter().eq(tenants.iter().copied())) {
            return Ok(());
        }
        self.told = None;
        let names: Vec<&str> = tenants.iter().map(|tenant| tenant.as_str()).collect();
        sqlx::query_file!("sql/append/name_tenants.sql", &names as _)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| before_commit(&error))?;
        self.told = Some(tenants.into_iter().cloned().collect());
        Ok(())
    }

    async fn connect(options: &PgConnectOptions) -> sqlx::Result<Self> {
        let mut connection = options.connect().await?;
        let found = sqlx::query_file!("sql/append/find_session.sql").fetch_one(&mut connection).await?;
        Ok(Self {
            connection,
            id: SessionId { pid: found.pid, started: found.started },
            last_used: Instant::now(),
            told: None,
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
