//! Partita's move of a live table, online: history is copied from `event_store` to `event_store_partitioned` while both are
//! written, proved equal, and the fleet is led through the phases, and back. To be deleted once everybody has moved.
//!
//! **Invariant:** progress is a hint. What is left to copy is what an anti-join of the two tables finds, and nothing here
//! takes a counter's word for it.
//!
//! **Invariant:** a page is one statement: the rows, the heads of their streams and the unit's progress are committed
//! together or not at all, and only by the holder of the unit's lease.

mod control;
mod copy;
mod error;
mod figures;
mod migration;
mod moves;
mod pace;
mod plan;
mod quarantine;
mod repair;
mod retry;
mod session;
mod shadow;
mod status;
mod unit;
mod verify;
mod worker;
mod workers;

pub use control::{Limits, Orders, RunState, Tuning};
pub use error::{MigrationError, Refusal};
pub use migration::Migration;
pub use moves::{Move, Restoring};
pub use plan::{Plan, PlannedMonth};
pub use quarantine::{Accepted, QuarantinedRow};
pub use repair::{Repair, RepairStep};
pub use shadow::{Shadow, ShadowConfig, ShadowTally};
pub use status::{BusyUnit, Instance, Progress, Status};
pub use unit::Direction;
pub use verify::{Mismatch, MismatchReason, UnitReport, VerifyOptions, VerifyReport, VerifySummary};
pub use workers::{WorkerConfig, Workers};
