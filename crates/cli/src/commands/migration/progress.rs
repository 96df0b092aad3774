use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// How often a line is written where there is no terminal.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What is told while it goes on, on standard error: a bar on a terminal, a line every ten seconds elsewhere.
pub(super) struct Bar {
    bar: ProgressBar,
    is_terminal: bool,
    told_at: Instant,
}

impl Bar {
    /// A bar without a length yet.
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        // A template that cannot be parsed would leave the bar in its plain style.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% {elapsed}, {msg}") {
            bar.set_style(style);
        }
        Self { bar, is_terminal, told_at: Instant::now() }
    }

    /// Shows where it stands; `done` and `total` are of the same unit.
    pub(super) fn show(&mut self, done: u64, total: u64, message: &str) {
        self.bar.set_length(total.max(done));
        self.bar.set_position(done);
        self.bar.set_message(message.to_owned());
        if !self.is_terminal && self.told_at.elapsed() >= REPORT_INTERVAL {
            self.told_at = Instant::now();
            self.say(message);
        }
    }

    /// Writes a line beside the bar.
    pub(super) fn say(&self, text: &str) {
        let write = || std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
        // Nobody is left to tell when standard error is gone.
        let _gone = self.bar.suspend(write);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
