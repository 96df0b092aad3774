use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use super::refusal::Failure;
use crate::connect::CONNECT_TIMEOUT;

/// After this much idleness a session is looked at before it is used.
const IDLE_MAX: Duration = Duration::from_millis(100);

/// A lane's connection, and how to recognise it from another one after it is lost.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) id: SessionId,
    last_used: Instant,
}

/// A session of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionId {
    pub(super) pid: i32,
    pub(super) started: OffsetDateTime,
}

impl Session {
    /// Connects, within [`CONNECT_TIMEOUT`].
    pub(super) async fn open(options: &PgConnectOptions) -> Result<Self, Failure> {
        match timeout(CONNECT_TIMEOUT, Self::connect(options)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => {
                tracing::warn!(%error, "lane cannot connect");
                Err(Failure::Unavailable)
            }
            Err(_) => {
                tracing::warn!(timeout_ms = millis(CONNECT_TIMEOUT), "lane cannot connect in time");
                Err(Failure::Unavailable)
            }
        }
    }

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

    async fn connect(options: &PgConnectOptions) -> sqlx::Result<Self> {
        let mut connection = options.connect().await?;
        let found = sqlx::query_file!("sql/append/find_session.sql").fetch_one(&mut connection).await?;
        Ok(Self {
            connection,
            id: SessionId { pid: found.pid, started: found.started },
            last_used: Instant::now(),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
