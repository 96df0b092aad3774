//! How far a long command has come, on standard error: a bar on a terminal, a line every ten seconds elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use partita_proto::v1::BackfillProgress;

use crate::commands::migration::words::{number, percent, rate, span};
use crate::output;

/// How often a line is written where there is no terminal.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    told_at: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        // A template that cannot be parsed would leave the bar in its plain style.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} % {elapsed}, {msg}") {
            bar.set_style(style);
        }
        Self { bar, is_terminal, told_at: Instant::now() }
    }

    /// Shows where it stands.
    pub(super) fn show(&mut self, done: i64, total: i64, text: &str) {
        self.bar.set_length(total.unsigned_abs().max(1));
        self.bar.set_position(done.clamp(0, total.max(0)).unsigned_abs());
        self.bar.set_message(text.to_owned());
        if !self.is_terminal && self.told_at.elapsed() >= REPORT_INTERVAL {
            self.told_at = Instant::now();
            self.tell(text);
        }
    }

    /// Writes a line beside the bar.
    pub(super) fn tell(&self, text: &str) {
        let write = || std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
        // Nobody is left to tell when standard error is gone.
        let _gone = self.bar.suspend(write);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How far copying has come, on one line.
pub(super) fn standing(progress: &BackfillProgress) -> String {
    let BackfillProgress { units, units_done, rows_copied, rows_total, .. } = progress;
    let mut text = format!(
        "{} of {} months, {} of {} rows ({} %), {}",
        number(*units_done),
        number(*units),
        number(*rows_copied),
        number(*rows_total),
        percent(*rows_copied, *rows_total),
        copied_bytes(progress)
    );
    if progress.units_copying > 0 {
        text.push_str(&format!(", {}", rate(progress.rows_per_second)));
    }
    if let Some(seconds) = progress.seconds_left {
        text.push_str(&format!(", {} left", span(seconds)));
    }
    if !progress.throttles.is_empty() {
        let throttles: Vec<_> = progress.throttles.iter().map(|reason| output::cell(reason)).collect();
        text.push_str(&format!("; throttled by {}", throttles.join(", ")));
    }
    text
}

/// The bytes that are copied, and what the average row so far makes of all of them.
fn copied_bytes(progress: &BackfillProgress) -> String {
    let BackfillProgress { bytes_copied, rows_copied, rows_total, .. } = progress;
    let copied = output::bytes(*bytes_copied);
    if *rows_copied <= 0 || rows_total <= rows_copied {
        return copied;
    }
    let all = i128::from(*bytes_copied) * i128::from(*rows_total) / i128::from(*rows_copied);
    format!("{copied} of about {}", output::bytes(i64::try_from(all).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_fast_how_long_and_what_throttles() {
        let progress = BackfillProgress {
            units: 36,
            units_done: 12,
            units_copying: 2,
            rows_copied: 1_250_000,
            rows_total: 5_000_000,
            bytes_copied: 512 << 20,
            rows_per_second: 4_980.4,
            seconds_left: Some(753),
            throttles: vec!["the rate, 5000 rows a second".to_owned()],
            ..BackfillProgress::default()
        };
        assert_eq!(
            standing(&progress),
            "12 of 36 months, 1,250,000 of 5,000,000 rows (25 %), 512.0 MiB of about 2.0 GiB, 4,980 rows/s, \
             12 min 33 s left; throttled by the rate, 5000 rows a second"
        );
    }

    #[test]
    fn a_line_of_what_was_never_begun_divides_by_nothing() {
        let text = standing(&BackfillProgress::default());
        assert_eq!(text, "0 of 0 months, 0 of 0 rows (100 %), 0 B");
    }
}
