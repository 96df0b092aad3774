use std::time::Duration;

use clap::Args;
use partita_proto::v1::{
    BackfillOrders, BackfillUnit, GetMigrationStatusRequest, GetMigrationStatusResponse, ServiceInstance,
};

use crate::client;
use crate::commands::migration::document::{StatusDocument, phase_word, word};
use crate::commands::migration::progress::standing;
use crate::commands::migration::target::Session;
use crate::commands::migration::watch;
use crate::commands::migration::words::{limit, number, rate, span};
use crate::failure::Failure;
use crate::output::{self, Format};

const UNIT_TITLES: [&str; 8] =
    ["tenant", "month", "state", "#rows", "#of", "#rate", "worker", "throttled by, or went wrong"];
const INSTANCE_TITLES: [&str; 6] = ["host", "#pid", "version", "DB_PARTITIONS_V1", "phase", "#last sign"];

/// Tell where the migration stands.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Tell it again and again, until Ctrl-C: the whole screen on a terminal, a line every ten seconds elsewhere
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks of --watch on a terminal, or with -o json
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
}

pub(super) async fn run(args: StatusArgs, session: &mut Session, format: Format) -> Result<(), Failure> {
    if args.watch {
        return watch::run(session, Duration::from_secs(args.interval), format).await;
    }
    let status = fetch(session).await?;
    print(status, format)
}

/// Asks once.
pub(super) async fn fetch(session: &mut Session) -> Result<GetMigrationStatusResponse, Failure> {
    let status = session.client.get_migration_status(GetMigrationStatusRequest {}).await;
    let failed = |status| client::failure("cannot tell where the migration stands", status);
    Ok(status.map_err(failed)?.into_inner())
}

pub(super) fn print(status: GetMigrationStatusResponse, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&StatusDocument::from(status)),
        Format::Table => print_tables(&status),
    }
}

fn print_tables(status: &GetMigrationStatusResponse) -> Result<(), Failure> {
    for line in lines(status) {
        output::line(&line)?;
    }
    if !status.units.is_empty() {
        output::line("")?;
        output::table(&UNIT_TITLES, status.units.iter().map(unit_row).collect())?;
    }
    output::line("")?;
    if status.instances.is_empty() {
        return output::line("no process serves this database");
    }
    let now = status.read_at.map(|at| at.seconds).unwrap_or_default();
    output::table(&INSTANCE_TITLES, status.instances.iter().map(|it| instance_row(it, now)).collect())
}

/// What is told of the whole, a subject a line.
fn lines(status: &GetMigrationStatusResponse) -> Vec<String> {
    let change = status.last_change.clone().unwrap_or_default();
    let since = client::from_wire(change.changed_at.as_ref()).unwrap_or_default();
    let orders = status.orders.clone().unwrap_or_default();
    let progress = status.progress.clone().unwrap_or_default();
    let by = output::cell(&change.changed_by);
    let mut lines = vec![
        format!("phase     {} since {since}, by {by}", phase_word(status.phase())),
        format!("backfill  {}", told_orders(&orders)),
        format!("copied    {}", standing(&progress)),
        format!(
            "tenants   {}, backfilled {}, verified {}",
            number(status.tenants),
            number(status.tenants_backfilled),
            number(status.tenants_verified)
        ),
        format!(
            "blocks    {} rows in quarantine, {} differences, {} months failed",
            number(status.quarantined),
            number(status.mismatches),
            number(progress.units_failed)
        ),
    ];
    if status.accepted > 0 {
        let accepted = number(status.accepted);
        lines.push(format!(
            "accepted  {accepted} rows stay in event_store_partitioned alone: a restore left them behind"
        ));
    }
    if progress.rows_left > 0 {
        let left = number(progress.rows_left);
        lines.push(format!(
            "left      {left} rows were written behind the backfill: the next start finds them"
        ));
    }
    lines
}

/// What the workers are told, on one line.
pub(super) fn told_orders(orders: &BackfillOrders) -> String {
    let limits = orders.limits.unwrap_or_default();
    format!(
        "{} ({}), by {}; workers {}, rows/s {}, replica lag {}, lock waits {}",
        word(orders.state().as_str_name(), "STATE_"),
        word(orders.direction().as_str_name(), "BACKFILL_DIRECTION_"),
        output::cell(&orders.changed_by),
        limits.workers.unwrap_or_default(),
        limit(limits.rows_per_second, ""),
        limit(limits.replica_lag_ms_max, " ms"),
        limit(limits.lock_waits_max, "")
    )
}

fn unit_row(unit: &BackfillUnit) -> Vec<String> {
    let what = if unit.last_error.is_empty() { &unit.throttle } else { &unit.last_error };
    let is_moving = unit.rows_per_second > 0.0;
    vec![
        output::cell(&unit.tenant_id),
        unit.month.clone(),
        word(unit.state().as_str_name(), "STATE_"),
        number(unit.rows_copied),
        number(unit.rows_total),
        if is_moving { rate(unit.rows_per_second) } else { String::new() },
        output::cell(&unit.worker),
        output::cell(what),
    ]
}

/// `now` is in seconds since 1970.
fn instance_row(instance: &ServiceInstance, now: i64) -> Vec<String> {
    let age = instance.heartbeat_at.map(|at| now - at.seconds).unwrap_or_default();
    vec![
        output::cell(&instance.host),
        instance.pid.to_string(),
        output::cell(&instance.version),
        if instance.partitions_v1 { "1" } else { "0" }.to_owned(),
        output::cell(&instance.phase),
        format!("{} ago", span(age)),
    ]
}

#[cfg(test)]
mod tests {
    use partita_proto::v1::{BackfillLimits, MigrationPhase};

    use super::*;

    #[test]
    fn a_status_tells_what_blocks_and_what_was_left() {
        let status = GetMigrationStatusResponse {
            phase: MigrationPhase::Open.into(),
            tenants: 1_200,
            quarantined: 3,
            progress: Some(partita_proto::v1::BackfillProgress { rows_left: 12, ..Default::default() }),
            ..Default::default()
        };
        let text = lines(&status).join("\n");
        for part in
            ["phase     open since", "tenants   1,200", "3 rows in quarantine", "12 rows were written"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_limit_of_0_is_told_as_none() {
        let limits = BackfillLimits {
            workers: Some(2),
            rows_per_second: Some(0),
            replica_lag_ms_max: Some(5_000),
            lock_waits_max: Some(8),
        };
        let text = told_orders(&BackfillOrders { limits: Some(limits), ..Default::default() });
        assert!(text.ends_with("workers 2, rows/s no limit, replica lag 5,000 ms, lock waits 8"), "{text}");
    }

    #[test]
    fn a_heartbeat_of_a_clock_that_is_ahead_is_not_in_the_future() {
        let heartbeat_at = Some(prost_types::Timestamp { seconds: 100, nanos: 0 });
        let instance = ServiceInstance { heartbeat_at, ..Default::default() };
        assert_eq!(instance_row(&instance, 98).last().unwrap(), "0 s ago");
        assert_eq!(instance_row(&instance, 107).last().unwrap(), "7 s ago");
    }
}
