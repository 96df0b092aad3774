//! `partita drill`, bounded: every leg once, each as short as it goes; and one that is stopped in the middle.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by them")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use wait_timeout::ChildExt as _;

const LEGS: [&str; 10] = [
    "legacy",
    "dual",
    "backfill",
    "verify",
    "fence",
    "verify again",
    "finalize",
    "restore",
    "open",
    "flag off",
];

/// Many times what it takes; where it takes longer, it is stuck.
const LIMIT: Duration = Duration::from_secs(480);

fn drill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
    command.args(["drill", "--seconds", "1", "--tenants", "2", "--seed", "879", "-o", "json", "--data-dir"]);
    command.arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How it ended; where it does not end, what it said until then.
fn end_of(mut running: Child, errors: &Path) -> ExitStatus {
    running.wait_timeout(LIMIT).unwrap().unwrap_or_else(|| {
        running.kill().unwrap();
        running.wait().unwrap();
        panic!("no end within {} s:\n{}", LIMIT.as_secs(), fs::read_to_string(errors).unwrap());
    })
}

fn number(document: &Value, pointer: &str) -> u64 {
    document.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {document}"))
}

/// Processes that have a file below the folder open: services log to it, PostgreSQL lives in it.
fn processes_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let inside = |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.starts_with(folder));
        if files.flatten().any(inside) {
            found.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn a_drill_goes_through_every_phase_and_back_with_kills_and_breaks_no_promise() {
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let [told, errors] = ["told", "errors"].map(|name| parent.path().join(name));
    let mut command = drill(&parent.path().join("drill"));
    command.stdout(File::create(&told).unwrap()).stderr(File::create(&errors).unwrap());
    let status = end_of(command.spawn().unwrap(), &errors);
    let [told, errors] = [told, errors].map(|path| fs::read_to_string(path).unwrap());
    assert_eq!(status.code(), Some(0), "{told}\n{errors}");
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(report["violations"], Value::Array(Vec::new()));
    let legs = report["legs"].as_array().unwrap();
    assert_eq!(legs.iter().map(|leg| leg["name"].as_str().unwrap()).collect::<Vec<_>>(), LEGS);
    for leg in legs {
        assert!(number(leg, "/appends") > 0 && number(leg, "/reads") > 0, "{leg}");
        let kills: u64 = ["services", "sessions", "postgresql"]
            .map(|kind| number(leg, &format!("/kills/{kind}")))
            .iter()
            .sum();
        assert!(kills > 0, "{leg}");
    }
    // The foreign program was refused behind the fence, and only there.
    assert!(number(&report, "/reasons/SQLSTATE PTF01") > 0, "{report}");
    // History, and what was written in all ten legs.
    assert!(number(&report, "/events") > 2 * 3 * 120, "{report}");
    assert_eq!(number(&report, "/rows_verified"), number(&report, "/events"));
    assert!(number(&report, "/hashes_verified") > 0 && number(&report, "/streams_read") > 0, "{report}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_drill_that_is_stopped_leaves_no_process_and_proves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let folder = parent.path().canonicalize().unwrap().join("drill");
    let mut running = drill(&folder).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("legacy: "));
    assert!(!processes_in(&folder).is_empty());
    kill(Pid::from_raw(i32::try_from(running.id()).unwrap()), Signal::SIGINT).unwrap();
    let status = running.wait_timeout(LIMIT).unwrap().expect("it ends");
    let told: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(status.code(), Some(1), "{told:?}");
    assert!(told.iter().any(|line| line.contains("nothing is proved")), "{told:?}");
    assert_eq!(processes_in(&folder), Vec::<String>::new());
}
