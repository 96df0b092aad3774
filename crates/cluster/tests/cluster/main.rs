//! A real PostgreSQL, started by whoever runs the tests: root or not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by them; clippy sees that in test functions only, not in their helpers"
)]

mod life;
mod missing;
mod owners;
mod support;
