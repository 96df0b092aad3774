//! Holds a history against what is stored. A pure function: it knows neither the load nor the faults.
//!
//! A file a question: [`appends`] whether each append is there as it should be, [`answers`] whether its callers were told
//! the truth, [`order`] what was known to whom when, [`places`] whether versions and positions are whole, [`reads`]
//! whether each read is a prefix, [`tables`] whether the two tables agree.

mod answers;
mod appends;
mod ledger;
mod order;
mod places;
mod reads;
mod tables;
#[cfg(test)]
mod tests;

use self::ledger::Ledger;
pub(crate) use self::ledger::mark_of;
use crate::contents::Contents;
use crate::history::History;
use crate::violation::Violation;

/// Which tables were written while the history was made, and so what must be in which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// Legacy alone.
    Legacy,
    /// Legacy by everybody; the partitioned table by some, and by those whenever legacy was.
    Dual,
    /// Both by everybody, or what was missing is copied by now.
    Equal,
    /// As [`Dual`](Self::Dual), after legacy was filled up from the partitioned table: what it holds may be copies too.
    Restored,
    /// The partitioned table holds everything that has not expired; legacy is not looked at.
    Partitioned,
}

/// Everything that is wrong, in no particular order. The load must have ended, and what the services were doing for it:
/// an append that is still under way would be taken for a torn history.
///
/// Tenants that the history does not name are not looked at.
pub fn check(history: &History, contents: &Contents, tables: Tables) -> Vec<Violation> {
    let ledger = Ledger::new(history, contents, tables);
    let mut found = Vec::new();
    appends::check(&ledger, &mut found);
    answers::check(&ledger, &mut found);
    order::check(&ledger, &mut found);
    places::check(&ledger, &mut found);
    reads::check(&ledger, &mut found);
    tables::check(&ledger, &mut found);
    found
}
