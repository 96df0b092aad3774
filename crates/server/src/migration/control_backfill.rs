use partita_migration::{Migration, MigrationError, Tuning};
use partita_model::Violations;
use partita_proto::v1;
use partita_proto::v1::control_backfill_request::Action;
use partita_store::StoreError;
use tonic::{Request, Response, Status};

use crate::migration::message::orders;
use crate::migration::request::check_user;
use crate::status::{refuse, refuse_migration};

const WORKERS_MAX: i32 = 64;
const ROWS_PER_SECOND_MAX: i32 = 10_000_000;
/// A day.
const REPLICA_LAG_MS_MAX: i32 = 86_400_000;
const LOCK_WAITS_MAX: i32 = 100_000;

/// Tells the workers of all processes what to do.
pub(crate) async fn control_backfill(
    migration: &Migration,
    request: Request<v1::ControlBackfillRequest>,
) -> Result<Response<v1::ControlBackfillResponse>, Status> {
    let request = request.into_inner();
    let (action, tuning) = parse(&request).map_err(|violations| refuse(&StoreError::Invalid(violations)))?;
    let told = tell(migration, action, tuning, &request.user_id).await;
    told.map_err(|error| refuse_migration(&error))?;
    let now = migration.orders().await.map_err(|error| refuse_migration(&error))?;
    Ok(Response::new(v1::ControlBackfillResponse { orders: Some(orders(now)) }))
}

async fn tell(
    migration: &Migration,
    action: Action,
    tuning: Option<Tuning>,
    by: &str,
) -> Result<(), MigrationError> {
    match action {
        Action::Start => migration.start(tuning.unwrap_or_default(), by).await,
        Action::Pause => migration.pause(by).await,
        Action::Resume => {
            migration.resume(by).await?;
            match tuning {
                Some(tuning) => migration.tune(tuning, by).await,
                None => Ok(()),
            }
        }
        Action::Tune => migration.tune(tuning.unwrap_or_default(), by).await,
        Action::Cancel => migration.cancel(by).await,
        // `parse` has refused it.
        Action::Unspecified => Ok(()),
    }
}

pub(super) fn parse(request: &v1::ControlBackfillRequest) -> Result<(Action, Option<Tuning>), Violations> {
    let mut violations = Violations::default();
    let action = violations.check("action", parse_action(request.action)).unwrap_or_default();
    let tuning = request.limits.map(|limits| parse_limits(&mut violations, limits));
    match action {
        Action::Pause | Action::Cancel if tuning.is_some() => {
            violations.push("limits", "go with start, resume and tune alone".to_owned());
        }
        Action::Tune if tuning.is_none() => {
            violations.push("limits", "are missing: name at least one".to_owned());
        }
        Action::Unspecified
        | Action::Start
        | Action::Pause
        | Action::Resume
        | Action::Tune
        | Action::Cancel => {}
    }
    check_user(&mut violations, &request.user_id, false);
    if violations.is_empty() { Ok((action, tuning)) } else { Err(violations) }
}

fn parse_action(sent: i32) -> Result<Action, String> {
    match Action::try_from(sent) {
        Ok(Action::Unspecified) => Err("is missing: give 1 (start) to 5 (cancel)".to_owned()),
        Ok(action) => Ok(action),
        Err(_) => Err(format!("has the unknown value {sent}: give 1 (start) to 5 (cancel)")),
    }
}

/// The wire's 0 takes a limit away.
fn parse_limits(violations: &mut Violations, sent: v1::BackfillLimits) -> Tuning {
    let mut bounded = |field: &str, sent: Option<i32>, least: i32, most: i32| {
        let sent = sent?;
        let checked = if (least..=most).contains(&sent) {
            Ok(sent)
        } else {
            Err(format!("is {sent}: give {least} to {most}"))
        };
        violations.check(&format!("limits.{field}"), checked)
    };
    let workers = bounded("workers", sent.workers, 1, WORKERS_MAX);
    let rows_per_second = bounded("rows_per_second", sent.rows_per_second, 0, ROWS_PER_SECOND_MAX);
    let lag_ms_max = bounded("replica_lag_ms_max", sent.replica_lag_ms_max, 0, REPLICA_LAG_MS_MAX);
    let lock_waits_max = bounded("lock_waits_max", sent.lock_waits_max, 0, LOCK_WAITS_MAX);
    let limit = |sent: i32| Some(sent).filter(|sent| *sent != 0);
    Tuning {
        workers,
        rows_per_second: rows_per_second.map(limit),
        lag_ms_max: lag_ms_max.map(limit),
        lock_waits_max: lock_waits_max.map(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(action: Action, limits: Option<v1::BackfillLimits>) -> v1::ControlBackfillRequest {
        v1::ControlBackfillRequest { action: action.into(), limits, user_id: "ann".to_owned() }
    }

    fn refused(request: &v1::ControlBackfillRequest) -> Vec<String> {
        let violations = parse(request).unwrap_err();
        violations.iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn a_limit_of_0_is_none_and_one_that_is_left_out_stays() {
        let limits =
            v1::BackfillLimits { rows_per_second: Some(0), lock_waits_max: Some(9), ..Default::default() };
        let (action, tuning) = parse(&request(Action::Tune, Some(limits))).unwrap();
        let expected =
            Tuning { rows_per_second: Some(None), lock_waits_max: Some(Some(9)), ..Tuning::default() };
        assert_eq!((action, tuning), (Action::Tune, Some(expected)));
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let limits = v1::BackfillLimits {
            workers: Some(0),
            rows_per_second: Some(-1),
            replica_lag_ms_max: Some(REPLICA_LAG_MS_MAX + 1),
            lock_waits_max: Some(100_001),
        };
        let wrong = v1::ControlBackfillRequest { action: 9, limits: Some(limits), user_id: String::new() };
        let expected = [
            "action",
            "limits.workers",
            "limits.rows_per_second",
            "limits.replica_lag_ms_max",
            "limits.lock_waits_max",
            "user_id",
        ];
        assert_eq!(refused(&wrong), expected);
    }

    #[test]
    fn limits_that_would_be_passed_over_are_refused() {
        let limits = Some(v1::BackfillLimits { workers: Some(4), ..Default::default() });
        assert_eq!(refused(&request(Action::Pause, limits)), ["limits"]);
        assert_eq!(refused(&request(Action::Cancel, limits)), ["limits"]);
        assert_eq!(refused(&request(Action::Tune, None)), ["limits"]);
        assert!(
            parse(&request(Action::Start, None)).is_ok() && parse(&request(Action::Resume, limits)).is_ok()
        );
    }
}
