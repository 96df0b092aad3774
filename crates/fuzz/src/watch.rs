use std::io::{self, Write as _};
use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Longest time that a parser may take for an input of at most 64 KiB, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(20);

/// Watches over each input: a parser that hangs cannot be interrupted, so that the process ends, and says at what.
pub(crate) struct Watch(Sender<Step>);

enum Step {
    Begin(Vec<u8>),
    End,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let (steps, incoming) = channel();
        thread::spawn(move || {
            while let Ok(Step::Begin(input)) = incoming.recv() {
                match incoming.recv_timeout(LIMIT) {
                    Ok(_) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        let (limit, input) = (LIMIT.as_secs(), String::from_utf8_lossy(&input));
                        // What is printed in the usual way is kept for the end of the test, which does not come.
                        writeln!(io::stderr(), "no answer within {limit} s: {input:?}").ok();
                        process::abort();
                    }
                }
            }
        });
        Self(steps)
    }

    pub(crate) fn over(&self, input: &[u8], work: impl FnOnce()) {
        drop(self.0.send(Step::Begin(input.to_vec())));
        let _end = End(&self.0);
        work();
    }
}

/// Ends the watch over an input, also by a panic.
struct End<'a>(&'a Sender<Step>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        drop(self.0.send(Step::End));
    }
}
