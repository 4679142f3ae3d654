//! Where things are, as cargo says it.

use crate::step::{Outcome, output};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository and the folder that cargo builds into.
pub(crate) struct Workspace {
    /// The repository.
    pub(crate) root: PathBuf,
    /// `target`, wherever CARGO_TARGET_DIR or a setting has put it.
    pub(crate) target: PathBuf,
    /// The packages in `plugins/`, in the order of their names.
    pub(crate) plugins: Vec<PluginPackage>,
    /// The packages in `plugins/unix/`, in the order of their names.
    pub(crate) utilities: Vec<Utility>,
}

/// A package in `plugins/`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PluginPackage {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is a program (`src/main.rs`). If not, it is a plugin that implements a world of `wit/`.
    pub(crate) is_program: bool,
    /// The other names that a program is called by: `package.metadata.whelk.names`.
    pub(crate) names: Vec<String>,
}

/// A package in `plugins/unix/`, the workspace of the utilities.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Utility {
    /// Its name.
    pub(crate) package: String,
    /// The other names that the program is called by: `package.metadata.whelk.names`.
    pub(crate) names: Vec<String>,
}

/// The profile in which the program is served and tested.
pub(crate) const RELEASE: &str = "release";
/// The profile of what is given to others: with link-time optimisation, which takes minutes.
pub(crate) const DIST: &str = "dist";

/// A new call of cargo, the one that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn find() -> Outcome<Self> {
        let metadata = metadata(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))?;
        let path = |name: &str| metadata[name].as_str().map(PathBuf::from).ok_or(format!("cargo metadata: no {name}"));
        let (root, target) = (path("workspace_root")?, path("target_directory")?);
        let folder = root.join("plugins");
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let is_plugin = |package: &&Value| {
            package["manifest_path"].as_str().is_some_and(|path| Path::new(path).starts_with(&folder))
        };
        let mut plugins: Vec<PluginPackage> = packages.filter(is_plugin).filter_map(plugin_package).collect();
        plugins.sort();
        let unix = self::metadata(&folder.join("unix/Cargo.toml"))?;
        let packages = unix["packages"].as_array().into_iter().flatten();
        let mut utilities: Vec<Utility> = packages.filter_map(utility).collect();
        utilities.sort();
        Ok(Self { root, target, plugins, utilities })
    }

    /// The manifest of the workspace of the utilities.
    pub(crate) fn unix(&self) -> PathBuf {
        self.root.join("plugins/unix/Cargo.toml")
    }

    /// The built program.
    pub(crate) fn program(&self) -> PathBuf {
        self.program_of(RELEASE)
    }

    /// The program as this profile builds it.
    pub(crate) fn program_of(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("whelk")
    }
}

/// What cargo knows of a workspace, without the packages that it depends on.
fn metadata(manifest: &Path) -> Outcome<Value> {
    let text =
        output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// `None` for a package without a program.
fn utility(package: &Value) -> Option<Utility> {
    let PluginPackage { name, is_program, names } = plugin_package(package)?;
    is_program.then_some(Utility { package: name, names })
}

/// `None` for a package without a name, of which cargo has none, and for a library that is no plugin.
fn plugin_package(package: &Value) -> Option<PluginPackage> {
    let name = package["name"].as_str()?.to_owned();
    let targets = package["targets"].as_array().into_iter().flatten();
    let kinds: Vec<&Value> = targets.flat_map(|target| target["kind"].as_array()).flatten().collect();
    let is_program = kinds.iter().any(|kind| *kind == "bin");
    let is_plugin = is_program || kinds.iter().any(|kind| *kind == "cdylib");
    let names = package["metadata"]["whelk"]["names"].as_array().into_iter().flatten();
    let names = names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    is_plugin.then_some(PluginPackage { name, is_program, names })
}
