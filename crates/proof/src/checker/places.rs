//! Whether versions and positions are whole, and in the order of the commits.

use std::collections::{BTreeMap, HashSet};

use partita_model::{TenantId, Version};

use super::Tables;
use super::ledger::{Effort, Ledger};
use crate::contents::Row;
use crate::history::{AppendDeed, Place, StreamKey};
use crate::violation::{Kind, Violation};

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    for (key, rows) in &ledger.by_stream {
        check_versions(ledger, key, rows, found);
        match ledger.tables {
            Tables::Legacy | Tables::Dual | Tables::Equal => check_commits(rows, "version", found),
            // What is looked at may be copies, which were committed in an order of their own.
            Tables::Restored | Tables::Partitioned => {}
        }
    }
    match ledger.tables {
        Tables::Legacy => {}
        Tables::Dual | Tables::Equal | Tables::Restored | Tables::Partitioned => {
            check_records(ledger, found);
            check_feeds(ledger, found);
        }
    }
}

/// From 1 to the last, each once; what has expired may be gone.
fn check_versions(ledger: &Ledger<'_>, key: &StreamKey, rows: &[&Row], found: &mut Vec<Violation>) {
    let mut last = Version::NONE;
    for row in rows {
        if row.version == last {
            let message = format!("{key} has version {last} twice");
            found.push(Violation::new(Kind::VersionGap, message).of(key).event(row.event_id));
            continue;
        }
        let hole = (last.get() + 1..row.version.get()).map(Version::new);
        if let Some(missing) = hole.into_iter().find(|missing| !is_gone(ledger, key, *missing)) {
            let message = format!("{key} has version {} and not {missing}", row.version);
            found.push(Violation::new(Kind::VersionGap, message).of(key));
        }
        last = row.version;
    }
}

/// Whether the event that had this version has expired, by what its caller was told.
fn is_gone(ledger: &Ledger<'_>, key: &StreamKey, version: Version) -> bool {
    if ledger.tables != Tables::Partitioned {
        return false;
    }
    match ledger.told.get(&(key.clone(), version)) {
        Some(place) => ledger.contents.is_expired(&key.tenant, place.event_timestamp),
        // Its caller was never told: it may be any of those that are unknown.
        None => {
            unknown_and_expired(ledger, &key.tenant).any(|append| append.keys().any(|other| other == *key))
        }
    }
}

/// Appends whose callers never knew, with events that would have expired.
fn unknown_and_expired<'l>(
    ledger: &'l Ledger<'_>,
    tenant: &'l TenantId,
) -> impl Iterator<Item = &'l AppendDeed> {
    let unknown = |effort: &&Effort<'_>| effort.may_be_recorded() && effort.acknowledged().next().is_none();
    let append = |effort: &'l Effort<'_>| effort.append();
    ledger.efforts.iter().filter(unknown).filter_map(append).filter(move |append| {
        let times = append.events().filter_map(|(_, event)| event.event_timestamp);
        append.tenant == *tenant && times.into_iter().any(|at| ledger.contents.is_expired(tenant, at))
    })
}

/// A stream's own record covers its events in the partitioned table.
fn check_records(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    let mut last: BTreeMap<&StreamKey, Version> = BTreeMap::new();
    for row in &ledger.contents.partitioned {
        let entry = last.entry(&row.key).or_insert(Version::NONE);
        *entry = row.version.max(*entry);
    }
    for (key, last) in last.into_iter().filter(|(key, _)| ledger.tenants.contains(&key.tenant)) {
        let record = ledger.contents.heads.get(key).copied().unwrap_or(Version::NONE);
        if record < last {
            let message = format!("{key} has version {last}, and its record says {record}");
            found.push(Violation::new(Kind::VersionGap, message).of(key));
        }
    }
}

/// Live positions of a tenant: from 1 to the last that was drawn, each once; what has expired may be gone.
fn check_feeds(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    let mut feeds: BTreeMap<&TenantId, Vec<&Row>> = BTreeMap::new();
    for row in &ledger.contents.partitioned {
        if ledger.tenants.contains(&row.key.tenant) {
            feeds.entry(&row.key.tenant).or_default().push(row);
        }
    }
    for tenant in ledger.contents.tenants.keys().filter(|tenant| ledger.tenants.contains(tenant)) {
        let mut feed = feeds.remove(tenant).unwrap_or_default();
        feed.sort_by_key(|row| row.position);
        check_feed(ledger, tenant, &feed, found);
        let live: Vec<&Row> = feed.into_iter().filter(|row| row.position > Some(0)).collect();
        check_commits(&live, "position", found);
    }
    for (tenant, rows) in feeds {
        let message =
            format!("tenant {tenant} has {} events in the partitioned table and no row", rows.len());
        found.push(Violation::new(Kind::PositionGap, message));
    }
}

fn check_feed(ledger: &Ledger<'_>, tenant: &TenantId, feed: &[&Row], found: &mut Vec<Violation>) {
    let state = ledger.contents.tenants.get(tenant).copied().unwrap_or_default();
    let mut taken: HashSet<i64> = HashSet::new();
    for row in feed {
        let position = row.position.unwrap_or_default();
        if !taken.insert(position) {
            let message = format!("tenant {tenant} has position {position} twice");
            found.push(Violation::new(Kind::PositionGap, message).of(&row.key).event(row.event_id));
        }
        if position > state.last_position {
            let message =
                format!("tenant {tenant} has position {position}, and its last is {}", state.last_position);
            found.push(Violation::new(Kind::PositionGap, message).of(&row.key).event(row.event_id));
        }
    }
    let gone: Vec<&Place> = ledger
        .told
        .iter()
        .filter(|((key, _), place)| {
            key.tenant == *tenant && ledger.contents.is_expired(tenant, place.event_timestamp)
        })
        .map(|(_, place)| place)
        .collect();
    let expired: HashSet<i64> = gone.iter().filter_map(|place| place.position).collect();
    // Who was told of an event after it had expired, or never, cannot say which position it had.
    let untold = gone.iter().filter(|place| place.position.is_none()).count();
    let unknown: usize = unknown_and_expired(ledger, tenant).map(|append| append.events().count()).sum();
    let excused = untold + unknown;
    let holes: Vec<i64> = (1..=state.last_position)
        .filter(|position| !taken.contains(position) && !expired.contains(position))
        .collect();
    if let Some(first) = holes.first().filter(|_| holes.len() > excused) {
        let message = format!(
            "tenant {tenant} has {} positions missing below {}, the first is {first}",
            holes.len(),
            state.last_position
        );
        found.push(Violation::new(Kind::PositionGap, message));
    }
}

/// Each row was committed with the one before it, or later.
fn check_commits(rows: &[&Row], what: &str, found: &mut Vec<Violation>) {
    for pair in rows.windows(2) {
        let [first, second] = pair else { continue };
        if let (Some(earlier), Some(later)) = (first.committed_at, second.committed_at)
            && later < earlier
        {
            let message = format!(
                "{} comes after {} by {what} and was committed before it",
                second.event_id, first.event_id
            );
            found.push(Violation::new(Kind::CommitOrder, message).of(&second.key).event(second.event_id));
        }
    }
}
