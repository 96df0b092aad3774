use std::io::{self, Write as _};
use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use partita_proof::{connect, within};
use tokio::runtime::Builder;

/// Longest time that a test may take with one database, on a machine that is busy with other tests. What a test waits for
/// has limits of its own, which are shorter and say more.
const LIMIT: Duration = Duration::from_secs(600);
/// What looking at the database may take, when it is over.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// Who does what in a database, and waits for what.
const ACTIVITY: &str = "SELECT concat_ws(' ', pid, application_name, state, wait_event_type, wait_event, \
     'blocked by ' || nullif(pg_blocking_pids(pid)::text, '{}'), left(query, 200)) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY backend_start LIMIT 50";

/// Sees to it that no test hangs: a test cannot be failed from outside, so the process ends, and says at which test it was and
/// what its database was busy with. Dropped, it watches no more.
#[derive(Debug)]
pub(crate) struct Watch {
    _over: Sender<()>,
}

impl Watch {
    /// Over the test of this thread, which has the database of this URL.
    pub(crate) fn start(database_url: String) -> Self {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let (watch, over) = channel();
        thread::spawn(move || match over.recv_timeout(LIMIT) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                // What is printed in the usual way is kept for the end of the test, which does not come.
                let activity = activity(&database_url).join("\n  ");
                let limit = LIMIT.as_secs();
                writeln!(io::stderr(), "{test} is not over within {limit} s; its database:\n  {activity}")
                    .ok();
                process::exit(1);
            }
        });
        Self { _over: watch }
    }
}

fn activity(database_url: &str) -> Vec<String> {
    let look = async {
        let mut session = connect(database_url).await?;
        sqlx::query_scalar::<_, String>(ACTIVITY).fetch_all(&mut session).await
    };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(within(LOOK_LIMIT, "what it is busy with", look)) {
        Ok(Ok(activity)) => activity,
        Ok(Err(error)) => vec![error.to_string()],
        Err(late) => vec![late.to_string()],
    }
}
