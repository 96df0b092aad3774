//! The folder of one cluster: its files by name, its lock, its password.
//!
//! `pgdata` the data folder, `password` and `lock` ours, `socket` the Unix socket, `postgresql.log` the log,
//! `initdb-…` a data folder in the making.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::account::Account;
use crate::error::{ClusterError, io_error};
use crate::options::DataDir;
use crate::pid_file::PidFile;

/// The address of a Unix socket holds 104 bytes on macOS, 108 on Linux, with a closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// Begins the name of a data folder in the making.
pub(crate) const UNFINISHED_PREFIX: &str = "initdb-";

/// The folder, locked for us until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    named_by: String,
    temporary: Option<TempDir>,
    _lock: File,
}

impl Folder {
    /// Creates the folder where it is missing, proves that `account` can enter it, and locks it.
    pub(crate) async fn open(data_dir: &DataDir, account: &Account) -> Result<Self, ClusterError> {
        let (root, named_by, temporary) = match data_dir {
            DataDir::Temporary => {
                let parent = std::env::temp_dir();
                let made = tempfile::Builder::new().prefix("partita-").tempdir_in(&parent);
                let made = made.map_err(io_error("create a folder in", &parent))?;
                fs::set_permissions(made.path(), account.passage())
                    .map_err(io_error("change the mode of", made.path()))?;
                (made.path().to_path_buf(), "TMPDIR".to_owned(), Some(made))
            }
            DataDir::At { path, named_by } => {
                create(path, account)?;
                (path.clone(), named_by.clone(), None)
            }
        };
        // Programs are run in another folder: the path must not be a relative one.
        let root = root.canonicalize().map_err(io_error("enter", &root))?;
        let remedy = format!("open it with chmod o+x, or choose another folder with {named_by}");
        account.must_enter(&root, &remedy).await?;
        let lock = lock(&root, &named_by)?;
        Ok(Self { root, named_by, temporary, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("pgdata")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.root.join("postgresql.log")
    }

    pub(crate) fn password_path(&self) -> PathBuf {
        self.root.join("password")
    }

    pub(crate) fn pid_file(&self) -> PidFile {
        PidFile::of(&self.data())
    }

    pub(crate) fn in_use_by(&self, pid: u32) -> ClusterError {
        ClusterError::InUse { folder: self.root.clone(), pid, named_by: self.named_by.clone() }
    }

    /// The folder, if it is to be removed in the end.
    pub(crate) fn temporary(&self) -> Option<&Path> {
        // Not the name that it was made by: the remover follows no links.
        self.temporary.as_ref().map(|_| self.root.as_path())
    }

    /// Leaves the removal to another, who outlives us.
    pub(crate) fn entrust_removal(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _kept = temporary.keep();
        }
    }

    /// A new empty folder for the Unix socket, unless its path is too long for one. New, because a socket's own
    /// lock file survives a crash and then refuses a start as `postmaster.pid` does.
    pub(crate) fn new_socket_dir(
        &self,
        port: u16,
        account: &Account,
    ) -> Result<Option<PathBuf>, ClusterError> {
        let dir = self.root.join("socket");
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(io_error("remove", &dir))?;
        }
        if dir.join(format!(".s.PGSQL.{port}")).as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Ok(None);
        }
        DirBuilder::new().mode(0o700).create(&dir).map_err(io_error("create", &dir))?;
        account.own(&dir)?;
        Ok(Some(dir))
    }

    /// The password that an earlier start left.
    pub(crate) fn password(&self) -> Result<Option<String>, ClusterError> {
        let path = self.password_path();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|password| !password.is_empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Draws a password and keeps it, for `account` and nobody else to read. It needs no escaping in a URL.
    pub(crate) fn new_password(&self, account: &Account) -> Result<String, ClusterError> {
        let path = self.password_path();
        let password = format!("{:032x}", rand::random::<u128>());
        // Written aside and renamed: half a password is never met. Temporary files are open to their owner only.
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
            writeln!(file, "{password}")?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        };
        write().map_err(io_error("write", &path))?;
        account.own(&path)?;
        Ok(password)
    }
}

/// Creates the folder of a cluster. One that exists is left as it is: its owner chose its mode.
fn create(path: &Path, account: &Account) -> Result<(), ClusterError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(io_error("create", path))?;
    fs::set_permissions(path, account.passage()).map_err(io_error("change the mode of", path))
}

/// The operating system releases the lock with the process, however it ends: no stale lock is ever met.
fn lock(root: &Path, named_by: &str) -> Result<File, ClusterError> {
    let path = root.join("lock");
    let mut options = OpenOptions::new();
    let open = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open.map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            let (folder, named_by) = (root.to_path_buf(), named_by.to_owned());
            return Err(ClusterError::InUse {
                folder,
                pid: owner.trim().parse().unwrap_or_default(),
                named_by,
            });
        }
        Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
    }
    let record = |file: &mut File| {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    };
    record(&mut file).map_err(io_error("write", &path))?;
    Ok(file)
}
