use partita_model::{Append, Appended};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue::Queued;
use crate::StoreError;

/// An append on its way through a lane, and whom to tell.
pub(super) struct Job {
    append: Append,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Vec<Appended>, StoreError>>,
    /// How often partitions were made for it.
    pub(super) partitions_made: u32,
}

impl Job {
    pub(super) fn new(
        append: Append,
        deadline: Option<Instant>,
        reply: oneshot::Sender<Result<Vec<Appended>, StoreError>>,
    ) -> Self {
        Self { append, deadline, reply, partitions_made: 0 }
    }

    /// The job itself while its caller still waits and its deadline has not passed; otherwise it is answered, and
    /// is certainly not applied.
    pub(super) fn still_wanted(self, now: Instant) -> Option<Self> {
        if self.reply.is_closed() {
            return None;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.answer(Err(StoreError::DeadlineExceeded));
            return None;
        }
        Some(self)
    }

    /// Tells the caller. One that went away after its append was taken misses the answer; the append stands.
    pub(super) fn answer(self, answer: Result<Vec<Appended>, StoreError>) {
        drop(self.reply.send(answer));
    }
}

impl Queued for Job {
    fn append(&self) -> &Append {
        &self.append
    }
}
