use std::time::Duration;

use partita_model::{Append, Appended};
use partita_proto::v1;
use partita_store::{Store, StoreError};
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::deadline::CallDeadline;
use crate::status::refuse;
use crate::trace::CallTrace;

/// Appends events to one stream.
pub(crate) async fn append(
    store: &Store,
    append_timeout: Duration,
    request: Request<v1::AppendRequest>,
) -> Result<Response<v1::AppendResponse>, Status> {
    let call_deadline = CallDeadline::of(request.extensions());
    let trace = CallTrace::noted(request.extensions());
    let mut message = request.into_inner();
    trace.keep_in(message.context.as_mut());
    let append =
        Append::parse(message.into()).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let appended = hand_over(store, append_timeout, call_deadline, append).await?;
    match appended.into_iter().next() {
        Some(appended) => Ok(Response::new(appended.into())),
        // One stream was appended to, so there is one answer; without it nothing is known.
        None => Err(refuse(&StoreError::OutcomeUnknown)),
    }
}

/// Gives the store an append of a call that has no other. It waits for its turn until the caller's deadline,
/// `append_timeout` at most; once the store has taken it up, it is finished whether or not the caller still listens.
pub(crate) async fn hand_over(
    store: &Store,
    append_timeout: Duration,
    call_deadline: Option<CallDeadline>,
    append: Append,
) -> Result<Vec<Appended>, Status> {
    Span::current().record("tenant", append.tenant().as_str());
    let now = Instant::now();
    let mut deadline = now + append_timeout;
    if let Some(call_deadline) = call_deadline {
        // A caller that has given up is told for certain that nothing was applied.
        if call_deadline.at() <= now {
            return Err(refuse(&StoreError::DeadlineExceeded));
        }
        deadline = deadline.min(call_deadline.at());
        call_deadline.append_handed_over();
    }
    store.append(append, Some(deadline)).await.map_err(|error| refuse(&error))
}
