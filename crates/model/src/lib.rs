//! The words and rules of Partita, without I/O.
//!
//! Types carry the rules: a [`TenantId`] or an [`Append`] that exists has been checked, and `parse` is the
//! only door. Time, randomness and the database are the business of other crates.

mod append;
mod audit;
mod chain;
mod find;
#[cfg(test)]
mod fuzz;
mod hash;
mod json;
pub mod limits;
mod month;
mod names;
mod phase;
mod read;
mod recorded;
mod timestamp;
mod version;
mod violation;

pub use append::{Append, AppendDraft, EventDraft, NewEvent, StreamAppend, StreamDraft};
pub use audit::{AuditContext, ContextDraft};
pub use chain::{ChainCheck, ChainFault, Checked, is_intact};
pub use find::{FindDraft, FindEvents};
pub use hash::{HASH_SCHEME, HashInput, event_hash, is_partita_hash};
pub use json::{JsonDocument, JsonError};
pub use month::Month;
pub use names::{StreamId, TenantId};
pub use phase::{ControlPhase, Phase, PhaseContradiction};
pub use read::{Direction, ReadDraft, ReadStream};
pub use recorded::{Appended, AppendedEvent, FoundEvent, RecordedEvent, StreamState};
pub use timestamp::Timestamp;
pub use uuid::Uuid;
pub use version::{ExpectedVersion, Version};
pub use violation::{Violation, Violations};
