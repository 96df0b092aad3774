use partita_model::{RecordedEvent, Timestamp, is_partita_hash};
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
pub(super) struct Gaps(Vec<Gap>);

#[derive(Debug)]
struct Gap {
    from: OffsetDateTime,
    /// None: the feed ends with the gap.
    to: Option<OffsetDateTime>,
}

impl Gaps {
    /// Adds a gap behind the others. When there are too many, the last one is widened instead.
    pub(super) fn push(&mut self, from: OffsetDateTime, to: Option<OffsetDateTime>) {
        if self.0.len() == GAPS_MAX
            && let Some(last) = self.0.last_mut()
        {
            last.to = to;
        } else {
            self.0.push(Gap { from, to });
        }
    }

    /// Whether an event of the legacy table may be one that a gap is about: recorded by Partita, at such a time, and not
    /// expired. Another process may have recorded it in the legacy table alone at that very time; but then, there is a gap.
    pub(super) fn may_hold(&self, event: &RecordedEvent, floor: Option<Timestamp>) -> bool {
        let at = event.created_at.to_datetime();
        is_partita_hash(&event.event_hash)
            && floor.is_none_or(|floor| event.event_timestamp >= floor)
            && self
                .0
                .iter()
                .any(|gap| gap.from - CLOCK_SLACK <= at && gap.to.is_none_or(|to| at <= to + CLOCK_SLACK))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
