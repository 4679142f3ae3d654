//! The files of a folder of programs (`bin`). `NAME.wasm` is the program NAME. A symbolic link to another file of the
//! same folder is one more name of that program: `ls.wasm -> coreutils.wasm`.
//!
//! A link must contain the name of a file and nothing else, and that file must not be a link. So no link leads out of
//! the folder, none leads to another, and there are no loops.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;

use super::{Links, Nameless, Names, SUFFIX, check_writers, names, open_folder, plugin_name};
use crate::state::strict_modes::Writers;

/// The folder of programs in a plugin folder.
pub(crate) const BIN: &str = "bin";
/// A folder whose last change is younger than this may change again without another time of change.
const TIMES_DIFFER: Duration = Duration::from_secs(1);

/// The names of a folder of programs.
#[derive(Debug, Default)]
pub(crate) struct ProgramNames {
    /// The first ones in their order.
    pub(crate) programs: BTreeMap<String, ProgramName>,
    pub(crate) nameless: Nameless,
    pub(crate) misspelled: BTreeSet<String>,
}

/// The meaning of a name in a folder of programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProgramName {
    /// A file.
    File {
        /// The program whose file it is: the name itself, or that of the file that a link leads to.
        program: String,
        /// Bytes of the file.
        size: u64,
    },
    /// No program, and why.
    Refused(String),
}

/// When the names of a folder have changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamesStamp {
    device: u64,
    inode: u64,
    modified: (i64, u64),
    /// Whether every later change shows.
    is_final: bool,
}

impl NamesStamp {
    /// The stamp of an open folder, to be taken before it is listed.
    pub(crate) fn of(folder: &OwnedFd) -> io::Result<NamesStamp> {
        let facts = fstat(folder)?;
        let (seconds, nanoseconds) = (facts.st_mtime, facts.st_mtime_nsec);
        let modified = u64::try_from(seconds).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let is_final = age.is_some_and(|age| age > 2 * TIMES_DIFFER);
        Ok(NamesStamp { device: facts.st_dev, inode: facts.st_ino, modified: (seconds, nanoseconds), is_final })
    }

    /// Whether the names have not changed since this stamp was taken.
    pub(crate) fn is_still(&self, now: &NamesStamp) -> bool {
        self.is_final && NamesStamp { is_final: true, ..*now } == *self
    }
}

/// Lists the names of an open folder: the first `most` in their order.
pub(crate) fn list(folder: &OwnedFd, most: usize) -> io::Result<ProgramNames> {
    let Names { files, nameless, misspelled } = names(folder, most)?;
    let mut programs = BTreeMap::new();
    for file in files {
        // One that has gone since is left out.
        if let Some(name) = plugin_name(&file)
            && let Some(found) = resolve(folder, &file)?
        {
            programs.insert(name.to_owned(), found);
        }
    }
    Ok(ProgramNames { programs, nameless, misspelled })
}

/// What one name means now; `None` if there is no such file, or no such folder.
///
/// # Errors
/// The folder cannot be opened, or others may write to it.
pub(crate) fn find(path: &Path, name: &str, links: Links, writers: Writers) -> io::Result<Option<ProgramName>> {
    let file = format!("{name}{SUFFIX}");
    if plugin_name(&file).is_none() {
        return Ok(None);
    }
    let folder = match open_folder(path, links) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        folder => folder?,
    };
    check_writers(&folder, path, writers)?;
    resolve(&folder, &file)
}

/// What a file of an open folder is; `None` if it does not exist.
fn resolve(folder: &OwnedFd, file: &str) -> io::Result<Option<ProgramName>> {
    let Some(facts) = stat(folder, file)? else { return Ok(None) };
    Ok(Some(match FileType::from_raw_mode(facts.st_mode) {
        FileType::RegularFile => found(file, &facts),
        FileType::Symlink => match readlinkat(folder, file, Vec::new()) {
            Ok(target) => follow(folder, file, &target)?,
            // It was replaced this moment.
            Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        },
        _ => ProgramName::Refused("this is not a file".to_owned()),
    }))
}

/// What a link means.
fn follow(folder: &OwnedFd, file: &str, target: &CString) -> io::Result<ProgramName> {
    let refused = |reason: &str| {
        let target = target.to_string_lossy();
        Ok(ProgramName::Refused(format!("it is a symbolic link to {target:?}, {reason}")))
    };
    let Some(name) = target.to_str().ok().filter(|name| plugin_name(name).is_some()) else {
        return refused("which is not the name of a program\'s file in the same folder, such as \"coreutils.wasm\"");
    };
    if name == file {
        return refused("which is the link itself");
    }
    let Some(facts) = stat(folder, name)? else { return refused("which is not there") };
    match FileType::from_raw_mode(facts.st_mode) {
        FileType::RegularFile => Ok(found(name, &facts)),
        FileType::Symlink => refused("which is a link, too: link to the file"),
        _ => refused("which is not a file"),
    }
}

fn found(file: &str, facts: &Stat) -> ProgramName {
    let program = plugin_name(file).unwrap_or(file).to_owned();
    ProgramName::File { program, size: u64::try_from(facts.st_size).unwrap_or_default() }
}

fn stat(folder: &OwnedFd, file: &str) -> io::Result<Option<Stat>> {
    match statat(folder, file, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(facts) => Ok(Some(facts)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(folder: &Path, most: usize) -> ProgramNames {
        list(&open_folder(folder, Links::Refuse).unwrap(), most).unwrap()
    }

    fn file(program: &str, size: u64) -> ProgramName {
        ProgramName::File { program: program.to_owned(), size }
    }

    #[test]
    fn a_link_to_a_file_of_the_folder_is_another_name_and_any_other_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().canonicalize().unwrap().join("bin");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("coreutils.wasm"), "1234").unwrap();
        fs::write(folder.join("notes.txt"), "").unwrap();
        fs::write(place.path().join("secret.wasm"), "").unwrap();
        fs::create_dir(folder.join("folder.wasm")).unwrap();
        let inside = folder.join("coreutils.wasm");
        let not_a_name = "which is not the name of a program\'s file in the same folder, such as \"coreutils.wasm\"";
        for (name, target) in [("loop1", "loop2"), ("loop2", "loop1")] {
            symlink(format!("{target}.wasm"), folder.join(format!("{name}.wasm"))).unwrap();
        }
        for (name, target, reason) in [
            ("out", "../secret.wasm", not_a_name),
            ("absolute", inside.to_str().unwrap(), not_a_name),
            ("here", "./coreutils.wasm", not_a_name),
            ("round", "../bin/coreutils.wasm", not_a_name),
            ("text", "notes.txt", not_a_name),
            ("bare", "coreutils", not_a_name),
            ("hidden", ".coreutils.wasm", not_a_name),
            ("self", "self.wasm", "which is the link itself"),
            ("gone", "nothing.wasm", "which is not there"),
            ("loop1", "loop2.wasm", "which is a link, too: link to the file"),
            ("loop2", "loop1.wasm", "which is a link, too: link to the file"),
            ("twice", "ls.wasm", "which is a link, too: link to the file"),
            ("place", "folder.wasm", "which is not a file"),
        ] {
            if !name.starts_with("loop") {
                symlink(target, folder.join(format!("{name}.wasm"))).unwrap();
            }
            let refused = ProgramName::Refused(format!("it is a symbolic link to {target:?}, {reason}"));
            if name != "twice" {
                assert_eq!(listed(&folder, 99).programs[name], refused);
                assert_eq!(find(&folder, name, Links::Refuse, Writers::Anybody).unwrap(), Some(refused));
            }
        }
        symlink("coreutils.wasm", folder.join("ls.wasm")).unwrap();
        let names = listed(&folder, 99).programs;
        assert_eq!((&names["ls"], &names["coreutils"]), (&file("coreutils", 4), &file("coreutils", 4)));
        assert!(matches!(&names["twice"], ProgramName::Refused(reason) if reason.ends_with("link to the file")));
        assert_eq!(names["folder"], ProgramName::Refused("this is not a file".to_owned()));
        let found = |name: &str| find(&folder, name, Links::Refuse, Writers::Anybody).unwrap();
        assert_eq!(found("ls"), Some(file("coreutils", 4)));
        for name in ["../secret", "", ".", "..", "a/b", "absent", ".coreutils", "coreutils\n", "coreutils.wasm"] {
            assert_eq!(found(name), None, "{name:?}");
        }
        assert_eq!(find(&folder.join("none"), "ls", Links::Refuse, Writers::Anybody).unwrap(), None);
        assert_eq!(listed(&folder, 2).programs.into_keys().collect::<Vec<_>>(), ["absolute", "bare"]);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ls.wasm"), "1234").unwrap();
        let set = |mode| {
            fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        set(0o777);
        assert!(find(folder.path(), "ls", Links::Within, Writers::Tenant).is_err());
        set(0o770);
        assert_eq!(find(folder.path(), "ls", Links::Within, Writers::Tenant).unwrap(), Some(file("ls", 4)));
        assert!(find(folder.path(), "ls", Links::Within, Writers::Operator).is_err());
    }

    #[test]
    fn names_are_listed_again_only_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = || NamesStamp::of(&open_folder(folder.path(), Links::Within).unwrap()).unwrap();
        let set = |seconds: u64| {
            let time = SystemTime::now() - Duration::from_secs(seconds);
            fs::File::open(folder.path()).unwrap().set_modified(time).unwrap();
        };
        // Another change at the same moment would not show.
        assert!(!stamp().is_still(&stamp()));
        set(60);
        let before = stamp();
        assert!(before.is_still(&stamp()));
        fs::write(folder.path().join("ls.wasm"), "").unwrap();
        assert!(!before.is_still(&stamp()));
    }
}
