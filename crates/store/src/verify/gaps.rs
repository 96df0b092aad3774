use partita_model::{RecordedEvent, is_partita_hash};
use time::{Duration, OffsetDateTime};

/// Most gaps that are kept apart. Only months that went in between, or a hand that took rows, make gaps at all.
const GAPS_MAX: usize = 1_000;

/// How far the instants of recording may stray from the order of positions: clocks of different servers, and of a
/// server before and after a failover, are not one clock.
const CLOCK_SLACK: Duration = Duration::MINUTE;

/// When the events were recorded whose positions are missing from a feed. Positions are drawn one transaction after
/// the other, so what stood in a gap was recorded between its neighbours, both included: events of one batch share
/// their instant.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    gaps: Vec<Gap>,
    /// Positions in all of them.
    positions: u64,
}

#[derive(Debug)]
struct Gap {
    from: OffsetDateTime,
    /// None: the feed ends with the gap.
    to: Option<OffsetDateTime>,
}

impl Gaps {
    /// Adds a gap behind the others. When there are too many, the last one is widened instead.
    pub(super) fn push(&mut self, positions: (i64, i64), from: OffsetDateTime, to: Option<OffsetDateTime>) {
        self.positions += positions.0.abs_diff(positions.1) + 1;
        if self.gaps.len() == GAPS_MAX
            && let Some(last) = self.gaps.last_mut()
        {
            last.to = to;
        } else {
            self.gaps.push(Gap { from, to });
        }
    }

    /// Whether an event of the legacy table may be one that a gap is about: recorded by Partita, at such a time. A process
    /// without the flag may have recorded it in the legacy table alone at that very time, and it never had a position.
    pub(super) fn may_hold(&self, event: &RecordedEvent) -> bool {
        let at = event.created_at.to_datetime();
        is_partita_hash(&event.event_hash)
            && self
                .gaps
                .iter()
                .any(|gap| gap.from - CLOCK_SLACK <= at && gap.to.is_none_or(|to| at <= to + CLOCK_SLACK))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether more positions are missing than so many events that expired can have left behind: then copies were lost.
    pub(super) fn outnumber(&self, expired: u64) -> bool {
        self.positions > expired
    }
}
