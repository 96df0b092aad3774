use std::collections::{BTreeMap, BTreeSet, HashMap};

use partita_model::{Append, Month, Phase, StreamId, TenantId, Timestamp, Uuid, Version};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::load::tenant;
use super::replay::Recorded;
use crate::read::page::EVER;

/// Most tenants whose months are locked by one transaction, for it looks ids up in the months of each: with the default
/// months ahead, some 1,100 entries of the database's table of locks, of some 7,000.
const TENANTS_MAX: usize = 64;

/// Events that are recorded, by their ids.
type Found = HashMap<(TenantId, Uuid), Recorded>;

/// An event of either table.
struct Row {
    tenant_id: String,
    event_id: Uuid,
    event_type: String,
    aggregate_type: String,
    aggregate_id: String,
    aggregate_version: i32,
    event_data: String,
    event_metadata: Option<String>,
    event_timestamp: OffsetDateTime,
}

impl Row {
    fn recorded(self) -> sqlx::Result<((TenantId, Uuid), Recorded)> {
        let recorded = Recorded {
            stream: StreamId::from_row(self.aggregate_type, self.aggregate_id),
            version: Version::new(self.aggregate_version),
            event_type: self.event_type,
            data: self.event_data,
            metadata: self.event_metadata,
            event_timestamp: Timestamp::from_datetime(self.event_timestamp),
        };
        Ok(((tenant(self.tenant_id)?, self.event_id), recorded))
    }
}

/// How many of the appends one transaction may look up ids for.
pub(super) fn looked_up_at_once(phase: Phase, appends: &[&Append]) -> usize {
    if phase.legacy_is_whole() {
        return appends.len();
    }
    let mut tenants: BTreeSet<&TenantId> = BTreeSet::new();
    for (count, append) in appends.iter().enumerate() {
        tenants.insert(append.tenant());
        if tenants.len() > TENANTS_MAX {
            return count;
        }
    }
    appends.len()
}

/// Which of the ids that callers gave are recorded: in legacy for ever, and once that does not hold every event, in the
/// partitioned table as well: since the month before the present one, and in the months of the times that callers gave.
pub(super) async fn find_recorded(
    connection: &mut PgConnection,
    phase: Phase,
    now: Timestamp,
    appends: &[&Append],
) -> sqlx::Result<Found> {
    match phase {
        Phase::Legacy | Phase::Dual | Phase::Fenced => find_in_legacy(connection, appends).await,
        Phase::Restoring | Phase::Finalized => find_in_both(connection, now, appends).await,
    }
}

async fn find_in_legacy(connection: &mut PgConnection, appends: &[&Append]) -> sqlx::Result<Found> {
    let (tenants, ids) = given(appends);
    if ids.is_empty() {
        return Ok(Found::new());
    }
    let rows = sqlx::query_file_as!(Row, "sql/append/find_recorded.sql", &tenants as _, &ids);
    rows.fetch_all(connection).await?.into_iter().map(Row::recorded).collect()
}

/// Looks ids up in what legacy still holds and in the partitioned table, whatever the plans that the session keeps.
pub(super) async fn find_in_both(
    connection: &mut PgConnection,
    now: Timestamp,
    appends: &[&Append],
) -> sqlx::Result<Found> {
    let since = Month::of(now).plus(-1).start();
    let (tenants, ids) = given(appends);
    let mut found = Found::new();
    if !ids.is_empty() {
        let rows = sqlx::query_file_as!(
            Row,
            "sql/append/find_recorded_finalized.sql",
            &tenants as _,
            &ids,
            since.to_datetime(),
            ever().to_datetime()
        );
        for row in rows.fetch_all(&mut *connection).await? {
            found.extend([row.recorded()?]);
        }
    }
    for (tenant, (first, last)) in given_before(since, appends) {
        let (_, ids) = given(&of_tenant(tenant, appends));
        find_between(connection, &[tenant.as_str()], &ids, (first, last), &mut found).await?;
    }
    Ok(found)
}

async fn find_between(
    connection: &mut PgConnection,
    tenants: &[&str],
    ids: &[Uuid],
    (from, to): (Timestamp, Timestamp),
    found: &mut Found,
) -> sqlx::Result<()> {
    let rows = sqlx::query_file_as!(
        Row,
        "sql/append/find_recorded_partitioned.sql",
        tenants as _,
        ids,
        from.to_datetime(),
        to.to_datetime()
    );
    for row in rows.fetch_all(connection).await? {
        found.extend([row.recorded()?]);
    }
    Ok(())
}

/// The tenants of the appends, and the ids that callers gave.
fn given<'a>(appends: &[&'a Append]) -> (Vec<&'a str>, Vec<Uuid>) {
    let with_ids = appends.iter().filter(|append| append.events().any(|event| event.event_id.is_some()));
    let tenants: BTreeSet<&str> = with_ids.map(|append| append.tenant().as_str()).collect();
    let ids = appends.iter().flat_map(|append| append.events()).filter_map(|event| event.event_id);
    (tenants.into_iter().collect(), ids.collect())
}

fn of_tenant<'a>(tenant: &TenantId, appends: &[&'a Append]) -> Vec<&'a Append> {
    appends.iter().copied().filter(|append| append.tenant() == tenant).collect()
}

/// The whole months before `since` that events with given ids are dated into, of each tenant that has such events.
fn given_before<'a>(
    since: Timestamp,
    appends: &[&'a Append],
) -> BTreeMap<&'a TenantId, (Timestamp, Timestamp)> {
    let mut months: BTreeMap<&TenantId, (Month, Month)> = BTreeMap::new();
    for append in appends {
        let dated = append.events().filter(|event| event.event_id.is_some());
        for at in dated.filter_map(|event| event.event_timestamp).filter(|at| *at < since) {
            let month = Month::of(at);
            let (first, last) = months.entry(append.tenant()).or_insert((month, month));
            (*first, *last) = ((*first).min(month), (*last).max(month));
        }
    }
    months.into_iter().map(|(tenant, (first, last))| (tenant, (first.start(), end(last)))).collect()
}

/// The last instant of a month.
fn end(month: Month) -> Timestamp {
    Timestamp::from_datetime(month.plus(1).start().to_datetime() - time::Duration::microseconds(1))
}

fn ever() -> Timestamp {
    Timestamp::from_datetime(EVER.1)
}
