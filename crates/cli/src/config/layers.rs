use std::ffi::OsString;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value};

use crate::config::ConfigArgs;
use crate::failure::Failure;

/// Read where it exists, in the folder that the command is run in.
const FILE_DEFAULT: &str = "partita.toml";
/// Variables that had their names before this program came; each stands for one key.
const NAMED_VARIABLES: [(&str, &str); 4] = [
    ("DATABASE_URL", "database.url"),
    ("DB_PARTITIONS_V1", "partitions.enabled"),
    ("DB_PARTITION_MONTHS_AHEAD", "partitions.months_ahead"),
    ("DB_PARTITION_RETENTION_MONTHS", "partitions.retention_months"),
];
/// Longest key that is looked for, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// Begins the names of all other variables; `__` stands between the levels of a key.
const PREFIX: &str = "PARTITA_";
/// Variables of the clients, which the command line reads itself.
const CLIENT_VARIABLES: [&str; 6] = [
    "PARTITA_SERVER",
    "PARTITA_TOKEN",
    "PARTITA_TOKEN_FILE",
    "PARTITA_TLS_CA",
    "PARTITA_TLS_CERT",
    "PARTITA_TLS_KEY",
];

/// Merges file, environment and flags into one tree; every value knows where it came from.
///
/// # Errors
/// When a file cannot be read, or a flag is not `KEY=VALUE`.
pub(super) fn collect(
    args: &ConfigArgs,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Value, Failure> {
    let mut builder = Config::builder();
    let path = args.config.as_deref().unwrap_or(Path::new(FILE_DEFAULT));
    if args.config.is_some() || path.exists() {
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    let merged =
        builder.add_source(environment_layer(environment)).add_source(flag_layer(&args.set)?).build();
    let merged = merged.map_err(|error| file_failure(path, &error))?;
    Ok(merged.cache)
}

fn file_failure(path: &Path, error: &ConfigError) -> Failure {
    let message = format!("cannot read the configuration file {}", path.display());
    Failure::usage(message).because(error.to_string().trim_end())
}

/// A layer of values by key, each with its own origin.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// An empty variable counts as one that is not set: compose files and manifests often pass those on.
fn environment_layer(environment: impl Iterator<Item = (OsString, OsString)>) -> Layer {
    let mut values = Map::new();
    for (name, value) in environment {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if let Some(key) = key_of(&name).filter(|_| !value.is_empty()) {
            let origin = format!("environment variable {name}");
            values.insert(bounded(key), Value::new(Some(&origin), value.into_owned()));
        }
    }
    Layer(values)
}

/// The key that a variable sets, if it is one of ours.
fn key_of(name: &str) -> Option<String> {
    if let Some((_, key)) = NAMED_VARIABLES.iter().find(|(variable, _)| *variable == name) {
        return Some((*key).to_owned());
    }
    let rest = name.strip_prefix(PREFIX)?;
    if CLIENT_VARIABLES.contains(&name) || is_service_link(name) {
        return None;
    }
    Some(rest.to_lowercase().replace("__", "."))
}

/// The variable that sets a key.
pub(super) fn variable_of(key: &str) -> String {
    match NAMED_VARIABLES.iter().find(|(_, named)| *named == key) {
        Some((variable, _)) => (*variable).to_owned(),
        None => format!("{PREFIX}{}", key.replace('.', "__").to_uppercase()),
    }
}

/// Kubernetes tells every pod of the services beside it by variables that begin with the service's name
/// (`PARTITA_SERVICE_HOST`, `PARTITA_PORT_50051_TCP`). A service called `partita` must not keep its own pods from
/// starting; no key of ours has such a name.
fn is_service_link(name: &str) -> bool {
    let parts = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"];
    name.ends_with("_PORT") || parts.iter().any(|part| name.contains(part))
}

fn flag_layer(flags: &[String]) -> Result<Layer, Failure> {
    let mut values = Map::new();
    for flag in flags {
        let Some((key, value)) = flag.split_once('=') else {
            let message = format!("--set `{flag}` has no `=`");
            return Err(Failure::usage(message).next("write --set KEY=VALUE, such as --set log.filter=debug"));
        };
        values.insert(bounded(key.to_owned()), Value::new(Some(&"--set".to_owned()), value.to_owned()));
    }
    Ok(Layer(values))
}

/// A key as it is, or, where it is longer than any of ours, something without levels that is unknown as well: a tree as deep
/// as a key has dots takes as much stack.
fn bounded(key: String) -> String {
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    let plain = key.chars().filter(|one| one.is_ascii_alphanumeric() || *one == '_');
    plain.take(KEY_BYTES_MAX).collect::<String>() + "_"
}
