use clap::Args;
use partita_model::limits::MONTHS_AHEAD_MAX;
use partita_proto::v1::check_partitions_response::Report;
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::partition_finding::Kind;
use partita_proto::v1::{CheckPartitionsRequest, PartitionFinding};
use serde::Serialize;

use crate::client::{self, Channel};
use crate::commands::partitions::month_edge;
use crate::document::optional;
use crate::failure::Failure;
use crate::output::{self, Output};

const TITLES: [&str; 6] = ["finding", "tenant", "partition", "from", "to", "what to do"];
const FIELDS: [&str; 6] = ["finding", "tenant_id", "partition_name", "range_start", "range_end", "message"];

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
    /// Months after the current one that must exist; without it the server's setting
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=i64::from(MONTHS_AHEAD_MAX)))]
    months_ahead: Option<i32>,
}

/// A finding, in the order of [`FIELDS`].
#[derive(Debug, Serialize)]
struct FindingDocument {
    finding: &'static str,
    tenant_id: Option<String>,
    partition_name: Option<String>,
    range_start: Option<String>,
    range_end: Option<String>,
    message: String,
}

pub(crate) async fn run(
    args: CheckArgs,
    mut client: PartitionAdminServiceClient<Channel>,
    output: Output,
) -> Result<(), Failure> {
    let broken = |status| client::failure("the check did not end", status);
    let request = CheckPartitionsRequest {
        tenant_id: args.tenant.unwrap_or_default(),
        months_ahead: args.months_ahead,
    };
    let mut reports = client.check_partitions(request).await.map_err(broken)?.into_inner();
    let mut findings = Vec::new();
    let mut finished = false;
    while let Some(message) = reports.message().await.map_err(broken)? {
        match message.report {
            Some(Report::Finding(finding)) => findings.push(FindingDocument::from(finding)),
            Some(Report::Summary(_)) => finished = true,
            None => {}
        }
    }
    if !finished {
        return Err(Failure::internal("the server's report was cut short").next("run it again"));
    }
    match output {
        Output::Json => output::json(&findings)?,
        Output::Csv => output::csv(&FIELDS, &findings)?,
        Output::Table if findings.is_empty() => output::line("no findings")?,
        Output::Table => output::table(&TITLES, findings.iter().map(row).collect())?,
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(Failure::refused("1 thing is not as it should be with the partitions")),
        count => {
            Err(Failure::refused(format!("{count} things are not as they should be with the partitions")))
        }
    }
}

fn row(finding: &FindingDocument) -> Vec<String> {
    let months = |instant: &Option<String>| {
        instant.as_deref().map(|instant| month_edge(Some(instant))).unwrap_or_default()
    };
    vec![
        finding.finding.to_owned(),
        output::cell(finding.tenant_id.as_deref().unwrap_or_default()),
        finding.partition_name.clone().unwrap_or_default(),
        months(&finding.range_start),
        months(&finding.range_end),
        finding.message.clone(),
    ]
}

impl From<PartitionFinding> for FindingDocument {
    fn from(finding: PartitionFinding) -> Self {
        Self {
            finding: kind_name(finding.kind()),
            range_start: client::from_wire(finding.range_start.as_ref()),
            range_end: client::from_wire(finding.range_end.as_ref()),
            tenant_id: optional(finding.tenant_id),
            partition_name: optional(finding.partition_name),
            message: finding.message,
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::MissingTable => "missing_table",
        Kind::UnregisteredTable => "unregistered_table",
        Kind::Gap => "gap",
        Kind::MissingMonth => "missing_month",
        Kind::DetachPending => "detach_pending",
        Kind::InvalidIndex => "invalid_index",
        Kind::MissingIndex => "missing_index",
        Kind::Orphan => "orphan",
        Kind::LostTable => "lost_table",
        Kind::Unspecified => "unknown",
    }
}
