//! Whether the two tables agree, in the phases in which both are written.

use std::collections::HashMap;

use partita_model::Uuid;

use super::Tables;
use super::ledger::Ledger;
use crate::contents::Row;
use crate::violation::{Kind, Violation};

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    match ledger.tables {
        Tables::Legacy | Tables::Partitioned => {}
        Tables::Dual | Tables::Restored => check_copies(ledger, found),
        Tables::Equal => {
            check_copies(ledger, found);
            check_complete(ledger, found);
        }
    }
}

/// Whatever is in the partitioned table is in legacy, the same in every shared column.
fn check_copies(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    let legacy: HashMap<Uuid, &Row> = ledger.contents.legacy.iter().map(|row| (row.event_id, row)).collect();
    let ours = ledger.contents.partitioned.iter().filter(|row| ledger.tenants.contains(&row.key.tenant));
    for row in ours {
        let message = match legacy.get(&row.event_id) {
            Some(original) if original.digest == row.digest => continue,
            Some(_) => format!("{} version {} is not the same in both tables", row.key, row.version),
            None => format!("{} version {} is in the partitioned table alone", row.key, row.version),
        };
        found.push(Violation::new(Kind::TablesDiffer, message).of(&row.key).event(row.event_id));
    }
}

/// Whatever is in legacy, and has not expired, is in the partitioned table.
fn check_complete(ledger: &Ledger<'_>, found: &mut Vec<Violation>) {
    let ours = ledger.contents.legacy.iter().filter(|row| ledger.tenants.contains(&row.key.tenant));
    for row in ours {
        let expired = ledger.contents.is_expired(&row.key.tenant, row.event_timestamp);
        if !expired && !ledger.partitioned.contains_key(&row.event_id) {
            let message = format!("{} version {} is in the legacy table alone", row.key, row.version);
            found.push(Violation::new(Kind::TablesDiffer, message).of(&row.key).event(row.event_id));
        }
    }
}
