use std::sync::Arc;
use std::time::Duration;

use partita_model::Timestamp;
use partita_proto::v1::expected_version::{Any, Expected};
use partita_proto::v1::{AppendRequest, AppendResponse, AuditContext, ErrorReason, ExpectedVersion};
use tokio::time::Instant;
use tonic::Status;

use crate::client::{self, Channel, Refusal};
use crate::commands::import::line::{ImportEvent, StreamKey};
use crate::commands::import::pipe::Pipe;
use crate::commands::import::queue::Group;
use crate::commands::import::step::{Step, step};
use crate::failure::Failure;

/// How long one append is repeated before the import gives up: longer than a restart or a failover takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// The first pause, doubled with each repetition up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Sends groups; one an append, or more where the server does not take it whole.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pipe: Pipe,
}

/// What became of a group.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) stream: Arc<StreamKey>,
    pub(super) appended: u64,
    pub(super) already_recorded: u64,
    pub(super) refused: Vec<RefusedEvent>,
    /// Why the import cannot go on.
    pub(super) fatal: Option<Failure>,
}

/// An event that the server does not take.
#[derive(Debug)]
pub(super) struct RefusedEvent {
    pub(super) line: u64,
    /// Name of the reason, to count by.
    pub(super) reason: String,
    pub(super) text: String,
}

impl Sender {
    pub(super) fn new(channel: Channel) -> Self {
        Self { pipe: Pipe::new(channel) }
    }

    /// Sends a group. Parts are settled one after the other, in order: no event overtakes an earlier one.
    pub(super) async fn send(self, group: Group) -> Outcome {
        let Group { stream, context, events } = group;
        let mut outcome = Outcome::new(stream.clone());
        // The next part is the last of the list.
        let mut parts = vec![events];
        while let Some(mut part) = parts.pop() {
            let refusal = match self.append(&stream, &context, &part).await {
                Ok(response) => {
                    outcome.count(part.len(), response.replayed);
                    continue;
                }
                Err(status) => status,
            };
            let (refusal, status) = (Refusal::from(refusal.clone()), refusal);
            if step(&refusal) != Step::Divide {
                outcome.fatal = Some(client::failure("append not confirmed", status));
                break;
            }
            let sent = part.len();
            if let Some(floor) = floor(&refusal) {
                part = outcome.refuse_below(floor, part, &refusal);
            }
            if part.len() < sent {
                parts.extend(Some(part).filter(|rest| !rest.is_empty()));
            } else if part.len() == 1 {
                outcome.refuse(part, &refusal);
            } else {
                let later = part.split_off(part.len() / 2);
                parts.extend([later, part]);
            }
        }
        outcome
    }

    /// One append, repeated while that helps. Every event has an id, so no repetition records it twice.
    async fn append(
        &self,
        stream: &StreamKey,
        context: &AuditContext,
        events: &[ImportEvent],
    ) -> Result<AppendResponse, Status> {
        let request = AppendRequest {
            tenant_id: stream.tenant_id.clone(),
            aggregate_type: stream.aggregate_type.clone(),
            aggregate_id: stream.aggregate_id.clone(),
            expected_version: Some(ExpectedVersion { expected: Some(Expected::Any(Any {})) }),
            events: events.iter().map(|event| event.event.clone()).collect(),
            context: Some(context.clone()),
        };
        let give_up = Instant::now() + PATIENCE;
        let mut pause = PAUSE_MIN;
        loop {
            let status = match self.pipe.append(request.clone()).await {
                Ok(response) => return Ok(response),
                Err(status) => status,
            };
            let refusal = Refusal::from(status.clone());
            if step(&refusal) != Step::Repeat || Instant::now() > give_up {
                return Err(status);
            }
            let asked = refusal.retry_after().unwrap_or_default();
            // Between half and all of the pause, so that those who were turned away together do not come back so.
            tokio::time::sleep(asked + pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Outcome {
    fn new(stream: Arc<StreamKey>) -> Self {
        Self { stream, appended: 0, already_recorded: 0, refused: Vec::new(), fatal: None }
    }

    fn count(&mut self, events: usize, replayed: bool) {
        let counter = if replayed { &mut self.already_recorded } else { &mut self.appended };
        *counter += events as u64;
    }

    fn refuse(&mut self, events: Vec<ImportEvent>, refusal: &Refusal) {
        self.refused.extend(events.into_iter().map(|event| RefusedEvent {
            line: event.line,
            reason: refusal.name(),
            text: refusal.line(),
        }));
    }

    /// Refuses what lies below the floor and gives back the rest.
    fn refuse_below(
        &mut self,
        floor: Timestamp,
        events: Vec<ImportEvent>,
        refusal: &Refusal,
    ) -> Vec<ImportEvent> {
        let (below, rest): (Vec<_>, _) =
            events.into_iter().partition(|event| event.time.is_some_and(|time| time < floor));
        self.refused.extend(below.into_iter().map(|event| RefusedEvent {
            line: event.line,
            reason: refusal.name(),
            text: format!("event_timestamp lies below the floor {floor} of its tenant"),
        }));
        rest
    }
}

/// The tenant's floor, from a refusal that names it: a whole file of old events is then sorted out in one answer a
/// group, not one an event.
fn floor(refusal: &Refusal) -> Option<Timestamp> {
    if refusal.reason() != Some(ErrorReason::BelowFloor) {
        return None;
    }
    refusal.metadata("floor").and_then(|floor| Timestamp::parse_rfc3339(floor).ok())
}
