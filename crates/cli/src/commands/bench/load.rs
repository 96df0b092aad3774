use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Refusal;
use crate::commands::bench::caller::Caller;
use crate::commands::bench::figures::Run;
use crate::commands::bench::report;
use crate::commands::bench::sample::Sample;
use crate::failure::Failure;

/// A client whose call failed pauses this long: a server that is down must not be measured by how fast it refuses.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause that a server is granted when it names one.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long to call, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) runs: u32,
}

/// Lets all callers call at the same time, run after run.
///
/// # Errors
/// When a caller's task ends early. A call that fails is counted, and is no error here.
pub(super) async fn measure<C: Caller>(mut callers: Vec<C>, schedule: Schedule) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for number in 1..=schedule.runs {
        report::tell(&format!("run {number} of {}", schedule.runs));
        let run;
        (callers, run) = one(callers, schedule).await?;
        runs.push(run);
    }
    Ok(runs)
}

async fn one<C: Caller>(callers: Vec<C>, schedule: Schedule) -> Result<(Vec<C>, Run), Failure> {
    let from = Instant::now() + schedule.warm_up;
    let until = from + schedule.duration;
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn(work(caller, from, until));
    }
    let mut total = Sample::new()?;
    let mut back = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.map_err(|error| Failure::internal("a client's task ended early").because(error))?;
        let (caller, sample) = ended?;
        total.merge(sample)?;
        back.push(caller);
    }
    Ok((back, total.into_run()))
}

/// Calls until it is time; counts the calls that begin after the warm-up, and one at least: a call may outlast the run.
async fn work<C: Caller>(mut caller: C, from: Instant, until: Instant) -> Result<(C, Sample), Failure> {
    let mut sample = Sample::new()?;
    loop {
        let begun = Instant::now();
        if begun >= until && !sample.is_empty() {
            return Ok((caller, sample));
        }
        match caller.call().await {
            Ok(events) if begun >= from => sample.answered(begun, Instant::now(), events),
            Ok(_) => {}
            Err(status) => {
                let refusal = Refusal::from(status);
                sample.failed(refusal.name());
                tokio::time::sleep(refusal.retry_after().unwrap_or(PAUSE).min(PAUSE_MAX)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    /// Answers after 10 ms; every `fails`th call fails.
    struct Clockwork {
        calls: u64,
        fails: u64,
    }

    impl Caller for Clockwork {
        async fn call(&mut self) -> Result<u64, Status> {
            self.calls += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.calls.is_multiple_of(self.fails) { Err(Status::internal("broken")) } else { Ok(2) }
        }
    }

    fn schedule(runs: u32) -> Schedule {
        Schedule { warm_up: Duration::from_millis(50), duration: Duration::from_secs(1), runs }
    }

    #[tokio::test]
    async fn callers_go_on_from_run_to_run_and_the_warm_up_is_not_counted() {
        let callers = (0..3).map(|_| Clockwork { calls: 0, fails: u64::MAX }).collect();
        let runs = measure(callers, schedule(2)).await.unwrap();
        assert_eq!(runs.len(), 2);
        for run in runs {
            // 100 calls of 10 ms fit into a second for each of the three; a busy machine makes fewer.
            assert!((3..=303).contains(&run.calls), "{} calls", run.calls);
            assert_eq!(run.events, run.calls * 2);
            assert!(run.figures.p50_ms >= 9.9 && run.errors.is_empty());
        }
    }

    #[tokio::test]
    async fn a_call_that_outlasts_warm_up_and_run_is_measured_once() {
        let callers = vec![Clockwork { calls: 0, fails: u64::MAX }];
        let brief = Duration::from_millis(1);
        let runs = measure(callers, Schedule { warm_up: brief, duration: brief, runs: 1 }).await.unwrap();
        assert_eq!(runs[0].calls, 1);
    }

    #[tokio::test]
    async fn a_call_that_fails_is_counted_wherever_it_fails() {
        let runs = measure(vec![Clockwork { calls: 0, fails: 1 }], schedule(1)).await.unwrap();
        assert_eq!(runs[0].calls, 0);
        assert!(runs[0].errors["Internal"] >= 1);
    }
}
