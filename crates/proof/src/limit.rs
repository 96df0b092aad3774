//! Bounds: nobody waits for ever, and whoever gives up says what for.

use std::time::Duration;

/// Something did not come about in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not within {} s: {what}", limit.as_secs())]
pub struct TooLate {
    what: String,
    limit: Duration,
}

/// Does something, for so long and no longer: then the work is dropped. `what` says what is waited for.
///
/// # Errors
/// When it is not done in time.
pub async fn within<T>(
    limit: Duration,
    what: impl Into<String>,
    work: impl Future<Output = T>,
) -> Result<T, TooLate> {
    tokio::time::timeout(limit, work).await.map_err(|_| TooLate { what: what.into(), limit })
}
