//! The plugins that a configuration can name: the files `NAME.wasm` of one folder and the programs in its `bin`, and
//! those that a tenant can see.
//!
//! Lists names and opens no file: errors in plugins are reported when they are loaded.

pub(crate) mod arguments;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::config::reader::{Findings, Item};
use crate::config::setting::text;
use crate::config::suggest::nearest;
use crate::state::plugin_files::programs::{self, BIN, ProgramName};
use crate::state::plugin_files::{self, Links};
use crate::state::strict_modes::Writers;

/// How many plugins are listed in the error for a missing one.
const MOST_NAMED: usize = 8;

/// The most programs of one folder that a configuration can name.
const MOST_PROGRAMS: usize = 100_000;

/// The names of the plugins of a folder, and of the programs in it.
pub(in crate::config) struct Plugins(BTreeSet<String>);

impl Plugins {
    /// Lists the operator's folder, which may be writable to these users.
    ///
    /// # Errors
    /// Why the folder cannot be listed, or who else may write to it.
    pub(in crate::config) fn operators(folder: &Path, writers: Writers) -> Result<Plugins, String> {
        Plugins::list(folder, Links::Follow, writers, usize::MAX)
    }

    /// Lists a tenant's folder: at most `most` files, and through no link.
    ///
    /// # Errors
    /// Why the folder cannot be listed.
    pub(in crate::config) fn tenants(folder: &Path, most: usize) -> Result<Plugins, String> {
        Plugins::list(folder, Links::Refuse, Writers::Tenant, most)
    }

    /// Checks that a tenant's folder is not world-writable. A folder that cannot be opened passes: `tenants` reports
    /// it.
    ///
    /// # Errors
    /// The folder is world-writable. That is its tenant's fault and must not prevent the start.
    pub(in crate::config) fn check_tenants(folder: &Path) -> Result<(), String> {
        let Ok(open) = plugin_files::open_folder(folder, Links::Refuse) else { return Ok(()) };
        plugin_files::check_writers(&open, folder, Writers::Tenant).map_err(|error| error.to_string())
    }

    fn list(folder: &Path, links: Links, writers: Writers, most: usize) -> Result<Plugins, String> {
        let unreadable = |error| format!("the plugin folder {} cannot be read: {error}", folder.display());
        let open = plugin_files::open_folder(folder, links).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => {
                format!("{} is no folder: name the folder that the plugins are in", folder.display())
            }
            _ => unreadable(error),
        })?;
        plugin_files::check_writers(&open, folder, writers).map_err(|error| error.to_string())?;
        let files = plugin_files::names(&open, most).map_err(unreadable)?.files;
        let plugins = files.iter().filter_map(|file| plugin_files::plugin_name(file)).map(str::to_owned);
        let mut names: BTreeSet<String> = plugins.collect();
        names.extend(program_names(&folder.join(BIN), links, writers)?);
        Ok(Plugins(names))
    }
}

/// The names of the programs in a folder, which need not exist.
fn program_names(folder: &Path, links: Links, writers: Writers) -> Result<Vec<String>, String> {
    let links = if links == Links::Follow { Links::Within } else { links };
    let listed = match plugin_files::open_folder(folder, links) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        open => open.and_then(|open| {
            plugin_files::check_writers(&open, folder, writers)?;
            programs::list(&open, MOST_PROGRAMS)
        }),
    };
    let listed =
        listed.map_err(|error| format!("the folder of programs {} cannot be used: {error}", folder.display()))?;
    let is_program = |(name, found): (String, ProgramName)| matches!(found, ProgramName::File { .. }).then_some(name);
    Ok(listed.programs.into_iter().filter_map(is_program).collect())
}

/// The folders with the plugins that a tenant may name: its own and the operator's.
#[derive(Clone, Copy)]
pub(in crate::config) struct Visible<'p> {
    /// The tenant has a folder of its own.
    pub(in crate::config) has_own: bool,
    /// The tenant controls its contents: a missing plugin there must not affect others.
    pub(in crate::config) deploys: bool,
    /// Its contents, unless it cannot be read.
    pub(in crate::config) own: Option<&'p Plugins>,
    /// The contents of the operator's, unless it cannot be read.
    pub(in crate::config) operators: Option<&'p Plugins>,
}

impl Visible<'_> {
    /// Reads the name of a plugin. A missing one is reported, and accepted where its tenant may deploy it.
    pub(in crate::config) fn read<'t>(&self, item: &Item<'t>, findings: &mut Findings) -> Option<&'t str> {
        let name = findings.keep(item, text(item.value))?;
        match self.find(name) {
            Err(what) if self.deploys && plugin_files::is_name(name) => {
                findings.note(item, format!("{what}: it is served once its tenant has put it there"))
            }
            found => findings.keep(item, found)?,
        }
        Some(name)
    }

    /// Whether there is a plugin or a program of this name, or a folder that cannot be read.
    pub(in crate::config) fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Looks up a name exactly: it never becomes a path.
    ///
    /// # Errors
    /// There is no such plugin; suggests the one that was probably meant.
    fn find(&self, name: &str) -> Result<(), String> {
        let lists = || self.own.into_iter().chain(self.operators);
        // An unreadable folder is an error of its own, reported once.
        let unread = (self.has_own && self.own.is_none()) || self.operators.is_none();
        if unread || lists().any(|list| list.0.contains(name)) {
            return Ok(());
        }
        // The file's name, or its path, in place of the plugin's name.
        let bare = name.strip_suffix(".wasm").map(|bare| bare.rsplit('/').next().unwrap_or(bare));
        if let Some(bare) = bare.filter(|bare| lists().any(|list| list.0.contains(*bare))) {
            return Err(format!("there is no plugin {name:?}: write {bare:?}, without the folder and .wasm"));
        }
        let meant = nearest(name, lists().flat_map(|list| &list.0).map(String::as_str));
        Err(match meant {
            Some(meant) => format!("there is no plugin {name:?} (did you mean {meant:?}?)"),
            None if bare.is_some() => {
                format!(
                    "there is no plugin {name:?}, and a name is without .wasm{}",
                    there_are(lists().flat_map(|list| &list.0).collect())
                )
            }
            None => format!("there is no plugin {name:?}{}", there_are(lists().flat_map(|list| &list.0).collect())),
        })
    }
}

/// The existing plugins, as the end of a sentence.
fn there_are(names: BTreeSet<&String>) -> String {
    if names.is_empty() {
        return ": the folder has no .wasm file".to_owned();
    }
    let more = if names.len() > MOST_NAMED { ", ..." } else { "" };
    let named: Vec<String> = names.into_iter().take(MOST_NAMED).map(|name| format!("{name:?}")).collect();
    format!(" (there are {}{more})", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_exactly_and_never_as_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["echo.wasm", "notes.txt"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let plugins = Plugins::operators(folder.path(), Writers::Operator).unwrap();
        let visible = Visible { has_own: false, deploys: false, own: None, operators: Some(&plugins) };
        assert_eq!(visible.find("echo"), Ok(()));
        assert_eq!(visible.find("ecko"), Err("there is no plugin \"ecko\" (did you mean \"echo\"?)".to_owned()));
        for (name, what) in [
            ("echo.wasm", "there is no plugin \"echo.wasm\": write \"echo\", without the folder and .wasm"),
            (
                "plugins/echo.wasm",
                "there is no plugin \"plugins/echo.wasm\": write \"echo\", without the folder and .wasm",
            ),
            ("other.wasm", "there is no plugin \"other.wasm\", and a name is without .wasm (there are \"echo\")"),
        ] {
            assert_eq!(visible.find(name), Err(what.to_owned()));
        }
        for name in ["./echo", "../plugins/echo", "echo.wasm", "notes.txt", "", "ECHO!!"] {
            assert!(visible.find(name).is_err(), "{name}");
        }
        assert!(Plugins::operators(&folder.path().join("absent"), Writers::Operator).is_err());
    }
}
