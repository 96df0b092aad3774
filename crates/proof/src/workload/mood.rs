//! How patient callers are, and what they were answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;

use super::Dice;

/// Longest patience of a caller that gives up on purpose.
const IMPATIENCE_MAX: Duration = Duration::from_millis(40);

/// How many of the calls are given up, in thousandths, how many appends are long, and whether the foreign program writes;
/// changed while a load runs.
#[derive(Debug, Default)]
pub struct Mood {
    cancelled_per_mille: AtomicU32,
    hurried_per_mille: AtomicU32,
    long_per_mille: AtomicU32,
    is_foreigner_silent: AtomicBool,
}

/// How long a caller waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as the deadline allows.
    Usual,
    /// The service is given this deadline.
    Deadline(Duration),
    /// Goes away after this time without a word.
    Cancel(Duration),
}

impl Mood {
    /// Lets so many of a thousand calls be cancelled within 40 ms, and so many be sent with a deadline as short.
    pub fn set(&self, cancelled_per_mille: u32, hurried_per_mille: u32) {
        self.cancelled_per_mille.store(cancelled_per_mille, Ordering::Relaxed);
        self.hurried_per_mille.store(hurried_per_mille, Ordering::Relaxed);
    }

    /// Lets so many of a thousand appends, beside the usual few, have 30 to 119 events.
    pub fn lengthen(&self, long_per_mille: u32) {
        self.long_per_mille.store(long_per_mille, Ordering::Relaxed);
    }

    /// Lets nobody give up, and appends be as usual.
    pub fn calm(&self) {
        self.set(0, 0);
        self.lengthen(0);
    }

    pub(crate) fn is_long(&self, dice: &mut Dice) -> bool {
        dice.random_range(0..1_000) < self.long_per_mille.load(Ordering::Relaxed)
    }

    /// Lets the foreign program write no more, or again. An event that it is writing is not cut short.
    pub fn silence_foreigner(&self, is_silent: bool) {
        self.is_foreigner_silent.store(is_silent, Ordering::Relaxed);
    }

    pub(crate) fn is_foreigner_silent(&self) -> bool {
        self.is_foreigner_silent.load(Ordering::Relaxed)
    }

    pub(crate) fn patience(&self, dice: &mut Dice) -> Patience {
        let cancelled = self.cancelled_per_mille.load(Ordering::Relaxed);
        let hurried = self.hurried_per_mille.load(Ordering::Relaxed);
        let short = dice.random_range(Duration::ZERO..IMPATIENCE_MAX);
        match dice.random_range(0..1_000) {
            drawn if drawn < cancelled => Patience::Cancel(short),
            drawn if drawn < cancelled + hurried => Patience::Deadline(short),
            _ => Patience::Usual,
        }
    }
}

/// What was answered, counted while a load runs.
#[derive(Debug, Default)]
pub struct Counters {
    /// Appends that were acknowledged.
    pub recorded: AtomicU64,
    /// Among them, those that were recorded by an earlier attempt.
    pub replayed: AtomicU64,
    /// Appends that were certainly not recorded.
    pub refused: AtomicU64,
    /// Appends of which nobody knows.
    pub unknown: AtomicU64,
    /// Reads that came to their end.
    pub read: AtomicU64,
    /// Reads that were cut.
    pub cut: AtomicU64,
    /// Calls that ended without an answer because their callers lost patience on purpose.
    pub given_up: AtomicU64,
    reasons: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reason(&self, reason: &str) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }

    /// How often each reason was given for a refusal, an unknown outcome or a cut.
    pub fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
