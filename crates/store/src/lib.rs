//! Partita's PostgreSQL store: append, read, partitions.
//!
//! Statements stand in `sql/`, one a file, and are checked against the schema when this crate is compiled.

pub mod adoption;
mod append;
mod config;
mod connect;
pub mod doctor;
mod error;
mod find;
mod instance;
mod maintenance;
pub mod metrics;
mod observer;
mod partitions;
mod phase;
#[cfg(feature = "planted-bugs")]
mod planted;
mod positions;
mod read;
pub mod row_security;
pub mod schema;
mod sessions;
mod start;
mod store;
mod verify;

pub use config::{DatabaseUrl, LaneConfig, StoreConfig};
pub use error::{Forbidding, Outcome, StoreError, VersionConflict};
pub use maintenance::{MaintenanceConfig, MaintenanceMode};
pub use partitions::{
    ActionKind, Blocker, FindingKind, LegacyPurge, MaintenanceRequest, PageKey, PartitionAction,
    PartitionFinding, PartitionSize, PartitionState, Partitions, PurgeRequest, PurgeStep, Restored,
    Retention, SurveyedTenant, TenantMaintenance,
};
pub use read::{ReadRange, StreamReader};
pub use row_security::RowSecurity;
pub use start::{SCHEMA_NEWER_MAX, StartError};
pub use store::Store;
pub use verify::{ChainFinding, ChainStep, ChainTable, ChainVerifier, Fault};
