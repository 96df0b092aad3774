use std::time::Duration;

use tokio::time::timeout;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name: short, stable, for programs too.
    pub name: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found, in words.
    pub found: String,
    /// What mends it, to be pasted; none where nothing is to be mended.
    pub fix: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Serves, and will hurt one day.
    Warn,
    /// A process must not, or cannot, serve like this.
    Fail,
    /// Not looked at, because of a check that failed.
    Skip,
}

/// A check's answer, before it has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    found: String,
    fix: Option<String>,
}

impl Answer {
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, found: found.into(), fix: None }
    }

    pub(super) fn warn(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    pub(super) fn fail(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, found: found.into(), fix: Some(fix.into()) }
    }

    pub(super) fn skip(found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skip, found: found.into(), fix: None }
    }
}

/// The checks so far, in their order.
pub(super) struct Checks {
    done: Vec<Check>,
    wait_max: Duration,
    /// Set when an answer did not come in time: its statement may still run on the one connection there is.
    is_stuck: bool,
}

impl Checks {
    pub(super) fn new(wait_max: Duration) -> Self {
        Self { done: Vec::new(), wait_max, is_stuck: false }
    }

    /// Adds an answer that is known.
    pub(super) fn note(&mut self, name: &'static str, answer: Answer) {
        let Answer { verdict, found, fix } = answer;
        self.done.push(Check { name, verdict, found, fix });
    }

    /// Asks the database, and adds what it says, or that it says nothing.
    pub(super) async fn ask(
        &mut self,
        name: &'static str,
        question: impl Future<Output = sqlx::Result<Answer>>,
    ) {
        if self.is_stuck {
            return self.note(name, Answer::skip("an earlier question was not answered in time"));
        }
        let answer = match timeout(self.wait_max, question).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::fail(
                format!("could not be asked: {error}"),
                "mend the checks above, then run it again",
            ),
            Err(_) => {
                self.is_stuck = true;
                let found = format!("no answer within {} s", self.wait_max.as_secs());
                Answer::fail(found, "look for what blocks it: SELECT pid, query FROM pg_stat_activity")
            }
        };
        self.note(name, answer);
    }

    pub(super) fn into_vec(self) -> Vec<Check> {
        self.done
    }
}
