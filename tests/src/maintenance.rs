use partita_proto::v1::maintain_partitions_response::Result as Report;
use partita_proto::v1::partition_action::Kind;
use partita_proto::v1::{
    ListPartitionsRequest, MaintainPartitionsRequest, MaintenanceSummary, Partition, PartitionAction,
    TenantMaintenance,
};
use prost_types::Timestamp;

use crate::{Refusal, TestServer, eventually, messages};

/// A run of maintenance that came to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    /// What was reported of each tenant.
    pub tenants: Vec<TenantMaintenance>,
    /// What the last message said.
    pub summary: MaintenanceSummary,
}

impl Maintenance {
    /// The steps that were taken for a tenant.
    pub fn actions(&self, tenant: &str) -> &[PartitionAction] {
        &self.tenant(tenant).actions
    }

    /// What was reported of a tenant.
    pub fn tenant(&self, tenant: &str) -> &TenantMaintenance {
        self.tenants.iter().find(|report| report.tenant_id == tenant).expect("the tenant is reported")
    }

    /// The first instants of the months that a kind of step was taken for.
    pub fn months_of(&self, tenant: &str, kind: Kind) -> Vec<String> {
        let of_kind = self.actions(tenant).iter().filter(|action| action.kind() == kind);
        of_kind.map(|action| text(action.range_start)).collect()
    }
}

impl TestServer {
    /// Runs maintenance of a tenant, or of all for the empty name.
    pub async fn maintain(
        &self,
        tenant: &str,
        change: impl FnOnce(&mut MaintainPartitionsRequest),
    ) -> Maintenance {
        let mut request = MaintainPartitionsRequest { tenant_id: tenant.to_owned(), ..Default::default() };
        change(&mut request);
        let stream = self.partitions().maintain_partitions(request).await.unwrap().into_inner();
        let mut tenants = Vec::new();
        let mut summary = None;
        for message in messages(stream).await.unwrap() {
            assert!(summary.is_none(), "a message after the summary");
            match message.result {
                Some(Report::Tenant(tenant)) => tenants.push(tenant),
                Some(Report::Summary(last)) => summary = Some(last),
                None => panic!("a message without a report"),
            }
        }
        Maintenance { tenants, summary: summary.expect("a summary comes last") }
    }

    /// The partitions of a tenant, or of all for the empty name: the first page, which is long enough for tests.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn list(&self, tenant: &str) -> Result<Vec<Partition>, Refusal> {
        let request =
            ListPartitionsRequest { tenant_id: tenant.to_owned(), page_size: 1_000, ..Default::default() };
        let listed = self.partitions().list_partitions(request).await;
        listed.map(|response| response.into_inner().partitions).map_err(Refusal::from)
    }

    /// The first instants of a tenant's months, as RFC 3339. A list that met a month on its way out is asked for again: both
    /// wait for a lock for as long, and either may be the one that gives up.
    pub async fn months_of(&self, tenant: &str) -> Vec<String> {
        let mut listed = Vec::new();
        eventually("partitions are listed", async || match self.list(tenant).await {
            Ok(partitions) => {
                listed = partitions;
                true
            }
            Err(refusal) => {
                assert_eq!(refusal.reason, "PARTITION_UNAVAILABLE", "{refusal:?}");
                false
            }
        })
        .await;
        listed.iter().map(|partition| text(partition.range_start)).collect()
    }
}

/// As RFC 3339; empty where there is none.
fn text(instant: Option<Timestamp>) -> String {
    let instant = instant.map(|sent| partita_proto::convert::timestamp_from_wire(sent).unwrap());
    instant.map(|instant| instant.to_string()).unwrap_or_default()
}
