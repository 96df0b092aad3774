use clap::Args;
use partita_model::limits::RETENTION_MONTHS_MAX;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::{SetRetentionRequest, TenantRetention};
use serde::Serialize;

use crate::client::{self, Channel};
use crate::commands::partitions::{RecordArgs, month_edge};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Set how long a tenant's events are kept.
///
/// The floor moves with the next maintenance, and only upwards: a longer retention brings nothing back.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("how_long").required(true).args(["months", "inherit"])))]
pub(crate) struct RetentionArgs {
    /// The tenant
    #[arg(long)]
    tenant: String,
    /// Months before the current one to keep, 0 for ever
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=i64::from(RETENTION_MONTHS_MAX)))]
    months: Option<i32>,
    /// What maintenance is configured with
    #[arg(long)]
    inherit: bool,
    #[command(flatten)]
    record: RecordArgs,
}

#[derive(Debug, Serialize)]
struct RetentionDocument {
    own_months: Option<i32>,
    months: i32,
    legal_hold: bool,
    retention_floor: Option<String>,
    next_floor: Option<String>,
}

pub(crate) async fn run(
    args: RetentionArgs,
    mut client: PartitionAdminServiceClient<Channel>,
    format: Format,
) -> Result<(), Failure> {
    let request = SetRetentionRequest {
        tenant_id: args.tenant,
        retention_months: args.months,
        user_id: args.record.user,
        reason: args.record.reason,
    };
    let set = client.set_retention(request).await;
    let set = set.map_err(|status| client::failure("retention not changed", status))?.into_inner();
    print(&set.retention.unwrap_or_default(), format)
}

/// Where a tenant stands after a change.
pub(super) fn print(retention: &TenantRetention, format: Format) -> Result<(), Failure> {
    let document = RetentionDocument {
        own_months: retention.own_months,
        months: retention.months,
        legal_hold: retention.legal_hold,
        retention_floor: client::from_wire(retention.retention_floor.as_ref()),
        next_floor: client::from_wire(retention.next_floor.as_ref()),
    };
    match format {
        Format::Json => output::json(&document),
        Format::Table => output::line(&told(&document)),
    }
}

fn told(retention: &RetentionDocument) -> String {
    let kept = match retention.months {
        0 => "for ever".to_owned(),
        months => format!("for {months} months"),
    };
    let whose = if retention.own_months.is_some() { "its own" } else { "inherited" };
    let hold = if retention.legal_hold { ", under legal hold" } else { "" };
    let floor = month_edge(retention.retention_floor.as_deref());
    let next = match &retention.next_floor {
        Some(next) => format!(", raised to {} by the next maintenance", month_edge(Some(next))),
        None => String::new(),
    };
    format!("kept {kept} ({whose}){hold}; floor {floor}{next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_told_with_what_the_next_maintenance_does() {
        let retention = RetentionDocument {
            own_months: Some(3),
            months: 3,
            legal_hold: false,
            retention_floor: None,
            next_floor: Some("2026-08-01T00:00:00Z".to_owned()),
        };
        assert_eq!(
            told(&retention),
            "kept for 3 months (its own); floor -, raised to 2026-08-01 by the next maintenance"
        );
        let held = RetentionDocument {
            own_months: None,
            months: 0,
            legal_hold: true,
            next_floor: None,
            retention_floor: Some("2026-08-01T00:00:00Z".to_owned()),
        };
        assert_eq!(told(&held), "kept for ever (inherited), under legal hold; floor 2026-08-01");
    }
}
