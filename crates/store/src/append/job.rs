use partita_model::{Append, Appended, TenantId, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use super::decide::check_floor;
use super::lane::RETRY_AFTER;
use super::queue::Queued;
use crate::StoreError;

/// An append on its way through a lane, and whom to tell.
pub(super) struct Job {
    append: Append,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Vec<Appended>, StoreError>>,
    /// How often partitions were made for it.
    partitions_made: u32,
    /// The call that it came by, for traces.
    call: Span,
}

/// How often partitions are made for one append: its months may be dropped again before it is written.
const PARTITIONS_MADE_MAX: u32 = 2;

impl Job {
    pub(super) fn new(
        append: Append,
        deadline: Option<Instant>,
        reply: oneshot::Sender<Result<Vec<Appended>, StoreError>>,
    ) -> Self {
        Self { append, deadline, reply, partitions_made: 0, call: Span::current() }
    }

    /// The call that it came by.
    pub(super) fn call(&self) -> &Span {
        &self.call
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

    /// The job itself while partitions may be made for it: not below its tenant's floor, and not again and again. Otherwise
    /// it is answered.
    pub(super) fn allowed_by(mut self, tenant: &TenantId, floor: Option<Timestamp>) -> Option<Self> {
        self.partitions_made += 1;
        if self.partitions_made > PARTITIONS_MADE_MAX {
            self.answer(Err(StoreError::PartitionUnavailable {
                tenant: tenant.clone(),
                retry_after: RETRY_AFTER,
                blockers: Vec::new(),
            }));
            return None;
        }
        match check_floor(&self.append, floor) {
            Ok(()) => Some(self),
            Err(refused) => {
                self.answer(Err(refused));
                None
            }
        }
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
