use std::time::Duration;

use partita_model::Append;

use super::batch::Verdict;
use super::refusal::Failure;
use crate::metrics::{APPENDED_EVENTS, BATCH_EVENTS, COMMIT_DURATION, DATABASE_DURATION};

/// Notes what became of a transaction of a lane.
pub(super) fn note(appends: &[&Append], took: Duration, outcome: &Result<Vec<Verdict>, Failure>) {
    let seconds = took.as_secs_f64();
    let (outcome, error) = match outcome {
        Ok(verdicts) => {
            APPENDED_EVENTS.add(recorded(verdicts), []);
            ("committed", "")
        }
        Err(Failure::InDoubt(_)) => ("unknown", "in_doubt"),
        Err(Failure::Race { .. }) => ("refused", "race"),
        Err(Failure::Busy) => ("refused", "lock_timeout"),
        Err(Failure::NoPartition) => ("refused", "no_partition"),
        Err(Failure::OtherPhase(_) | Failure::Fenced) => ("refused", "phase"),
        Err(Failure::Refused(_)) => ("refused", "data"),
        Err(Failure::Forbidden(_)) => ("refused", "forbidden"),
        Err(Failure::Unavailable) => ("refused", "unavailable"),
        Err(Failure::Defect) => ("refused", "defect"),
    };
    let events: usize = appends.iter().map(|append| append.events().count()).sum();
    // Nobody appends so many that the count would not be exact.
    BATCH_EVENTS.observe(events as f64, []);
    COMMIT_DURATION.observe(seconds, [outcome]);
    DATABASE_DURATION.observe(seconds, ["append", error]);
}

fn recorded(verdicts: &[Verdict]) -> u64 {
    let streams = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Answer(Ok(streams)) => Some(streams),
        Verdict::Answer(Err(_)) | Verdict::Defer | Verdict::UnknownTenant => None,
    });
    streams.flatten().filter(|stream| !stream.replayed).map(|stream| stream.events.len() as u64).sum()
}
