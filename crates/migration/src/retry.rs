//! Short statements that give way to other sessions, and are tried again.

use std::time::Duration;

use crate::error::is_contention;

/// How often a statement that met a lock is tried.
const ATTEMPTS_MAX: u32 = 40;

/// The attempts at one statement.
pub(crate) struct Attempts(u32);

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(1)
    }

    /// Whether it is to be tried again after this error; waits for a moment if so.
    pub(crate) async fn again_after(&mut self, error: &sqlx::Error) -> bool {
        if !is_contention(error) || self.0 >= ATTEMPTS_MAX {
            return false;
        }
        self.0 += 1;
        tokio::time::sleep(Duration::from_millis(5 + rand::random_range(0..100))).await;
        true
    }
}

/// Runs a statement until it meets no lock any more. A macro, for a closure that borrows its connection is not `Send`.
macro_rules! retry {
    ($statement:expr) => {{
        let mut attempts = $crate::retry::Attempts::new();
        loop {
            match $statement.await {
                Err(error) if attempts.again_after(&error).await => {}
                outcome => break outcome.map_err($crate::MigrationError::from),
            }
        }
    }};
}
pub(crate) use retry;
