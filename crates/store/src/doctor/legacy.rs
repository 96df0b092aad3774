use partita_model::{ControlPhase, Phase};
use sqlx::PgConnection;

use super::check::Answer;
use crate::StoreConfig;
use crate::start::{MEND_IDS, MEND_VERSIONS};

/// The flag of this process and the row of the whole fleet agree.
pub(super) async fn check_phase(connection: &mut PgConnection, config: &StoreConfig) -> sqlx::Result<Answer> {
    let text = sqlx::query_file_scalar!("sql/doctor/find_control.sql").fetch_optional(connection).await?;
    let Some(text) = text else {
        let fix = "INSERT INTO public.event_store_control DEFAULT VALUES;";
        return Ok(Answer::fail("event_store_control has no row", fix));
    };
    let flag = u8::from(config.partitions_v1);
    let control = match ControlPhase::parse(&text) {
        Ok(control) => control,
        Err(phase) => {
            let found =
                format!("the control row holds the phase `{phase}`, which this release does not know");
            return Ok(Answer::fail(found, "run a newer release"));
        }
    };
    Ok(match Phase::resolve(config.partitions_v1, control) {
        Ok(phase) => Answer::ok(format!("the row says {control}, DB_PARTITIONS_V1={flag}: phase {phase}")),
        Err(contradiction) => {
            let fix = format!("export DB_PARTITIONS_V1={}", 1 - flag);
            Answer::fail(contradiction.to_string(), fix)
        }
    })
}

/// An event id is recorded once.
pub(super) async fn check_ids(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let found = sqlx::query_file!("sql/schema/inspect_legacy.sql").fetch_one(connection).await?;
    if found.ids_are_unique {
        return Ok(Answer::ok("event_store has a unique index on (event_id)"));
    }
    Ok(Answer::fail("event_store has no unique index on (event_id)", MEND_IDS))
}

/// A version of a stream is recorded once.
pub(super) async fn check_versions(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    let found = sqlx::query_file!("sql/schema/inspect_legacy.sql").fetch_one(connection).await?;
    if found.versions_are_unique {
        return Ok(Answer::ok("event_store has a unique index on a stream's versions"));
    }
    Ok(Answer::fail("event_store has no unique index on a stream's versions", MEND_VERSIONS))
}

/// Tenants are listed, and their months copied, without a scan of the largest table.
pub(super) async fn check_leading_tenant(connection: &mut PgConnection) -> sqlx::Result<Answer> {
    if sqlx::query_file_scalar!("sql/doctor/is_led_by_tenant.sql").fetch_one(connection).await? {
        return Ok(Answer::ok("an index of event_store begins with tenant_id"));
    }
    let fix = "CREATE INDEX CONCURRENTLY event_store_tenant_time_idx ON public.event_store (tenant_id, event_timestamp);";
    Ok(Answer::warn(
        "no index of event_store begins with tenant_id: only registered tenants are maintained",
        fix,
    ))
}
