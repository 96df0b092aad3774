use partita_store::metrics::{SHADOW_DIFFERENCES, SHADOW_READS, SHADOW_ROWS};

use super::compare::Compared;
use crate::error::is_of_row;
use crate::{MigrationError, MismatchReason};

/// What came of the reads that were drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShadowTally {
    /// Reads that were compared.
    pub compared: u64,
    /// Their rows that are the same in both tables.
    pub same: u64,
    /// Their rows of the legacy table that nothing says are copied.
    pub not_copied: u64,
    /// Differences that they met, each time that they met one.
    pub differences: u64,
    /// Reads that were not compared, since too many waited.
    pub dropped: u64,
    /// Reads that were not compared for another reason.
    pub skipped: u64,
}

/// Lets the counters that alerts look at begin at 0: a first difference is a rise.
pub(super) fn begin() {
    for reason in
        [MismatchReason::MissingInPartitioned, MismatchReason::MissingInLegacy, MismatchReason::ColumnsDiffer]
    {
        SHADOW_DIFFERENCES.add(0, [reason.as_str()]);
    }
    SHADOW_READS.add(0, ["compared"]);
}

/// What came of a read.
pub(super) enum Outcome {
    Compared(Compared),
    /// Too many waited.
    Dropped,
    /// Not a phase in which both tables are to hold the same.
    Phase,
    /// A lock was not had at once, or it took too long.
    Busy,
    /// The database is away.
    Unavailable,
    /// A value that the partitioned table cannot hold.
    Unreadable,
    /// A defect, or a right that the role lacks.
    Failed,
}

impl Outcome {
    pub(super) fn of(error: sqlx::Error) -> Self {
        if is_of_row(&error) {
            return Self::Unreadable;
        }
        match MigrationError::from(error) {
            MigrationError::Busy(_) => Self::Busy,
            MigrationError::Unreachable(_) => Self::Unavailable,
            MigrationError::Refused(_) | MigrationError::Database(_) | MigrationError::Unknown(_) => {
                Self::Failed
            }
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Compared(_) => "compared",
            Self::Dropped => "dropped",
            Self::Phase => "phase",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Unreadable => "unreadable",
            Self::Failed => "failed",
        }
    }

    /// Tells the metrics.
    pub(super) fn record(&self) {
        SHADOW_READS.add(1, [self.as_str()]);
        let Self::Compared(compared) = self else { return };
        let different = compared.differences.len() as u64;
        for (rows, result) in
            [(compared.same, "same"), (different, "different"), (compared.not_copied, "not_copied")]
        {
            SHADOW_ROWS.add(rows, [result]);
        }
        for found in &compared.differences {
            SHADOW_DIFFERENCES.add(1, [found.mismatch.reason.as_str()]);
        }
    }
}

impl ShadowTally {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Compared(compared) => {
                self.compared += 1;
                self.same += compared.same;
                self.not_copied += compared.not_copied;
                self.differences += compared.differences.len() as u64;
            }
            Outcome::Dropped => self.dropped += 1,
            Outcome::Phase | Outcome::Busy | Outcome::Unavailable | Outcome::Unreadable | Outcome::Failed => {
                self.skipped += 1;
            }
        }
    }
}
