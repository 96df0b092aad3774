use std::time::Duration;

use partita_model::Append;
use partita_proto::v1;
use partita_store::{Store, StoreError};
use tonic::{Request, Response, Status};

use crate::append::hand_over;
use crate::deadline::CallDeadline;
use crate::status::refuse;
use crate::trace::CallTrace;

/// Appends to several streams of one tenant, to all of them or to none.
pub(crate) async fn append_streams(
    store: &Store,
    append_timeout: Duration,
    request: Request<v1::AppendStreamsRequest>,
) -> Result<Response<v1::AppendStreamsResponse>, Status> {
    let call_deadline = CallDeadline::of(request.extensions());
    let trace = CallTrace::noted(request.extensions());
    let mut message = request.into_inner();
    trace.keep_in(message.context.as_mut());
    let append = Append::parse_streams(message.into())
        .map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let appended = hand_over(store, append_timeout, call_deadline, append).await?;
    Ok(Response::new(appended.into()))
}
