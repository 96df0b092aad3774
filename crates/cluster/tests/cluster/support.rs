//! What the tests of the cluster share: finding PostgreSQL, talking to it, waiting with a bound.

use std::env;
use std::process::Output;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use partita_cluster::{Cluster, DATABASE, Installation, Search};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than any shutdown, recovery or removal that is waited for.
const LIMIT: Duration = Duration::from_secs(100);

/// Length and code of the message by which a client asks for TLS: the shortest one that a PostgreSQL answers.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The PostgreSQL of this machine.
pub(crate) fn installation() -> Installation {
    let search = Search::new("PATH", env::var_os("PATH"));
    search.find().unwrap()
}

/// Whether a PostgreSQL answers on the port.
pub(crate) async fn answers(port: u16) -> bool {
    let talk = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(&SSL_REQUEST).await?;
        stream.read_u8().await
    };
    matches!(timeout(LIMIT, talk).await, Ok(Ok(b'N' | b'S')))
}

/// Runs a statement by `psql`, logged in by the cluster's URL; the bare result.
pub(crate) async fn query(cluster: &Cluster, statement: &str) -> String {
    let url = cluster.url(DATABASE);
    let output = psql(&["-XAtqw", "-v", "ON_ERROR_STOP=1", &url, "-c", statement]).await;
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs `psql` to its end, and fails after a bound.
pub(crate) async fn psql(arguments: &[&str]) -> Output {
    let mut command = Command::new(installation().program("psql"));
    command.args(arguments).kill_on_drop(true);
    let ended = timeout(LIMIT, command.output()).await;
    ended.unwrap_or_else(|_| panic!("not within {} s: psql {arguments:?}", LIMIT.as_secs())).unwrap()
}

/// Waits until the condition holds, and fails after a bound.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < LIMIT, "not within {} s: {what}", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether no process but perhaps an unburied one has the number.
pub(crate) fn gone(pid: u32) -> bool {
    let number = Pid::from_raw(i32::try_from(pid).unwrap());
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(number, None) == Err(Errno::ESRCH) || state().contains(") Z ")
}

/// A folder that every user may enter, below which a test keeps a cluster.
pub(crate) fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}
