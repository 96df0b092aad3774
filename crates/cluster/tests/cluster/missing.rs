//! No PostgreSQL, or one that is of no use: what a newcomer is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use partita_cluster::{ClusterError, Search, VERSION_MIN};

use crate::support::installation;

/// A bin folder whose programs say that they are of this version.
fn pretend(bin_dir: &Path, version: &str) {
    fs::create_dir_all(bin_dir).unwrap();
    for name in ["initdb", "postgres"] {
        let program = bin_dir.join(name);
        fs::write(&program, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A search of nothing but the places below this folder.
fn search_below(root: &Path) -> Search {
    let mut search = Search::new("--postgres-bin or PARTITA_POSTGRES_BIN", None);
    search.places = vec![root.join("pg-*/bin").display().to_string()];
    search
}

#[test]
fn a_missing_installation_names_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let error = search_below(root.path()).find().unwrap_err().to_string();
    for part in [
        "apt-get install postgresql",
        "brew install postgresql@18",
        "PARTITA_POSTGRES_BIN",
        "pg-*/bin",
        "PATH",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn the_newest_of_the_usual_places_is_taken() {
    let root = tempfile::tempdir().unwrap();
    for version in ["9.6", "16.4", "18.1", "17.9"] {
        pretend(&root.path().join(format!("pg-{version}/bin")), version);
    }
    assert_eq!(search_below(root.path()).find().unwrap().version().to_string(), "18.1");
}

#[test]
fn the_path_comes_before_the_usual_places() {
    let root = tempfile::tempdir().unwrap();
    pretend(&root.path().join("pg-18/bin"), "18.1");
    pretend(&root.path().join("path"), "16.4");
    let mut search = search_below(root.path());
    search.path = Some(root.path().join("path").into());
    assert_eq!(search.find().unwrap().version().to_string(), "16.4");
}

#[test]
fn one_that_is_too_old_is_told_of() {
    let root = tempfile::tempdir().unwrap();
    pretend(&root.path().join("pg-13/bin"), "13.4");
    let error = search_below(root.path()).find().unwrap_err().to_string();
    assert!(error.contains(&format!("version 13.4 is older than {VERSION_MIN}")), "{error}");
}

#[test]
fn a_named_folder_is_used_or_refused_but_never_replaced() {
    let root = tempfile::tempdir().unwrap();
    pretend(&root.path().join("pg-18/bin"), "18.1");
    let mut search = search_below(root.path());
    search.wanted = Some(root.path().join("elsewhere"));
    let error = search.find().unwrap_err();
    assert!(matches!(error, ClusterError::Unusable { .. }), "{error}");
    assert!(
        error.to_string().contains("no initdb in it") && error.to_string().contains("--postgres-bin"),
        "{error}"
    );

    // The folder above the bin folder will do.
    search.wanted = installation().bin_dir().parent().map(Path::to_path_buf);
    assert_eq!(search.find().unwrap(), installation());
}
