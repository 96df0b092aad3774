use std::vec;

use futures_util::stream;
use partita_model::limits::{MONTHS_AHEAD_MAX, RETENTION_MONTHS_MAX};
use partita_model::{TenantId, Violations};
use partita_proto::convert::timestamp_to_wire;
use partita_proto::v1;
use partita_proto::v1::maintain_partitions_response::Result as Report;
use partita_store::{ActionKind, MaintenanceRequest, Store, StoreError, SurveyedTenant, TenantMaintenance};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::{Instrument, Span};

use crate::deadline::CallDeadline;
use crate::partition_message::{self, parse_months};
use crate::service::Messages;
use crate::status::{failure, overdue, refuse};

/// Maintains one tenant or all, one after the other, and reports each as it is finished.
///
/// A tenant is begun only when the client has taken the report before it: a client that goes away stops the run, but
/// never in the middle of a tenant, which the store finishes whoever listens. Of all tenants only those are visited that
/// need something.
pub(crate) async fn maintain_partitions(
    store: &Store,
    shutdown: &CancellationToken,
    request: Request<v1::MaintainPartitionsRequest>,
) -> Result<Response<Messages<v1::MaintainPartitionsResponse>>, Status> {
    let deadline = CallDeadline::of(request.extensions()).map(|deadline| deadline.at());
    let (tenant, maintenance) = parse(&request.into_inner(), &store.maintenance_defaults())
        .map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let span = Span::current();
    let tenants = match tenant {
        Some(tenant) => {
            span.record("tenant", tenant.as_str());
            vec![SurveyedTenant { tenant, is_due: true, retention_floor: None }]
        }
        None => store.partitions().survey(&maintenance).await.map_err(|error| refuse(&error))?,
    };
    let run = Run {
        store: store.clone(),
        shutdown: shutdown.clone(),
        deadline,
        summary: v1::MaintenanceSummary { validate_only: maintenance.validate_only, ..Default::default() },
        maintenance,
        tenants: tenants.into_iter(),
        finished: false,
    };
    let messages = stream::try_unfold(run, move |run| run.next().instrument(span.clone()));
    Ok(Response::new(Box::pin(messages)))
}

/// What is left of a run.
struct Run {
    store: Store,
    shutdown: CancellationToken,
    deadline: Option<Instant>,
    maintenance: MaintenanceRequest,
    tenants: vec::IntoIter<SurveyedTenant>,
    summary: v1::MaintenanceSummary,
    finished: bool,
}

impl Run {
    /// The next message and the rest; none when the summary was sent.
    async fn next(mut self) -> Result<Option<(v1::MaintainPartitionsResponse, Self)>, Status> {
        if self.finished {
            return Ok(None);
        }
        let report = match self.tenants.next() {
            Some(tenant) => Report::Tenant(self.tenant(tenant).await?),
            None => {
                self.finished = true;
                Report::Summary(self.summary)
            }
        };
        Ok(Some((v1::MaintainPartitionsResponse { result: Some(report) }, self)))
    }

    async fn tenant(&mut self, surveyed: SurveyedTenant) -> Result<v1::TenantMaintenance, Status> {
        let SurveyedTenant { tenant, is_due, retention_floor } = surveyed;
        if self.shutdown.is_cancelled() {
            return Err(refuse(&StoreError::ShuttingDown));
        }
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(overdue());
        }
        let tenant_id = tenant.as_str().to_owned();
        self.summary.tenants += 1;
        if !is_due {
            let idle = TenantMaintenance { retention_floor, ..TenantMaintenance::default() };
            return Ok(self.done(tenant_id, idle));
        }
        let done = self.store.partitions().maintain(&tenant, &self.maintenance).await;
        Ok(self.done(tenant_id, done))
    }

    fn done(&mut self, tenant_id: String, done: TenantMaintenance) -> v1::TenantMaintenance {
        for action in &done.actions {
            match action.kind {
                ActionKind::Created => self.summary.created += 1,
                ActionKind::Detached => self.summary.detached += 1,
                ActionKind::Dropped => self.summary.dropped += 1,
                ActionKind::FloorRaised => {}
            }
        }
        let failure = done.failure.map(|error| {
            self.summary.tenants_failed += 1;
            let (reason, message) = failure(&error);
            tracing::warn!(tenant.id = tenant_id, error.message = message, "maintenance of a tenant failed");
            v1::MaintenanceFailure { reason: reason.into(), message }
        });
        v1::TenantMaintenance {
            tenant_id,
            actions: done.actions.into_iter().map(partition_message::action).collect(),
            partitions: done.partitions.into_iter().map(partition_message::partition).collect(),
            retention_floor: done.retention_floor.map(timestamp_to_wire),
            failure,
        }
    }
}

/// The tenant, none for all, and what to do; what the request leaves out is taken from `defaults`.
pub(crate) fn parse(
    request: &v1::MaintainPartitionsRequest,
    defaults: &MaintenanceRequest,
) -> Result<(Option<TenantId>, MaintenanceRequest), Violations> {
    let mut violations = Violations::default();
    let tenant = match request.tenant_id.as_str() {
        "" => None,
        tenant => violations.check("tenant_id", TenantId::parse(tenant)),
    };
    let mut months = |field: &str, sent: Option<i32>, default: u32, months_max: u32| match sent {
        None => default,
        Some(sent) => violations.check(field, parse_months(sent, months_max)).unwrap_or(default),
    };
    let maintenance = MaintenanceRequest {
        months_ahead: months("months_ahead", request.months_ahead, defaults.months_ahead, MONTHS_AHEAD_MAX),
        retention_months: months(
            "retention_months",
            request.retention_months,
            defaults.retention_months,
            RETENTION_MONTHS_MAX,
        ),
        validate_only: request.validate_only,
        ..*defaults
    };
    if violations.is_empty() { Ok((tenant, maintenance)) } else { Err(violations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: MaintenanceRequest = MaintenanceRequest {
        months_ahead: 2,
        retention_months: 18,
        grace_days: 7,
        create: true,
        detach: true,
        drop: true,
        validate_only: false,
        measure: true,
    };

    #[test]
    fn what_is_left_out_comes_from_the_configuration_and_0_does_not() {
        let request = v1::MaintainPartitionsRequest {
            retention_months: Some(0),
            validate_only: true,
            ..Default::default()
        };
        let (tenant, maintenance) = parse(&request, &DEFAULTS).unwrap();
        assert_eq!((tenant, maintenance.months_ahead, maintenance.retention_months), (None, 2, 0));
        assert!(maintenance.validate_only);
    }

    #[test]
    fn months_out_of_bounds_are_named_at_once() {
        let (months_ahead, retention_months) = (Some(121), Some(-1));
        let request = v1::MaintainPartitionsRequest { months_ahead, retention_months, ..Default::default() };
        let violations = parse(&request, &DEFAULTS).err().unwrap();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["months_ahead", "retention_months"]);
    }
}
