use partita_model::{Month, TenantId, Timestamp};
use partita_store::row_security;
use sqlx::PgPool;

use crate::{Direction, MigrationError, Refusal, quarantine};

/// Tenants that are listed at once.
const TENANTS_A_PAGE: i64 = 100;

/// What a backfill would look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// By tenant, newest first.
    pub months: Vec<PlannedMonth>,
}

/// A month of a tenant in the legacy table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMonth {
    /// The owner.
    pub tenant_id: String,
    /// The month, in UTC.
    pub month: Month,
    /// Its rows, by the planner's statistics: as good as the last ANALYZE.
    pub rows_estimated: u64,
    /// Whether it lies below the tenant's floor: its rows are not copied, the heads of its streams are.
    pub is_expired: bool,
    /// The state of its unit; none while it is not planned.
    pub state: Option<String>,
    /// Rows that the last look left uncopied; none before the first.
    pub rows_left: Option<u64>,
}

/// All tenants that have events, or once had, in the database's order; names that no tenant can have among them. Whatever
/// looks at all tenants begins here.
///
/// # Errors
/// Also when row security keeps this login from tenants that are not named: nothing would be missing, and nothing differ,
/// where nothing is seen.
pub(crate) async fn list_tenants(pool: &PgPool) -> Result<Vec<String>, MigrationError> {
    if row_security::binds(pool).await? {
        return Err(Refusal::RowSecurity.into());
    }
    let mut tenants: Vec<String> = Vec::new();
    loop {
        let after = tenants.last().map(String::as_str);
        let page = sqlx::query_file_scalar!("sql/plan/list_tenants.sql", after, TENANTS_A_PAGE)
            .fetch_all(pool)
            .await?;
        if page.is_empty() {
            return Ok(tenants);
        }
        tenants.extend(page);
    }
}

/// What there is to look at, without writing it down.
pub(crate) async fn look(pool: &PgPool) -> Result<Plan, MigrationError> {
    require_index(pool).await?;
    let mut plan = Plan::default();
    for tenant in list_tenants(pool).await? {
        let months = sqlx::query_file!("sql/plan/list_months.sql", tenant).fetch_all(pool).await?;
        plan.months.extend(months.into_iter().map(|row| PlannedMonth {
            tenant_id: tenant.clone(),
            month: Month::of(Timestamp::from_datetime(row.month_start)),
            rows_estimated: row.rows_estimated.unsigned_abs(),
            is_expired: row.is_expired,
            state: row.state,
            rows_left: row.rows_left.map(i64::unsigned_abs),
        }));
    }
    Ok(plan)
}

/// Writes the units down, all of them to be looked at again, and puts the rows that belong to none into quarantine.
pub(crate) async fn write(pool: &PgPool, direction: Direction) -> Result<(), MigrationError> {
    match direction {
        Direction::Forward => write_legacy(pool).await,
        Direction::Restore => {
            for tenant in list_tenants(pool).await? {
                sqlx::query_file!("sql/plan/plan_partitioned.sql", tenant).execute(pool).await?;
            }
            Ok(())
        }
    }
}

async fn write_legacy(pool: &PgPool) -> Result<(), MigrationError> {
    let begun = require_index(pool).await?;
    quarantine::put_outside(pool, None, true, quarantine::TENANTLESS).await?;
    for tenant in list_tenants(pool).await? {
        match TenantId::parse(tenant.as_str()) {
            Ok(_) => {
                let reason = "event_timestamp is NULL, or outside of the years 1 to 9999 (November)";
                quarantine::put_outside(pool, Some(&tenant), false, reason).await?;
                sqlx::query_file!("sql/plan/plan_legacy.sql", tenant).execute(pool).await?;
            }
            Err(reason) => {
                quarantine::put_outside(pool, Some(&tenant), true, &format!("tenant_id {reason}")).await?;
            }
        }
    }
    quarantine::forget_outside(pool, begun).await?;
    Ok(())
}

/// Gives the instant of the database.
async fn require_index(pool: &PgPool) -> Result<time::OffsetDateTime, MigrationError> {
    let found = sqlx::query_file!("sql/plan/find_index.sql").fetch_one(pool).await?;
    if !found.is_ordered {
        return Err(Refusal::IndexMissing.into());
    }
    Ok(found.now)
}
