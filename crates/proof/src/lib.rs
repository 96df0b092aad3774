//! Load with a memory, and a checker that holds it against what is stored.
//!
//! A [`Workload`] drives writers and readers of many tenants and streams through gRPC, every decision drawn from a
//! seed, and remembers each call: when it began, when it ended, what was answered. When the load is over and the
//! services are healthy again, [`Contents`] reads what the tables hold, and [`check`] says whether the two agree:
//!
//! - every acknowledged event is there once, in its stream's place, with the bytes that were sent;
//! - what was refused is absent; what was left unknown is there wholly or not at all, and its retry was told the truth;
//! - versions and positions have no gap, and stand in the order of the commits;
//! - a read that began after an acknowledgement sees it, and is a prefix of its stream, without a hole;
//! - no tenant sees another's events; the tables agree where they must.
//!
//! [`verify_chains`] adds what only a service can tell: that the stored hashes are those of the stored rows.
//!
//! `partita-torture` injects faults while the load runs. The checker knows nothing of faults: whatever happens, these
//! sentences must hold.

mod answer;
mod chain;
mod checker;
mod contents;
mod foreign;
pub mod history;
mod limit;
pub mod process;
mod read_back;
mod seed;
mod session;
mod violation;
pub mod workload;

pub use chain::{ChainReport, verify_chains};
pub use checker::{Tables, check};
pub use contents::{Contents, Row, TenantState};
pub use foreign::ForeignWriter;
pub use history::{Call, History, StreamKey};
pub use limit::{TooLate, within};
pub use read_back::read_back;
pub use seed::Seed;
pub use session::{connect, session_options};
pub use violation::{Kind, Violation};
pub use workload::{Counters, Mood, Workload, WorkloadOptions};
