use partita_model::limits::{FLOOR_REASON_CHARS_MAX, ID_CHARS_MAX};
use partita_model::{Month, TenantId, Violations};
use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use partita_store::{Store, StoreError};
use tonic::{Request, Response, Status};
use tracing::Span;

use crate::partition_message::check_text;
use crate::status::refuse;

/// Restores a detached month, and the detached months after it.
pub(crate) async fn restore_partition(
    store: &Store,
    request: Request<v1::RestorePartitionRequest>,
) -> Result<Response<v1::RestorePartitionResponse>, Status> {
    let request = request.into_inner();
    let (tenant, month) = parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    Span::current().record("tenant", tenant.as_str());
    let restored = store
        .partitions()
        .restore(&tenant, month, &request.user_id, &request.reason)
        .await
        .map_err(|error| refuse(&error))?;
    Ok(Response::new(v1::RestorePartitionResponse {
        months_restored: i32::try_from(restored.months).unwrap_or(i32::MAX),
        retention_floor: restored.retention_floor.map(timestamp_to_wire),
    }))
}

pub(crate) fn parse(request: &v1::RestorePartitionRequest) -> Result<(TenantId, Month), Violations> {
    let mut violations = Violations::default();
    let tenant = violations.check("tenant_id", TenantId::parse(request.tenant_id.as_str()));
    let month = violations.check("month", Month::parse(&request.month));
    violations.check("user_id", check_text(&request.user_id, ID_CHARS_MAX));
    violations.check("reason", check_text(&request.reason, FLOOR_REASON_CHARS_MAX));
    match (tenant, month) {
        (Some(tenant), Some(month)) if violations.is_empty() => Ok((tenant, month)),
        _ => Err(violations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let request = v1::RestorePartitionRequest {
            tenant_id: String::new(),
            month: "November".to_owned(),
            user_id: "x".repeat(256),
            reason: "\0".to_owned(),
        };
        let violations = parse(&request).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["tenant_id", "month", "user_id", "reason"]);
    }
}
