use std::fmt;

use partita_proto::v1::chain_finding::{Fault, Table};
use partita_proto::v1::verify_chain_response::Report;
use partita_proto::v1::{ChainFinding, ChainProgress, ChainSummary, VerifyChainRequest};

use crate::{TestDatabase, TestServer, messages};

/// A verification that came to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// What is not as it was recorded.
    pub findings: Vec<ChainFinding>,
    /// How far each tenant had come when it was done.
    pub tenants: Vec<ChainProgress>,
    /// What the last message said.
    pub summary: ChainSummary,
}

/// A finding, as tests compare it: `order/1@2`, the table, the fault.
pub type Found = (String, Table, Fault);

impl Verification {
    /// The findings, shortened, in their order.
    pub fn found(&self) -> Vec<Found> {
        let place = |finding: &ChainFinding| match finding.aggregate_type.as_str() {
            "" => finding.message.clone(),
            kind => format!("{kind}/{}@{}", finding.aggregate_id, finding.version),
        };
        self.findings.iter().map(|finding| (place(finding), finding.table(), finding.fault())).collect()
    }

    /// Whether one of the findings is this one.
    pub fn has(&self, event: &str, table: Table, fault: Fault) -> bool {
        self.found().contains(&(event.to_owned(), table, fault))
    }
}

impl TestServer {
    /// Verifies a tenant, or all for the empty name.
    pub async fn verify(&self, tenant: &str) -> Verification {
        let request = VerifyChainRequest { tenant_id: tenant.to_owned() };
        let stream = self.partitions().verify_chain(request).await.unwrap().into_inner();
        let (mut findings, mut tenants, mut summary) = (Vec::new(), Vec::new(), None);
        for message in messages(stream).await.unwrap() {
            assert!(summary.is_none(), "a message after the summary");
            match message.report {
                Some(Report::Finding(finding)) => findings.push(finding),
                Some(Report::Progress(progress)) => tenants.extend(Some(progress).filter(|one| one.finished)),
                Some(Report::Summary(last)) => summary = Some(last),
                None => panic!("a message without a report"),
            }
        }
        let summary = summary.expect("a summary comes last");
        assert_eq!(usize::try_from(summary.findings).unwrap(), findings.len());
        assert_eq!(usize::try_from(summary.tenants).unwrap(), tenants.len());
        Verification { findings, tenants, summary }
    }
}

impl TestDatabase {
    /// Changes what cannot be changed: runs statements with all triggers off.
    pub async fn tamper(&self, statements: impl fmt::Display) {
        let (off, on) = ("SET session_replication_role = replica", "RESET session_replication_role");
        self.execute(format!("{off}; {statements}; {on}")).await;
    }
}
