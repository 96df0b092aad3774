use std::future::Future;

use tonic::Status;

/// One client of a load: makes a call, waits for its answer, makes the next.
pub(super) trait Caller: Send + 'static {
    /// One call; gives the events that it moved.
    fn call(&mut self) -> impl Future<Output = Result<u64, Status>> + Send;
}
