use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use partita_model::{Append, Month, TenantId};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use super::batch::Verdict;
use super::figures;
use super::job::Job;
use super::queue::{FairQueue, Queued};
use super::refusal::{Failure, Refusal};
use super::writer::Writer;
use crate::StoreError;
use crate::partitions::Partitions;

/// When a caller that was turned away should come back.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How often an append that loses races is tried. Each loss means that somebody else made progress.
const RACES_MAX: u32 = 10;

/// A task that owns one connection, and commits all that waits in its queue as one transaction at a time.
pub(super) struct Lane {
    queue: Arc<FairQueue<Job>>,
    partitions: Arc<Partitions>,
    tasks: TaskTracker,
    writer: Writer,
}

impl Lane {
    pub(super) fn new(
        writer: Writer,
        queue: Arc<FairQueue<Job>>,
        partitions: Arc<Partitions>,
        tasks: TaskTracker,
    ) -> Self {
        Self { queue, partitions, tasks, writer }
    }

    /// Works until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        while let Some(jobs) = self.queue.take_batch().await {
            let now = Instant::now();
            let jobs: Vec<Job> = jobs.into_iter().filter_map(|job| job.still_wanted(now)).collect();
            if !jobs.is_empty() {
                self.settle(jobs).await;
            }
        }
        self.writer.close().await;
    }

    /// Commits the batch; a batch that is refused as a whole is tried append by append, so that one poisoned or
    /// contended append fails alone.
    async fn settle(&mut self, jobs: Vec<Job>) {
        match self.commit(&jobs).await {
            Ok(verdicts) => {
                let mut unknown: BTreeMap<TenantId, Vec<Job>> = BTreeMap::new();
                // From the last to the first: what is put back goes in front, and must keep its order.
                for (job, verdict) in jobs.into_iter().zip(verdicts).rev() {
                    if let Some(job) = self.deliver(job, verdict) {
                        unknown.entry(job.append().tenant().clone()).or_default().push(job);
                    }
                }
                for (tenant, jobs) in unknown {
                    self.park(tenant, jobs);
                }
            }
            Err(Failure::Unavailable) => answer_all(jobs, &StoreError::Unavailable),
            Err(Failure::InDoubt(_)) => answer_all(jobs, &StoreError::OutcomeUnknown),
            Err(_) => {
                // A tenant that somebody else keeps locked is waited for once a batch, not once an append.
                let mut locked: HashSet<TenantId> = HashSet::new();
                for job in jobs {
                    let tenant = job.append().tenant().clone();
                    if locked.contains(&tenant) {
                        job.answer(Err(StoreError::Overloaded { retry_after: RETRY_AFTER }));
                    } else if let Alone::Locked = self.settle_alone(job).await {
                        locked.insert(tenant);
                    }
                }
            }
        }
    }

    async fn settle_alone(&mut self, job: Job) -> Alone {
        let mut lost = None;
        for _ in 0..RACES_MAX {
            match self.commit(std::slice::from_ref(&job)).await {
                Ok(mut verdicts) => {
                    if let Some(verdict) = verdicts.pop()
                        && let Some(job) = self.deliver(job, verdict)
                    {
                        self.park(job.append().tenant().clone(), vec![job]);
                    }
                    return Alone::Settled;
                }
                Err(Failure::Race { constraint, event_id }) => lost = Some((constraint, event_id)),
                Err(Failure::NoPartition) => {
                    self.park(job.append().tenant().clone(), vec![job]);
                    return Alone::Settled;
                }
                Err(failure) => {
                    let answer = refuse(job.append(), &failure);
                    job.answer(Err(answer));
                    return if let Failure::Busy = failure { Alone::Locked } else { Alone::Settled };
                }
            }
        }
        // Found nowhere among the tenant's events, and yet taken: another tenant's id, or an index of the legacy
        // table that does not know tenants.
        let answer = match lost {
            Some((_, Some(event_id))) => StoreError::EventIdConflict { event_ids: vec![event_id] },
            // Row security hides which id it was.
            Some((Some(constraint), None)) if self.writer.is_index_of_ids(&constraint).await => {
                let given = job.append().events().filter_map(|event| event.event_id);
                StoreError::EventIdConflict { event_ids: given.collect() }
            }
            Some((Some(constraint), None)) => {
                refuse(job.append(), &Failure::Refused(Refusal::Legacy(constraint)))
            }
            Some((None, None)) | None => StoreError::Overloaded { retry_after: RETRY_AFTER },
        };
        job.answer(Err(answer));
        Alone::Settled
    }

    /// Tells the caller, or puts the append back; gives back one whose tenant has no partitions yet.
    fn deliver(&self, job: Job, verdict: Verdict) -> Option<Job> {
        match verdict {
            Verdict::Answer(answer) => job.answer(answer),
            Verdict::Defer => self.queue.put_back(job),
            Verdict::UnknownTenant => return Some(job),
        }
        None
    }

    /// Sets appends of one tenant, the last one first, aside until their partitions are made, on another connection and
    /// in another task: the lane goes on with the others.
    fn park(&self, tenant: TenantId, jobs: Vec<Job>) {
        let queue = Arc::clone(&self.queue);
        let partitions = Arc::clone(&self.partitions);
        queue.park();
        self.tasks.spawn(async move {
            let ready = make_partitions(&partitions, &tenant, jobs).await;
            queue.unpark(ready);
        });
    }

    async fn commit(&mut self, jobs: &[Job]) -> Result<Vec<Verdict>, Failure> {
        let appends: Vec<&Append> = jobs.iter().map(Queued::append).collect();
        let begun = Instant::now();
        let outcome = self.writer.commit(&appends).instrument(span(jobs)).await;
        figures::note(&appends, begun.elapsed(), &outcome);
        outcome
    }
}

/// The span of a transaction: part of the first of its calls, and followed by the others.
fn span(jobs: &[Job]) -> Span {
    let Some((first, others)) = jobs.split_first() else { return Span::none() };
    let span = tracing::info_span!(
        parent: first.call(),
        "append",
        otel.kind = "client",
        db.system.name = "postgresql",
        db.operation.batch.size = jobs.len(),
    );
    for other in others {
        span.follows_from(other.call());
    }
    span
}

/// What trying an append alone showed.
enum Alone {
    /// It is answered, or goes on elsewhere.
    Settled,
    /// It is answered; its tenant is locked by another session.
    Locked,
}

/// Makes what the appends need, and gives back those that can go on; the others are answered.
async fn make_partitions(partitions: &Partitions, tenant: &TenantId, jobs: Vec<Job>) -> Vec<Job> {
    let floor = match partitions.planned_floor(tenant).await {
        Ok(floor) => floor,
        Err(error) => {
            answer_all(jobs, &error);
            return Vec::new();
        }
    };
    let allowed: Vec<Job> = jobs.into_iter().filter_map(|job| job.allowed_by(tenant, floor)).collect();
    let times =
        allowed.iter().flat_map(|job| job.append().events()).filter_map(|event| event.event_timestamp);
    let months: BTreeSet<Month> = times.map(Month::of).collect();
    if allowed.is_empty() {
        return allowed;
    }
    match partitions.make_for_append(tenant, &months).await {
        Ok(()) => allowed,
        Err(error) => {
            answer_all(allowed, &error);
            Vec::new()
        }
    }
}

fn answer_all(jobs: Vec<Job>, error: &StoreError) {
    for job in jobs {
        job.answer(Err(error.clone()));
    }
}

/// What a caller is told of a failure that trying again will not mend.
fn refuse(append: &Append, failure: &Failure) -> StoreError {
    match failure {
        Failure::Refused(Refusal::Value) => StoreError::Invalid(partita_model::Violations::one(
            append.events_field(),
            "holds a value that the database cannot store",
        )),
        Failure::Refused(Refusal::Legacy(constraint)) => match append.streams().first() {
            Some(first) => {
                StoreError::LegacyConstraint { constraint: constraint.clone(), stream: first.stream.clone() }
            }
            None => StoreError::Internal,
        },
        // Only where the session lost the setting that lets it pass: a pooler between us and the database.
        Failure::Fenced => refuse(append, &Failure::Refused(Refusal::Legacy("event_store_fence".to_owned()))),
        Failure::Forbidden(forbidding) => StoreError::Forbidden(forbidding.clone()),
        Failure::Busy | Failure::OtherPhase(_) => StoreError::Overloaded { retry_after: RETRY_AFTER },
        Failure::Unavailable => StoreError::Unavailable,
        Failure::InDoubt(_) => StoreError::OutcomeUnknown,
        Failure::Race { .. } | Failure::NoPartition | Failure::Defect => StoreError::Internal,
    }
}
