use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use partita_model::TenantId;
use tokio::time::Instant;

use super::{Partitions, integer, store_error};
use crate::StoreError;

/// The time that the rate counts over.
const WINDOW: Duration = Duration::from_mins(1);

/// Why a first write did not get its partitions.
pub(super) enum Obstacle {
    /// The tenant is one too many.
    Limit(StoreError),
    /// The database did not do it.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Obstacle {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// How many new tenants first writes bring in: in all, which the database counts for every process, and a minute, which
/// each process counts for itself. What an operator asks for is not counted.
pub(super) struct NewTenants {
    tenants_max: u32,
    per_minute: u32,
    /// When the tenants of the last minute came, the first one first.
    recent: Mutex<VecDeque<Instant>>,
}

impl NewTenants {
    pub(super) fn new(tenants_max: u32, per_minute: u32) -> Self {
        Self { tenants_max, per_minute, recent: Mutex::default() }
    }

    /// Takes one of the minute's places.
    ///
    /// # Errors
    /// When there is none: how long until there is; nothing where there never is.
    fn take_place(&self, now: Instant) -> Result<(), Option<Duration>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|came| *came + WINDOW <= now) {
            recent.pop_front();
        }
        if recent.len() < self.per_minute as usize {
            recent.push_back(now);
            return Ok(());
        }
        Err(recent.front().map(|first| *first + WINDOW - now))
    }

    /// Gives the place that was taken last to somebody else.
    fn give_back(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).pop_back();
    }
}

impl Partitions {
    /// Takes in the tenant of a first write: one that is registered already, or one for which there is room.
    pub(super) async fn admit(&self, tenant: &TenantId) -> Result<(), Obstacle> {
        if self.floor(tenant).await?.is_some() {
            return Ok(());
        }
        let NewTenants { tenants_max, per_minute, .. } = *self.new_tenants;
        let refused = |limit, retry_after| {
            Obstacle::Limit(StoreError::TenantLimit { tenant: tenant.clone(), limit, retry_after })
        };
        self.new_tenants.take_place(Instant::now()).map_err(|wait| refused(per_minute, wait))?;
        let admitted = sqlx::query_file_scalar!(
            "sql/partitions/admit_tenant.sql",
            tenant.as_str(),
            integer(tenants_max)
        )
        .fetch_one(&self.pool)
        .await;
        if !matches!(admitted, Ok(true)) {
            self.new_tenants.give_back();
        }
        if admitted? { Ok(()) } else { Err(refused(tenants_max, None)) }
    }

    /// Whether maintenance that nobody asked for by name covers the tenant: a registered one, or one of the new ones that
    /// there is room for.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(crate) async fn has_room_for(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let tenants_max = i64::from(self.new_tenants.tenants_max);
        sqlx::query_file_scalar!("sql/partitions/has_room_for.sql", tenant.as_str(), tenants_max)
            .fetch_one(&self.pool)
            .await
            .map_err(|error| store_error(&error, Some(tenant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_places_and_says_when_the_next_is_free() {
        let tenants = NewTenants::new(500, 2);
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(tenants.take_place(at(0)), Ok(()));
        assert_eq!(tenants.take_place(at(20)), Ok(()));
        assert_eq!(tenants.take_place(at(21)), Err(Some(Duration::from_secs(39))));
        assert_eq!(tenants.take_place(at(60)), Ok(()));
        assert_eq!(tenants.take_place(at(61)), Err(Some(Duration::from_secs(19))));
        tenants.give_back();
        assert_eq!(tenants.take_place(at(62)), Ok(()));
    }

    #[test]
    fn a_rate_of_none_never_has_a_place() {
        assert_eq!(NewTenants::new(500, 0).take_place(Instant::now()), Err(None));
    }
}
