use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::output;

/// Print a page of reference.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// Which
    page: Page,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    /// docs/metrics.md
    Metrics,
}

/// Prints it to standard output.
pub(crate) fn run(args: &ReferenceArgs) -> Result<(), Failure> {
    let page = match args.page {
        Page::Metrics => partita_store::metrics::page(),
    };
    output::line(page.trim_end())
}
