//! The settings `mounts` and `system_folders`: what plugins see of files beside their directory.

use std::path::{Path, PathBuf};

use toml::de::DeValue;
use whelk_runtime::{FileTree, TreeSettings};

use super::values::existing;
use crate::config::reader::{Findings, Item};
use crate::config::setting::path;

/// The most mounts of one tenant: each is looked for at each name in the root.
const MOST: usize = 64;
/// The longest path and the longest name in it: Linux's, less room for what is below.
const PATH: usize = 1024;
const NAME: usize = 255;
/// The folders that are the tree's own, and for which a mount may neither stand nor lie in.
const OWN: [&str; 4] = ["/dev", "/tmp", "/bin", "/usr/bin"];

/// A folder of the operator that plugins see, for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountConfig {
    /// Where plugins see it.
    pub at: String,
    /// The folder: absolute, and without links once the configuration has been checked.
    pub path: PathBuf,
}

/// Reads `mounts`, in the order of their paths. Relative paths of folders are relative to `folder`. Also returns the
/// setting of each.
pub(in crate::config) fn read_mounts<'t>(
    item: &Item<'t>,
    folder: &Path,
    findings: &mut Findings,
) -> Vec<(Item<'t>, MountConfig)> {
    let Some(section) = item.section(findings) else { return Vec::new() };
    let items = section.all();
    if let (DeValue::Table(_), true) = (item.value, items.is_empty()) {
        findings.add(&item.span, &item.key, "must name at least one folder: to grant none, remove the setting");
    }
    if items.len() > MOST {
        findings.add(&item.span, &item.key, format!("must be at most {MOST} folders, are {}", items.len()));
    }
    let mut mounts = Vec::new();
    for item in items {
        let at = check_place(&item.name).map(|()| item.name.clone());
        let path = path(item.value, folder).and_then(|path| existing(&path));
        if let (Some(at), Some(path)) = (findings.keep(&item, at), findings.keep(&item, path)) {
            mounts.push((item, MountConfig { at, path }));
        }
    }
    mounts.sort_by(|(_, one), (_, other)| one.at.cmp(&other.at));
    mounts
}

/// Whether plugins may see a folder at this path.
fn check_place(path: &str) -> Result<(), String> {
    let Some(names) = path.strip_prefix('/') else {
        return Err(format!("plugins see a folder at an absolute path such as \"/usr/share/data\", not at {path:?}"));
    };
    if names.is_empty() {
        return Err("the root is the directory: grant that as `directory`".to_owned());
    }
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= NAME && !name.contains(|letter: char| letter.is_control())
    };
    if path.len() > PATH || !names.split('/').all(is_name) {
        let what = "without `.`, `..`, empty names and control characters, and none ends in a slash";
        return Err(format!("a path of plugins has at most {PATH} bytes, names of at most {NAME}, {what}"));
    }
    match OWN.iter().find(|own| path.strip_prefix(**own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))) {
        Some(own) => Err(format!("{own} is whelk's own")),
        None => Ok(()),
    }
}

/// Notes which names of a directory plugins do not see, because the tree has others there.
pub(in crate::config) fn note_hidden(
    directory: &Path,
    (mounts, for_handlers): (&[MountConfig], bool),
    item: &Item<'_>,
    findings: &mut Findings,
) {
    let mut hidden = Vec::new();
    for name in root_names(mounts) {
        let whose = if for_handlers || mounts.iter().any(|mount| first_name(mount) == name) {
            "plugins see their own"
        } else {
            "programs see their own"
        };
        if directory.join(&name).symlink_metadata().is_ok() {
            hidden.push(format!("`{name}` ({whose} /{name})"));
        }
    }
    if !hidden.is_empty() {
        let what = format!("{} holds what is hidden from its sessions: {}", directory.display(), hidden.join(", "));
        findings.note(item, what);
    }
}

fn first_name(mount: &MountConfig) -> &str {
    mount.at.trim_start_matches('/').split('/').next().unwrap_or_default()
}

/// The names that the tree of a program has in its root.
fn root_names(mounts: &[MountConfig]) -> Vec<String> {
    let tree = FileTree::new(TreeSettings::default());
    let own = tree.root_names(true).chain(["tmp", "bin", "usr"]).map(str::to_owned);
    let mut names: Vec<_> = own.chain(mounts.iter().map(|mount| first_name(mount).to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_stands_at_a_plain_absolute_path_that_is_not_whelks_own() {
        for path in ["/data", "/usr/share/data", "/usr", "/device", "/tmpfs", "/usr/binary", "/a b/\u{e9}", "/..."] {
            assert_eq!(check_place(path), Ok(()), "{path}");
        }
        let long = format!("/{}", "n".repeat(256));
        for path in
            ["", "/", "data", "/data/", "//data", "/a/./b", "/a/../b", "/..", "/a\n", "/a\0", &long, &"/n".repeat(513)]
        {
            assert!(check_place(path).is_err(), "{path}");
        }
        for path in ["/dev", "/dev/shm", "/tmp", "/tmp/x", "/bin", "/bin/x", "/usr/bin", "/usr/bin/x"] {
            assert!(check_place(path).unwrap_err().ends_with("is whelk's own"), "{path}");
        }
    }

    #[test]
    fn the_names_in_the_root_are_those_of_the_tree_and_of_the_mounts() {
        let mount = |at: &str| MountConfig { at: at.to_owned(), path: PathBuf::new() };
        assert_eq!(
            root_names(&[mount("/usr/share/a"), mount("/usr/b"), mount("/opt")]),
            ["bin", "dev", "opt", "tmp", "usr"]
        );
    }
}
