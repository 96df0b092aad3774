//! Partita over gRPC and a real PostgreSQL. Every test is a claim; every file is named after a topic or a trouble.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by them; clippy sees that in test functions only, not in what they share"
)]

mod append;
