mod schema;

use clap::{Args, Subcommand};
use partita_server::Probes;
use serde::Serialize;

use crate::config::{Config, ConfigArgs, Key};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Look at the configuration, as serve, migrate and doctor would read it here.
#[derive(Debug, Args)]
pub(crate) struct ConfigCommandArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read all layers and tell every mistake, and what `serve` would refuse; exit code 2 if there is one
    Check,
    /// Print every key with its value and where that comes from; secrets are hidden
    Dump,
    /// Print every key with its variable, default and limits; with -o json as a JSON Schema of the file
    Schema,
}

#[derive(Debug, Serialize)]
struct KeyDocument<'a> {
    key: &'a str,
    value: Option<&'a str>,
    source: &'a str,
}

pub(crate) fn run(args: &ConfigCommandArgs, config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Check => check(config, format),
        ConfigCommand::Dump => dump(&Config::keys(config)?, format),
        ConfigCommand::Schema => schema::print(&Config::keys_unset()?, format),
    }
}

#[derive(Debug, Serialize)]
struct CheckDocument {
    keys: usize,
    keys_set: usize,
}

fn check(config: &ConfigArgs, format: Format) -> Result<(), Failure> {
    let keys = Config::keys(config)?;
    // Keys that belong together, as a server would find them; it would refuse to start as well.
    let read = Config::load(config, Config::default())?;
    read.server(read.listen, Probes::default())?;
    let keys_set = keys.iter().filter(|key| key.source() != "default").count();
    match format {
        Format::Json => output::json(&CheckDocument { keys: keys.len(), keys_set }),
        Format::Table => {
            output::line(&format!("the configuration is right: {keys_set} of {} keys are set", keys.len()))
        }
    }
}

fn dump(keys: &[Key], format: Format) -> Result<(), Failure> {
    let documents =
        keys.iter().map(|key| KeyDocument { key: key.name, value: key.shown(), source: key.source() });
    if format == Format::Json {
        return output::json(&documents.collect::<Vec<_>>());
    }
    let rows = documents.map(|it| {
        vec![it.key.to_owned(), output::cell(it.value.unwrap_or_default()), output::cell(it.source)]
    });
    output::table(&["key", "value", "source"], rows.collect())
}
