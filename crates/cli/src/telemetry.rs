//! Logs of the long-running commands: to standard error, so that standard output stays the command's own.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogConfig, LogFormat};
use crate::failure::Failure;

/// Sends the logs of this process to standard error from now on.
///
/// # Errors
/// When the filter cannot be parsed (the configuration has checked it before), or logs are set up already.
pub(crate) fn start(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.filter);
    let filter = filter.map_err(|error| Failure::usage("log.filter is no filter").because(error))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).finish().try_init(),
    };
    started.map_err(|error| Failure::internal("cannot start the log").because(error))
}
