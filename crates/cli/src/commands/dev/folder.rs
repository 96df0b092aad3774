use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use nix::unistd::geteuid;

use crate::failure::Failure;

/// Marks a folder as ours, and is locked while we use it.
const MARKER: &str = ".partita-dev";
const MARKER_TEXT: &str =
    "Made by `partita dev`. `partita dev --fresh` deletes the folder `cluster` beside this file.\n";
/// PostgreSQL then runs as another user, who may enter neither root's home nor what lies in it.
const DATA_DIR_OF_ROOT: &str = "/var/lib/partita/dev";

/// The data folder of `partita dev`, locked for this process until dropped.
#[derive(Debug)]
pub(super) struct DevFolder {
    root: PathBuf,
    _marker: File,
}

impl DevFolder {
    /// Makes the folder, or enters one that an earlier run made.
    ///
    /// # Errors
    /// When a folder holds something and is not ours, or another `partita dev` uses it.
    pub(super) fn open(wanted: Option<PathBuf>) -> Result<Self, Failure> {
        let root = match wanted {
            Some(root) => std::path::absolute(&root).unwrap_or(root),
            None => default_root()?,
        };
        let marker = claim(&root).map_err(|error| cannot_use(&root).because(error))?;
        let Some(marker) = marker else {
            let failure =
                cannot_use(&root).because(format!("it is not empty and has no {MARKER}: it is not ours"));
            return Err(failure.next("name an empty or a new folder with --data-dir"));
        };
        match marker.try_lock() {
            Ok(()) => Ok(Self { root, _marker: marker }),
            Err(TryLockError::WouldBlock) => {
                let failure = cannot_use(&root).because("another `partita dev` uses it");
                Err(failure.next("stop that one, or name another folder with --data-dir"))
            }
            Err(TryLockError::Error(error)) => Err(cannot_use(&root).because(error)),
        }
    }

    /// Where the database is.
    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// Where a PostgreSQL that was fetched is kept; starting over does not fetch it again.
    pub(super) fn downloads(&self) -> PathBuf {
        self.root.join("postgresql")
    }

    /// Deletes the database.
    pub(super) fn empty(&self) -> Result<(), Failure> {
        let cluster = self.cluster();
        match fs::remove_dir_all(&cluster) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::internal(format!("cannot delete {}", cluster.display())).because(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn cannot_use(root: &Path) -> Failure {
    Failure::usage(format!("cannot use the folder {}", root.display()))
}

fn default_root() -> Result<PathBuf, Failure> {
    if geteuid().is_root() {
        return Ok(PathBuf::from(DATA_DIR_OF_ROOT));
    }
    let strategy = etcetera::choose_base_strategy();
    let strategy = strategy.map_err(|error| {
        let failure = Failure::usage("cannot tell where the user's data belongs").because(error);
        failure.next("name a folder with --data-dir")
    })?;
    Ok(strategy.data_dir().join("partita").join("dev"))
}

/// The marker of a folder that is ours or becomes so; nothing if it is somebody else's.
fn claim(root: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(root)?;
    let marker = root.join(MARKER);
    if !marker.exists() {
        if fs::read_dir(root)?.next().is_some() {
            return Ok(None);
        }
        // The user that runs PostgreSQL for root must be able to pass through.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(&marker)?;
    if file.metadata()?.len() == 0 {
        file.write_all(MARKER_TEXT.as_bytes())?;
    }
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_never_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("cluster");
        fs::create_dir(&theirs).unwrap();
        let refused = DevFolder::open(Some(folder.path().to_path_buf())).unwrap_err();
        assert!(refused.text().contains("it is not ours"), "{}", refused.text());
        assert!(theirs.exists());
    }

    #[test]
    fn starting_over_deletes_the_database_and_keeps_downloads() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("new/dev");
        let folder = DevFolder::open(Some(root.clone())).unwrap();
        fs::create_dir(folder.downloads()).unwrap();
        fs::create_dir(folder.cluster()).unwrap();
        folder.empty().unwrap();
        folder.empty().unwrap();
        assert!(folder.downloads().exists() && !folder.cluster().exists());

        let second = DevFolder::open(Some(root.clone())).unwrap_err().text();
        assert!(second.contains("another `partita dev` uses it"), "{second}");
        drop(folder);
        DevFolder::open(Some(root)).unwrap();
    }
}
