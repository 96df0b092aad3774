//! A real PostgreSQL, started by whoever runs the tests: root or not.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by it; clippy sees that in test functions only, not in their helpers"
)]

mod life;
mod missing;
mod owners;
mod support;
