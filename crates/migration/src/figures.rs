use std::time::Duration;

use partita_store::metrics::{BACKFILL_REMAINING, PARITY_MISMATCHES};
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};

/// How often the database is asked.
const ASK_INTERVAL: Duration = Duration::from_mins(1);

/// Records what only the database knows of the migration, every minute. Never ends.
pub(crate) async fn run(pool: &PgPool) {
    let mut asks = interval(ASK_INTERVAL);
    asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        asks.tick().await;
        if let Err(error) = record(pool).await {
            tracing::debug!(%error, "the figures of the migration could not be looked up");
        }
    }
}

pub(crate) async fn record(pool: &PgPool) -> sqlx::Result<()> {
    let figures = sqlx::query_file!("sql/status/count_figures.sql").fetch_one(pool).await?;
    BACKFILL_REMAINING.set(figures.rows_remaining as f64, []);
    PARITY_MISMATCHES.set(figures.mismatches as f64, []);
    Ok(())
}
