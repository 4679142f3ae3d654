//! A folder with everything that a configuration may name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use whelk::config::{Config, Overrides};

pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
/// A user, so that the configuration is valid.
pub(crate) const GUEST: &str = "[users.guest]\nplugin = \"echo\"\nauth = \"none\"\n";

/// A folder with `whelk.toml`, the operator's plugins, a state folder, and two tenants' folders under `srv`, each with
/// plugins.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["state", "plugins", "srv/acme/plugins", "srv/acme/home", "srv/other/plugins", "srv/other/home"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for file in ["plugins/echo", "plugins/git", "srv/acme/plugins/shell", "srv/other/plugins/secret"] {
            fs::write(root.join(file).with_extension("wasm"), "").unwrap();
        }
        Place { _folder: folder, root }
    }

    pub(crate) fn load(&self, text: &str) -> Result<Config, String> {
        let file = self.root.join("whelk.toml");
        fs::write(&file, text).unwrap();
        Config::load(&file, &Overrides::default()).map_err(|refused| refused.to_string())
    }

    /// The errors of a text after `state = ...`, a line each, without the folder in the paths.
    pub(crate) fn problems(&self, text: &str) -> Vec<String> {
        let text = format!("state = \"state\"\n{text}\n{GUEST}");
        let folder = format!("{}/", self.root.display());
        self.load(&text).err().unwrap_or_default().replace(&folder, "").lines().map(str::to_owned).collect()
    }

    pub(crate) fn good(&self, text: &str) -> Config {
        self.load(&format!("state = \"state\"\n{text}\n{GUEST}")).unwrap()
    }

    pub(crate) fn link(&self, link: &str, target: impl AsRef<Path>) {
        symlink(target, self.root.join(link)).unwrap();
    }
}

/// The errors of a text in a fresh place.
pub(crate) fn problems(text: &str) -> Vec<String> {
    Place::new().problems(text)
}
