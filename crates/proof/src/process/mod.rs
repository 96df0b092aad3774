//! Service processes of the real binary: started, stopped, killed and started again, and gone when their owner is gone.
//! Other programs are run to their end, for so long and no longer.

mod output;
mod service;
mod watchdog;

pub use output::output;
pub use service::{Service, ServiceError, ServiceOptions};
pub use watchdog::Watchdog;
