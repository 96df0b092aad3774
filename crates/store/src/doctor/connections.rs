use sqlx::PgConnection;

use super::check::Answer;
use super::settings;
use crate::StoreConfig;
use crate::connect::FIRST_WRITE_CONNECTIONS_MAX;

/// Connections of a process beside lanes and pool: those of first writes, the one of probes, the maintainer's, and the one that
/// settles a commit in doubt.
const BESIDE: i64 = FIRST_WRITE_CONNECTIONS_MAX as i64 + 3;

/// One more process finds room, by the server's limit, the role's and the database's.
pub(super) async fn check(connection: &mut PgConnection, config: &StoreConfig) -> sqlx::Result<Answer> {
    let names = ["max_connections", "superuser_reserved_connections", "reserved_connections"];
    let settings = settings::find(connection, &names).await?;
    let number = |name| settings.get(name).and_then(|setting| setting.value.parse::<i64>().ok()).unwrap_or(0);
    let usable = number(names[0]) - number(names[1]) - number(names[2]);
    let found = sqlx::query_file!("sql/doctor/count_sessions.sql").fetch_one(connection).await?;
    let lanes = i64::try_from(config.lanes.count).unwrap_or(i64::MAX);
    let needed = lanes + i64::from(config.read_connections_max) + BESIDE;

    // The doctor's own session goes when it is done.
    let others = (found.sessions - 1).max(0);
    let text = format!("a process needs up to {needed}; {others} of {usable} are taken");
    let limit = |limit: i32| (limit >= 0).then_some(i64::from(limit));
    if let Some(limit) = limit(found.role_limit).filter(|limit| limit - (found.of_role - 1) < needed) {
        let fix =
            format!("ALTER ROLE CURRENT_USER CONNECTION LIMIT {}; -- or lower lanes.count", limit + needed);
        return Ok(Answer::warn(format!("{text}; the role may have {limit}"), fix));
    }
    if let Some(limit) = limit(found.database_limit).filter(|limit| limit - others < needed) {
        let fix = "ALTER DATABASE … CONNECTION LIMIT -1; -- or lower database.read_connections_max";
        return Ok(Answer::warn(format!("{text}; the database may have {limit}"), fix));
    }
    if usable - others < needed {
        let fix = format!(
            "ALTER SYSTEM SET max_connections = {}; -- and restart; or lower lanes.count and database.read_connections_max",
            number(names[0]) + needed
        );
        return Ok(Answer::warn(text, fix));
    }
    Ok(Answer::ok(text))
}
