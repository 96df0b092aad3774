use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Serialize;

use crate::commands::bench::figures::{Figures, Run, Summary};
use crate::failure::Failure;
use crate::output::{self, Format};

/// What is printed with `-o json`.
#[derive(Debug, Serialize)]
struct Document<'a, S: Serialize> {
    settings: &'a S,
    connections: usize,
    runs: &'a [Run],
    #[serde(flatten)]
    summary: Summary,
    errors: BTreeMap<String, u64>,
}

/// Prints all runs, their median and their spread; `call` names what was called, in the plural.
///
/// # Errors
/// When any call failed: exit code 3.
pub(super) fn print(
    call: &str,
    settings: &impl Serialize,
    connections: usize,
    runs: &[Run],
    format: Format,
) -> Result<(), Failure> {
    let summary = Summary::of(runs);
    let errors = errors(runs);
    let failed: u64 = errors.values().sum();
    let calls: u64 = runs.iter().map(|run| run.calls).sum();
    match format {
        Format::Table => print_table(call, runs, &summary, &errors)?,
        Format::Json => {
            output::json(&Document { settings, connections, runs, summary, errors: errors.clone() })?;
        }
    }
    if failed == 0 {
        return Ok(());
    }
    let failure = Failure::refused(format!("{failed} {call} failed, {calls} were measured"));
    Err(errors.into_iter().fold(failure, |failure, (reason, count)| failure.fact(reason, count)))
}

fn print_table(
    call: &str,
    runs: &[Run],
    summary: &Summary,
    errors: &BTreeMap<String, u64>,
) -> Result<(), Failure> {
    let rate = format!("#{call}/s");
    let titles = ["run", &rate, "#events/s", "#p50 ms", "#p95 ms", "#p99 ms", "#max ms", "#failed"];
    let row = |name: String, cells: [String; 6], failed: String| {
        std::iter::once(name).chain(cells).chain([failed]).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = runs
        .iter()
        .enumerate()
        .map(|(index, run)| {
            let failed: u64 = run.errors.values().sum();
            row((index + 1).to_string(), cells(&run.figures), failed.to_string())
        })
        .collect();
    let (least, most) = (cells(&summary.min), cells(&summary.max));
    let mut most = most.into_iter();
    let spread = least.map(|least| format!("{least}–{}", most.next().unwrap_or_default()));
    rows.push(row("median".to_owned(), cells(&summary.median), String::new()));
    rows.push(row("min–max".to_owned(), spread, String::new()));
    output::table(&titles, rows)?;
    if errors.is_empty() {
        return Ok(());
    }
    let rows = errors.iter().map(|(reason, count)| vec![reason.clone(), count.to_string()]);
    output::table(&["failed with", "#count"], rows.collect())
}

/// Rates whole, times in hundredths of a millisecond.
fn cells(figures: &Figures) -> [String; 6] {
    let Figures { calls_per_second, events_per_second, p50_ms, p95_ms, p99_ms, max_ms } = figures;
    [
        format!("{calls_per_second:.0}"),
        format!("{events_per_second:.0}"),
        format!("{p50_ms:.2}"),
        format!("{p95_ms:.2}"),
        format!("{p99_ms:.2}"),
        format!("{max_ms:.2}"),
    ]
}

fn errors(runs: &[Run]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (reason, count) in runs.iter().flat_map(|run| &run.errors) {
        *all.entry(reason.clone()).or_default() += count;
    }
    all
}

/// Says on standard error what is going on.
pub(super) fn tell(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _gone = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn run(errors: &[(&str, u64)]) -> Run {
        let figures = Figures {
            calls_per_second: 10.0,
            events_per_second: 20.0,
            p50_ms: 1.0,
            p95_ms: 2.0,
            p99_ms: 3.0,
            max_ms: 4.0,
        };
        let errors = errors.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
        Run { figures, seconds: 1.0, calls: 10, events: 20, errors }
    }

    #[test]
    fn any_call_that_failed_makes_the_command_fail_and_is_told_by_its_reason() {
        let settings = BTreeMap::from([("clients", 1)]);
        let runs = [run(&[("OVERLOADED", 2)]), run(&[("OVERLOADED", 1), ("Unavailable", 4)])];
        let failure = print("appends", &settings, 1, &runs, Format::Json).unwrap_err();
        assert_eq!(failure.exit(), Exit::Refused);
        let text = failure.text();
        assert!(text.contains("7 appends failed, 20 were measured"), "{text}");
        assert!(text.contains("OVERLOADED: 3") && text.contains("Unavailable: 4"), "{text}");
        print("appends", &settings, 1, &[run(&[])], Format::Table).unwrap();
    }
}
