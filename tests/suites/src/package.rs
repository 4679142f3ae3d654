//! The packages that have the suites, fetched if need be.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The sources of a package of the registry.
pub(crate) fn of_cargo(name: &str, version: &str) -> PathBuf {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo_home.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cargo"));
    let find = || {
        let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
        registries
            .filter_map(Result::ok)
            .map(|entry| entry.path().join(format!("{name}-{version}")))
            .find(|path| path.is_dir())
    };
    if let Some(path) = find() {
        return path;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let info = Command::new(cargo).args(["info", &format!("{name}@{version}")]).output().expect("cargo runs this test");
    let said = String::from_utf8_lossy(&info.stderr).into_owned();
    find().unwrap_or_else(|| panic!("{name} {version} is in no registry's sources after `cargo info`: {said}"))
}

/// The sources of a package of PyPI, whose module has the name `module`, in the folder of what cargo builds.
pub(crate) fn of_pip(name: &str, module: &str, version: &str, sha256: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps").join("suites");
    let folder = target.join(format!("{module}-{version}"));
    if folder.is_dir() {
        return folder;
    }
    std::fs::create_dir_all(&target).expect("a folder in target");
    let work = tempfile::tempdir_in(&target).expect("a temporary folder");
    let requirements = work.path().join("requirements");
    std::fs::write(&requirements, format!("{name}=={version} --hash=sha256:{sha256}\n")).expect("a new file");
    run_needed(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "--require-hashes"])
            .arg("--dest")
            .arg(work.path())
            .arg("--requirement")
            .arg(&requirements),
    );
    let archive = work.path().join(format!("{module}-{version}.tar.gz"));
    run_needed(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(work.path()));
    // Another test may have been quicker.
    let _ = std::fs::rename(work.path().join(format!("{module}-{version}")), &folder);
    assert!(folder.is_dir(), "{}: not there after fetching it", folder.display());
    folder
}

/// Runs a program that the tests need.
fn run_needed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

/// The files of a folder whose names end with `suffix`, by their names without it.
pub(crate) fn files_of(folder: &Path, suffix: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<(String, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name.strip_suffix(suffix)?.to_owned(), entry.path()))
        })
        .collect();
    files.sort();
    files
}
