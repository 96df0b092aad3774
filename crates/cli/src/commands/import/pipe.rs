use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use partita_proto::v1::append_pipeline_response::Result as Answer;
use partita_proto::v1::event_store_service_client::EventStoreServiceClient;
use partita_proto::v1::{AppendFailure, AppendPipelineRequest, AppendRequest, AppendResponse, ErrorReason};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::client::{self, Channel};

/// The largest message that a server takes. One that is larger would end the call for all appends in it.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An answer that takes longer is given up, and the call with it: longer than the server lets an append wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const DOMAIN: &str = "partita.v1";

/// One pipeline that all senders share; a new one takes its place when it ends.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    client: EventStoreServiceClient<Channel>,
    call: Arc<Mutex<Option<Arc<Call>>>>,
}

/// A call that is open.
#[derive(Debug)]
struct Call {
    waiting: Mutex<Waiting>,
}

/// Who waits for which answer.
#[derive(Debug)]
struct Waiting {
    sequence: u64,
    answers: HashMap<u64, oneshot::Sender<Result<AppendResponse, Status>>>,
    /// The sending side, until the call ends.
    requests: Result<mpsc::UnboundedSender<AppendPipelineRequest>, Status>,
}

impl Pipe {
    pub(super) fn new(channel: Channel) -> Self {
        Self { client: client::events(channel), call: Arc::default() }
    }

    /// Sends an append and waits for its answer.
    ///
    /// # Errors
    /// What the server answers. When the call ends without an answer: a status that promises nothing.
    pub(super) async fn append(&self, append: AppendRequest) -> Result<AppendResponse, Status> {
        let bytes = append.encoded_len();
        // The frame around the append takes a few bytes of its own.
        if bytes + 64 > MESSAGE_BYTES_MAX {
            let message = format!("the append is {bytes} bytes long, a message may have {MESSAGE_BYTES_MAX}");
            return Err(Status::out_of_range(message));
        }
        let call = self.open();
        let answer = call.send(append)?;
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Status::unavailable("the call ended without an answer")),
            Err(_) => {
                call.end(&Status::deadline_exceeded("an append of the call was not answered in time"));
                Err(Status::deadline_exceeded("not answered in time"))
            }
        }
    }

    /// The call that is open, or a new one.
    fn open(&self) -> Arc<Call> {
        let mut current = lock(&self.call);
        if let Some(call) = current.as_ref().filter(|call| lock(&call.waiting).requests.is_ok()) {
            return Arc::clone(call);
        }
        let (requests, stream) = mpsc::unbounded_channel();
        let waiting = Waiting { sequence: 0, answers: HashMap::new(), requests: Ok(requests) };
        let call = Arc::new(Call { waiting: Mutex::new(waiting) });
        *current = Some(Arc::clone(&call));
        let (mut client, answered) = (self.client.clone(), Arc::clone(&call));
        tokio::spawn(async move {
            let ended = match client.append_pipeline(UnboundedReceiverStream::new(stream)).await {
                Ok(answers) => answered.follow(answers.into_inner()).await,
                Err(status) => status,
            };
            answered.end(&unanswered(&ended));
        });
        call
    }
}

impl Call {
    fn send(
        &self,
        append: AppendRequest,
    ) -> Result<oneshot::Receiver<Result<AppendResponse, Status>>, Status> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        let requests = waiting.requests.clone()?;
        waiting.sequence += 1;
        let sequence = waiting.sequence;
        waiting.answers.insert(sequence, sender);
        // A call whose other end is gone ends soon, and tells whoever waits.
        drop(requests.send(AppendPipelineRequest { sequence, append: Some(append) }));
        Ok(receiver)
    }

    /// Hands out the answers as they come; gives how the call ended.
    async fn follow(
        &self,
        mut answers: tonic::Streaming<partita_proto::v1::AppendPipelineResponse>,
    ) -> Status {
        loop {
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => return Status::unavailable("the server ended the call"),
                Err(status) => return status,
            };
            let result = match answer.result {
                Some(Answer::Appended(appended)) => Ok(appended),
                Some(Answer::Failure(failure)) => Err(status(failure)),
                None => Err(Status::unknown("an answer of a newer server")),
            };
            if let Some(waiting) = lock(&self.waiting).answers.remove(&answer.sequence) {
                // Whoever gave up does not listen any more.
                drop(waiting.send(result));
            }
        }
    }

    /// Tells everybody who waits, and lets nobody wait any more.
    fn end(&self, ended: &Status) {
        let mut waiting = lock(&self.waiting);
        waiting.requests = Err(ended.clone());
        for (_, answer) in waiting.answers.drain() {
            drop(answer.send(Err(ended.clone())));
        }
    }
}

/// What the end of a call says of an append that it did not answer. A code that would blame the append is not about it.
fn unanswered(ended: &Status) -> Status {
    match ended.code() {
        Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => {
            ended.clone()
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Status::unavailable(ended.message()),
    }
}

/// The status that a single append would have been answered with.
fn status(failure: AppendFailure) -> Status {
    let reason = failure.reason();
    let mut details = ErrorDetails::new();
    // A reason that this program does not know is left out: then the code decides.
    if reason != ErrorReason::Unspecified {
        let name = reason.as_str_name().trim_start_matches("ERROR_REASON_");
        details.set_error_info(name, DOMAIN, failure.metadata);
    }
    let violations = failure.field_violations.into_iter();
    let violations: Vec<_> = violations.map(|one| FieldViolation::new(one.field, one.description)).collect();
    if !violations.is_empty() {
        details.set_bad_request(violations);
    }
    if let Some(delay) = failure.retry_after.and_then(|delay| Duration::try_from(delay).ok()) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(Code::from(failure.code), failure.message, details)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics half way; a poisoned lock still guards a whole value.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Refusal;
    use crate::commands::import::step::{Step, step};

    #[test]
    fn a_failure_is_read_as_the_status_of_a_single_append() {
        let failure = AppendFailure {
            code: Code::ResourceExhausted as i32,
            reason: ErrorReason::Overloaded.into(),
            message: "too many appends are waiting".to_owned(),
            retry_after: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }),
            ..AppendFailure::default()
        };
        let refusal = Refusal::from(status(failure));
        assert_eq!(refusal.reason(), Some(ErrorReason::Overloaded));
        assert_eq!(refusal.retry_after(), Some(Duration::from_millis(100)));
    }

    #[test]
    fn the_end_of_a_call_is_nobodys_fault() {
        for code in [Code::OutOfRange, Code::InvalidArgument, Code::Unavailable, Code::Internal] {
            let refusal = Refusal::from(unanswered(&Status::new(code, "")));
            assert_eq!(step(&refusal), Step::Repeat, "{code:?}");
        }
        assert_eq!(step(&Refusal::from(unanswered(&Status::unimplemented("")))), Step::GiveUp);
    }
}
