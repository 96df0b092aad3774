//! Faults between a service and its database, for tests and for `partita-torture`. No part of what is shipped.
//!
//! A [`Proxy`] carries the bytes of PostgreSQL's protocol (manual, chapter 55), and knows enough of it to cut a
//! connection before, in the middle of, or right behind the statement that commits.

mod connection;
mod message;
mod plan;
mod proxy;

pub use plan::{Cut, Statement};
pub use proxy::Proxy;
