//! How a command ends when it does not end well: a message, the facts, the cause, the next step, an exit code.

use std::error::Error;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

/// The exit codes, as `--help` and `docs/cli.md` document them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader of standard output went away: nothing is wrong, and there is nobody to tell.
    Quiet = 0,
    /// A defect, or trouble of this machine that nobody foresaw.
    Internal = 1,
    /// The command line or the configuration.
    Usage = 2,
    /// Something was refused, or something was found that should not be there.
    Refused = 3,
    /// The server or the database cannot be reached, or takes no work now.
    Unreachable = 4,
    /// The stream stands elsewhere, or an event id is taken.
    Conflict = 5,
}

/// Why a command failed, told in the order in which a person wants to know it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    facts: Vec<(String, String)>,
    cause: Option<String>,
    next: Option<String>,
}

impl Failure {
    /// `message` says what did not work, without a capital and without a full stop.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), facts: Vec::new(), cause: None, next: None }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// Ends the program without a word.
    pub(crate) fn quiet() -> Self {
        Self::new(Exit::Quiet, String::new())
    }

    /// Adds what is known beside the message, a line each.
    pub(crate) fn fact(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.facts.push((name.into(), value.to_string()));
        self
    }

    /// Adds the cause, in the words of whoever noticed it.
    pub(crate) fn because(mut self, cause: impl Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds the innermost source of an error whose own text is told already: what lies between says less.
    pub(crate) fn because_of(self, error: &dyn Error) -> Self {
        let mut innermost = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let cause = innermost.to_string();
        // An error without a source is its own innermost.
        if self.message.ends_with(&cause) { self } else { self.because(cause) }
    }

    /// Adds what to do now.
    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// How the program will end.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells standard error, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.exit != Exit::Quiet {
            // Nobody is left to tell when standard error is gone too.
            let _gone = std::io::stderr().lock().write_all(self.text().as_bytes());
        }
        ExitCode::from(self.exit as u8)
    }

    /// The lines for standard error.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for (name, value) in &self.facts {
            text.push_str(&format!("  {name}: {value}\n"));
        }
        if let Some(cause) = &self.cause {
            text.push_str(&format!("  cause: {cause}\n"));
        }
        if let Some(next) = &self.next {
            text.push_str(&format!("  next: {next}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_message_facts_cause_and_next_step() {
        let failure = Failure::refused("append refused")
            .fact("actual", 7)
            .because("another writer came first")
            .next("read the stream again");
        let expected = "error: append refused\n  actual: 7\n  cause: another writer came first\n  next: read the \
                        stream again\n";
        assert_eq!(failure.text(), expected);
        assert_eq!(failure.exit(), Exit::Refused);
    }
}
