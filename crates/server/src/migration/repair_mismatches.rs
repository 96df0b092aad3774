use partita_migration::{Migration, MigrationError, Repair, RepairStep};
use partita_model::{TenantId, Violations};
use partita_proto::v1;
use partita_store::StoreError;
use tonic::{Request, Response, Status};

use crate::migration::message::{count, mismatch};
use crate::migration::request::{check_user, parse_tenant};
use crate::status::{refuse, refuse_migration};

/// Mends what a command may mend, and tells of the rest what would.
pub(crate) async fn repair_mismatches(
    migration: &Migration,
    request: Request<v1::RepairMismatchesRequest>,
) -> Result<Response<v1::RepairMismatchesResponse>, Status> {
    let request = request.into_inner();
    let tenant = parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let repaired = repair(migration, tenant.as_ref(), &request).await;
    Ok(Response::new(repaired.map_err(|error| refuse_migration(&error))?))
}

async fn repair(
    migration: &Migration,
    tenant: Option<&TenantId>,
    request: &v1::RepairMismatchesRequest,
) -> Result<v1::RepairMismatchesResponse, MigrationError> {
    let Repair { units_to_copy, steps } = migration.look_at_repair(tenant).await?;
    let months = match request.validate_only {
        true => units_to_copy,
        false => migration.repair(tenant, &request.user_id).await?,
    };
    Ok(v1::RepairMismatchesResponse {
        months_to_copy: count(months),
        steps: steps.into_iter().map(step).collect(),
        validate_only: request.validate_only,
    })
}

fn step(step: RepairStep) -> v1::RepairStep {
    v1::RepairStep {
        mismatch: Some(mismatch(step.mismatch)),
        advice: step.first.to_owned(),
        statements: step.statements,
    }
}

pub(super) fn parse(request: &v1::RepairMismatchesRequest) -> Result<Option<TenantId>, Violations> {
    let mut violations = Violations::default();
    let tenant = parse_tenant(&mut violations, &request.tenant_id);
    check_user(&mut violations, &request.user_id, request.validate_only);
    if violations.is_empty() { Ok(tenant) } else { Err(violations) }
}
