use sqlx::PgConnection;

use super::check::Answer;
use crate::StoreConfig;

/// Most stray tables that are named.
const STRAYS_MAX: i64 = 20;

/// Every tenant has its months, as far ahead as the configuration says.
pub(super) async fn check_months(
    connection: &mut PgConnection,
    config: &StoreConfig,
) -> sqlx::Result<Answer> {
    if !config.partitions_v1 {
        return Ok(Answer::skip("DB_PARTITIONS_V1 is off: no month is written to"));
    }
    let found = count_missing(connection, config).await?;
    let tenants = found.tenants;
    if found.without_table + found.months == 0 {
        return Ok(Answer::ok(format!("{tenants} tenants have their months, {} ahead", config.months_ahead)));
    }
    let fix = format!(
        "SELECT ensure_event_store_partitions_for_all({}, {});",
        config.months_ahead, config.retention_months
    );
    let first = found.first_tenant.unwrap_or_default();
    if found.without_current > 0 {
        let text = format!(
            "{} of {tenants} tenants lack the current month, the first is \"{first}\"",
            found.without_current
        );
        return Ok(Answer::fail(text, fix));
    }
    let text = format!(
        "of {tenants} tenants, {} have no partitions yet, and the others lack {} months; the first is \"{first}\"",
        found.without_table, found.months
    );
    Ok(Answer::warn(text, fix))
}

/// No detach was begun and not finished: until it is, no other month of its tenant can be detached.
pub(super) async fn check_pending(
    connection: &mut PgConnection,
    config: &StoreConfig,
) -> sqlx::Result<Answer> {
    let found = count_missing(connection, config).await?;
    let Some(tenant) = found.pending_tenant else { return Ok(Answer::ok("no detach was left half done")) };
    let text =
        format!("{} detaches were begun and not finished, the first of tenant \"{tenant}\"", found.pending);
    Ok(Answer::warn(
        text,
        format!("partita partitions maintain --tenant '{}'", tenant.replace('\'', "'\\''")),
    ))
}

/// Beside the partitions stands nothing that no registry speaks of.
pub(super) async fn check_strays(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let strays = sqlx::query_file!("sql/doctor/list_strays.sql", STRAYS_MAX).fetch_all(connection).await?;
    if strays.is_empty() {
        return Ok(Answer::ok("every table in event_store_partitions is attached, or waits for its end"));
    }
    let names = |is_month: bool| -> Vec<_> {
        strays.iter().filter(|stray| stray.is_month == is_month).map(|stray| stray.name.as_str()).collect()
    };
    let foreign = names(false);
    if foreign.is_empty() {
        let found = format!("detached months that nobody wrote down: {}", names(true).join(", "));
        return Ok(Answer::warn(found, "partita partitions maintain"));
    }
    let found = format!("tables in event_store_partitions that belong to no tenant: {}", foreign.join(", "));
    let fix = format!(
        "ALTER TABLE event_store_partitions.{} SET SCHEMA public; -- each, then see whose it is",
        foreign[0]
    );
    Ok(Answer::warn(found, fix))
}

struct Missing {
    tenants: i64,
    without_table: i64,
    without_current: i64,
    months: i64,
    pending: i64,
    pending_tenant: Option<String>,
    first_tenant: Option<String>,
}

async fn count_missing(connection: &mut PgConnection, config: &StoreConfig) -> sqlx::Result<Missing> {
    let months = |months: u32| i32::try_from(months).unwrap_or(i32::MAX);
    sqlx::query_file_as!(
        Missing,
        "sql/doctor/count_missing_months.sql",
        months(config.months_ahead),
        months(config.retention_months)
    )
    .fetch_one(connection)
    .await
}
