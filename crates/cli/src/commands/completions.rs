use std::io::{ErrorKind, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;

/// Print the completions of a shell to standard output.
///
/// bash: `partita completions bash > ~/.local/share/bash-completion/completions/partita`; zsh: `… zsh >
/// "${fpath[1]}/_partita"`; fish: `… fish > ~/.config/fish/completions/partita.fish`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // Into memory first: the generator panics where its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "partita", &mut script);
    std::io::stdout().lock().write_all(&script).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            return Failure::quiet();
        }
        Failure::internal("cannot write to standard output").because(error)
    })
}
