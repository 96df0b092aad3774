use sqlx::PgConnection;

use super::finding::Finding;

/// What a disk is assumed to rewrite in a second, to tell hours from minutes.
const REWRITE_BYTES_PER_SECOND: i64 = 100 * 1024 * 1024;
const TABLE: &str = "event_store";

/// The legacy table itself.
pub(super) struct Table {
    kind: String,
    persistence: String,
    is_partition: bool,
    has_children: bool,
    has_parent: bool,
    has_row_security: bool,
    /// Whether that is Partita's own doing.
    is_guarded: bool,
    /// Whether it keeps the login that asks from rows.
    is_bound: bool,
    pub(super) size: Size,
}

/// How large the table is.
pub(super) struct Size {
    pub(super) rows: Option<i64>,
    pub(super) table_bytes: i64,
    pub(super) index_bytes: i64,
}

impl Size {
    /// What a rewrite of the table costs, in words.
    pub(super) fn rewrite(&self) -> String {
        let bytes = self.table_bytes + self.index_bytes;
        format!(
            "ACCESS EXCLUSIVE while {} are rewritten with their indexes, about {} s at 100 MiB/s: nobody reads or writes \
             meanwhile",
            mib(bytes),
            seconds(bytes)
        )
    }

    /// What a concurrent build of an index costs, in words.
    pub(super) fn index_build(&self) -> String {
        format!(
            "no lock that a writer waits for; reads {} twice, about {} s at 100 MiB/s; a failed build leaves an invalid \
             index: drop it, run it again",
            mib(self.table_bytes),
            2 * seconds(self.table_bytes)
        )
    }

    /// What reading all rows once costs, in words.
    pub(super) fn pass(&self) -> String {
        let rows = self
            .rows
            .map_or_else(|| "rows unknown before an ANALYZE".to_owned(), |rows| format!("about {rows} rows"));
        format!(
            "one pass over {} ({rows}), about {} s at 100 MiB/s",
            mib(self.table_bytes),
            seconds(self.table_bytes)
        )
    }
}

fn seconds(bytes: i64) -> i64 {
    bytes / REWRITE_BYTES_PER_SECOND + 1
}

fn mib(bytes: i64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

/// The legacy table; none where there is no relation of its name.
pub(super) async fn find(connection: &mut PgConnection) -> sqlx::Result<Option<Table>> {
    let found = sqlx::query_file!("sql/adoption/find_table.sql").fetch_optional(connection).await?;
    Ok(found.map(|found| Table {
        kind: found.kind,
        persistence: found.persistence,
        is_partition: found.is_partition,
        has_children: found.has_children,
        has_parent: found.has_parent,
        has_row_security: found.has_row_security,
        is_guarded: found.is_guarded,
        is_bound: found.is_bound,
        size: Size {
            rows: found.rows_estimated,
            table_bytes: found.table_bytes,
            index_bytes: found.index_bytes,
        },
    }))
}

impl Table {
    /// Whether its rows can be read one after the other.
    pub(super) fn is_readable(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p" | "v" | "m" | "f")
    }

    /// What the relation is, before its columns are looked at.
    pub(super) fn judge(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.judge_kind());
        if self.persistence == "u" {
            let found = "is unlogged: a crash empties it, and a standby never has it";
            let sql = "ALTER TABLE public.event_store SET LOGGED;";
            findings.push(Finding::blocks("table_unlogged", TABLE, found).mend(sql, self.size.rewrite()));
        }
        if self.has_children && self.kind == "r" {
            let found = "other tables inherit from it: its unique indexes do not hold over their rows";
            findings.push(Finding::blocks("table_inherited", TABLE, found));
        }
        if self.has_parent || self.is_partition {
            let found = "belongs to another table: what is done to that one is done to it";
            findings.push(Finding::hurts("table_has_parent", TABLE, found));
        }
        findings.extend(self.judge_row_security());
        findings
    }

    fn judge_row_security(&self) -> Option<Finding> {
        if !self.has_row_security {
            return None;
        }
        if !self.is_guarded {
            let found = "row security is on: an append or a read may silently see fewer rows than there are";
            let sql = "ALTER TABLE public.event_store DISABLE ROW LEVEL SECURITY; -- or serve as its owner, without FORCE";
            let finding = Finding::blocks("row_security", TABLE, found);
            return Some(finding.mend(sql, "ACCESS EXCLUSIVE for milliseconds"));
        }
        Some(if self.is_bound {
            let found = "is guarded by Partita's row security, which keeps this login from its rows: no scan would find anything; \
                         look at it as its owner";
            Finding::blocks("row_security", TABLE, found)
        } else {
            let found = "is guarded by Partita's row security: members of event_store_app name their tenants, others notice \
                         nothing";
            Finding::notes("row_security", TABLE, found)
        })
    }

    fn judge_kind(&self) -> Option<Finding> {
        let found = match self.kind.as_str() {
            "r" => return None,
            "p" => {
                "is partitioned already: its unique indexes must hold its partition key, and event ids are unique no more"
            }
            "v" | "m" => "is a view: nothing can be made unique in it",
            "f" => "is a foreign table: an append in it is no part of our transaction",
            _ => "is no table",
        };
        Some(Finding::blocks("table_kind", TABLE, found))
    }
}
