//! `partita import`: reads JSON lines, appends them, and can be run again. `docs/import.md` is its reference.

mod format;
#[cfg(test)]
mod fuzz;
mod ids;
mod line;
mod pipe;
mod progress;
mod pump;
mod queue;
mod send;
mod source;
mod step;
mod tally;

use std::path::PathBuf;

use clap::Args;

use crate::client::{self, ServerArgs};
use crate::failure::{Exit, Failure};
use crate::output::Format;

use self::line::LineDefaults;
use self::progress::Progress;
use self::send::Sender;
use self::source::Source;
use self::tally::Tally;

/// Append the events of a file.
///
/// One JSON object a line: tenant_id, aggregate_type, aggregate_id, event_type, data; optionally event_id,
/// event_timestamp (RFC 3339), metadata, user_id, correlation_id, causation_id, legal_basis, data_classification,
/// retention_policy, ip_address, user_agent, session_id, request_id.
///
/// It may be interrupted and run again at any time: events that are recorded are recognised by their ids, which are
/// derived from the line where it has none.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file; - is standard input (`zcat events.jsonl.gz | partita import -`)
    file: PathBuf,
    /// Who acted, where a line does not say
    #[arg(long, value_name = "ID", default_value = "import")]
    user_id: String,
    /// Only check the file; no server is needed
    #[arg(long)]
    dry_run: bool,
}

/// Imports, and tells what became of every line.
pub(crate) async fn run(args: ImportArgs, server: &ServerArgs, format: Format) -> Result<(), Failure> {
    let source = Source::open(&args.file)?;
    let sender = match args.dry_run {
        true => None,
        false => Some(Sender::new(client::connect(server).await?)),
    };
    let mut progress = Progress::new(source.bytes());
    let mut tally = Tally::default();
    let lines = source.read(LineDefaults { user_id: args.user_id });
    let ended = pump::run(lines, sender, &mut tally, &mut progress).await;
    progress.finish();
    tally.print(args.dry_run, format)?;
    ended.map_err(|failure| match failure.exit() {
        Exit::Quiet => failure,
        Exit::Internal | Exit::Usage | Exit::Refused | Exit::Unreachable | Exit::Conflict => failure
            .fact("import", "ended early; the table holds what is known to be recorded")
            .next("mend the cause and run the same import again: what is recorded is not recorded twice"),
    })?;
    match tally.refused() {
        0 => Ok(()),
        refused => {
            let failure = Failure::refused(format!("{refused} of {} lines were refused", tally.lines));
            Err(failure
                .next("correct these lines and run the import again: what is recorded is not recorded twice"))
        }
    }
}
