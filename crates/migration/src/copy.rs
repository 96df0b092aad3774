//! A page of a unit: copied whole, or narrowed down to the row that cannot be copied.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::error::{is_contention, is_of_row, is_partition_missing, sqlstate};
use crate::unit::{Cursor, Unit};
use crate::{Direction, MigrationError, quarantine};

/// What a page should take: long enough for its overhead to be small, short enough for an append to wait for.
const PAGE_TARGET: Duration = Duration::from_millis(100);
/// Rows of a unit's first page.
const PAGE_ROWS_FIRST: i64 = 1_000;
/// Time alone makes no page smaller than this. One that takes long whatever its size, for a great many rows have the same instant
/// and each page goes through all of them, would dwindle to a row, and the month never end.
const PAGE_ROWS_LEAST: i64 = 500;
/// How often a page that met a lock is tried before the unit is let go.
const CONTENTION_MAX: u32 = 40;
/// How often a leaf is made for one page: a month that went below the floor meanwhile has none, and needs none.
const LEAVES_MAX: u32 = 5;

/// How many rows the next page goes by; follows what pages take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageSize {
    rows: i64,
    most: i64,
}

/// What a page did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// Rows of the source that it went by.
    pub(crate) scanned: i64,
    /// Rows that it copied.
    pub(crate) copied: i64,
    /// Whether the pass is at its end.
    pub(crate) is_last: bool,
    /// Whether the unit's block of positions was used up before its end.
    pub(crate) needs_room: bool,
}

/// What came of an attempt at a page.
pub(crate) enum Step {
    /// It was copied.
    Copied(Page),
    /// A row was put into quarantine.
    Quarantined,
    /// The unit is another worker's by now.
    LeaseLost,
}

/// What is told of the worker with its page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Telling {
    pub(crate) throttle: Option<String>,
    pub(crate) rows_per_second: Option<f64>,
}

impl PageSize {
    pub(crate) fn new(most: u32) -> Self {
        let most = i64::from(most.max(1));
        Self { rows: PAGE_ROWS_FIRST.min(most), most }
    }

    /// The same, but no more rows than these.
    fn at_most(self, rows: i64) -> Self {
        Self { rows: self.rows.min(rows.max(1)), ..self }
    }

    /// Goes towards the size that takes as long as a page should, by no more than twice.
    fn after(self, took: Duration, scanned: i64) -> Self {
        if scanned < self.rows {
            return self;
        }
        let ratio = PAGE_TARGET.as_secs_f64() / took.as_secs_f64().max(0.000_1);
        let wanted = (self.rows as f64 * ratio.clamp(0.5, 2.0)) as i64;
        Self { rows: wanted.clamp(self.rows.min(PAGE_ROWS_LEAST), self.most), ..self }
    }

    fn halved(self) -> Self {
        Self { rows: (self.rows / 2).max(1), ..self }
    }
}

/// Copies the next page. A lock that is not had in time is tried again, a leaf that is missing is made, and a page with a row
/// that cannot be copied is halved until the row stands alone.
///
/// # Errors
/// What none of that helps against; nothing of the page is written then.
pub(crate) async fn next_page(
    connection: &mut PgConnection,
    unit: &mut Unit,
    size: &mut PageSize,
    most: i64,
    telling: &Telling,
) -> Result<Step, MigrationError> {
    let (mut contention, mut leaves) = (0, 0);
    loop {
        let begun = Instant::now();
        let asked = size.at_most(most);
        let error = match copy(connection, unit, asked.rows, telling).await {
            Ok(None) => return Ok(Step::LeaseLost),
            Ok(Some(page)) => {
                *size = asked.after(begun.elapsed(), page.scanned);
                return Ok(Step::Copied(page));
            }
            Err(error) => error,
        };
        if is_partition_missing(&error) && leaves < LEAVES_MAX {
            leaves += 1;
            make_leaf(connection, unit).await?;
        } else if is_contention(&error) && contention < CONTENTION_MAX {
            contention += 1;
            tracing::debug!(%error, "backfill gave way to another session");
            *size = asked.halved();
            tokio::time::sleep(Duration::from_millis(5 + rand::random_range(0..100))).await;
        } else if is_of_row(&error) && asked.rows > 1 {
            *size = asked.halved();
        } else if is_of_row(&error) {
            let put = quarantine::put(connection, unit, &sqlstate(&error), &reason(&error)).await?;
            return Ok(if put { Step::Quarantined } else { Step::LeaseLost });
        } else {
            return Err(error.into());
        }
    }
}

/// Makes the month that rows are copied to. One that lies below the floor by now is not made, and its rows are not copied.
pub(crate) async fn make_leaf(connection: &mut PgConnection, unit: &Unit) -> Result<(), MigrationError> {
    for attempt in 1.. {
        let made = sqlx::query_file_scalar!("sql/plan/create_month.sql", unit.tenant, unit.start)
            .fetch_one(&mut *connection)
            .await;
        match made {
            Ok(_) => break,
            Err(error) if is_contention(&error) && attempt < CONTENTION_MAX => {
                tokio::time::sleep(Duration::from_millis(50 + rand::random_range(0..200))).await;
            }
            Err(error) if sqlstate(&error) == "22023" => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Runs a statement that reads a month whole: joins as the planner likes them, and no limit of time.
pub(crate) async fn begin_count(connection: &mut PgConnection) -> sqlx::Result<sqlx::PgTransaction<'_>> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(
        "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on; \
         SET LOCAL enable_bitmapscan = on; SET LOCAL statement_timeout = 0",
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction)
}

/// The same, for a count of the rows that are on one side alone. Where a table has no statistics yet, each side looks like one
/// row, and a nested loop like the cheapest join: each row is compared with each, 100 million times for a month of 10,000.
pub(crate) async fn begin_anti_join(connection: &mut PgConnection) -> sqlx::Result<sqlx::PgTransaction<'_>> {
    let mut transaction = begin_count(connection).await?;
    sqlx::raw_sql("SET LOCAL enable_nestloop = off").execute(&mut *transaction).await?;
    Ok(transaction)
}

async fn copy(
    connection: &mut PgConnection,
    unit: &mut Unit,
    rows: i64,
    telling: &Telling,
) -> sqlx::Result<Option<Page>> {
    match unit.direction {
        Direction::Forward => copy_forward(connection, unit, rows, telling).await,
        Direction::Restore => copy_back(connection, unit, rows, telling).await,
    }
}

async fn copy_forward(
    connection: &mut PgConnection,
    unit: &mut Unit,
    rows: i64,
    telling: &Telling,
) -> sqlx::Result<Option<Page>> {
    let cursor = &unit.cursor;
    let row = sqlx::query_file!(
        "sql/copy/copy_page.sql",
        unit.tenant,
        unit.start,
        unit.end,
        unit.token,
        rows,
        cursor.timestamp,
        cursor.aggregate_type,
        cursor.aggregate_id,
        cursor.version,
        cursor.event_id,
        unit.lease.as_secs_f64(),
        telling.throttle,
        telling.rows_per_second
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if let (Some(timestamp), Some(version)) = (row.cursor_timestamp, row.cursor_version) {
        unit.cursor = Cursor {
            timestamp,
            aggregate_type: row.cursor_type.unwrap_or_default(),
            aggregate_id: row.cursor_id.unwrap_or_default(),
            version,
            event_id: row.cursor_event_id.unwrap_or_default(),
        };
    }
    Ok(Some(Page {
        scanned: row.scanned,
        copied: row.copied,
        is_last: row.page_rows < rows && row.scanned == row.page_rows,
        needs_room: row.scanned < row.page_rows,
    }))
}

async fn copy_back(
    connection: &mut PgConnection,
    unit: &mut Unit,
    rows: i64,
    telling: &Telling,
) -> sqlx::Result<Option<Page>> {
    let row = sqlx::query_file!(
        "sql/restore/copy_page.sql",
        unit.tenant,
        unit.start,
        unit.end,
        unit.token,
        rows,
        unit.cursor.version,
        unit.lease.as_secs_f64(),
        telling.throttle,
        telling.rows_per_second
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if let Some(position) = row.cursor_version {
        unit.cursor.version = position;
    }
    Ok(Some(Page {
        scanned: row.scanned,
        copied: row.copied,
        is_last: row.scanned < rows,
        needs_room: false,
    }))
}

/// Why a row cannot be copied: the database's words, without the values that its detail would quote.
fn reason(error: &sqlx::Error) -> String {
    let Some(error) = error.as_database_error() else { return error.to_string() };
    match (error.constraint(), error.table()) {
        (Some(constraint), _) => format!("violates {constraint}"),
        (None, Some(table)) => format!("{} ({table})", error.message()),
        (None, None) => error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_what_they_take_by_no_more_than_twice() {
        let size = PageSize::new(10_000);
        assert_eq!(size.after(Duration::from_millis(10), 1_000).rows, 2_000);
        assert_eq!(size.after(Duration::from_millis(125), 1_000).rows, 800);
        assert_eq!(size.after(Duration::from_secs(9), 1_000).rows, 500);
        assert_eq!(PageSize::new(7).after(Duration::ZERO, 7).rows, 7);
        // What takes long whatever its size does not dwindle; what others made smaller grows again.
        assert_eq!(size.after(Duration::from_secs(9), 1_000).after(Duration::from_secs(9), 500).rows, 500);
        assert_eq!(size.halved().halved().after(Duration::from_secs(9), 250).rows, 250);
        // The end of a unit says nothing of what a page takes.
        assert_eq!(size.after(Duration::from_millis(1), 3).rows, 1_000);
    }

    #[test]
    fn a_page_can_be_halved_down_to_one_row() {
        let mut size = PageSize::new(10_000);
        for _ in 0..20 {
            size = size.halved();
        }
        assert_eq!(size.rows, 1);
    }
}
