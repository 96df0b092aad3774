//! Partita's gRPC services: each call in a file of its own, one mapping of errors, health, and the way out.
//!
//! [`serve`] takes its listener, its store and its stop signal as arguments; it reads no environment and opens no
//! port. **Invariant:** a [`tonic::Status`] is built in `status.rs` and nowhere else.

mod append;
mod append_pipeline;
mod append_streams;
mod arrival;
pub mod auth;
mod check_partitions;
mod config;
mod connection;
mod deadline;
#[cfg(test)]
mod fuzz;
mod gate;
mod get_append_result;
mod health;
pub mod limits;
mod list_partitions;
mod maintain_partitions;
mod memory;
mod migration;
mod ops;
mod page_token;
mod partition_message;
mod pipeline_queue;
mod purge_legacy;
mod read_stream;
mod restore_partition;
mod serve;
mod service;
mod set_legal_hold;
mod set_retention;
mod shed;
mod status;
mod tls;
mod trace;
mod verify_chain;
mod watch;

pub use config::{LimitConfig, ServerConfig};
pub use memory::serve_in_memory;
pub use ops::{ProbeState, Probes, serve_ops};
pub use serve::{ServeError, serve};
pub use tls::{TlsConfig, TlsError};
