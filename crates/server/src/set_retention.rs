use partita_model::limits::{FLOOR_REASON_CHARS_MAX, ID_CHARS_MAX, RETENTION_MONTHS_MAX};
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_store::{Store, StoreError};
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::partition_message::{check_text, parse_months, retention};
use crate::status::refuse;

/// Sets how long a tenant's events are kept.
pub(crate) async fn set_retention(
    store: &Store,
    request: Request<v1::SetRetentionRequest>,
) -> Result<Response<v1::SetRetentionResponse>, Status> {
    let request = request.into_inner();
    let (tenant, months) = parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    Span::current().record("tenant", tenant.as_str());
    let set = store
        .partitions()
        .set_retention(&tenant, months, &request.user_id, &request.reason)
        .await
        .map_err(|error| refuse(&error))?;
    Ok(Response::new(v1::SetRetentionResponse { retention: Some(retention(set)) }))
}

pub(crate) fn parse(request: &v1::SetRetentionRequest) -> Result<(TenantId, Option<u32>), Violations> {
    let mut violations = Violations::default();
    let tenant = violations.check("tenant_id", TenantId::parse(request.tenant_id.as_str()));
    let months = match request.retention_months {
        Some(sent) => violations.check("retention_months", parse_months(sent, RETENTION_MONTHS_MAX)),
        None => None,
    };
    violations.check("user_id", check_text(&request.user_id, ID_CHARS_MAX));
    violations.check("reason", check_text(&request.reason, FLOOR_REASON_CHARS_MAX));
    match tenant {
        Some(tenant) if violations.is_empty() => Ok((tenant, months)),
        _ => Err(violations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let request = v1::SetRetentionRequest { retention_months: Some(1_201), ..Default::default() };
        let violations = parse(&request).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["tenant_id", "retention_months", "user_id", "reason"]);
    }
}
