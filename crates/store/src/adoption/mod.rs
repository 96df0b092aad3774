//! Adoption: whether a legacy table that Partita did not make can be written twice, read united and copied; and where it
//! cannot, what mends it and what that costs. It reads, and a session of it cannot do more.

mod columns;
mod documents;
mod expected;
mod finding;
mod indexes;
mod scan;
mod table;
mod triggers;

use std::collections::HashMap;

use partita_model::limits::MONTHS_AHEAD_MAX;
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::timeout;

use self::columns::Column;
pub use self::finding::{Finding, Severity};
use crate::DatabaseUrl;
use crate::connect::{CONNECT_TIMEOUT, adoption_options};

/// What is known of a legacy table.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Whether there is one. A database without it gets a fresh one from its first migration.
    pub exists: bool,
    /// Rows, as of the last ANALYZE; none before the first. Of a scan: as counted.
    pub rows: Option<i64>,
    /// Bytes of the table, with TOAST, without indexes.
    pub table_bytes: i64,
    /// Bytes of its indexes.
    pub index_bytes: i64,
    /// What was found, what blocks first.
    pub findings: Vec<Finding>,
    /// What only reading all rows can tell: done, or to be done.
    pub scans: Vec<Scan>,
}

/// A reading of all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What it looks for.
    pub name: &'static str,
    /// What it costs, in words.
    pub cost: String,
    /// Whether it was done.
    pub is_done: bool,
    /// Why it cannot be done; none where it can.
    pub obstacle: Option<String>,
}

/// Why a legacy table could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    /// The database does not answer.
    #[error("cannot reach the database at {url}: check DATABASE_URL, and that PostgreSQL runs")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database answers, but not this.
    #[error("the legacy table could not be looked at")]
    Failed(#[from] sqlx::Error),
}

/// Looks at the catalogue, and with `scan` at every row. Locks nothing that a reader does not lock.
///
/// # Errors
/// When the database cannot be reached, or does not answer.
pub async fn examine(url: &DatabaseUrl, scan: bool) -> Result<Adoption, AdoptionError> {
    let mut connection = connect(url).await?;
    let Some(table) = table::find(&mut connection).await? else {
        return Ok(Adoption {
            exists: false,
            rows: None,
            table_bytes: 0,
            index_bytes: 0,
            findings: Vec::new(),
            scans: Vec::new(),
        });
    };
    let mut findings = table.judge();
    let columns = columns::list(&mut connection).await?;
    findings.extend(columns::judge(&columns, &table.size));
    findings.extend(triggers::judge_rules(&mut connection).await?);
    findings.extend(triggers::judge(&mut connection).await?);
    findings.extend(triggers::judge_constraints(&mut connection).await?);
    let indexes = indexes::find(&mut connection).await?;
    findings.extend(indexes.judge(&table.size));

    let by_name: HashMap<&str, &Column> =
        columns.iter().map(|column| (column.name.as_str(), column)).collect();
    let mut scans = scan::plan(&by_name, &indexes, &table);
    let mut rows = table.size.rows;
    if scan {
        let months_ahead = i32::try_from(MONTHS_AHEAD_MAX).unwrap_or(i32::MAX);
        let scanned = scan::run(&mut connection, &mut scans, months_ahead).await?;
        rows = scanned.rows.or(rows);
        findings.extend(scanned.findings);
    }
    // Stable: within a severity the order is that in which one mends.
    findings.sort_by_key(|finding| finding.severity);
    let table::Size { table_bytes, index_bytes, rows: _ } = table.size;
    Ok(Adoption { exists: true, rows, table_bytes, index_bytes, findings, scans })
}

async fn connect(url: &DatabaseUrl) -> Result<PgConnection, AdoptionError> {
    let connected = timeout(CONNECT_TIMEOUT, adoption_options(url).connect()).await;
    connected
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(|source| AdoptionError::Unreachable { url: url.to_string(), source })
}
