//! A long piece of work that reports while it goes on, as the messages of a call.

use std::pin::Pin;

use futures_util::{Stream, stream};
use partita_migration::MigrationError;
use partita_store::StoreError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{Instrument, Span};

use crate::status::{overdue, refuse, refuse_migration};

/// Reports that wait to be sent. Work that is ahead of its client by more waits with them.
const REPORTS_MAX: usize = 64;

/// What comes of the work next.
pub(super) enum Told<R, T> {
    /// A report.
    Report(R),
    /// Its outcome, behind all reports.
    Outcome(T),
}

/// What ends the work before its end.
pub(super) struct Ends {
    /// When the caller stops waiting.
    pub(super) deadline: Option<Instant>,
    /// Told when the process stops.
    pub(super) shutdown: CancellationToken,
}

enum Work<T> {
    UnderWay(Pin<Box<dyn Future<Output = Result<T, MigrationError>> + Send>>),
    Over(Option<T>),
}

struct Running<R, T> {
    work: Work<T>,
    reports: mpsc::Receiver<R>,
    ends: Ends,
}

/// Runs the work as the client takes its messages. It is dropped with the call: what was committed stays.
pub(super) fn run<R, T, F>(
    ends: Ends,
    work: impl FnOnce(mpsc::Sender<R>) -> F,
) -> impl Stream<Item = Result<Told<R, T>, Status>> + Send
where
    R: Send,
    T: Send,
    F: Future<Output = Result<T, MigrationError>> + Send + 'static,
{
    let (sender, reports) = mpsc::channel(REPORTS_MAX);
    let running = Running { work: Work::UnderWay(Box::pin(work(sender))), reports, ends };
    let span = Span::current();
    stream::try_unfold(running, move |mut running| {
        async move {
            let told = running.next().await?;
            Ok(told.map(|told| (told, running)))
        }
        .instrument(span.clone())
    })
}

impl<R, T> Running<R, T> {
    async fn next(&mut self) -> Result<Option<Told<R, T>>, Status> {
        if let Work::UnderWay(work) = &mut self.work {
            let deadline = self.ends.deadline;
            let overdue_at = async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => return Ok(Some(Told::Report(report))),
                outcome = work => {
                    self.work = Work::Over(Some(outcome.map_err(|error| {
                        // It was told to stop as well, and may have found that out first.
                        if self.ends.shutdown.is_cancelled() {
                            refuse(&StoreError::ShuttingDown)
                        } else {
                            refuse_migration(&error)
                        }
                    })?));
                }
                () = self.ends.shutdown.cancelled() => return Err(refuse(&StoreError::ShuttingDown)),
                () = overdue_at => return Err(overdue()),
            }
        }
        if let Ok(report) = self.reports.try_recv() {
            return Ok(Some(Told::Report(report)));
        }
        match &mut self.work {
            Work::Over(outcome) => Ok(outcome.take().map(Told::Outcome)),
            Work::UnderWay(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn ends() -> Ends {
        Ends { deadline: None, shutdown: CancellationToken::new() }
    }

    #[tokio::test]
    async fn every_report_comes_before_the_outcome() {
        let told = run(ends(), |reports| async move {
            for number in 0..3 {
                reports.send(number).await.ok();
            }
            Ok("done")
        });
        let told: Vec<_> =
            told.map(|told| told.map_err(|status| status.to_string()).unwrap()).collect().await;
        let told = told.iter().map(|told| match told {
            Told::Report(number) => format!("{number}"),
            Told::Outcome(word) => (*word).to_owned(),
        });
        assert_eq!(told.collect::<Vec<_>>(), ["0", "1", "2", "done"]);
    }

    #[tokio::test]
    async fn a_process_that_stops_ends_the_call() {
        let ends = ends();
        ends.shutdown.cancel();
        let told = run(ends, |reports: mpsc::Sender<()>| async move {
            let _held = reports;
            std::future::pending::<Result<(), MigrationError>>().await
        });
        let told: Vec<_> = told.collect().await;
        assert!(matches!(told.as_slice(), [Err(status)] if status.code() == tonic::Code::Unavailable));
    }
}
