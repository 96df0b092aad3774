//! The service's program: the one beside this program, brought up to date where cargo runs us.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// Finds it, and has cargo build it first where this program was started by cargo: what is tried is what stands in the
/// sources.
pub(crate) async fn find(wanted: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(wanted) = wanted {
        return wanted.canonicalize().with_context(|| format!("no program at {}", wanted.display()));
    }
    let own = env::current_exe().context("cannot tell where this program is")?;
    let folder = own.parent().context("this program is in no folder")?;
    if let Some(cargo) = env::var_os("CARGO") {
        let release = folder.file_name().is_some_and(|name| name == "release");
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--package", "partita", "--bin", "partita"]);
        command.args(release.then_some("--release")).stdin(Stdio::null());
        if let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR") {
            command.current_dir(manifest);
        }
        let built = command.status().await.context("cannot run cargo")?;
        if !built.success() {
            bail!("cargo could not build the service: {built}");
        }
    }
    let beside = folder.join("partita");
    beside.canonicalize().with_context(|| {
        format!(
            "no program {}: build it (cargo build --release), or name it with --partita",
            beside.display()
        )
    })
}
