use sqlx::PgConnection;

use super::finding::Finding;
use super::table::Size;
use crate::start::{MEND_IDS, MEND_VERSIONS};

/// The indexes that adoption leans on: which there are.
pub(super) struct Indexes {
    pub(super) ids_are_unique: bool,
    pub(super) versions_are_unique: bool,
    is_led_by_tenant: bool,
}

pub(super) async fn find(connection: &mut PgConnection) -> sqlx::Result<Indexes> {
    sqlx::query_file_as!(Indexes, "sql/adoption/find_indexes.sql").fetch_one(connection).await
}

impl Indexes {
    pub(super) fn judge(&self, size: &Size) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.ids_are_unique {
            let found = "no unique index: the same event could be recorded twice";
            findings.push(
                Finding::blocks("unique_ids", "(event_id)", found)
                    .mend(format!("{MEND_IDS};"), size.index_build()),
            );
        }
        if !self.versions_are_unique {
            let found = "no unique index: two writers could both be version 7 of a stream";
            let subject = "(tenant_id, aggregate_type, aggregate_id, aggregate_version)";
            findings.push(
                Finding::blocks("unique_versions", subject, found)
                    .mend(format!("{MEND_VERSIONS};"), size.index_build()),
            );
        }
        if !self.is_led_by_tenant {
            let found =
                "no index begins with it: tenants are not found, and a copy of a month scans the table";
            let sql = "CREATE INDEX CONCURRENTLY event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp);";
            findings.push(
                Finding::hurts("index_by_tenant", "(tenant_id, event_timestamp)", found)
                    .mend(sql, size.index_build()),
            );
        }
        findings
    }
}
