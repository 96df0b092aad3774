use partita_model::FindEvents;
use partita_proto::v1;
use partita_store::{Store, StoreError};
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::deadline::CallDeadline;
use crate::status::refuse;

/// Tells which events are recorded, by their ids.
pub(crate) async fn get_append_result(
    store: &Store,
    request: Request<v1::GetAppendResultRequest>,
) -> Result<Response<v1::GetAppendResultResponse>, Status> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let find = FindEvents::parse(request.into_inner().into())
        .map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    Span::current().record("tenant", find.tenant.as_str());
    let found = store.find_events(&find, deadline).await.map_err(|error| refuse(&error))?;
    Ok(Response::new(v1::GetAppendResultResponse::new(&find, found)))
}
