//! The second wall between tenants: a login that has only the app's role reads and writes what belongs to the tenants that its
//! session names, and nothing else, whatever the statement says. Here is what the service knows of it; the wall itself
//! stands in migration 0026.

use sqlx::PgExecutor;

use crate::StartError;

/// What a process asks of row security.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RowSecurity {
    /// To hold where it is on: tenants are named wherever it might bind this login.
    #[default]
    Auto,
    /// To hold: the process does not serve where a table with tenants' events is open to this login.
    Require,
    /// Nothing: tenants are not named, and the process does not serve where that would leave it without rows.
    Off,
}

/// What row security has to do with this login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) login: String,
    /// Whether it might bind the login, now or once it is on.
    pub(crate) may_bind: bool,
    /// Whether it does, on one table at least.
    pub(crate) binds: bool,
    /// Whether it does on the legacy table.
    pub(crate) binds_legacy: bool,
    /// The tables on which it does not, in words; empty for none.
    pub(crate) free: String,
}

/// Asks what row security has to do with the login of a session.
pub(crate) async fn find(executor: impl PgExecutor<'_>) -> sqlx::Result<Standing> {
    let found = sqlx::query_file!("sql/session/find_row_security.sql").fetch_one(executor).await?;
    let (may_bind, binds, binds_legacy) = (found.may_bind, found.binds, found.binds_legacy);
    Ok(Standing { login: found.login, may_bind, binds, binds_legacy, free: found.free })
}

/// Whether row security keeps a login from other tenants' rows: what asks about all of them gets no true answer then.
///
/// # Errors
/// When the database cannot be asked.
pub async fn binds(executor: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    Ok(find(executor).await?.binds)
}

impl Standing {
    /// Whether this process names its tenants to the database.
    ///
    /// # Errors
    /// When row security and what is wanted of it contradict each other.
    pub(crate) fn names_tenants(self, wanted: RowSecurity) -> Result<bool, StartError> {
        match wanted {
            RowSecurity::Auto => Ok(self.may_bind),
            RowSecurity::Require if self.free.is_empty() => Ok(true),
            RowSecurity::Require => {
                Err(StartError::RowSecurityMissing { login: self.login, tables: self.free })
            }
            RowSecurity::Off if self.binds => Err(StartError::RowSecurityBinds { login: self.login }),
            RowSecurity::Off => Ok(false),
        }
    }
}
