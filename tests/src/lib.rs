//! The harness of Partita's tests: a real PostgreSQL, a database a test, servers in this process, short calls.
//!
//! A test reads like this:
//!
//! ```text
//! let database = TestDatabase::new().await;
//! let server = TestServer::start(&database, true).await;
//! server.append("acme", "order", "1").expected(no_stream()).event("OrderPlaced").ok().await;
//! let refusal = server.append("acme", "order", "1").expected(exact(9)).event("OrderPaid").refused().await;
//! assert_eq!(refusal.reason, "VERSION_CONFLICT");
//! ```
//!
//! What must hold in every phase is a function of a [`Setting`], made into six tests by [`in_every_phase`], and into three more
//! with services behind row security.
//!
//! PostgreSQL is booted once a process, by the first test that asks, and ends with the process. To use another one,
//! set `DATABASE_URL` to a superuser's; what a run leaves there is named `partita_test_*`. To choose the programs
//! that are booted, set `PARTITA_POSTGRES_BIN`.
//!
//! **Invariant:** nothing waits for ever: sessions, calls, answers and processes have limits, and a test that takes minutes ends
//! the run and says what its database is busy with.
//!
//! **Invariant:** tests share nothing but the server process of PostgreSQL: each has its own database, and its own
//! runtime.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by them; clippy sees that in test functions only, not in what they share"
)]

mod append;
mod authority;
mod backfill;
mod database;
mod foreign;
mod hold;
mod instant;
mod issuer;
mod login;
mod maintenance;
mod messages;
mod migration;
mod ops;
mod phase;
mod postgres;
mod proxy;
mod read;
mod refusal;
mod server;
mod setting;
mod shadow;
mod soundness;
mod verify;
mod wait;
mod watch;

pub use append::{AppendCall, any, exact, no_stream, standing_at, stream_exists};
pub use authority::{Authority, Issued};
pub use backfill::{History, UNTHROTTLED, Verified};
pub use database::TestDatabase;
pub use foreign::ForeignEvent;
pub use hold::TenantHold;
pub use instant::{at, month, months, until_month_is_young};
pub use issuer::Issuer;
pub use login::behind_row_security;
pub use maintenance::Maintenance;
pub use messages::messages;
pub use migration::Workforce;
pub use ops::{Ops, metric};
pub use partita_faults::{Cut, Statement};
pub use phase::PhaseChange;
pub use proxy::Proxy;
pub use read::{Answer, ReadCall};
pub use refusal::Refusal;
pub use server::{LOCK_LIMIT, TestServer};
pub use setting::Setting;
pub use shadow::TestShadow;
pub use verify::{Found, Verification};
pub use wait::eventually;
