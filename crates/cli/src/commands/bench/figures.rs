use std::collections::BTreeMap;

use serde::Serialize;

/// What a run is judged by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) calls_per_second: f64,
    pub(super) events_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

/// One run.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    #[serde(flatten)]
    pub(super) figures: Figures,
    pub(super) seconds: f64,
    pub(super) calls: u64,
    pub(super) events: u64,
    /// Calls that failed, by reason; those of the warm-up too.
    pub(super) errors: BTreeMap<String, u64>,
}

/// All runs, figure by figure: a row of this may come from several runs.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) median: Figures,
    pub(super) min: Figures,
    pub(super) max: Figures,
}

impl Summary {
    pub(super) fn of(runs: &[Run]) -> Self {
        Self {
            median: each(runs, median),
            min: each(runs, |sorted| sorted.first().copied().unwrap_or_default()),
            max: each(runs, |sorted| sorted.last().copied().unwrap_or_default()),
        }
    }
}

fn each(runs: &[Run], choose: fn(&[f64]) -> f64) -> Figures {
    let of = |figure: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(|run| figure(&run.figures)).collect();
        values.sort_by(f64::total_cmp);
        choose(&values)
    };
    Figures {
        calls_per_second: of(|it| it.calls_per_second),
        events_per_second: of(|it| it.events_per_second),
        p50_ms: of(|it| it.p50_ms),
        p95_ms: of(|it| it.p95_ms),
        p99_ms: of(|it| it.p99_ms),
        max_ms: of(|it| it.max_ms),
    }
}

/// The middle of sorted values, or the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let upper = sorted.len() / 2;
    let lower = sorted.len().saturating_sub(1) / 2;
    let middle = [lower, upper].map(|index| sorted.get(index).copied().unwrap_or_default());
    middle.iter().sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64, p99_ms: f64) -> Run {
        let figures = Figures {
            calls_per_second: rate,
            events_per_second: rate * 2.0,
            p50_ms: 1.0,
            p95_ms: 2.0,
            p99_ms,
            max_ms: 9.0,
        };
        Run { figures, seconds: 1.0, calls: 1, events: 2, errors: BTreeMap::new() }
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(
            [median(&[]), median(&[4.0]), median(&[1.0, 3.0]), median(&[1.0, 2.0, 9.0])],
            [0.0, 4.0, 2.0, 2.0]
        );
    }

    #[test]
    fn each_figure_is_summed_up_by_itself() {
        let summary = Summary::of(&[run(300.0, 5.0), run(100.0, 7.0), run(200.0, 6.0)]);
        let rates = [&summary.min, &summary.median, &summary.max].map(|it| it.calls_per_second);
        assert_eq!(rates, [100.0, 200.0, 300.0]);
        assert_eq!([summary.min.p99_ms, summary.median.p99_ms, summary.max.p99_ms], [5.0, 6.0, 7.0]);
        assert_eq!(summary.median.events_per_second, 400.0);
    }
}
