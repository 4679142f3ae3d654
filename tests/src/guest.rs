//! Plugins of the tests, each a crate and a workspace of its own: they are built for WebAssembly when a test needs
//! them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::places::repository;

/// Builds the plugin whose crate is in `folder` of the repository, with its files in `target`. Gives the component.
pub fn build_guest(folder: &str, name: &str, target: &Path) -> Vec<u8> {
    build(folder, target, &["--target", "wasm32-wasip2"]);
    let file = target.join("wasm32-wasip2/release").join(name).with_extension("wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Builds the same crate as a program for this machine, to compare with. Gives its path.
pub fn build_native(folder: &str, name: &str, target: &Path) -> PathBuf {
    build(folder, target, &[]);
    target.join("release").join(name)
}

fn build(folder: &str, target: &Path, options: &[&str]) {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked"])
        .args(options)
        .current_dir(repository().join(folder))
        .env("CARGO_TARGET_DIR", target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs this test");
    assert!(status.success(), "{folder} does not build; `rustup target add wasm32-wasip2` may help");
}
