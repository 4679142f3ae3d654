//! `authorized_keys` of a user, as sshd's AuthorizedKeysFile: the path of a file, or a list of paths.

use std::path::{Component, Path, PathBuf};

use toml::de::DeValue;

use crate::config::problem::Problem;
use crate::config::reader::{Findings, Item};
use crate::config::setting::{path, text};
use crate::credential::{AuthorizedKey, KeyFile, MOST_TOLD, parse_key, read_authorized_keys};

/// What stands for the home directory at the beginning of a path.
const HOME: &str = "{home}";

/// A file of a user's keys, which is read at each login. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFileSetting {
    /// A file of the operator's.
    Named(PathBuf),
    /// The path of a file below the user's home directory, which the user may write.
    InHome(PathBuf),
}

/// The files of a user.
#[derive(Default)]
pub(super) struct KeyFiles {
    pub(super) files: Vec<KeyFileSetting>,
    /// One of them has a key that can be used now, or is in a home, where one may appear at any time.
    pub(super) usable: bool,
}

/// Reads the setting, and the operator's files. A later key counts too, because they are read at each login. Errors in
/// one are notes that concern this user alone: it is the user's own file and must not prevent the start. `has_home`:
/// the user has a home directory.
pub(super) fn read(item: &Item<'_>, folder: &Path, has_home: bool, findings: &mut Findings) -> KeyFiles {
    let mut read = KeyFiles::default();
    let elements = elements(item, findings);
    if elements.is_empty() {
        findings.add(&item.span, &item.key, "must name at least one file");
    }
    for element in elements {
        match setting(&element, folder, has_home, findings) {
            Some(KeyFileSetting::Named(path)) => {
                read.usable |= read_file(&element, &path, findings);
                read.files.push(KeyFileSetting::Named(path));
            }
            Some(in_home) => {
                read.usable = true;
                read.files.push(in_home);
            }
            None => {}
        }
    }
    read
}

/// The operator's files of a setting that [`read`] has read.
pub(super) fn named(item: &Item<'_>, folder: &Path) -> Vec<PathBuf> {
    // Its errors were told.
    let mut ignored = Findings::new(Path::new(""), "");
    let elements = elements(item, &mut ignored);
    let is_named = |element: &&Item<'_>| text(element.value).is_ok_and(|text| !text.starts_with(HOME));
    elements.iter().filter(is_named).filter_map(|element| path(element.value, folder).ok()).collect()
}

fn elements<'t>(item: &Item<'t>, findings: &mut Findings) -> Vec<Item<'t>> {
    match item.value {
        DeValue::Array(_) => item.elements(findings),
        _ => vec![item.clone()],
    }
}

fn setting(item: &Item<'_>, folder: &Path, has_home: bool, findings: &mut Findings) -> Option<KeyFileSetting> {
    let value = text(item.value).ok();
    if let Some(key) = value.filter(|text| parse_key(text).is_ok()) {
        let what = format!("must be a path to a file of keys, is a key: write keys = [{key:?}]");
        findings.add(&item.span, &item.key, what);
        return None;
    }
    match value.and_then(|value| value.strip_prefix(HOME)) {
        Some(below) => findings.keep(item, in_home(below, has_home)).map(KeyFileSetting::InHome),
        None => findings.keep(item, path(item.value, folder)).map(KeyFileSetting::Named),
    }
}

/// What follows the home directory in a path.
fn in_home(below: &str, has_home: bool) -> Result<PathBuf, String> {
    let path = below.strip_prefix('/').map(Path::new).filter(|path| !path.as_os_str().is_empty());
    let is_below = |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    let Some(path) = path.filter(is_below).filter(|_| !below.contains('\0')) else {
        return Err(format!("must be a path below the home, such as \"{HOME}/.ssh/authorized_keys\""));
    };
    if has_home {
        return Ok(path.to_owned());
    }
    Err(format!("names a file in {HOME}, and the tenant has none: its home is `directory` of its `grants`"))
}

/// Reads a file of the operator's. Returns whether it has a key that can be used now.
fn read_file(item: &Item<'_>, path: &Path, findings: &mut Findings) -> bool {
    let file = read_authorized_keys(path).unwrap_or_else(|what| {
        findings.note(item, format!("{what}: none of its keys is used"));
        KeyFile::default()
    });
    let skipped = file.skipped.into_iter().map(|line| (line.line, format!("line skipped: {}", line.reason)));
    let remarks = file.keys.iter().flat_map(|(line, key)| remarks(key).map(|remark| (*line, remark)));
    let more_remarks = remarks.clone().count().saturating_sub(MOST_TOLD);
    let notes = skipped.chain(remarks.take(MOST_TOLD)).map(|(line, what)| Problem::at(path, line, &item.key, what));
    findings.notes.extend(notes);
    if more_remarks > 0 {
        findings.note(item, format!("{more_remarks} more keys of {} have remarks such as these", path.display()));
    }
    if file.more_skipped > 0 {
        findings.note(item, format!("{} more lines of {} were skipped", file.more_skipped, path.display()));
    }
    file.keys.iter().any(|(_, key)| key.usable())
}

/// What an operator should know of a key: that nobody can log in with it, or that a part of its options has no effect.
pub(super) fn remarks(key: &AuthorizedKey) -> impl Iterator<Item = String> + Clone {
    let fingerprint = &key.fingerprint;
    let unusable = key.unusable().map(|why| format!("nobody can log in with the key {fingerprint}: {why}"));
    let hosts = key.options.from.as_ref().map(|from| from.host_names().collect::<Vec<_>>().join(", "));
    let hosts = hosts.filter(|hosts| !hosts.is_empty()).map(|hosts| {
        format!("from= of the key {fingerprint} has names of hosts, which match nobody, because names are not looked up: {hosts}")
    });
    unusable.into_iter().chain(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_home_stays_below_it() {
        assert_eq!(in_home("/.ssh/authorized_keys", true), Ok(PathBuf::from(".ssh/authorized_keys")));
        for outside in ["", "/", "x", "/../x", "//etc/x", "/a/../../x"] {
            assert!(in_home(outside, true).unwrap_err().contains("below the home"), "{outside}");
        }
        assert!(in_home("/keys", false).unwrap_err().contains("its home is `directory`"));
    }
}
