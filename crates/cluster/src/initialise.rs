//! Making a data folder: `initdb`, a password, a database. All of it or, after an interruption, none.

use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::account::Account;
use crate::cluster::{DATABASE, SUPERUSER};
use crate::error::{ClusterError, io_error};
use crate::folder::{Folder, UNFINISHED_PREFIX};
use crate::installation::Installation;
use crate::log::tail;

/// Makes the cluster's data folder unless there is one that this installation can open. The password is the answer.
pub(crate) async fn initialise(
    installation: &Installation,
    account: &Account,
    folder: &Folder,
    durable: bool,
) -> Result<String, ClusterError> {
    if folder.data().exists() {
        return resume(installation, folder);
    }
    remove_unfinished(folder.root())?;
    let password = match folder.password()? {
        Some(password) => password,
        None => folder.new_password(account)?,
    };
    let unfinished = tempfile::Builder::new().prefix(UNFINISHED_PREFIX).tempdir_in(folder.root());
    let unfinished = unfinished.map_err(io_error("create a folder in", folder.root()))?;
    account.own(unfinished.path())?;
    let maker = Maker { installation, account, data: unfinished.path(), durable };
    maker.initdb(&folder.password_path()).await?;
    maker.create_database().await?;

    // Only now has the folder a name that counts.
    let data = folder.data();
    fs::rename(unfinished.keep(), &data).map_err(io_error("rename a new data folder to", &data))?;
    Ok(password)
}

fn resume(installation: &Installation, folder: &Folder) -> Result<String, ClusterError> {
    let path = folder.data().join("PG_VERSION");
    let made_by = fs::read_to_string(&path).map_err(io_error("read", &path))?.trim().to_owned();
    let found = installation.version();
    if made_by != found.major.to_string() {
        return Err(ClusterError::OtherVersion { folder: folder.root().to_path_buf(), made_by, found });
    }
    folder.password()?.ok_or_else(|| ClusterError::PasswordLost { path: folder.password_path() })
}

/// Removes what an owner that was killed half way left. Its `initdb` may still be at it: then this one's name differs.
fn remove_unfinished(root: &Path) -> Result<(), ClusterError> {
    for entry in fs::read_dir(root).map_err(io_error("list", root))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            let path = entry.path();
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), error = %error, "unfinished data folder left in place");
            }
        }
    }
    Ok(())
}

/// What one of PostgreSQL's programs may take to make a data folder, on a slow disk.
const LIMIT: Duration = Duration::from_secs(120);

/// One data folder in the making.
struct Maker<'a> {
    installation: &'a Installation,
    account: &'a Account,
    data: &'a Path,
    durable: bool,
}

impl Maker<'_> {
    async fn initdb(&self, password_file: &Path) -> Result<(), ClusterError> {
        let mut command = self.account.command(&self.installation.program("initdb"));
        command.arg("--pgdata").arg(self.data).arg("--pwfile").arg(password_file);
        command.arg(format!("--username={SUPERUSER}"));
        // The C locale sorts alike on every machine and with every version of its libraries.
        command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
        if !self.durable {
            command.arg("--no-sync");
        }
        let (status, output) =
            run(command, "").await.map_err(io_error("run", &self.installation.program("initdb")))?;
        self.judge("initdb", status, &output)
    }

    /// In single-user mode: there is no server yet, and no client to be had from every installation.
    async fn create_database(&self) -> Result<(), ClusterError> {
        let program = self.installation.program("postgres");
        let mut command = self.account.command(&program);
        command.arg("--single").arg("-D").arg(self.data);
        command.args(["-c", if self.durable { "fsync=on" } else { "fsync=off" }]).arg("postgres");
        let statement = format!("CREATE DATABASE {DATABASE}\n");
        let (status, output) = run(command, &statement).await.map_err(io_error("run", &program))?;
        self.judge("postgres --single", status, &output)
    }

    /// A single-user session ends well even where its statement failed.
    fn judge(&self, program: &'static str, status: ExitStatus, output: &str) -> Result<(), ClusterError> {
        if status.success() && !output.contains("ERROR:") {
            return Ok(());
        }
        Err(ClusterError::Initialise { program, status: status.to_string(), output: tail(output) })
    }
}

/// Runs a program to its end, out of the terminal's reach. It ends with us where we are cancelled.
async fn run(mut command: Command, input: &str) -> std::io::Result<(ExitStatus, String)> {
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input.as_bytes()).await
    {
        // A program that ends before it reads tells more by its output.
        tracing::debug!(error = %error, "input not read");
    }
    let late = |_| {
        std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("it does not end within {} s", LIMIT.as_secs()),
        )
    };
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.map_err(late)??;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status, String::from_utf8_lossy(&said).into_owned()))
}
