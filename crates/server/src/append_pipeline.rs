use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use partita_model::Append;
use partita_proto::v1;
use partita_proto::v1::append_pipeline_response::Result as Answer;
use partita_store::{Store, StoreError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::Extensions;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::{Instrument, Span};

use crate::deadline::CallDeadline;
use crate::gate::Gate;
use crate::pipeline_queue::{Pending, PipelineQueue, StreamKey};
use crate::service::Messages;
use crate::status::{append_denied, append_failure, append_overdue, overdue, refuse, too_long};
use crate::trace::CallTrace;

/// Appends what comes in, many at a time, and answers each as soon as it is settled.
///
/// It all happens while the answers are polled: no task, and no buffer but what is in flight. A client that does not
/// take its answers is not read from either. When the call is cut, the store finishes what it has taken up, and takes
/// back what still waits.
pub(crate) fn append_pipeline(
    store: &Store,
    gate: &Gate,
    append_timeout: Duration,
    shutdown: &CancellationToken,
    request: Request<Streaming<v1::AppendPipelineRequest>>,
) -> Response<Messages<v1::AppendPipelineResponse>> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let pipeline = Pipeline {
        store: store.clone(),
        gate: gate.clone(),
        extensions: request.extensions().clone(),
        append_timeout,
        shutdown: shutdown.clone(),
        deadline,
        trace: CallTrace::noted(request.extensions()),
        requests: request.into_inner(),
        queue: PipelineQueue::default(),
        running: FuturesUnordered::new(),
        end: None,
    };
    let span = Span::current();
    let messages = stream::try_unfold(pipeline, move |pipeline| pipeline.next().instrument(span.clone()));
    Response::new(Box::pin(messages))
}

type Settled = (StreamKey, v1::AppendPipelineResponse);
type Running = FuturesUnordered<Pin<Box<dyn Future<Output = Settled> + Send>>>;

/// What is left of a call.
struct Pipeline {
    store: Store,
    gate: Gate,
    /// Of the call: whose it is.
    extensions: Extensions,
    append_timeout: Duration,
    shutdown: CancellationToken,
    deadline: Option<Instant>,
    trace: CallTrace,
    requests: Streaming<v1::AppendPipelineRequest>,
    queue: PipelineQueue,
    running: Running,
    /// How the call ends once everything in flight is answered. None: there is more to read.
    end: Option<Result<(), Status>>,
}

/// What happened next in a call.
enum Event {
    Settled(Settled),
    Received(v1::AppendPipelineRequest),
    /// Nothing more is read, for this reason.
    Closed(Result<(), Status>),
    DeadlinePassed,
}

impl Pipeline {
    /// The next answer and the rest; none when the client has closed its side and everything is answered.
    async fn next(mut self) -> Result<Option<(v1::AppendPipelineResponse, Self)>, Status> {
        loop {
            while let Some((key, pending)) = self.queue.take() {
                self.running.push(Box::pin(settle(self.store.clone(), key, pending)));
            }
            if self.running.is_empty()
                && let Some(end) = self.end.take()
            {
                return end.map(|()| None);
            }
            match self.wait().await {
                Event::Settled((key, response)) => {
                    self.queue.settled(&key);
                    return Ok(Some((response, self)));
                }
                Event::Received(request) => {
                    if let Some(refused) = self.take_in(request) {
                        return Ok(Some((refused, self)));
                    }
                }
                Event::Closed(end) => self.end = Some(end),
                // Something that is in flight may be recorded; without anything, all of it is answered.
                Event::DeadlinePassed if self.running.is_empty() => return Err(overdue()),
                Event::DeadlinePassed => return Err(append_overdue()),
            }
        }
    }

    async fn wait(&mut self) -> Event {
        let reading = self.end.is_none();
        let has_room = self.queue.has_room();
        tokio::select! {
            // Answers first: each makes room, and a caller may wait for it before it sends more.
            biased;
            Some(settled) = self.running.next(), if !self.running.is_empty() => Event::Settled(settled),
            () = passed(self.deadline) => Event::DeadlinePassed,
            () = self.shutdown.cancelled(), if reading => {
                Event::Closed(Err(refuse(&StoreError::ShuttingDown)))
            }
            request = self.requests.message(), if reading && has_room => match request {
                Ok(Some(request)) => Event::Received(request),
                Ok(None) => Event::Closed(Ok(())),
                Err(status) if status.code() == Code::OutOfRange => Event::Closed(Err(too_long())),
                Err(status) => Event::Closed(Err(status)),
            },
        }
    }

    /// Puts an append in its place, or gives the answer to one that is wrong in itself.
    fn take_in(&mut self, request: v1::AppendPipelineRequest) -> Option<v1::AppendPipelineResponse> {
        let v1::AppendPipelineRequest { sequence, append } = request;
        // Without an append nothing of it is there: each of its required fields is named.
        let mut append = append.unwrap_or_default();
        if let Err(denied) = self.gate.append(&self.extensions, &append.tenant_id) {
            let failure = append_denied(&denied);
            return Some(v1::AppendPipelineResponse { sequence, result: Some(Answer::Failure(failure)) });
        }
        self.trace.keep_in(append.context.as_mut());
        match Append::parse(append.into()) {
            Ok(append) => {
                // Counted from here on, however long those before it in its stream take.
                let deadline = Instant::now() + self.append_timeout;
                let deadline = self.deadline.map_or(deadline, |at| deadline.min(at));
                self.queue.push(Pending { sequence, append, deadline });
                None
            }
            Err(violations) => {
                let failure = append_failure(&StoreError::Invalid(violations));
                Some(v1::AppendPipelineResponse { sequence, result: Some(Answer::Failure(failure)) })
            }
        }
    }
}

/// Ends when the deadline has passed; never without one.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn settle(store: Store, key: StreamKey, pending: Pending) -> Settled {
    let Pending { sequence, append, deadline } = pending;
    let appended = store.append(append, Some(deadline)).await;
    let appended = appended.and_then(|streams| streams.into_iter().next().ok_or(StoreError::OutcomeUnknown));
    let result = match appended {
        Ok(appended) => Answer::Appended(appended.into()),
        Err(error) => Answer::Failure(append_failure(&error)),
    };
    (key, v1::AppendPipelineResponse { sequence, result: Some(result) })
}
