use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, query, query_scalar};

use crate::failure::Failure;

/// Gives an empty legacy table the history of three tenants, as another program would have written it; gives back
/// how many events. A table that holds anything is left alone, and so is one that other programs may not write any more.
pub(super) async fn history(url: &str) -> Result<u64, Failure> {
    let failed = |error: sqlx::Error| Failure::internal("cannot seed the legacy table").because(error);
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let open =
        query_scalar("SELECT phase = 'open' FROM public.event_store_control").fetch_one(&mut connection);
    if !open.await.map_err(failed)? {
        return Ok(0);
    }
    let seeded = query(include_str!("../../../sql/seed_history.sql")).execute(&mut connection).await;
    let events = seeded.map_err(failed)?.rows_affected();
    connection.close().await.map_err(failed)?;
    Ok(events)
}
