use std::time::{Duration, Instant};

/// Longer than anything takes that a test waits for, on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(100);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until the condition holds, and fails the test after 100 s.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < LIMIT, "not within {} s: {what}", LIMIT.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}
