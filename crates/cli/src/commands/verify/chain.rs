use std::io::IsTerminal as _;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use partita_proto::v1::chain_finding::{Fault, Table};
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::verify_chain_response::Report;
use partita_proto::v1::{ChainFinding, ChainProgress, ChainSummary, VerifyChainRequest};
use serde::Serialize;

use crate::client::{self, Channel};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Findings that are listed; all of them are counted. One hand can spoil millions of rows.
const LISTED_MAX: usize = 1_000;
const TITLES: [&str; 6] = ["tenant", "stream", "#version", "#position", "table", "finding"];

/// Recompute the hash of every event from its stored row, follow the links, compare the copies of the two tables, and
/// check positions. Reads everything, changes nothing.
#[derive(Debug, Args)]
pub(crate) struct ChainArgs {
    /// One tenant; without it all of them
    #[arg(long)]
    tenant: Option<String>,
}

/// The whole run, for programs.
#[derive(Debug, Serialize)]
struct RunDocument {
    tenants: i32,
    streams: i64,
    compared: i64,
    verified: i64,
    foreign: i64,
    /// How many there are; at most 1,000 are listed.
    findings_count: i64,
    findings: Vec<FindingDocument>,
}

#[derive(Debug, Serialize)]
struct FindingDocument {
    tenant_id: String,
    aggregate_type: String,
    aggregate_id: String,
    version: i32,
    position: Option<i64>,
    table: &'static str,
    fault: String,
    message: String,
}

/// Verifies, shows how far it has come, and fails when something was found.
pub(crate) async fn run(
    args: ChainArgs,
    mut client: PartitionAdminServiceClient<Channel>,
    format: Format,
) -> Result<(), Failure> {
    let broken = |status| client::failure("the verification did not end", status);
    let request = VerifyChainRequest { tenant_id: args.tenant.unwrap_or_default() };
    let mut reports = client.verify_chain(request).await.map_err(broken)?.into_inner();
    let bar = progress_bar();
    let mut findings = Vec::new();
    let mut summary = None;
    while let Some(message) = reports.message().await.map_err(broken)? {
        match message.report {
            Some(Report::Progress(progress)) => bar.set_message(standing(&progress)),
            Some(Report::Finding(finding)) if findings.len() < LISTED_MAX => {
                findings.push(FindingDocument::from(finding));
            }
            Some(Report::Summary(last)) => summary = Some(last),
            Some(Report::Finding(_)) | None => {}
        }
    }
    bar.finish_and_clear();
    let summary = summary.ok_or_else(|| Failure::internal("the server's report was cut short"))?;
    match format {
        Format::Json => output::json(&RunDocument::new(summary, findings))?,
        Format::Table => print(&summary, &findings)?,
    }
    match summary.findings {
        0 => Ok(()),
        1 => Err(Failure::refused("1 thing is not as it was recorded")),
        count => Err(Failure::refused(format!("{count} things are not as they were recorded"))),
    }
    .map_err(|failure| {
        failure.next(
            "keep the database as it is, and compare with a backup; docs/hash-chain.md tells each finding",
        )
    })
}

fn print(summary: &ChainSummary, findings: &[FindingDocument]) -> Result<(), Failure> {
    if !findings.is_empty() {
        output::table(&TITLES, findings.iter().map(row).collect())?;
    }
    if summary.findings > LISTED_MAX as i64 {
        output::line(&format!("the first {LISTED_MAX} of {} findings are listed", summary.findings))?;
    }
    let ChainSummary { tenants, streams, compared, verified, foreign, findings } = summary;
    output::line(&format!(
        "tenants {tenants}, streams {streams}, events verified {verified}, of other programs {foreign}, copies \
         compared {compared}, findings {findings}"
    ))
}

fn row(finding: &FindingDocument) -> Vec<String> {
    let stream = match finding.aggregate_type.as_str() {
        "" => String::new(),
        kind => output::cell(&format!("{kind}/{}", finding.aggregate_id)),
    };
    vec![
        output::cell(&finding.tenant_id),
        stream,
        Some(finding.version).filter(|version| *version != 0).map(|it| it.to_string()).unwrap_or_default(),
        finding.position.map(|position| position.to_string()).unwrap_or_default(),
        finding.table.to_owned(),
        output::cell(&finding.message),
    ]
}

/// A line on a terminal, nothing elsewhere.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    // A template that cannot be parsed would leave the line in its plain style.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}, {msg}") {
        bar.set_style(style);
    }
    bar
}

fn standing(progress: &ChainProgress) -> String {
    let ChainProgress { tenant_id, compared, streams, verified, foreign, findings, finished: _ } = progress;
    let tenant = output::cell(tenant_id);
    format!(
        "{tenant}: {compared} copies compared, {streams} streams, {} events, {findings} findings",
        verified + foreign
    )
}

impl RunDocument {
    fn new(summary: ChainSummary, findings: Vec<FindingDocument>) -> Self {
        let ChainSummary { tenants, streams, compared, verified, foreign, findings: findings_count } =
            summary;
        Self { tenants, streams, compared, verified, foreign, findings_count, findings }
    }
}

impl From<ChainFinding> for FindingDocument {
    fn from(finding: ChainFinding) -> Self {
        let table = match finding.table() {
            Table::Legacy => "event_store",
            Table::Partitioned => "event_store_partitioned",
            Table::Unspecified => "unknown",
        };
        Self {
            table,
            fault: fault_name(finding.fault()),
            tenant_id: finding.tenant_id,
            aggregate_type: finding.aggregate_type,
            aggregate_id: finding.aggregate_id,
            version: finding.version,
            position: finding.position,
            message: finding.message,
        }
    }
}

/// As the contract names it, in lower case and without its prefix: `no_copy`.
fn fault_name(fault: Fault) -> String {
    fault.as_str_name().trim_start_matches("FAULT_").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_row_that_names_the_event_and_the_table() {
        let finding = ChainFinding {
            tenant_id: "acme".to_owned(),
            aggregate_type: "order".to_owned(),
            aggregate_id: "42".to_owned(),
            version: 5,
            position: None,
            table: Table::Legacy.into(),
            fault: Fault::WrongEnd.into(),
            message: "the stream's record names another last event".to_owned(),
        };
        let document = FindingDocument::from(finding);
        assert_eq!((document.table, document.fault.as_str()), ("event_store", "wrong_end"));
        let expected =
            ["acme", "order/42", "5", "", "event_store", "the stream's record names another last event"];
        assert_eq!(row(&document), expected);
    }

    #[test]
    fn a_missing_position_belongs_to_no_stream() {
        let finding = ChainFinding {
            position: Some(6),
            table: Table::Partitioned.into(),
            fault: Fault::PositionMissing.into(),
            ..ChainFinding::default()
        };
        assert_eq!(row(&FindingDocument::from(finding))[1..5], ["", "", "6", "event_store_partitioned"]);
    }
}
