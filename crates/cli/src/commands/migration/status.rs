use std::time::Duration;

use clap::Args;
use partita_migration::{BusyUnit, Instance, Migration, Progress, Status};
use serde::Serialize;

use super::failure;
use crate::failure::Failure;
use crate::output::{self, Format};

/// How often `--watch` looks.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Tell it again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// The status, as `-o json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct StatusDocument {
    phase: String,
    phase_changed_at: String,
    phase_changed_by: String,
    fenced_at: Option<String>,
    backfill: BackfillDocument,
    tenants: u64,
    tenants_backfilled: u64,
    tenants_verified: u64,
    quarantined: u64,
    mismatches: u64,
    units_listed: Vec<UnitDocument>,
    instances: Vec<InstanceDocument>,
}

#[derive(Debug, Serialize)]
struct BackfillDocument {
    direction: &'static str,
    state: &'static str,
    workers: i32,
    rows_per_second_max: Option<i32>,
    lag_ms_max: Option<i32>,
    lock_waits_max: Option<i32>,
    changed_at: String,
    changed_by: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    units: u64,
    units_done: u64,
    units_copying: u64,
    units_failed: u64,
    rows_copied: u64,
    rows_total: u64,
    rows_left: u64,
    bytes_copied: u64,
    rows_per_second: f64,
    eta_seconds: Option<u64>,
    throttle: Vec<String>,
}

#[derive(Debug, Serialize)]
struct UnitDocument {
    tenant_id: String,
    month: String,
    state: String,
    rows_copied: u64,
    rows_total: u64,
    rows_per_second: f64,
    throttle: Option<String>,
    owner: Option<String>,
    heartbeat_at: Option<String>,
    attempts: u32,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct InstanceDocument {
    host: String,
    pid: i32,
    version: String,
    flag: bool,
    phase: String,
    started_at: String,
    heartbeat_at: String,
}

pub(super) async fn run(args: StatusArgs, migration: &Migration, format: Format) -> Result<(), Failure> {
    loop {
        let status = migration.status().await.map_err(|error| failure("cannot tell", &error))?;
        match format {
            Format::Json => output::json(&StatusDocument::from(status))?,
            Format::Table => print(&status)?,
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
        if format == Format::Table {
            output::line("")?;
        }
    }
}

fn print(status: &Status) -> Result<(), Failure> {
    let (orders, progress) = (&status.orders, &status.progress);
    output::line(&format!(
        "phase       {} since {}, by {}",
        status.phase,
        status.phase_changed_at,
        output::cell(&status.phase_changed_by)
    ))?;
    output::line(&format!("backfill    {} ({}), {}", orders.state, orders.direction, describe(progress)))?;
    output::line(&format!("limits      {}", limits(status)))?;
    if !progress.throttle.is_empty() {
        output::line(&format!("throttled   by {}", progress.throttle.join("; ")))?;
    }
    output::line(&format!(
        "tenants     {}, {} backfilled, {} verified{}",
        progress.tenants,
        progress.tenants_backfilled,
        progress.tenants_verified,
        if status.fenced_at.is_some() { " since the fence went up" } else { "" }
    ))?;
    output::line(&format!(
        "blocking    {} rows in quarantine, {} differences, {} units failed, {} rows left",
        progress.quarantined, progress.mismatches, progress.units_failed, progress.rows_left
    ))?;
    if !status.busy.is_empty() {
        output::line("")?;
        let titles = ["tenant", "month", "state", "#rows", "#of", "#rows/s", "throttled by, or went wrong"];
        output::table(&titles, status.busy.iter().map(row).collect())?;
    }
    output::line("")?;
    if status.instances.is_empty() {
        return output::line("no process serves this database");
    }
    let titles = ["host", "#pid", "version", "DB_PARTITIONS_V1", "phase", "last sign of life"];
    output::table(&titles, status.instances.iter().map(instance_row).collect())
}

/// How far it has come, on a line.
pub(super) fn describe(progress: &Progress) -> String {
    let eta = progress.eta.map(|eta| format!(", {} to go", duration(eta))).unwrap_or_default();
    format!(
        "{} of {} units, {} of {} rows, {}, {:.0} rows/s{eta}",
        progress.units_done,
        progress.units,
        progress.rows_copied,
        progress.rows_total,
        output::bytes(i64::try_from(progress.bytes_copied).unwrap_or(i64::MAX)),
        progress.rows_per_second
    )
}

fn limits(status: &Status) -> String {
    let limits = status.orders.limits;
    let or_none = |limit: Option<i32>, unit: &str| match limit {
        Some(limit) => format!("{limit} {unit}"),
        None => format!("any number of {unit}"),
    };
    format!(
        "{} workers, {}, a replica's lag of {}, {}",
        limits.workers,
        or_none(limits.rows_per_second, "rows/s"),
        or_none(limits.lag_ms_max, "ms"),
        or_none(limits.lock_waits_max, "sessions waiting for locks")
    )
}

fn row(unit: &BusyUnit) -> Vec<String> {
    let note = unit.throttle.as_deref().or(unit.last_error.as_deref()).unwrap_or_default();
    vec![
        output::cell(&unit.tenant_id),
        unit.month.to_string(),
        unit.state.clone(),
        unit.rows_copied.to_string(),
        unit.rows_total.to_string(),
        format!("{:.0}", unit.rows_per_second),
        output::cell(note),
    ]
}

fn instance_row(instance: &Instance) -> Vec<String> {
    vec![
        output::cell(&instance.host),
        instance.pid.to_string(),
        instance.version.clone(),
        if instance.flag { "1" } else { "0" }.to_owned(),
        instance.phase.clone(),
        instance.heartbeat_at.to_string(),
    ]
}

/// Hours, minutes and seconds, the two largest of them.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

impl From<Status> for StatusDocument {
    fn from(status: Status) -> Self {
        let Status { orders, progress, .. } = status;
        Self {
            phase: status.phase,
            phase_changed_at: status.phase_changed_at.to_string(),
            phase_changed_by: status.phase_changed_by,
            fenced_at: status.fenced_at.map(|at| at.to_string()),
            tenants: progress.tenants,
            tenants_backfilled: progress.tenants_backfilled,
            tenants_verified: progress.tenants_verified,
            quarantined: progress.quarantined,
            mismatches: progress.mismatches,
            backfill: BackfillDocument {
                direction: orders.direction.as_str(),
                state: orders.state.as_str(),
                workers: orders.limits.workers,
                rows_per_second_max: orders.limits.rows_per_second,
                lag_ms_max: orders.limits.lag_ms_max,
                lock_waits_max: orders.limits.lock_waits_max,
                changed_at: orders.changed_at.to_string(),
                changed_by: orders.changed_by,
                started_at: orders.started_at.map(|at| at.to_string()),
                finished_at: orders.finished_at.map(|at| at.to_string()),
                units: progress.units,
                units_done: progress.units_done,
                units_copying: progress.units_copying,
                units_failed: progress.units_failed,
                rows_copied: progress.rows_copied,
                rows_total: progress.rows_total,
                rows_left: progress.rows_left,
                bytes_copied: progress.bytes_copied,
                rows_per_second: progress.rows_per_second,
                eta_seconds: progress.eta.map(|eta| eta.as_secs()),
                throttle: progress.throttle,
            },
            units_listed: status.busy.into_iter().map(UnitDocument::from).collect(),
            instances: status.instances.into_iter().map(InstanceDocument::from).collect(),
        }
    }
}

impl From<BusyUnit> for UnitDocument {
    fn from(unit: BusyUnit) -> Self {
        Self {
            tenant_id: unit.tenant_id,
            month: unit.month.to_string(),
            state: unit.state,
            rows_copied: unit.rows_copied,
            rows_total: unit.rows_total,
            rows_per_second: unit.rows_per_second,
            throttle: unit.throttle,
            owner: unit.owner,
            heartbeat_at: unit.heartbeat_at.map(|at| at.to_string()),
            attempts: unit.attempts,
            last_error: unit.last_error,
        }
    }
}

impl From<Instance> for InstanceDocument {
    fn from(instance: Instance) -> Self {
        Self {
            host: instance.host,
            pid: instance.pid,
            version: instance.version,
            flag: instance.flag,
            phase: instance.phase,
            started_at: instance.started_at.to_string(),
            heartbeat_at: instance.heartbeat_at.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_by_its_two_largest_parts() {
        let told = [5, 65, 3_725, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(told, ["5 s", "1 min 5 s", "1 h 2 min", "25 h 0 min"]);
    }
}
