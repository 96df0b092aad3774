use clap::Args;
use partita_store::doctor::{self, Check, Verdict};
use serde::Serialize;

use crate::config::{Config, ConfigArgs};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Look at the database in the order in which to mend it. Changes nothing; needs no server.
///
/// Exit code 3 when a check fails, 4 when the database cannot be reached; a warning alone is 0.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
}

/// The whole examination, for programs.
#[derive(Debug, Serialize)]
struct ExaminationDocument<'a> {
    failed: usize,
    warned: usize,
    checks: Vec<CheckDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct CheckDocument<'a> {
    name: &'a str,
    verdict: &'static str,
    found: &'a str,
    fix: Option<&'a str>,
}

/// Examines the database that the configuration names, as a process with this configuration would meet it.
pub(crate) async fn run(args: DoctorArgs, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    let config = Config::load(config, Config::default())?;
    let url = config.database_url()?;
    let checks = doctor::examine(&config.store(url)).await;
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    match format {
        Format::Json => {
            let checks = checks.iter().map(CheckDocument::from).collect();
            output::json(&ExaminationDocument { failed, warned, checks })?;
        }
        Format::Table => print(&checks)?,
    }
    let is_unreachable = checks.first().is_none_or(|check| check.verdict == Verdict::Fail);
    let message = format!("checks that failed: {failed}, warnings: {warned}");
    match (failed, warned) {
        (0, 0) => Ok(()),
        (0, _) if !args.strict => Ok(()),
        _ if is_unreachable => Err(Failure::new(Exit::Unreachable, message)),
        _ => Err(Failure::refused(message).next("mend them from the top, then run it again")),
    }
}

/// A line a check; what mends it stands below, uncut, to be pasted.
fn print(checks: &[Check]) -> Result<(), Failure> {
    for check in checks {
        output::line(&format!("{:<5} {:<23} {}", verdict_name(check.verdict), check.name, check.found))?;
        if let Some(fix) = &check.fix {
            output::line(&format!("{:<29} fix: {fix}", ""))?;
        }
    }
    Ok(())
}

impl<'a> From<&'a Check> for CheckDocument<'a> {
    fn from(check: &'a Check) -> Self {
        Self {
            name: check.name,
            verdict: verdict_name(check.verdict),
            found: &check.found,
            fix: check.fix.as_deref(),
        }
    }
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
        Verdict::Skip => "skip",
    }
}
