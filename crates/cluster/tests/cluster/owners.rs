//! Who owns a folder, and what becomes of PostgreSQL when its owner is gone.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use partita_cluster::{Cluster, ClusterError, ClusterOptions};

use crate::support::{answers, eventually, gone, installation, open_folder};

/// Names the file by which the second process tells about its cluster. Set for that process only.
const REPORT: &str = "PARTITA_CLUSTER_TEST_REPORT";
/// Names the folder of its cluster; a temporary one if unset.
const HOME: &str = "PARTITA_CLUSTER_TEST_HOME";
/// Longer than any test takes.
const LIFETIME_MAX: Duration = Duration::from_secs(300);

/// The second process of the tests below: starts a cluster and waits to be killed. Without a report to write it is
/// no test at all.
#[tokio::test]
async fn owner_that_waits_to_be_killed() {
    let Some(report) = env::var_os(REPORT) else { return };
    let options = match env::var(HOME) {
        Ok(home) => ClusterOptions::at(home, "--data-dir"),
        Err(_) => ClusterOptions::temporary(),
    };
    let cluster = Cluster::start(installation(), options).await.unwrap();
    let text = format!("{} {} {}", cluster.pid().unwrap(), cluster.port(), cluster.folder().display());
    let aside = Path::new(&report).with_extension("part");
    fs::write(&aside, text).unwrap();
    fs::rename(&aside, &report).unwrap();
    // Should the one that is to kill it be killed itself.
    tokio::time::sleep(LIFETIME_MAX).await;
}

/// A cluster in another process.
struct Owner {
    process: Child,
    pid: u32,
    port: u16,
    folder: PathBuf,
}

impl Owner {
    async fn start(scratch: &Path, home: Option<&Path>) -> Self {
        let report = scratch.join("report");
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "owners::owner_that_waits_to_be_killed"]).env(REPORT, &report);
        if let Some(home) = home {
            command.env(HOME, home);
        }
        let mut process = command.stdout(Stdio::null()).spawn().unwrap();
        eventually("a cluster in another process", async || {
            assert_eq!(process.try_wait().unwrap(), None, "the other process ended");
            report.exists()
        })
        .await;
        let text = fs::read_to_string(&report).unwrap();
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next().unwrap();
        let (pid, port) = (word().parse().unwrap(), word().parse().unwrap());
        Self { process, pid, port, folder: PathBuf::from(word()) }
    }

    /// `SIGKILL`: no destructor, no handler.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Gone already, unless the test failed.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[tokio::test]
async fn a_killed_owner_leaves_no_server_and_no_temporary_folder() {
    let scratch = open_folder();
    let mut owner = Owner::start(scratch.path(), None).await;
    assert!(answers(owner.port).await);
    owner.kill();
    eventually("server gone", async || gone(owner.pid)).await;
    eventually("folder gone", async || !owner.folder.exists()).await;
    assert!(!answers(owner.port).await);
}

#[tokio::test]
async fn a_killed_owner_is_followed_at_once_by_another() {
    let scratch = open_folder();
    let home = scratch.path().join("cluster");
    let mut owner = Owner::start(scratch.path(), Some(&home)).await;
    owner.kill();
    // The first one's server may still be shutting down: the start waits for it.
    let cluster = Cluster::start(installation(), ClusterOptions::at(&home, "--data-dir")).await.unwrap();
    assert!(gone(owner.pid));
    assert!(answers(cluster.port()).await);
    cluster.stop().await;
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_of_the_first() {
    let scratch = open_folder();
    let home = scratch.path().join("cluster");
    let mut owner = Owner::start(scratch.path(), Some(&home)).await;
    let error = Cluster::start(installation(), ClusterOptions::at(&home, "--data-dir")).await.unwrap_err();
    assert!(matches!(error, ClusterError::InUse { pid, .. } if pid == owner.process.id()), "{error}");
    assert!(error.to_string().contains("choose another folder with --data-dir"), "{error}");
    assert!(answers(owner.port).await, "the first one's server was disturbed");
    owner.kill();
    eventually("server gone", async || gone(owner.pid)).await;
}

#[tokio::test]
async fn a_dropped_cluster_is_ended_in_the_background() {
    let cluster = Cluster::start(installation(), ClusterOptions::temporary()).await.unwrap();
    let (pid, folder) = (cluster.pid().unwrap(), cluster.folder().to_path_buf());
    drop(cluster);
    eventually("server gone", async || gone(pid)).await;
    eventually("folder gone", async || !folder.exists()).await;
}
