use partita_migration::{Migration, MigrationError};
use partita_model::limits::FLOOR_REASON_CHARS_MAX;
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_store::StoreError;
use tonic::{Request, Response, Status};

use crate::migration::message::count;
use crate::migration::request::{check_user, parse_tenant};
use crate::partition_message::check_text;
use crate::status::{refuse, refuse_migration};

/// Leaves behind what a restore could not copy, by the caller's decision.
pub(crate) async fn accept_quarantined(
    migration: &Migration,
    request: Request<v1::AcceptQuarantinedRequest>,
) -> Result<Response<v1::AcceptQuarantinedResponse>, Status> {
    let request = request.into_inner();
    let tenant = parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let accepted = accept(migration, tenant.as_ref(), &request).await;
    let rows = count(accepted.map_err(|error| refuse_migration(&error))?);
    Ok(Response::new(v1::AcceptQuarantinedResponse { rows, validate_only: request.validate_only }))
}

async fn accept(
    migration: &Migration,
    tenant: Option<&TenantId>,
    request: &v1::AcceptQuarantinedRequest,
) -> Result<u64, MigrationError> {
    match request.validate_only {
        true => migration.uncopied(tenant).await,
        false => migration.accept(tenant, &request.user_id, &request.reason).await,
    }
}

pub(super) fn parse(request: &v1::AcceptQuarantinedRequest) -> Result<Option<TenantId>, Violations> {
    let mut violations = Violations::default();
    let tenant = parse_tenant(&mut violations, &request.tenant_id);
    check_user(&mut violations, &request.user_id, request.validate_only);
    if !(request.validate_only && request.reason.is_empty()) {
        violations.check("reason", check_text(&request.reason, FLOOR_REASON_CHARS_MAX));
    }
    if violations.is_empty() { Ok(tenant) } else { Err(violations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let request = v1::AcceptQuarantinedRequest { tenant_id: "\0".to_owned(), ..Default::default() };
        let violations = parse(&request).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["tenant_id", "user_id", "reason"]);
    }
}
