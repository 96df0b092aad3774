use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use tokio::time::Instant;

use crate::commands::bench::figures::{Figures, Run};
use crate::failure::Failure;

/// Latencies are kept in microseconds, to two digits (an error of 1 % at most), up to an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const LATENCY_DIGITS: u8 = 2;

/// What one client saw, or several together.
#[derive(Debug)]
pub(super) struct Sample {
    latency_us: Histogram<u64>,
    events: u64,
    errors: BTreeMap<String, u64>,
    begun: Option<Instant>,
    ended: Option<Instant>,
}

impl Sample {
    pub(super) fn new() -> Result<Self, Failure> {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS);
        let latency_us = latency_us.map_err(|error: CreationError| {
            Failure::internal("cannot make a histogram").because(format!("{error:?}"))
        })?;
        Ok(Self { latency_us, events: 0, errors: BTreeMap::new(), begun: None, ended: None })
    }

    /// Counts a call that was answered.
    pub(super) fn answered(&mut self, begun: Instant, ended: Instant, events: u64) {
        let latency = u64::try_from((ended - begun).as_micros()).unwrap_or(u64::MAX);
        self.latency_us.saturating_record(latency.max(1));
        self.events += events;
        self.begun = self.begun.or(Some(begun));
        self.ended = Some(ended);
    }

    /// Counts a call that failed.
    pub(super) fn failed(&mut self, reason: String) {
        *self.errors.entry(reason).or_default() += 1;
    }

    /// Whether nothing was counted yet.
    pub(super) fn is_empty(&self) -> bool {
        self.ended.is_none() && self.errors.is_empty()
    }

    /// Takes in what another client saw at the same time.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), Failure> {
        self.latency_us
            .add(&other.latency_us)
            .map_err(|error| Failure::internal("cannot add up histograms").because(format!("{error:?}")))?;
        self.events += other.events;
        for (reason, count) in other.errors {
            *self.errors.entry(reason).or_default() += count;
        }
        self.begun = [self.begun, other.begun].into_iter().flatten().min();
        self.ended = self.ended.max(other.ended);
        Ok(())
    }

    /// The figures. The time is that from the first call's begin to the last one's end: a call that outlasts the run
    /// counts with all of its events and all of its time.
    pub(super) fn into_run(self) -> Run {
        let span = self.begun.zip(self.ended).map(|(begun, ended)| ended - begun);
        let seconds = span.unwrap_or(Duration::ZERO).as_secs_f64();
        let calls = self.latency_us.len();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let ms = |micros: u64| micros as f64 / 1_000.0;
        let quantile = |quantile| ms(self.latency_us.value_at_quantile(quantile));
        let figures = Figures {
            calls_per_second: rate(calls),
            events_per_second: rate(self.events),
            p50_ms: quantile(0.50),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: ms(self.latency_us.max()),
        };
        Run { figures, seconds, calls, events: self.events, errors: self.errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_rates_come_from_all_clients_together() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut total = Sample::new().unwrap();
        for client in 0..2 {
            let mut sample = Sample::new().unwrap();
            for call in 0..50 {
                let begun = call * 20;
                sample.answered(at(begun), at(begun + call + 1 + client * 50), 3);
            }
            total.merge(sample).unwrap();
        }
        // Latencies are 1 to 100 ms, one of each; the last call begins at 980 ms and takes 100 ms.
        let run = total.into_run();
        assert_eq!((run.calls, run.events), (100, 300));
        assert!((run.seconds - 1.08).abs() < 1e-9, "{}", run.seconds);
        assert!((run.figures.events_per_second - 300.0 / 1.08).abs() < 1e-6);
        for (found, exact) in
            [(run.figures.p50_ms, 50.0), (run.figures.p99_ms, 99.0), (run.figures.max_ms, 100.0)]
        {
            assert!((found - exact).abs() <= exact * 0.011, "{found} is not {exact}");
        }
    }

    #[test]
    fn failures_are_counted_by_reason_and_a_run_without_an_answer_has_rate_zero() {
        let mut sample = Sample::new().unwrap();
        let mut other = Sample::new().unwrap();
        sample.failed("OVERLOADED".to_owned());
        other.failed("OVERLOADED".to_owned());
        other.failed("Unavailable".to_owned());
        sample.merge(other).unwrap();
        let run = sample.into_run();
        assert_eq!(run.figures.calls_per_second, 0.0);
        assert_eq!(
            run.errors.into_iter().collect::<Vec<_>>(),
            [("OVERLOADED".to_owned(), 2), ("Unavailable".to_owned(), 1)]
        );
    }
}
