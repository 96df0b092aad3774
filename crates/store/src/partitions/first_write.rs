use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use partita_model::{Month, TenantId, Timestamp};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::admission::Obstacle;
use super::plan::raised_to;
use super::{Partitions, integer, is_contention, store_error};
use crate::StoreError;
use crate::metrics::{DDL_LOCK_WAITS, FIRST_WRITE_PARTITIONS};

/// How often a step that gave way to another session is tried, each time after a random part of [`RETRY_AFTER`].
const ATTEMPTS_MAX: u32 = 4;
/// When a caller, or the next attempt, should come back.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The tenants whose partitions are being worked on in this process, each with the lock that its workers share. Between
/// processes an advisory lock in the database does the same.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<TenantId, Weak<tokio::sync::Mutex<()>>>>);

impl Flights {
    pub(super) fn of(&self, tenant: &TenantId) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(tenant).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::default();
        flights.insert(tenant.clone(), Arc::downgrade(&flight));
        flight
    }
}

impl Partitions {
    /// Makes the partitions that an append misses: those that the configuration asks for, and the given months as far
    /// as they lie between the tenant's floor and the months ahead. Drops nothing.
    ///
    /// # Errors
    /// `TenantLimit` for a new tenant when there are too many: nothing was made.
    pub(crate) async fn make_for_append(
        &self,
        tenant: &TenantId,
        wanted: &BTreeSet<Month>,
    ) -> Result<(), StoreError> {
        let flight = self.flights.of(tenant);
        let _single = flight.lock().await;
        // Waited for here, where the caller's deadline is the only bound, not at the pool, which gives up after some seconds.
        let _turn = self.makers.acquire().await;
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            match self.make(tenant, wanted).await {
                Ok(0) => return Ok(()),
                Ok(created) => {
                    FIRST_WRITE_PARTITIONS.add(u64::try_from(created).unwrap_or_default(), []);
                    made_on_first_write(tenant, wanted, created, begun.elapsed());
                    return Ok(());
                }
                Err(Obstacle::Limit(error)) => return Err(error),
                Err(Obstacle::Database(error)) if is_contention(&error) && attempt < ATTEMPTS_MAX => {
                    DDL_LOCK_WAITS.add(1, []);
                    attempt += 1;
                }
                Err(Obstacle::Database(error)) => return Err(self.refused_to_caller(tenant, &error).await),
            }
            tokio::time::sleep(RETRY_AFTER.mul_f64(rand::random())).await;
        }
    }

    /// The floor that a tenant has, or will have once its partitions are made.
    pub(crate) async fn planned_floor(&self, tenant: &TenantId) -> Result<Option<Timestamp>, StoreError> {
        let refused = |error: sqlx::Error| store_error(&error, Some(tenant));
        let raised = self.plan(tenant, &self.defaults()).await.map_err(refused)?.iter().find_map(raised_to);
        match raised {
            Some(floor) => Ok(Some(floor)),
            None => Ok(self.floor(tenant).await.map_err(refused)?.flatten()),
        }
    }

    async fn make(&self, tenant: &TenantId, wanted: &BTreeSet<Month>) -> Result<i32, Obstacle> {
        self.admit(tenant).await?;
        let missing = sqlx::query_file_scalar!(
            "sql/partitions/create_missing_months.sql",
            tenant.as_str(),
            integer(self.months_ahead),
            integer(self.retention_months)
        )
        .fetch_one(&self.pool)
        .await?;
        // A new tenant has its floor before it has events, so that the first one already obeys it.
        if let Some(floor) = self.plan(tenant, &self.defaults()).await?.iter().find_map(raised_to) {
            self.begin_floor(tenant, floor).await?;
        }
        if wanted.is_empty() {
            return Ok(missing);
        }
        let starts: Vec<OffsetDateTime> = wanted.iter().map(|month| month.start().to_datetime()).collect();
        let dated = sqlx::query_file_scalar!(
            "sql/partitions/create_months.sql",
            tenant.as_str(),
            &starts,
            integer(self.months_ahead)
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(missing + dated.unwrap_or_default())
    }

    /// Who stands in the way is logged, and is none of a caller's business.
    async fn refused_to_caller(&self, tenant: &TenantId, error: &sqlx::Error) -> StoreError {
        let mut explained = self.explain(tenant, error).await;
        if let StoreError::PartitionUnavailable { blockers, .. } = &mut explained {
            blockers.clear();
        }
        explained
    }

    /// Gives a tenant without events its floor; one that has some gets it by maintenance.
    async fn begin_floor(&self, tenant: &TenantId, floor: Timestamp) -> sqlx::Result<()> {
        sqlx::query_file!("sql/partitions/begin_floor.sql", tenant.as_str(), floor.to_datetime())
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }
}

/// An append had to wait for partitions: normal for a new tenant, else a sign that maintenance does not keep ahead. The one
/// place that knows: what counts such appends belongs here.
fn made_on_first_write(tenant: &TenantId, wanted: &BTreeSet<Month>, created: i32, elapsed: Duration) {
    let months: Vec<String> = wanted.iter().map(Month::to_string).collect();
    tracing::info!(
        %tenant,
        partitions.created = created,
        months.written = months.join(","),
        elapsed_ms = elapsed.as_millis(),
        "partitions made on a first write"
    );
}
