//! The plugins of the runtime's tests, for tests of the gateway.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds these packages of `host/runtime/tests/guests` and returns the folder of their `.wasm` files.
pub(crate) fn build(packages: &[&str]) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/guests"))
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .status()
        .unwrap();
    assert!(status.success(), "the plugins do not build; `rustup target add wasm32-wasip2` may help");
    target.join("wasm32-wasip2/release")
}
