use clap::Args;
use partita_model::limits::{MONTHS_AHEAD_MAX, RETENTION_MONTHS_MAX};
use partita_proto::v1::maintain_partitions_response::Result as Report;
use partita_proto::v1::partition_action::Kind;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::{MaintainPartitionsRequest, MaintenanceSummary, PartitionAction, TenantMaintenance};
use serde::{Serialize, Serializer};

use crate::client::{self, Channel};
use crate::commands::partitions::{month_edge, print_sizes};
use crate::document::PartitionDocument;
use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, Args)]
pub(crate) struct MaintainArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
    /// Months after the current one that must exist; without it the server's setting
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=i64::from(MONTHS_AHEAD_MAX)))]
    months_ahead: Option<i32>,
    /// Months before the current one to keep, 0 for ever; without it the server's setting
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=i64::from(RETENTION_MONTHS_MAX)))]
    retention_months: Option<i32>,
    /// Change nothing, only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// One run, as `-o json` prints it.
#[derive(Debug, Serialize)]
struct RunDocument {
    validate_only: bool,
    tenants_failed: i32,
    created: i32,
    detached: i32,
    dropped: i32,
    tenants: Vec<TenantDocument>,
}

#[derive(Debug, Serialize)]
pub(super) struct TenantDocument {
    pub(super) tenant_id: String,
    pub(super) actions: Vec<ActionDocument>,
    retention_floor: Option<String>,
    failure: Option<FailureDocument>,
    partitions: Vec<PartitionDocument>,
}

#[derive(Debug, Serialize)]
pub(super) struct ActionDocument {
    #[serde(serialize_with = "serialize_kind")]
    kind: Kind,
    pub(super) partition_name: String,
    pub(super) range_start: Option<String>,
    pub(super) range_end: Option<String>,
}

impl ActionDocument {
    /// What is done, in a word.
    pub(super) fn name(&self) -> &'static str {
        kind_name(self.kind)
    }
}

#[derive(Debug, Serialize)]
struct FailureDocument {
    reason: String,
    message: String,
}

pub(crate) async fn run(
    args: MaintainArgs,
    client: PartitionAdminServiceClient<Channel>,
    format: Format,
) -> Result<(), Failure> {
    let request = MaintainPartitionsRequest {
        tenant_id: args.tenant.unwrap_or_default(),
        months_ahead: args.months_ahead,
        retention_months: args.retention_months,
        validate_only: args.dry_run,
    };
    let (summary, tenants) = collect(request, client, |tenant| match format {
        Format::Table => print_steps(tenant, args.dry_run),
        Format::Json => Ok(()),
    })
    .await?;
    match format {
        Format::Table => print_end(&summary, &tenants)?,
        Format::Json => output::json(&RunDocument::new(&summary, tenants))?,
    }
    end(&summary)
}

/// Has the server maintain, or say what it would do; `meanwhile` is told each tenant as it is finished.
pub(super) async fn collect(
    request: MaintainPartitionsRequest,
    mut client: PartitionAdminServiceClient<Channel>,
    mut meanwhile: impl FnMut(&TenantDocument) -> Result<(), Failure>,
) -> Result<(MaintenanceSummary, Vec<TenantDocument>), Failure> {
    let broken = |status| client::failure("maintenance failed", status);
    let mut reports = client.maintain_partitions(request).await.map_err(broken)?.into_inner();
    let mut tenants = Vec::new();
    let mut summary = None;
    while let Some(report) = reports.message().await.map_err(broken)? {
        match report.result {
            Some(Report::Tenant(tenant)) => {
                let tenant = TenantDocument::from(tenant);
                meanwhile(&tenant)?;
                tenants.push(tenant);
            }
            Some(Report::Summary(last)) => summary = Some(last),
            None => {}
        }
    }
    let summary = summary.ok_or_else(|| {
        Failure::internal("the server's report was cut short")
            .next("run it again: what is done is not done twice")
    })?;
    Ok((summary, tenants))
}

/// How a run ends in which tenants failed.
pub(super) fn end(summary: &MaintenanceSummary) -> Result<(), Failure> {
    match summary.tenants_failed {
        0 => Ok(()),
        failed => {
            let message = format!("maintenance of {failed} of {} tenants did not end", summary.tenants);
            Err(Failure::refused(message).next("see the reasons above, then run it again"))
        }
    }
}

fn print_steps(tenant: &TenantDocument, dry_run: bool) -> Result<(), Failure> {
    let name = output::cell(&tenant.tenant_id);
    for action in &tenant.actions {
        output::line(&format!("{name}: {}", told(action, dry_run)))?;
    }
    match &tenant.failure {
        Some(failure) => output::line(&format!("{name}: failed: {}: {}", failure.reason, failure.message)),
        None if tenant.actions.is_empty() => output::line(&format!("{name}: nothing to do")),
        None => Ok(()),
    }
}

/// A step in words; a month that is not made yet has no name.
fn told(action: &ActionDocument, dry_run: bool) -> String {
    let (start, end) = (month_edge(action.range_start.as_deref()), month_edge(action.range_end.as_deref()));
    let would = if dry_run { "would be " } else { "" };
    if action.kind == Kind::FloorRaised {
        return format!("floor {would}raised from {start} to {end}");
    }
    let step = format!("{start} to {end} {would}{} {}", kind_name(action.kind), action.partition_name);
    step.trim_end().to_owned()
}

fn print_end(summary: &MaintenanceSummary, tenants: &[TenantDocument]) -> Result<(), Failure> {
    let partitions: Vec<_> = tenants.iter().flat_map(|tenant| tenant.partitions.clone()).collect();
    print_sizes(&partitions)?;
    let MaintenanceSummary { tenants, created, detached, dropped, .. } = summary;
    let note = if summary.validate_only { " (dry run: nothing was changed)" } else { "" };
    output::line(&format!(
        "tenants {tenants}, partitions created {created}, detached {detached}, dropped {dropped}{note}"
    ))
}

impl RunDocument {
    fn new(summary: &MaintenanceSummary, tenants: Vec<TenantDocument>) -> Self {
        Self {
            validate_only: summary.validate_only,
            tenants_failed: summary.tenants_failed,
            created: summary.created,
            detached: summary.detached,
            dropped: summary.dropped,
            tenants,
        }
    }
}

impl From<TenantMaintenance> for TenantDocument {
    fn from(tenant: TenantMaintenance) -> Self {
        Self {
            actions: tenant.actions.into_iter().map(ActionDocument::from).collect(),
            retention_floor: client::from_wire(tenant.retention_floor.as_ref()),
            failure: tenant.failure.map(|failure| FailureDocument {
                reason: failure.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_owned(),
                message: failure.message,
            }),
            partitions: tenant.partitions.into_iter().map(PartitionDocument::from).collect(),
            tenant_id: tenant.tenant_id,
        }
    }
}

impl From<PartitionAction> for ActionDocument {
    fn from(action: PartitionAction) -> Self {
        Self {
            kind: action.kind(),
            range_start: client::from_wire(action.range_start.as_ref()),
            range_end: client::from_wire(action.range_end.as_ref()),
            partition_name: action.partition_name,
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Created => "created",
        Kind::Detached => "detached",
        Kind::Dropped => "dropped",
        Kind::FloorRaised => "floor_raised",
        Kind::Unspecified => "unknown",
    }
}

fn serialize_kind<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind_name(*kind))
}
