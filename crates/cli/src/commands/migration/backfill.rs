use clap::{Args, Subcommand};
use partita_proto::v1::control_backfill_request::Action;
use partita_proto::v1::{BackfillLimits, BackfillOrders, ControlBackfillRequest};

use crate::client;
use crate::commands::migration::document::{OrdersDocument, StatusDocument};
use crate::commands::migration::progress::standing;
use crate::commands::migration::status::told_orders;
use crate::commands::migration::target::Session;
use crate::commands::migration::workers;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Copy history into the partitioned table.
#[derive(Debug, Args)]
pub(crate) struct BackfillArgs {
    #[command(subcommand)]
    command: BackfillCommand,
}

#[derive(Debug, Subcommand)]
enum BackfillCommand {
    /// Look at all history again and copy what is missing; with --direct in this process, until it is done or Ctrl-C
    Start(LimitArgs),
    /// Stop after the pages that are being copied
    Pause,
    /// Go on after a pause; with --direct in this process
    Resume(LimitArgs),
    /// Change the limits while it runs
    Tune(LimitArgs),
    /// End the run; what is copied stays
    Cancel,
}

/// What the workers of all processes together keep to; what is left out stays as it is.
#[derive(Debug, Clone, Default, Args)]
struct LimitArgs {
    /// Months of tenants that are copied at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=64))]
    workers: Option<i32>,
    /// Most rows a second; 0: no limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=10_000_000))]
    rows_per_second: Option<i32>,
    /// Wait while a replica lags by more; 0: do not look
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(i32).range(0..=86_400_000))]
    replica_lag_ms_max: Option<i32>,
    /// Wait while more sessions than these wait for locks; 0: do not look
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=100_000))]
    lock_waits_max: Option<i32>,
}

pub(super) async fn run(args: BackfillArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    match args.command {
        BackfillCommand::Start(limits) => go(session, Action::Start, limits, format).await,
        BackfillCommand::Resume(limits) => go(session, Action::Resume, limits, format).await,
        BackfillCommand::Pause => told(session, Action::Pause, None, format).await,
        BackfillCommand::Cancel => told(session, Action::Cancel, None, format).await,
        BackfillCommand::Tune(limits) => {
            let Some(limits) = limits.given() else {
                let failure = Failure::usage("no limit is named");
                return Err(failure.next("name one, such as --rows-per-second 2000"));
            };
            told(session, Action::Tune, Some(limits), format).await
        }
    }
}

/// Says it, and prints what the workers are told now.
async fn told(
    session: &mut Session,
    action: Action,
    limits: Option<BackfillLimits>,
    format: Format,
) -> Result<(), Failure> {
    let orders = tell(session, action, limits).await?;
    print(orders, format)
}

/// Lets the workers work: those of this process, or those of the servers.
async fn go(session: &mut Session, action: Action, limits: LimitArgs, format: Format) -> Result<(), Failure> {
    let orders = tell(session, action, limits.given()).await?;
    if session.direct.is_none() {
        print(orders, format)?;
        if format == Format::Table {
            output::line(
                "the servers' workers copy: `partita migration status --watch` shows how far they are",
            )?;
        }
        return Ok(());
    }
    let status = workers::to_end(session, &orders).await?;
    match format {
        Format::Json => output::json(&StatusDocument::from(status)),
        Format::Table => {
            output::line(&format!("backfill finished: {}", standing(&status.progress.unwrap_or_default())))
        }
    }
}

/// Tells the workers of all processes what to do; gives all that they are told.
pub(super) async fn tell(
    session: &mut Session,
    action: Action,
    limits: Option<BackfillLimits>,
) -> Result<BackfillOrders, Failure> {
    let request = ControlBackfillRequest { action: action.into(), limits, user_id: session.user.clone() };
    let answer = session.client.control_backfill(request).await;
    let answer = answer.map_err(|status| client::failure("the backfill was not told", status))?;
    Ok(answer.into_inner().orders.unwrap_or_default())
}

fn print(orders: BackfillOrders, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&OrdersDocument::from(orders)),
        Format::Table => output::line(&format!("backfill {}", told_orders(&orders))),
    }
}

impl LimitArgs {
    /// The limits, if any is named.
    fn given(&self) -> Option<BackfillLimits> {
        let limits = BackfillLimits {
            workers: self.workers,
            rows_per_second: self.rows_per_second,
            replica_lag_ms_max: self.replica_lag_ms_max,
            lock_waits_max: self.lock_waits_max,
        };
        (limits != BackfillLimits::default()).then_some(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_0_is_named_and_one_that_is_left_out_is_not() {
        assert_eq!(LimitArgs::default().given(), None);
        let given = LimitArgs { rows_per_second: Some(0), ..LimitArgs::default() }.given().unwrap();
        assert_eq!((given.workers, given.rows_per_second), (None, Some(0)));
    }
}
