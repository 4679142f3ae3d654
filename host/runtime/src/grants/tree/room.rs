//! How much room there is where a path leads.

use std::io;

use super::{Spot, Start, Tree, absent};
use crate::grants::directory::{DiskWait, FileRoom, Refused};

impl Tree {
    /// The room in the part to which a path from the root leads, and a number of that part. Links are followed. As
    /// under Unix, a path that begins with a slash begins at the root as plugins call it. Blocks.
    pub(crate) fn room(&self, path: &str) -> Result<(usize, FileRoom), Refused> {
        let path = self.below_root(path)?;
        let (root, led_to) = (Self::root(), std::cell::Cell::default());
        let start = Start { opened: &root, path: "", led_to: &led_to, wait: DiskWait::Any };
        let part = self.at(start, path, true, false, |spot| match spot {
            Spot::Name { part, found, slash, .. } => {
                let found = found.map_err(io::Error::from)?;
                if slash && !found.is_dir() { Err(Refused::NotDirectory) } else { Ok(part) }
            }
            Spot::Directory { part, .. } | Spot::Listed { part, .. } => Ok(part),
            Spot::Part(part) => Ok(part),
            Spot::Absent => Err(absent()),
        })?;
        let room = self.0.directory(part)?.map_or_else(|| Ok(FileRoom::none()), |directory| directory.room())?;
        // All devices are in one part.
        let is_device = self.0.plan.device(part).is_some();
        Ok((if is_device { self.0.plan.parent(part) } else { part }, room))
    }

    /// A path as WASI has it, below the root. One that begins with a slash begins at the root as plugins call it.
    pub(crate) fn below_root<'a>(&self, path: &'a str) -> Result<&'a str, Refused> {
        below(self.guest_path(), path).ok_or_else(absent)
    }
}

/// What a path is below the root, which plugins call `root`; `None` if it is not below it.
fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    if !path.starts_with('/') {
        return Some(path);
    }
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    match rest.trim_start_matches('/') {
        "" => Some("."),
        below if rest.starts_with('/') => Some(below),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_slash_at_its_beginning_begins_at_the_root_as_plugins_call_it() {
        for (root, path, expected) in [
            ("/", "/", Some(".")),
            ("/", "//", Some(".")),
            ("/", "/a/b/", Some("a/b/")),
            ("/", "a", Some("a")),
            ("/", "", Some("")),
            ("/data", "/data", Some(".")),
            ("/data", "/data/", Some(".")),
            ("/data", "/data//a", Some("a")),
            ("/data", "a", Some("a")),
            ("/data", "/database", None),
            ("/data", "/", None),
        ] {
            assert_eq!(below(root, path), expected, "{path} in {root}");
        }
    }
}
