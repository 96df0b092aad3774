//! Service processes of the real binary: started, stopped, killed and started again, and gone when their owner is gone.

mod service;
mod watchdog;

pub use service::{Service, ServiceError, ServiceOptions};
pub use watchdog::Watchdog;
