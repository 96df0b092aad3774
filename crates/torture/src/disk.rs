//! A small disk, in memory, for the database of one round.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use partita_cluster::Cluster;

/// Room for an empty database, twice the load of a round, and no more.
const SIZE: &str = "size=64m,mode=0700";
/// What the disk is filled up with, piece by piece.
const PIECE: [u8; 4096] = [0; 4096];

/// Gives this process mounts of its own, which go with it however it ends. To be called before it has threads.
///
/// # Errors
/// When it may not: only root may.
pub(crate) fn separate_mounts() -> Result<(), String> {
    let separated = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
    });
    separated.map_err(|error| format!("this process cannot mount a small disk: {error}"))
}

/// Mounted until it is dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts it where PostgreSQL can enter.
    pub(crate) fn mount(cluster: &Cluster, name: &str) -> anyhow::Result<Self> {
        let path = cluster.folder().join(name);
        fs::create_dir(&path)?;
        let owner = fs::metadata(cluster.folder().join("pgdata"))?;
        let options = format!("{SIZE},uid={},gid={}", owner.uid(), owner.gid());
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .context("no small disk")?;
        Ok(Self { path })
    }

    /// The folder that it is mounted at.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Leaves no byte.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let mut filling = fs::File::create(self.filling())?;
        loop {
            match filling.write(&PIECE) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) -> io::Result<()> {
        fs::remove_file(self.filling())
    }

    fn filling(&self) -> PathBuf {
        self.path.join("filling")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            tracing::warn!(%error, path = %self.path.display(), "small disk could not be unmounted");
        }
    }
}
