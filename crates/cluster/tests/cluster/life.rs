//! A cluster's ordinary life: made, started, connected to, resumed, crashed, ended.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use partita_cluster::{Cluster, ClusterError, ClusterOptions};

use crate::support::{answers, gone, installation, open_folder, psql, query};

#[tokio::test]
async fn a_temporary_cluster_answers_and_leaves_nothing() {
    let cluster = Cluster::start(installation(), ClusterOptions::temporary()).await.unwrap();
    let (port, pid, folder) = (cluster.port(), cluster.pid().unwrap(), cluster.folder().to_path_buf());
    assert!(answers(port).await);
    assert_eq!(query(&cluster, "SHOW fsync").await, "off");
    assert_eq!(query(&cluster, "SHOW synchronous_commit").await, "on");
    assert_eq!(
        query(&cluster, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'partita'")
            .await,
        "UTF8"
    );

    cluster.stop().await;
    assert!(!answers(port).await);
    assert!(gone(pid));
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_folder_is_resumed_with_its_data_and_its_password() {
    let parent = open_folder();
    let home = parent.path().join("cluster");
    let options = ClusterOptions::at(&home, "--data-dir");
    let cluster = Cluster::start(installation(), options.clone()).await.unwrap();
    query(&cluster, "CREATE TABLE kept AS SELECT 42 AS n").await;
    assert_eq!(query(&cluster, "SHOW fsync").await, "on");
    let password = cluster.password().to_owned();
    let mode = fs::metadata(home.join("password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    cluster.stop().await;

    let cluster = Cluster::start(installation(), options).await.unwrap();
    assert_eq!(cluster.password(), password);
    assert_eq!(query(&cluster, "SELECT n FROM kept").await, "42");
    cluster.stop().await;
    assert!(home.join("pgdata/PG_VERSION").exists());
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let cluster = Cluster::start(installation(), ClusterOptions::temporary()).await.unwrap();
    let url = format!("postgres://partita:wrong@127.0.0.1:{}/partita", cluster.port());
    let refused = psql(&["-Xw", &url, "-c", "SELECT 1"]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_killed_server_is_restarted_with_its_commits_on_its_port() {
    let mut options = ClusterOptions::temporary();
    options.settings.push(("max_connections".to_owned(), "20".to_owned()));
    let mut cluster = Cluster::start(installation(), options).await.unwrap();
    let port = cluster.port();
    query(&cluster, "CREATE TABLE kept AS SELECT 42 AS n").await;

    cluster.kill().await;
    assert_eq!(cluster.pid(), None);
    assert!(!answers(port).await);

    cluster.restart().await.unwrap();
    assert_eq!(cluster.port(), port);
    assert_eq!(query(&cluster, "SELECT n FROM kept").await, "42");
    assert_eq!(query(&cluster, "SHOW max_connections").await, "20");

    let first = cluster.pid();
    cluster.restart().await.unwrap();
    assert_ne!(cluster.pid(), first);
    assert_eq!(query(&cluster, "SELECT n FROM kept").await, "42");
    cluster.stop().await;
}

#[tokio::test]
async fn an_interrupted_initialisation_is_done_again() {
    let parent = open_folder();
    let home = parent.path().join("cluster");
    // What is left of an owner that was killed while `initdb` wrote.
    fs::create_dir_all(home.join("initdb-x1/base")).unwrap();
    fs::write(home.join("initdb-x1/PG_VERSION"), "1").unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();

    let cluster = Cluster::start(installation(), ClusterOptions::at(&home, "--data-dir")).await.unwrap();
    assert!(answers(cluster.port()).await);
    assert!(nothing_unfinished(&home));
    cluster.stop().await;
}

#[tokio::test]
async fn a_refused_setting_is_told_with_the_log_and_leaves_nothing() {
    let parent = open_folder();
    let mut options = ClusterOptions::at(parent.path().join("cluster"), "--data-dir");
    options.settings.push(("shared_buffers".to_owned(), "plenty".to_owned()));
    let error = Cluster::start(installation(), options.clone()).await.unwrap_err().to_string();
    assert!(error.contains("shared_buffers") && error.contains("postgresql.log"), "{error}");

    // The folder is whole and free again.
    options.settings.clear();
    Cluster::start(installation(), options).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_port_that_was_asked_for_and_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = ClusterOptions::temporary();
    options.port = Some(taken.local_addr().unwrap().port());
    let error = Cluster::start(installation(), options.clone()).await.unwrap_err();
    assert!(matches!(error, ClusterError::PortInUse { port } if Some(port) == options.port), "{error}");
}

/// Whether a folder has no data folder in the making.
fn nothing_unfinished(folder: &Path) -> bool {
    let mut names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    !names.any(|name| name.to_string_lossy().starts_with("initdb-"))
}
