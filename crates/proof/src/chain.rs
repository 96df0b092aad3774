//! What a service says of the hash chains.

use std::time::Duration;

use partita_model::{StreamId, TenantId};
use partita_proto::v1::chain_finding::{Fault, Table};
use partita_proto::v1::partition_admin_service_client::PartitionAdminServiceClient;
use partita_proto::v1::verify_chain_response::Report;
use partita_proto::v1::{ChainFinding, VerifyChainRequest};
use tonic::Status;
use tonic::transport::Channel;

use crate::checker::Tables;
use crate::history::StreamKey;
use crate::limit::within;
use crate::violation::{Kind, Violation};

/// How long a verification may take.
const VERIFY_LIMIT: Duration = Duration::from_secs(600);

/// A verification in numbers, and what it found.
#[derive(Debug, Clone, Default)]
pub struct ChainReport {
    /// Events whose hash is the one that their columns give.
    pub verified: i64,
    /// Events that another program hashed.
    pub foreign: i64,
    /// What is not as it was recorded.
    pub violations: Vec<Violation>,
}

/// Has one service verify the chains of all tenants.
///
/// Where [`Tables::Dual`] or [`Tables::Restored`] holds, an event of legacy without a copy is right; the verification takes it for one that
/// lost its copy where positions beside it have expired. Such findings are left out there: that nothing lost its copy is
/// known from the positions that were acknowledged.
///
/// # Errors
/// What the service answers; also when its report was cut short, or did not come to its end within ten minutes.
pub async fn verify_chains(service: Channel, tables: Tables) -> Result<ChainReport, Status> {
    let verified = within(VERIFY_LIMIT, "the report of the verification", verify(service, tables)).await;
    verified.map_err(|late| Status::deadline_exceeded(late.to_string()))?
}

async fn verify(service: Channel, tables: Tables) -> Result<ChainReport, Status> {
    let mut client = PartitionAdminServiceClient::new(service);
    let request = VerifyChainRequest { tenant_id: String::new() };
    let mut stream = client.verify_chain(request).await?.into_inner();
    let (mut report, mut whole) = (ChainReport::default(), false);
    while let Some(message) = stream.message().await? {
        match message.report {
            Some(Report::Finding(finding)) => {
                let excused = matches!(tables, Tables::Dual | Tables::Restored);
                if !excused || !lacks_copy(&finding) {
                    report.violations.push(violation(&finding));
                }
            }
            Some(Report::Summary(summary)) => {
                (report.verified, report.foreign, whole) = (summary.verified, summary.foreign, true);
            }
            Some(Report::Progress(_)) | None => {}
        }
    }
    if whole { Ok(report) } else { Err(Status::data_loss("the report of the verification was cut short")) }
}

/// Whether it is about an event that is in legacy alone.
fn lacks_copy(finding: &ChainFinding) -> bool {
    (finding.fault(), finding.table()) == (Fault::NoCopy, Table::Partitioned)
}

fn violation(finding: &ChainFinding) -> Violation {
    let fault = finding.fault().as_str_name();
    let violation = Violation::new(Kind::BrokenChain, format!("{fault}: {}", finding.message));
    match TenantId::parse(&finding.tenant_id) {
        Ok(tenant) => {
            let (kind, id) = (finding.aggregate_type.clone(), finding.aggregate_id.clone());
            violation.of(&StreamKey { tenant, stream: StreamId::from_row(kind, id) })
        }
        Err(_) => violation,
    }
}
