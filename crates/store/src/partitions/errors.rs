use partita_model::TenantId;

use super::first_write;
use crate::append::is_unavailable;
use crate::metrics::DDL_LOCK_WAITS;
use crate::{Forbidding, StoreError};

/// Whether the failed step may succeed later: a lock that was not had in time, a victim of a deadlock, or a leaf that
/// somebody else was just working on.
pub(super) fn is_contention(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01" | "55000" | "57014" | "42P07"))
}

/// Whether somebody else may have finished the step first: the leaf is no partition any more, or nothing is pending.
pub(super) fn is_overtaken(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42P01" | "55000"))
}

/// SQLSTATE of a tenant or month that is not there: `no_data_found`.
pub(super) fn is_not_found(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "P0002")
}

/// SQLSTATE of months that lack what legacy alone has of them (`event_store_restore_month`).
pub(super) fn is_incomplete(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "PTM01")
}

/// Whether the role of this process may not do it.
fn is_privilege_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42501")
}

/// Sorts an error of maintenance, and logs it once.
pub(super) fn store_error(error: &sqlx::Error, tenant: Option<&TenantId>) -> StoreError {
    match tenant {
        Some(tenant) if is_contention(error) => {
            DDL_LOCK_WAITS.add(1, []);
            tracing::warn!(%error, %tenant, "partition maintenance gave way to other sessions");
            StoreError::PartitionUnavailable {
                tenant: tenant.clone(),
                retry_after: first_write::RETRY_AFTER,
                blockers: Vec::new(),
            }
        }
        _ if is_privilege_missing(error) => {
            tracing::warn!(%error, "the role of this process lacks a privilege");
            StoreError::Forbidden(Forbidding::Role)
        }
        _ if is_unavailable(error) => {
            tracing::warn!(%error, "database not available for partition maintenance");
            StoreError::Unavailable
        }
        _ => {
            tracing::error!(%error, "partition maintenance failed unexpectedly");
            StoreError::Internal
        }
    }
}
