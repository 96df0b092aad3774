//! Configuration that nobody means well with: every layer is taken, or refused with the mistakes and their keys.

use std::ffi::OsString;
use std::fs;

use partita_fuzz::Fuzz;

use super::*;
use crate::failure::Exit;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/config");
const EXAMPLE: &str = include_str!("../../../../deploy/partita.example.toml");

#[test]
fn a_file_variables_and_flags_of_any_text_are_taken_within_their_limits_or_refused_as_usage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("partita.toml");
    Fuzz::new(CORPUS).seed(EXAMPLE).text(|text| {
        fs::write(&path, text).unwrap();
        let from_file = ConfigArgs { config: Some(path.clone()), set: Vec::new() };
        check(&from_file, Vec::new());
        let flags = ConfigArgs { config: None, set: text.lines().map(str::to_owned).collect() };
        check(&flags, Vec::new());
        let variables = text.lines().filter_map(|line| line.split_once('='));
        let variables = variables.map(|(name, value)| (name.trim().into(), value.trim().into())).collect();
        check(&ConfigArgs::default(), variables);
    });
}

fn check(args: &ConfigArgs, environment: Vec<(OsString, OsString)>) {
    let read = layers::collect(args, environment.into_iter()).and_then(|root| {
        let mut reader = Reader::new(root);
        let config = Config::read(&mut reader, Config::default());
        reader.finish().map(|_| config)
    });
    match read {
        Ok(config) => {
            assert!((1..=64).contains(&config.lanes.count) && config.months_ahead <= MONTHS_AHEAD_MAX);
            assert!((0.0..=1.0).contains(&config.trace.sample_ratio));
            // What belongs together is looked at later, and refused likewise.
            if let Err(failure) = config.server(config.listen, Probes::default()) {
                assert!(!failure.text().is_empty());
            }
        }
        Err(failure) => assert!(failure.exit() == Exit::Usage && !failure.text().is_empty()),
    }
}
