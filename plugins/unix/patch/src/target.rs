//! Which file a patch is for.

use std::fs::{self, Metadata};

use crate::header::{Header, Name};
use crate::settings::Settings;

/// The file that is read and the one that is written, which is another where git renames or copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Which sides of a patch have no file: 0 it has one, 1 it is empty or absent, 2 it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absent {
    pub(crate) old: u8,
    pub(crate) new: u8,
}

impl Absent {
    pub(crate) fn swapped(self) -> Self {
        Self { old: self.new, new: self.old }
    }
}

/// The file of a patch whose names the header has. `absent`: as the patch is applied, reversed or not.
pub(crate) fn choose(header: &Header, settings: &Settings, absent: Absent) -> Option<Target> {
    if let Some(file) = &settings.file {
        return Some(Target { from: file.clone(), to: file.clone() });
    }
    let names = names(header, settings);
    if header.git.renamed || header.git.copied {
        let (Some(old), Some(new)) = (&names[0], &names[1]) else { return None };
        let (from, to) = if settings.reverse { (new, old) } else { (old, new) };
        return exists(from).then(|| Target { from: from.clone(), to: to.clone() });
    }
    let found: Vec<&String> = names.iter().flatten().collect();
    let there: Vec<&String> = found.iter().copied().filter(|name| exists(name)).collect();
    let chosen = if settings.posix { there.first().copied() } else { best(&there) };
    let chosen = chosen.or_else(|| {
        // A new file: where the fewest directories are missing.
        let names = found.iter().filter(|_| absent.old > 0);
        names.min_by_key(|name| missing(name)).copied().map(|first| {
            let fewest: Vec<&String> = found.iter().copied().filter(|name| missing(name) == missing(first)).collect();
            best(&fewest).unwrap_or(first)
        })
    });
    chosen.map(|name| Target { from: name.clone(), to: name.clone() })
}

/// The names in a header, without their leading components: the old one, the new one, and that of the index.
fn names(header: &Header, settings: &Settings) -> [Option<String>; 3] {
    [&header.old, &header.new, &header.index].map(|name| name.as_ref().and_then(|name| path(name, settings)))
}

/// The files that a patch may be for.
pub(crate) fn candidates(header: &Header, settings: &Settings) -> Vec<String> {
    match &settings.file {
        Some(file) => vec![file.clone()],
        None => names(header, settings).into_iter().flatten().collect(),
    }
}

/// Of several names the one with the fewest components, then the shortest last one, then the shortest.
fn best<'a>(names: &[&'a String]) -> Option<&'a String> {
    let key = |name: &&&String| {
        let components = name.split('/').filter(|part| !part.is_empty()).count();
        (components, name.rsplit('/').next().map_or(0, str::len), name.len())
    };
    names.iter().min_by_key(key).copied()
}

/// How many directories of a name are missing.
fn missing(name: &str) -> usize {
    name.match_indices('/').filter(|(place, _)| !exists(&name[..*place])).count()
}

fn exists(name: &str) -> bool {
    status(name).is_some()
}

/// What is known of a file; none if there is none.
pub(crate) fn status(name: &str) -> Option<Metadata> {
    fs::symlink_metadata(name).ok()
}

/// The path without its leading components. None for one that leads out of the directory, also through a symbolic
/// link, and for no file.
fn path(name: &Name, settings: &Settings) -> Option<String> {
    if name.path == "/dev/null" {
        return None;
    }
    let mut path = name.path.as_str();
    match settings.strip {
        None => path = path.rsplit('/').next().unwrap_or_default(),
        Some(count) => {
            for _ in 0..count {
                path = path.split_once('/')?.1.trim_start_matches('/');
            }
        }
    }
    let leads_out = path.starts_with('/') || path.split('/').any(|part| part == "..");
    (!path.is_empty() && !leads_out && !has_linked_folder(path)).then(|| path.to_owned())
}

/// Whether a folder in a path is a symbolic link.
fn has_linked_folder(path: &str) -> bool {
    let is_link = |folder: &str| status(folder).is_some_and(|found| found.is_symlink());
    path.match_indices('/').any(|(place, _)| is_link(&path[..place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stripped_and_stay_inside() {
        let name = |path: &str| Name { path: path.to_owned(), shown: String::new(), absent: false };
        for (written, strip, expected) in [
            ("a/b//c", None, Some("c")),
            ("a/b//c", Some("0"), Some("a/b//c")),
            ("a/b//c", Some("1"), Some("b//c")),
            ("a/b//c", Some("2"), Some("c")),
            ("a/b//c", Some("3"), None),
            ("../c", Some("0"), None),
            ("/c", Some("0"), None),
            ("/c", Some("1"), Some("c")),
            ("/dev/null", None, None),
        ] {
            let words: Vec<String> = strip.map(|count| format!("-p{count}")).into_iter().collect();
            let Ok(Some(settings)) = crate::settings::read(&words) else { panic!("{words:?}") };
            assert_eq!(path(&name(written), &settings).as_deref(), expected, "{written} {strip:?}");
        }
    }

    #[test]
    fn the_best_name_is_short() {
        let names = ["a/b/c", "b/longer", "b/c.orig", "x/c"].map(str::to_owned);
        let all: Vec<&String> = names.iter().collect();
        assert_eq!(best(&all).map(String::as_str), Some("x/c"));
    }
}
