use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;

/// Write the manual pages, one a command: partita.1, partita-serve.1 …
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for the pages; made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(args: &ManArgs) -> Result<(), Failure> {
    let written =
        std::fs::create_dir_all(&args.out).and_then(|()| clap_mangen::generate_to(Cli::command(), &args.out));
    let folder = args.out.display();
    written
        .map_err(|error| Failure::usage(format!("cannot write manual pages to {folder}")).because(error))?;
    output::line(&format!("manual pages written to {folder}: see `man -l {folder}/partita.1`"))
}
