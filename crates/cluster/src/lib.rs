//! A private PostgreSQL cluster: found or fetched, initialised, started, and gone when its owner is gone.
//!
//! `partita dev` lives on one, and every test that needs a database boots one. [`Search`] finds the programs,
//! [`Cluster::start`] makes a running server out of them. It listens on 127.0.0.1 alone, under a random password.
//!
//! **Invariant:** no PostgreSQL outlives the process that started it, even one ended by `kill -9`: a watchdog
//! holds the other end of a pipe (`watchdog.sh`).
//!
//! **Invariant:** one owner a folder. The owner holds an exclusive lock on the folder's `lock` file, and waits
//! for a server that a dead owner left behind to be gone.
//!
//! **Invariant:** a folder named `pgdata` is a whole cluster. It is initialised under another name and renamed.

#![cfg(unix)]

mod account;
mod cluster;
mod error;
mod fetch;
mod folder;
mod initialise;
mod installation;
mod log;
mod options;
mod pid_file;
mod postmaster;
mod search;
mod watchdog;

pub use cluster::{Cluster, DATABASE, HOST, SUPERUSER};
pub use error::ClusterError;
pub use installation::{Installation, PgVersion, VERSION_MIN};
pub use options::{ClusterOptions, DataDir};
pub use search::Search;
