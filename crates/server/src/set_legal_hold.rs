use partita_model::limits::{FLOOR_REASON_CHARS_MAX, ID_CHARS_MAX};
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_store::{Store, StoreError};
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::partition_message::{check_text, retention};
use crate::status::refuse;

/// Puts a tenant under legal hold, or releases it.
pub(crate) async fn set_legal_hold(
    store: &Store,
    request: Request<v1::SetLegalHoldRequest>,
) -> Result<Response<v1::SetLegalHoldResponse>, Status> {
    let request = request.into_inner();
    let tenant = parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    Span::current().record("tenant", tenant.as_str());
    let set = store
        .partitions()
        .set_legal_hold(&tenant, request.legal_hold, &request.user_id, &request.reason)
        .await
        .map_err(|error| refuse(&error))?;
    Ok(Response::new(v1::SetLegalHoldResponse { retention: Some(retention(set)) }))
}

pub(crate) fn parse(request: &v1::SetLegalHoldRequest) -> Result<TenantId, Violations> {
    let mut violations = Violations::default();
    let tenant = violations.check("tenant_id", TenantId::parse(request.tenant_id.as_str()));
    violations.check("user_id", check_text(&request.user_id, ID_CHARS_MAX));
    violations.check("reason", check_text(&request.reason, FLOOR_REASON_CHARS_MAX));
    match tenant {
        Some(tenant) if violations.is_empty() => Ok(tenant),
        _ => Err(violations),
    }
}
