use std::collections::BTreeMap;

use serde::Serialize;

use crate::commands::import::send::{Outcome, RefusedEvent};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Name under which lines are counted that are no events.
const BAD_LINE: &str = "BAD_LINE";

/// What became of the lines.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    /// Lines that are not empty.
    pub(super) lines: u64,
    /// Lines that are events.
    pub(super) events: u64,
    pub(super) appended: u64,
    pub(super) already_recorded: u64,
    refused: BTreeMap<String, u64>,
    tenants: BTreeMap<String, TenantTally>,
}

/// What became of a tenant's events.
#[derive(Debug, Default, Serialize)]
struct TenantTally {
    appended: u64,
    already_recorded: u64,
    refused: u64,
}

impl Tally {
    /// Lines refused, by anybody and for any reason.
    pub(super) fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Counts a line that is no event.
    pub(super) fn bad_line(&mut self, line: u64, text: String) -> RefusedEvent {
        self.lines += 1;
        let refused = RefusedEvent { line, reason: BAD_LINE.to_owned(), text };
        *self.refused.entry(refused.reason.clone()).or_default() += 1;
        refused
    }

    /// Counts a line that is an event.
    pub(super) fn event(&mut self) {
        self.lines += 1;
        self.events += 1;
    }

    /// Counts what became of a group.
    pub(super) fn settled(&mut self, outcome: &Outcome) {
        self.appended += outcome.appended;
        self.already_recorded += outcome.already_recorded;
        for refused in &outcome.refused {
            *self.refused.entry(refused.reason.clone()).or_default() += 1;
        }
        let tenant = self.tenants.entry(outcome.stream.tenant_id.clone()).or_default();
        tenant.appended += outcome.appended;
        tenant.already_recorded += outcome.already_recorded;
        tenant.refused += outcome.refused.len() as u64;
    }

    /// Prints the summary.
    pub(super) fn print(&self, dry_run: bool, format: Format) -> Result<(), Failure> {
        if format == Format::Json {
            return output::json(self);
        }
        let mut rows = vec![row("lines read", self.lines), row("events", self.events)];
        if !dry_run {
            rows.extend([row("appended", self.appended), row("already recorded", self.already_recorded)]);
        }
        rows.extend(self.refused.iter().map(|(reason, count)| row(&format!("refused: {reason}"), *count)));
        output::table(&["import", "#count"], rows)?;
        if self.tenants.is_empty() {
            return Ok(());
        }
        let tenants = self.tenants.iter().map(|(name, tenant)| {
            let counts = [tenant.appended, tenant.already_recorded, tenant.refused];
            std::iter::once(output::cell(name)).chain(counts.map(|count| count.to_string())).collect()
        });
        output::table(&["tenant", "#appended", "#already recorded", "#refused"], tenants.collect())
    }
}

fn row(what: &str, count: u64) -> Vec<String> {
    vec![what.to_owned(), count.to_string()]
}
