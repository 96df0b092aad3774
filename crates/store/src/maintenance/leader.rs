use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use crate::DatabaseUrl;
use crate::connect::{CONNECT_TIMEOUT, leader_options};

/// The session that makes this process the one that maintains partitions. Its lock is the session's: a process that is
/// killed, or cut off from the database, loses both at once.
pub(super) struct Leader(PgConnection);

impl Leader {
    /// Connects and takes the lock; none while another process has it.
    pub(super) async fn stand(url: &DatabaseUrl) -> sqlx::Result<Option<Self>> {
        let connecting = async {
            let mut connection = leader_options(url).connect().await?;
            let leads =
                sqlx::query_file_scalar!("sql/maintenance/try_lead.sql").fetch_one(&mut connection).await?;
            if leads {
                return Ok(Some(Self(connection)));
            }
            connection.close().await?;
            Ok(None)
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Whether the session is still there, and the lock with it.
    pub(super) async fn is_alive(&mut self) -> bool {
        let asked = sqlx::query_file_scalar!("sql/maintenance/is_leading.sql").fetch_one(&mut self.0);
        matches!(timeout(CONNECT_TIMEOUT, asked).await, Ok(Ok(true)))
    }

    /// Lets another process lead.
    pub(super) async fn resign(self) {
        // Where it fails the session is gone already.
        drop(timeout(CONNECT_TIMEOUT, self.0.close()).await);
    }
}
