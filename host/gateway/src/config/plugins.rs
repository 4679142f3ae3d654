//! Which plugins there are to name: the files `NAME.wasm` of one folder, and those that a tenant can see.
//!
//! Lists names and opens no file: a plugin that does not load is told when it is loaded.

use std::collections::BTreeSet;
use std::path::Path;

use super::reader::{Findings, Item, nearest};
use super::setting::text;

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
}

/// The folders whose plugins a tenant may name: its own and the operator's, and nobody else's.
#[derive(Clone, Copy)]
pub(super) struct Visible<'p> {
    /// The tenant has a folder of its own.
    pub(super) has_own: bool,
    /// What is in it, unless it cannot be read.
    pub(super) own: Option<&'p Plugins>,
    /// What is in the operator's, unless it cannot be read.
    pub(super) operators: Option<&'p Plugins>,
}

impl Visible<'_> {
    /// Reads the name of a plugin. One that is not there is told.
    pub(super) fn read<'t>(&self, item: &Item<'t>, findings: &mut Findings) -> Option<&'t str> {
        let name = findings.keep(item, text(item.value))?;
        findings.keep(item, self.find(name))?;
        Some(name)
    }

    /// Looks a name up as it is: it never becomes a path.
    ///
    /// # Errors
    /// Says that there is no such plugin, and which one was probably meant.
    fn find(&self, name: &str) -> Result<(), String> {
        let lists = || self.own.into_iter().chain(self.operators);
        // A folder that cannot be read is a problem of its own, and is told once.
        let unread = (self.has_own && self.own.is_none()) || self.operators.is_none();
        if unread || lists().any(|list| list.0.contains(name)) {
            return Ok(());
        }
        let meant = nearest(name, lists().flat_map(|list| &list.0).map(String::as_str));
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
        let visible = Visible { has_own: false, own: None, operators: Some(&plugins) };
        assert_eq!(visible.find("echo"), Ok(()));
        assert_eq!(visible.find("ecko"), Err("there is no plugin \"ecko\" (did you mean \"echo\"?)".to_owned()));
        for name in ["./echo", "../plugins/echo", "echo.wasm", "notes.txt", "", "ECHO!!"] {
            assert!(visible.find(name).is_err(), "{name}");
        }
        assert!(Plugins::list(&folder.path().join("absent")).is_err());
    }
}
