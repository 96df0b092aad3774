use std::path::PathBuf;

use clap::Parser;

use crate::fault::Fault;

/// Try to make Partita lose an event: services, a PostgreSQL, load, faults, and a check of everything that was said.
///
/// Exit codes: 0 every promise was kept; 3 one was broken; 1 the run itself failed.
#[derive(Debug, Parser)]
#[command(name = "partita-torture", version)]
pub(crate) struct Args {
    /// How long to go on beginning rounds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) minutes: u64,

    /// What every decision is drawn from: the fleet, the faults and their order, the load
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Each fault once, with the seed given, however long it takes; then the end
    #[arg(long, conflicts_with = "minutes")]
    pub(crate) ci: bool,

    /// Only this round of the seed: how a violation is run again
    #[arg(long, value_name = "N", conflicts_with_all = ["ci", "minutes"])]
    pub(crate) round: Option<u32>,

    /// Only these faults
    #[arg(long, value_name = "FAULT", value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Fault>,

    /// The binary `partita`; by default the one beside this program, which cargo brings up to date
    #[arg(long, value_name = "PATH", env = "PARTITA_BINARY")]
    pub(crate) partita: Option<PathBuf>,

    /// The folder of PostgreSQL's programs
    #[arg(long, value_name = "PATH", env = "PARTITA_POSTGRES_BIN")]
    pub(crate) postgres_bin: Option<PathBuf>,

    /// What is logged to standard error
    #[arg(long, value_name = "DIRECTIVES", default_value = "warn,partita_torture=info")]
    pub(crate) log: String,
}
