//! Paths: the repository, the built program and plugins, the installed clients.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests are in a folder of the repository").to_owned()
}

/// The built `whelk`.
pub fn program() -> PathBuf {
    let path = std::env::var_os("WHELK_BIN").map_or_else(|| repository().join("target/release/whelk"), PathBuf::from);
    assert!(path.is_file(), "{} is not there: run these tests with `cargo xtask test`", path.display());
    path
}

/// The folder of the built plugins.
pub fn shipped_plugins() -> PathBuf {
    let path = repository().join("plugins");
    assert!(path.join("echo.wasm").is_file(), "no plugins are built: run these tests with `cargo xtask test`");
    path
}

/// The files of the shell and of the utilities among them: the programs of `plugins/unix`, and the links by which they
/// have more names.
pub(crate) fn utilities() -> BTreeSet<PathBuf> {
    let unix = std::fs::read_dir(repository().join("plugins/unix")).expect("it is part of the repository");
    let packages = unix.filter_map(Result::ok).filter(|entry| entry.path().join("Cargo.toml").is_file());
    let programs = packages.map(|entry| PathBuf::from(entry.file_name()).with_extension("wasm"));
    files_of(&programs.chain([SHELL.into()]).collect())
}

/// The file of the shell, and its further names.
pub(crate) fn shell() -> BTreeSet<PathBuf> {
    files_of(&BTreeSet::from([SHELL.into()]))
}

const SHELL: &str = "sh.wasm";

/// The files of programs, and the links to them.
fn files_of(programs: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let bin = std::fs::read_dir(shipped_plugins().join("bin")).expect("the plugins are built");
    let is_utility = |path: &PathBuf| {
        let target = std::fs::read_link(path).ok().or_else(|| path.file_name().map(PathBuf::from));
        target.is_some_and(|file| programs.contains(&file))
    };
    bin.filter_map(Result::ok).map(|entry| entry.path()).filter(is_utility).collect()
}

/// A program that `cargo xtask test` has installed, by its name in `target/clients/bin`.
pub fn client_program(name: &str) -> PathBuf {
    let folder = std::env::var_os("WHELK_CLIENTS");
    let folder = folder.map_or_else(|| repository().join("target/clients/bin"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not there: run these tests with `cargo xtask test`", path.display());
    path
}

/// Our own client, which cargo builds with the tests.
pub(crate) fn our_client() -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let path = test.parent().and_then(Path::parent).map(|folder| folder.join("ours")).unwrap_or_default();
    assert!(path.is_file(), "{} is not there: run these tests with `cargo xtask test`", path.display());
    path
}
