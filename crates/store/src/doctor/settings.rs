use std::collections::HashMap;

use sqlx::PgConnection;

use super::check::Answer;

/// A setting, and where it came from.
pub(super) struct Setting {
    pub(super) value: String,
    source: String,
}

/// Settings by their names.
pub(super) async fn find(
    connection: &mut PgConnection,
    names: &[&str],
) -> sqlx::Result<HashMap<String, Setting>> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let rows = sqlx::query_file!("sql/doctor/list_settings.sql", &names).fetch_all(connection).await?;
    let settings = rows.into_iter().map(|row| (row.name, Setting { value: row.setting, source: row.source }));
    Ok(settings.collect())
}

/// What is acknowledged survives a crash.
pub(super) async fn check_durability(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let settings = find(connection, &["fsync", "full_page_writes", "synchronous_commit"]).await?;
    let off: Vec<_> = ["fsync", "full_page_writes", "synchronous_commit"]
        .into_iter()
        .filter(|name| settings.get(*name).is_some_and(|setting| setting.value == "off"))
        .collect();
    if off.is_empty() {
        return Ok(Answer::ok("fsync, full_page_writes and synchronous_commit are on"));
    }
    let fix = off.iter().map(|name| format!("ALTER SYSTEM SET {name} = on;")).collect::<Vec<_>>().join(" ");
    let found = format!("{} off: a crash may lose acknowledged events", off.join(", "));
    Ok(Answer::warn(found, format!("{fix} SELECT pg_reload_conf();")))
}

/// Sessions get the settings that they ask for, and are left alone while they idle.
pub(super) async fn check_session(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let asked =
        ["plan_cache_mode", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
    let settings = find(connection, &[asked.as_slice(), &["idle_session_timeout"]].concat()).await?;
    let lost: Vec<_> = asked
        .into_iter()
        .filter(|name| settings.get(*name).is_none_or(|setting| setting.source != "client"))
        .collect();
    if !lost.is_empty() {
        let found = format!("sessions do not get the {} that they ask for", lost.join(", "));
        let fix =
            "a pooler stands between and drops them: connect to PostgreSQL itself, or let it pool sessions";
        return Ok(Answer::fail(found, fix));
    }
    if let Some(idle) = settings.get("idle_session_timeout").filter(|setting| setting.value != "0") {
        let found = format!(
            "idle_session_timeout is {} ms: lanes and the maintainer idle, and would be cut",
            idle.value
        );
        return Ok(Answer::warn(found, "ALTER ROLE CURRENT_USER SET idle_session_timeout = 0;"));
    }
    let mode =
        sqlx::query_file_scalar!("sql/doctor/find_role_plan_mode.sql").fetch_optional(connection).await?;
    match mode.as_deref() {
        None | Some("auto" | "force_custom_plan") => {
            Ok(Answer::ok("sessions get plan_cache_mode and timeouts as they ask"))
        }
        Some(mode) => {
            let found = format!(
                "the role's plan_cache_mode is {mode}: other programs under it lock every partition with each statement"
            );
            Ok(Answer::warn(found, "ALTER ROLE CURRENT_USER SET plan_cache_mode = force_custom_plan;"))
        }
    }
}

/// Dead rows are counted and cleaned away: every append rewrites a tenant's row and a stream's.
pub(super) async fn check_statistics(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let settings = find(connection, &["autovacuum", "track_counts"]).await?;
    let off: Vec<_> = ["track_counts", "autovacuum"]
        .into_iter()
        .filter(|name| settings.get(*name).is_some_and(|setting| setting.value == "off"))
        .collect();
    if off.is_empty() {
        return Ok(Answer::ok("track_counts and autovacuum are on"));
    }
    let found = format!("{} off: the rows of tenants and streams bloat with every append", off.join(", "));
    let fix = off.iter().map(|name| format!("ALTER SYSTEM SET {name} = on;")).collect::<Vec<_>>().join(" ");
    Ok(Answer::warn(found, format!("{fix} SELECT pg_reload_conf();")))
}
