//! The workers of this process, where there is no server to have some.

use std::time::Duration;

use partita_proto::v1::backfill_orders::State;
use partita_proto::v1::control_backfill_request::Action;
use partita_proto::v1::{BackfillOrders, ControlBackfillRequest, GetMigrationStatusResponse};
use tokio_util::sync::CancellationToken;

use crate::client;
use crate::commands::migration::progress::{Progress, standing};
use crate::commands::migration::status::fetch;
use crate::commands::migration::target::Session;
use crate::commands::migration::words::number;
use crate::failure::Failure;

/// How often it is asked how far the workers have come.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Copies until the run has ended, or somebody paused or cancelled it; Ctrl-C pauses it. Gives where it stands then.
///
/// # Errors
/// When not all is copied: it was paused or cancelled, months failed, rows are in quarantine.
pub(super) async fn to_end(
    session: &mut Session,
    orders: &BackfillOrders,
) -> Result<GetMigrationStatusResponse, Failure> {
    let Some(direct) = &session.direct else {
        return fetch(session).await;
    };
    let workers_max = orders.limits.unwrap_or_default().workers.unwrap_or(1).unsigned_abs();
    let stop = CancellationToken::new();
    // Also where a look fails: nobody would be left to tell the workers.
    let _stop_when_dropped = stop.clone().drop_guard();
    let workers = direct.work(workers_max, stop.clone());
    let interrupted = direct.interrupted().clone();
    let last = follow(session, &interrupted).await?;
    stop.cancel();
    if workers.await.is_err() {
        return Err(
            Failure::internal("the workers were cut off").next("start it again: it goes on where it was")
        );
    }
    outcome(last, interrupted.is_cancelled())
}

/// Shows how far it has come, as long as it runs.
async fn follow(
    session: &mut Session,
    interrupted: &CancellationToken,
) -> Result<GetMigrationStatusResponse, Failure> {
    let mut progress = Progress::new();
    let mut is_paused = false;
    loop {
        if interrupted.is_cancelled() && !is_paused {
            is_paused = true;
            pause(session).await?;
        }
        let status = fetch(session).await?;
        let standing_now = status.progress.clone().unwrap_or_default();
        progress.show(standing_now.rows_copied, standing_now.rows_total, &standing(&standing_now));
        if status.orders.as_ref().map(BackfillOrders::state) != Some(State::Running) {
            progress.finish();
            return Ok(status);
        }
        interrupted.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await;
    }
}

async fn pause(session: &mut Session) -> Result<(), Failure> {
    let request =
        ControlBackfillRequest { action: Action::Pause.into(), limits: None, user_id: session.user.clone() };
    match session.client.control_backfill(request).await {
        Ok(_) => Ok(()),
        // It ended at the same moment: what `follow` sees next tells.
        Err(status) if status.code() == tonic::Code::FailedPrecondition => Ok(()),
        Err(status) => Err(client::failure("cannot pause the backfill", status)),
    }
}

fn outcome(
    status: GetMigrationStatusResponse,
    interrupted: bool,
) -> Result<GetMigrationStatusResponse, Failure> {
    let state = status.orders.as_ref().map(BackfillOrders::state).unwrap_or_default();
    let failed = status.progress.as_ref().map(|progress| progress.units_failed).unwrap_or_default();
    let refused = match state {
        State::Finished if failed > 0 => Failure::refused(format!("{} months failed", number(failed)))
            .next("`partita migration status` tells why; mend it, then start again"),
        State::Finished if status.quarantined > 0 => {
            Failure::refused(format!("{} rows could not be copied", number(status.quarantined)))
                .next("`partita migration mismatches` lists them; correct them, then start again")
        }
        State::Finished => return Ok(status),
        State::Paused => {
            let by = if interrupted { "" } else { ", by somebody else" };
            Failure::refused(format!("the backfill is paused{by}, not done"))
                .next("`partita migration backfill resume --direct` goes on where it was")
        }
        State::Stopped => Failure::refused("the backfill was cancelled, it is not done")
            .next("`partita migration backfill start --direct` goes on where it was"),
        State::Running | State::Unspecified => {
            Failure::internal("the backfill is in no state that it can end in")
        }
    };
    Err(refused)
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::BackfillProgress;

    use super::*;
    use crate::failure::Exit;

    fn ended(state: State, units_failed: i64, quarantined: i64) -> Result<(), Failure> {
        let status = GetMigrationStatusResponse {
            orders: Some(BackfillOrders { state: state.into(), ..Default::default() }),
            progress: Some(BackfillProgress { units_failed, ..Default::default() }),
            quarantined,
            ..Default::default()
        };
        outcome(status, true).map(drop)
    }

    #[test]
    fn only_a_run_that_copied_everything_ends_well() {
        assert!(ended(State::Finished, 0, 0).is_ok());
        for bad in
            [(State::Finished, 1, 0), (State::Finished, 0, 1), (State::Paused, 0, 0), (State::Stopped, 0, 0)]
        {
            assert_eq!(ended(bad.0, bad.1, bad.2).unwrap_err().exit(), Exit::Refused, "{bad:?}");
        }
    }
}
