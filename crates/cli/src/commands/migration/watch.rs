use std::io::IsTerminal as _;
use std::time::Duration;

use crate::commands::migration::document::phase_word;
use crate::commands::migration::progress::standing;
use crate::commands::migration::status::{fetch, print, told_orders};
use crate::commands::migration::target::Session;
use crate::failure::Failure;
use crate::output::{self, Format};

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Moves to the upper left corner and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Tells where the migration stands, until the user wants an end: a document a line for programs, the screen of a terminal
/// anew, a line of its own elsewhere.
pub(super) async fn run(session: &mut Session, interval: Duration, format: Format) -> Result<(), Failure> {
    let is_terminal = std::io::stdout().is_terminal();
    let interval = if is_terminal || format == Format::Json { interval } else { LINE_INTERVAL };
    let mut ticks = tokio::time::interval(interval);
    // After a look that took long, the next one keeps its distance.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let interrupted = session.direct.as_ref().map(|direct| direct.interrupted().clone()).unwrap_or_default();
    while interrupted.run_until_cancelled(ticks.tick()).await.is_some() {
        let status = fetch(session).await?;
        match format {
            Format::Json => print(status, format)?,
            Format::Table if is_terminal => {
                output::line(CLEAR)?;
                print(status, format)?;
            }
            Format::Table => {
                let orders = told_orders(&status.orders.clone().unwrap_or_default());
                let progress = standing(&status.progress.clone().unwrap_or_default());
                output::line(&format!("{}; {orders}; {progress}", phase_word(status.phase())))?;
            }
        }
    }
    Ok(())
}
