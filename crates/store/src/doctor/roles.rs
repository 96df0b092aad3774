use sqlx::PgConnection;

use super::check::Answer;
use crate::row_security::{self, Standing};
use crate::{StartError, StoreConfig};

/// The login may do all that serving needs.
pub(super) async fn check_privileges(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let privileges = sqlx::query_file!("sql/doctor/list_privileges.sql").fetch_all(connection).await?;
    let missing: Vec<_> = privileges.iter().filter(|needed| !needed.is_held).collect();
    if missing.is_empty() {
        return Ok(Answer::ok("the login may read and append"));
    }
    let names: Vec<_> = missing.iter().map(|needed| needed.privilege.as_str()).collect();
    let fix: Vec<_> =
        missing.iter().map(|needed| format!("GRANT {} TO {};", needed.privilege, needed.grantee)).collect();
    Ok(Answer::fail(format!("the login lacks {}", names.join(", ")), fix.join(" ")))
}

/// The login may do no more than it needs, and maintenance where it is on.
pub(super) async fn check_role(connection: &mut PgConnection, config: &StoreConfig) -> sqlx::Result<Answer> {
    let role = sqlx::query_file!("sql/doctor/find_role.sql").fetch_one(connection).await?;
    let name = &role.name;
    if config.partitions_v1 && !role.may_make {
        let found =
            format!("\"{name}\" may not make partitions: a first write of a tenant or month is refused");
        let fix = "serve with a login that may: see docs/operations/deploy.md, \"Two logins\"";
        return Ok(Answer::warn(found, fix));
    }
    let detaches = config.maintenance.enabled && config.maintenance.detach;
    if config.partitions_v1 && detaches && !role.may_detach {
        let found =
            format!("\"{name}\" does not own the partitions, and maintenance.enabled is on: nothing expires");
        let fix = "set maintenance.enabled = false, and let a process with the owner's login maintain";
        return Ok(Answer::warn(found, fix));
    }
    let mut powers = Vec::new();
    if role.is_superuser {
        powers.push("is a superuser");
    }
    if role.bypasses_row_security && !role.is_superuser {
        powers.push("bypasses row security");
    }
    if role.may_change_events && !role.is_superuser {
        powers.push("may change or delete events, were it not for the trigger");
    }
    if !powers.is_empty() {
        let fix =
            "serve with a login that does not own the tables: see docs/operations/deploy.md, \"Two logins\"";
        return Ok(Answer::warn(format!("\"{name}\" {}", powers.join(", ")), fix));
    }
    if !role.sees_sessions {
        let found = format!("\"{name}\" does not see whom maintenance waits for");
        return Ok(Answer::warn(
            found,
            format!("GRANT pg_read_all_stats TO \"{}\";", name.replace('"', "\"\"")),
        ));
    }
    Ok(Answer::ok(format!("\"{name}\" may serve, and no more")))
}

/// Row security keeps a login that serves to the tenants that it names, as far as the configuration asks for it.
pub(super) async fn check_row_security(
    connection: &mut PgConnection,
    config: &StoreConfig,
) -> sqlx::Result<Answer> {
    let standing = row_security::find(connection).await?;
    let answer = judge_row_security(&standing);
    Ok(match standing.names_tenants(config.row_security) {
        Ok(_) => answer,
        Err(error @ StartError::RowSecurityBinds { .. }) => {
            Answer::fail(error.to_string(), "database.row_security = \"auto\"")
        }
        Err(error) => Answer::fail(error.to_string(), "see docs/operations/roles.md, \"Row security\""),
    })
}

fn judge_row_security(standing: &Standing) -> Answer {
    let Standing { login, may_bind, binds: _, binds_legacy: _, free } = standing;
    if !may_bind {
        return Answer::ok(format!("\"{login}\" owns the tables: row security does not bind it"));
    }
    match free.as_str() {
        "" => Answer::ok(format!("\"{login}\" reads and writes the tenants that it names, and no other")),
        // Its owner's business, and where it is not on nobody is less safe than before.
        "event_store" => Answer::ok(format!(
            "\"{login}\" reads and writes the tenants that it names, and no other; but in event_store, until its owner runs \
             SELECT event_store_guard_legacy(true)"
        )),
        tables => Answer::warn(
            format!("a statement of \"{login}\" that forgets its tenant reaches all of them in {tables}"),
            "SELECT event_store_enable_row_security(); -- by the owner, once all processes know it and the login is a member \
             of event_store_app",
        ),
    }
}
