//! The calls about the migration, a file each; and what they share.

mod accept_quarantined;
mod change_phase;
mod control_backfill;
#[cfg(test)]
mod fuzz;
mod get_migration_status;
mod list_mismatches;
mod message;
mod page_token;
mod plan_migration;
mod repair_mismatches;
mod request;
mod running;
mod verify_migration;

pub(crate) use accept_quarantined::accept_quarantined;
pub(crate) use change_phase::change_phase;
pub(crate) use control_backfill::control_backfill;
pub(crate) use get_migration_status::get_migration_status;
pub(crate) use list_mismatches::list_mismatches;
pub(crate) use plan_migration::plan_migration;
pub(crate) use repair_mismatches::repair_mismatches;
pub(crate) use verify_migration::verify_migration;
