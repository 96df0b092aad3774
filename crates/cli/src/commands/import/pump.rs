use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::commands::import::progress::{Progress, REPORT_INTERVAL};
use crate::commands::import::queue::Queue;
use crate::commands::import::send::{Outcome, Sender};
use crate::commands::import::source::Line;
use crate::commands::import::tally::Tally;
use crate::failure::Failure;

/// Most appends under way: enough to fill the server's batches, few enough to wait in its queues.
const APPENDS_MAX: usize = 16;

/// Moves lines to the server until there are none; without a sender they are only counted.
///
/// # Errors
/// What keeps the import from going on. Appends that are under way then are waited for and counted.
pub(super) async fn run(
    mut lines: Receiver<Result<Line, Failure>>,
    sender: Option<Sender>,
    tally: &mut Tally,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let mut pump = Pump { queue: Queue::default(), tally, progress, sending: sender.is_some() };
    let mut appends: JoinSet<Outcome> = JoinSet::new();
    let mut reports = interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
    let mut open = true;
    let mut fatal = None;
    loop {
        // All that is there is taken in before anything is sent: the more waits, the larger the groups.
        while open && fatal.is_none() && !pump.queue.is_full() {
            match lines.try_recv() {
                Ok(Ok(line)) => pump.take_in(line),
                Ok(Err(failure)) => fatal = Some(failure),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => open = false,
            }
        }
        while let Some(sender) = sender.as_ref().filter(|_| fatal.is_none() && appends.len() < APPENDS_MAX) {
            let Some(group) = pump.queue.take() else { break };
            appends.spawn(sender.clone().send(group));
        }
        if appends.is_empty() && (!open || fatal.is_some()) {
            return fatal.map_or(Ok(()), Err);
        }
        tokio::select! {
            line = lines.recv(), if open && fatal.is_none() && !pump.queue.is_full() => match line {
                Some(Ok(line)) => pump.take_in(line),
                Some(Err(failure)) => fatal = Some(failure),
                None => open = false,
            },
            Some(settled) = appends.join_next() => match settled {
                Ok(outcome) => fatal = fatal.or(pump.settle(outcome)),
                Err(error) => fatal = Some(Failure::internal("an append's task ended").because(error)),
            },
            _ = reports.tick() => pump.progress.report(pump.tally),
        }
    }
}

struct Pump<'a> {
    queue: Queue,
    tally: &'a mut Tally,
    progress: &'a mut Progress,
    sending: bool,
}

impl Pump<'_> {
    fn take_in(&mut self, line: Line) {
        self.progress.read(line.bytes_read);
        match line.parsed {
            Ok(None) => {}
            Ok(Some(event)) => {
                self.tally.event();
                if self.sending {
                    self.queue.push(event);
                }
            }
            Err(text) => {
                let refused = self.tally.bad_line(line.number, text);
                self.progress.refused(&refused);
            }
        }
    }

    /// Counts an outcome; gives back what it found to be in the way of going on.
    fn settle(&mut self, outcome: Outcome) -> Option<Failure> {
        self.tally.settled(&outcome);
        self.progress.settled(self.tally);
        for refused in &outcome.refused {
            self.progress.refused(refused);
        }
        self.queue.returned(&outcome.stream);
        outcome.fatal
    }
}
