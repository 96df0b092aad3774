//! Who runs PostgreSQL: we ourselves, or, because it refuses to run as root, an unprivileged account.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Stdio;

use nix::unistd::{User, geteuid};
use tokio::process::Command;

use crate::error::{ClusterError, io_error};

/// The accounts that root hands PostgreSQL to, the better first: packages make `postgres`, and every system has
/// `nobody`.
const STAND_INS: [&str; 2] = ["postgres", "nobody"];

/// The account of the cluster's processes and files.
#[derive(Debug, Clone)]
pub(crate) enum Account {
    /// Ours.
    Own,
    /// A stand-in for root.
    StandIn { name: String, uid: u32, gid: u32 },
}

impl Account {
    pub(crate) fn choose() -> Result<Self, ClusterError> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let user = STAND_INS.iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or(ClusterError::NoAccount)?;
        Ok(Self::StandIn { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }

    /// A program to be run as this account, in the root folder: the caller's may be closed to it. The standard
    /// library drops root's supplementary groups when it changes the user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        // Messages are read by us: in one language.
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        match self {
            Self::Own => {}
            Self::StandIn { uid, gid, .. } => {
                command.uid(*uid).gid(*gid);
            }
        }
        command
    }

    /// Gives a file or folder of ours to the account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), ClusterError> {
        match self {
            Self::Own => Ok(()),
            Self::StandIn { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(io_error("change the owner of", path))
            }
        }
    }

    /// The mode of a folder of ours that the account must pass through. It stays ours: root does not write files
    /// into a folder where another user could lay a link in the way.
    pub(crate) fn passage(&self) -> Permissions {
        match self {
            Self::Own => Permissions::from_mode(0o700),
            Self::StandIn { .. } => Permissions::from_mode(0o711),
        }
    }

    /// Proves that the account can enter `folder`, by entering it: mode bits do not tell of access lists. `remedy`
    /// closes the error message.
    pub(crate) async fn must_enter(&self, folder: &Path, remedy: &str) -> Result<(), ClusterError> {
        let name = match self {
            Self::Own => return Ok(()),
            Self::StandIn { name, .. } => name,
        };
        if self.can_enter(folder).await? {
            return Ok(());
        }
        // The outermost closed folder is the one to open.
        let mut closed = folder;
        for outer in folder.ancestors().skip(1) {
            if !self.can_enter(outer).await? {
                closed = outer;
            }
        }
        let (folder, account, remedy) = (closed.to_path_buf(), name.clone(), remedy.to_owned());
        Err(ClusterError::CannotEnter { folder, account, remedy })
    }

    async fn can_enter(&self, folder: &Path) -> Result<bool, ClusterError> {
        let shell = Path::new("/bin/sh");
        let mut command = self.command(shell);
        command.args(["-c", "cd -- \"$1\"", "sh"]).arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().await.map_err(io_error("run", shell))?;
        Ok(status.success())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn the_outermost_closed_folder_is_named() {
        let account = Account::choose().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let closed = root.path().join("closed");
        let inner = closed.join("inner");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();

        match (&account, account.must_enter(&inner, "choose another with --data-dir").await) {
            (Account::Own, entered) => entered.unwrap(),
            (Account::StandIn { name, .. }, refused) => {
                let expected =
                    format!("user {name} cannot enter {}: choose another with --data-dir", closed.display());
                assert_eq!(refused.unwrap_err().to_string(), expected);
            }
        }
    }
}
