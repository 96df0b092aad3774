use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::commands::import::send::RefusedEvent;
use crate::commands::import::tally::Tally;

/// How often a line is written where there is no terminal.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Refusals that are listed; all of them are counted.
const LISTED_MAX: u64 = 20;

/// What is told while it goes on, on standard error: a bar on a terminal, a line every ten seconds elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    listed: u64,
    is_terminal: bool,
}

impl Progress {
    /// `bytes` is the size of the file, where it is known.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let template = match bytes {
            Some(_) => "{bar:30} {bytes}/{total_bytes} {elapsed}, {msg}",
            None => "{spinner} {bytes} {elapsed}, {msg}",
        };
        let bar = match bytes {
            _ if !is_terminal => ProgressBar::hidden(),
            Some(bytes) => ProgressBar::new(bytes),
            None => ProgressBar::new_spinner(),
        };
        // A template that cannot be parsed would leave the bar in its plain style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, listed: 0, is_terminal }
    }

    /// The file has been read as far as this byte.
    pub(super) fn read(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Shows where the import stands.
    pub(super) fn settled(&self, tally: &Tally) {
        self.bar.set_message(standing(tally));
    }

    /// Writes a line where there is no terminal.
    pub(super) fn report(&self, tally: &Tally) {
        if !self.is_terminal {
            self.tell(&standing(tally));
        }
    }

    /// Lists a refusal, if not too many were listed before.
    pub(super) fn refused(&mut self, refused: &RefusedEvent) {
        self.listed += 1;
        if self.listed <= LISTED_MAX {
            let RefusedEvent { line, reason, text } = refused;
            let text: String = text.chars().take(500).collect();
            self.tell(&format!("line {line}: {reason}: {text}"));
        } else if self.listed == LISTED_MAX + 1 {
            self.tell("further refusals are counted, not listed");
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn tell(&self, text: &str) {
        let text: String = text.lines().collect::<Vec<_>>().join(" ");
        let write = || std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
        // Nobody is left to tell when standard error is gone.
        let _gone = self.bar.suspend(write);
    }
}

fn standing(tally: &Tally) -> String {
    format!(
        "{} lines read, {} appended, {} already recorded, {} refused",
        tally.lines,
        tally.appended,
        tally.already_recorded,
        tally.refused()
    )
}
