//! Compiles the contract under `proto/` into Rust, without protoc.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const PACKAGE_DIR: &str = "partita/v1";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    // cargo searches the folder as a whole: files that are added or removed count as changes.
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut compiler = protox::Compiler::new([&root])?;
    // Reflection describes the contract to people too: comments and imports go into the descriptor set.
    compiler.include_source_info(true).include_imports(true).open_files(contract_files(&root)?)?;

    let descriptor_set = PathBuf::from(env::var("OUT_DIR")?).join("partita_descriptor_set.bin");
    fs::write(descriptor_set, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Every `.proto` of the package, in a stable order, so that a new file needs no mention here.
fn contract_files(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(PACKAGE_DIR))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
