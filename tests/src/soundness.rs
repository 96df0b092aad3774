use crate::{TestDatabase, TestServer};

/// Tenants whose positions are not 1, 2, 3 … up to where the tenant stands.
const GAPS_IN_POSITIONS: &str = "SELECT tenant_id::text FROM event_store_tenant LEFT JOIN (\
     SELECT tenant_id, count(*) AS events, count(DISTINCT position) AS places, min(position) AS least, \
     max(position) AS greatest FROM event_store_partitioned GROUP BY tenant_id) AS feed USING (tenant_id) \
     WHERE (last_position, last_position, last_position) \
     IS DISTINCT FROM (coalesce(events, 0), coalesce(places, 0), coalesce(greatest, 0)) OR least <> 1";

/// Streams whose versions are not 1, 2, 3 …, by what is behind a FROM.
const GAPS_IN_VERSIONS: &str = "GROUP BY tenant_id, aggregate_type, aggregate_id \
     HAVING (count(*), count(DISTINCT aggregate_version), min(aggregate_version)) \
     IS DISTINCT FROM (max(aggregate_version)::bigint, max(aggregate_version)::bigint, 1)";

impl TestDatabase {
    /// Fails the test unless all that is recorded is whole: the same rows in all tables of the phase, versions and positions
    /// without a gap, and every chain of hashes as a server recomputes it.
    pub async fn assert_sound(&self, server: &TestServer) {
        assert_eq!(self.differing_rows().await, 0, "rows that differ between the tables");
        assert_eq!(self.column::<String>(GAPS_IN_POSITIONS).await, [""; 0], "tenants with gaps in positions");
        let table = if self.setting().writes_legacy() { "event_store" } else { "event_store_partitioned" };
        let gaps = format!("SELECT aggregate_id::text FROM {table} {GAPS_IN_VERSIONS}");
        assert_eq!(self.column::<String>(gaps).await, [""; 0], "streams with gaps in versions");
        if self.is_behind_row_security() {
            let tenants = "SELECT tenant_id::text FROM event_store UNION SELECT tenant_id::text FROM event_store_tenant";
            for tenant in self.column::<String>(tenants).await {
                assert_eq!(server.verify(&tenant).await.found(), [], "{tenant}");
            }
        } else {
            assert_eq!(server.verify("").await.found(), []);
        }
    }
}
