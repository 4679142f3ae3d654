//! Which plugins there are to name: the files `NAME.wasm` of one folder.
//!
//! Lists names and opens no file: a plugin that does not load is told when it is loaded.

use std::collections::BTreeSet;
use std::path::Path;

use super::reader::nearest;

/// The names of the plugins of a folder.
pub(super) struct Plugins(BTreeSet<String>);

impl Plugins {
    /// Lists a folder.
    ///
    /// # Errors
    /// Says why the folder cannot be listed.
    pub(super) fn list(folder: &Path) -> Result<Plugins, String> {
        let unreadable =
            |error: std::io::Error| format!("the plugin folder {} cannot be read: {error}", folder.display());
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(".wasm")).map(str::to_owned));
        }
        Ok(Plugins(names))
    }

    /// Looks a name up as it is: it never becomes a path.
    ///
    /// # Errors
    /// Says that there is no such plugin, and which one was probably meant.
    pub(super) fn find(&self, name: &str) -> Result<(), String> {
        if self.0.contains(name) {
            return Ok(());
        }
        let meant = nearest(name, self.0.iter().map(String::as_str));
        Err(match meant {
            Some(meant) => format!("there is no plugin {name:?} (did you mean {meant:?}?)"),
            None => format!("there is no plugin {name:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_it_is_and_never_as_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["echo.wasm", "notes.txt"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let plugins = Plugins::list(folder.path()).unwrap();
        assert_eq!(plugins.find("echo"), Ok(()));
        assert_eq!(plugins.find("ecko"), Err("there is no plugin \"ecko\" (did you mean \"echo\"?)".to_owned()));
        for name in ["./echo", "../plugins/echo", "echo.wasm", "notes.txt", "", "ECHO!!"] {
            assert!(plugins.find(name).is_err(), "{name}");
        }
        assert!(Plugins::list(&folder.path().join("absent")).is_err());
    }
}
