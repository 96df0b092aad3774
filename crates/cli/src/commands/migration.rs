mod accept;
mod backfill;
mod direct;
mod doctor;
mod document;
mod mismatches;
mod phase;
mod plan;
mod progress;
mod repair;
mod status;
mod target;
mod verify;
mod watch;
mod words;
mod workers;

use clap::{Args, Subcommand};

use self::target::{Session, TargetArgs};
use crate::config::ConfigArgs;
use crate::failure::Failure;
use crate::output::Format;

/// Move a live legacy table into partitions.
#[derive(Debug, Args)]
pub(crate) struct MigrationArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(subcommand)]
    command: MigrationCommand,
}

#[derive(Debug, Subcommand)]
enum MigrationCommand {
    /// Check a legacy table that Partita did not make: what blocks its adoption, and what it costs to mend
    Doctor(doctor::DoctorArgs),
    #[command(flatten)]
    Session(SessionCommand),
}

/// Those that work through the admin API.
#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Tell where the migration stands: phase, progress, what throttles it, what blocks, who serves
    Status(status::StatusArgs),
    /// Tell what a backfill would look at
    Plan(plan::PlanArgs),
    /// Copy history into the partitioned table: start, pause, resume, tune, cancel
    Backfill(backfill::BackfillArgs),
    /// Compare both tables in every column; exit code 3 if they differ
    Verify(verify::VerifyArgs),
    /// List the differences between the tables, and the rows that could not be copied; exit code 3 if there are any
    Mismatches(mismatches::MismatchesArgs),
    /// Mend the differences whose cause is known, and tell what would mend the others
    Repair(repair::RepairArgs),
    /// Leave behind what a restore could not copy back to the legacy table
    Accept(accept::AcceptArgs),
    /// From open to fenced: the legacy table refuses programs that write it alone
    Fence(phase::ExecuteArgs),
    /// From fenced to open, at once: everybody may write the legacy table again
    Unfence,
    /// From fenced to finalized: the legacy table is neither written nor read any more
    Finalize(phase::ExecuteArgs),
    /// From finalized back to open: fill the legacy table up, prove it, and use it again
    Restore(phase::ExecuteArgs),
}

/// Runs one of them through the admin API: of a server, or of this process on the database itself.
pub(crate) async fn run(args: MigrationArgs, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    let command = match args.command {
        // It looks at what the migration has not begun with: there need not be a schema yet.
        MigrationCommand::Doctor(args) => return doctor::run(args, config, format).await,
        MigrationCommand::Session(command) => command,
    };
    let mut session = target::open(args.target, config).await?;
    let interrupted = session.direct.as_ref().map(|direct| direct.interrupted().clone());
    // Those that end well by themselves when the user wants an end.
    let is_patient = matches!(
        command,
        SessionCommand::Status(_) | SessionCommand::Backfill(_) | SessionCommand::Repair(_)
    );
    let work = dispatch(command, &mut session, format);
    let done = match interrupted.filter(|_| !is_patient) {
        Some(interrupted) => interrupted.run_until_cancelled(work).await,
        None => Some(work.await),
    };
    session.close().await;
    done.unwrap_or_else(|| {
        Err(Failure::refused("stopped before it was done").next("the same command goes on"))
    })
}

async fn dispatch(command: SessionCommand, session: &mut Session, format: Format) -> Result<(), Failure> {
    match command {
        SessionCommand::Status(args) => status::run(args, session, format).await,
        SessionCommand::Plan(args) => plan::run(args, session, format).await,
        SessionCommand::Backfill(args) => backfill::run(args, session, format).await,
        SessionCommand::Verify(args) => verify::run(args, session, format).await,
        SessionCommand::Mismatches(args) => mismatches::run(args, session, format).await,
        SessionCommand::Repair(args) => repair::run(args, session, format).await,
        SessionCommand::Accept(args) => accept::run(args, session, format).await,
        SessionCommand::Fence(args) => phase::fence(args, session, format).await,
        SessionCommand::Unfence => phase::unfence(session, format).await,
        SessionCommand::Finalize(args) => phase::finalize(args, session, format).await,
        SessionCommand::Restore(args) => phase::restore(args, session, format).await,
    }
}
