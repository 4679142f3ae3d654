//! Attempts to leave a directory. Each is repeated as often as requested, and successes are named.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::io::Write;

use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use crate::root;

/// The contents of the file outside.
const SECRET: &[u8] = b"the secret";

fn open(at: &Descriptor, path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    at.open_at(PathFlags::SYMLINK_FOLLOW, path, how, flags)
}

/// How many attempts there were, if none succeeded.
fn report(escapes: &BTreeSet<String>, attempts: u64) -> String {
    if escapes.is_empty() { attempts.to_string() } else { escapes.iter().cloned().collect::<Vec<_>>().join(", ") }
}

/// Names of something outside. The directory has `out`, a link to an absolute path, `up`, a link to `../outside`, and
/// `sub`.
const OUTSIDE: [&str; 12] = [
    "../outside/secret",
    "../../../../../../outside/secret",
    "/etc/passwd",
    "sub/../../outside/secret",
    "sub/./.././../outside/secret",
    ".//..//sub/../../outside//secret",
    "out/secret",
    "up/secret",
    "sub/../up/secret",
    "sub/deep/secret",
    "/proc/self/root/etc/passwd",
    "sub/root/etc/passwd",
];

/// Attempts that need no second session, in a directory of the tree: by paths from the root, and from a handle of the
/// directory itself.
pub(crate) fn attack(times: u64, directory: &str) -> String {
    let (mut escapes, mut attempts) = (BTreeSet::new(), 0);
    let root = root();
    let handle = open(&root, directory, OpenFlags::DIRECTORY, DescriptorFlags::READ).expect("the directory is there");
    let (read, write) = (DescriptorFlags::READ, DescriptorFlags::READ | DescriptorFlags::WRITE);
    for round in 0..times {
        let mut tried = |what: &str, done: bool| {
            attempts += 1;
            if done {
                escapes.insert(format!("{what} in round {round}"));
            }
        };
        let (base, way) = if round % 2 == 0 { (&handle, String::new()) } else { (&root, format!("{directory}/")) };
        let outside = OUTSIDE[(round / 2) as usize % OUTSIDE.len()];
        let path = &*if outside.starts_with('/') { outside.to_owned() } else { format!("{way}{outside}") };
        let new = &*format!("{}/new", path.rsplit_once('/').expect("each has a slash").0);
        let (mine, taken) = (&*format!("{way}mine"), &*format!("{way}taken"));
        tried("open", open(base, path, OpenFlags::empty(), read).is_ok());
        tried("write", open(base, path, OpenFlags::CREATE, write).is_ok());
        tried("truncate", open(base, path, OpenFlags::TRUNCATE, write).is_ok());
        tried("stat", base.stat_at(PathFlags::SYMLINK_FOLLOW, path).is_ok());
        tried("mkdir", base.create_directory_at(new).is_ok());
        tried("remove", base.unlink_file_at(path).is_ok());
        tried("rmdir", base.remove_directory_at(path).is_ok());
        tried("rename out", base.rename_at(mine, base, path).is_ok());
        tried("rename in", base.rename_at(path, base, taken).is_ok());
        tried("link in", base.link_at(PathFlags::SYMLINK_FOLLOW, path, base, taken).is_ok());
        tried("link out", base.link_at(PathFlags::empty(), mine, base, path).is_ok());
        tried("link outside", base.symlink_at("mine", new).is_ok());
        // In a directory that is only read the link cannot be made.
        for target in ["/etc/passwd", "../../../../../etc/passwd", "/proc/self/root/etc/passwd", "../outside/secret"] {
            let _ = base.symlink_at(target, taken);
            tried("follow a link", open(base, taken, OpenFlags::empty(), read).is_ok());
            tried("write over a link", open(base, taken, OpenFlags::CREATE, write).is_ok());
            let _ = base.unlink_file_at(taken);
        }
        // Above the root is the root.
        let up = &*format!("{way}{}", "../".repeat(1 + (round % 7) as usize));
        tried("go up", open(base, up, OpenFlags::DIRECTORY, read).is_ok_and(|up| !is_above(&root, &up, directory)));
    }
    report(&escapes, attempts)
}

/// Whether this is the root or one of the directories above another.
fn is_above(root: &Descriptor, above: &Descriptor, directory: &str) -> bool {
    let ends = directory.match_indices('/').map(|(at, _)| &directory[..at]);
    root.is_same_object(above)
        || ends
            .filter_map(|path| open(root, path, OpenFlags::DIRECTORY, DescriptorFlags::READ).ok())
            .any(|known| known.is_same_object(above))
}

/// Attempts that a concurrent swap could open: in this directory `turn` is a directory at one time and a link to the
/// outside at another.
pub(crate) fn raid(times: u64, directory: &str) -> String {
    let (mut escapes, mut attempts) = (BTreeSet::new(), 0);
    let at = |name: &str| format!("{directory}/{name}");
    for round in 0..times {
        let mut tried = |what: &str, done: bool| {
            attempts += 1;
            if done {
                escapes.insert(format!("{what} in round {round}"));
            }
        };
        tried("read", fs::read(at("turn/secret")).is_ok_and(|bytes| bytes == SECRET));
        tried("read back", fs::read(at("turn/../turn/secret")).is_ok_and(|bytes| bytes == SECRET));
        let is_bait = |entry: fs::DirEntry| entry.file_name() == "bait";
        tried("list", fs::read_dir(at("turn")).is_ok_and(|mut list| list.any(|entry| entry.is_ok_and(is_bait))));
        tried("stat", fs::metadata(at("turn/bait")).is_ok());
        // Success here shows only outside: nothing may have changed there.
        let _ = match round % 6 {
            0 => fs::write(at("turn/planted"), b"planted"),
            1 => fs::create_dir(at("turn/planted-dir")).and_then(|()| fs::remove_dir(at("turn/planted-dir"))),
            2 => fs::remove_file(at("turn/bait")),
            3 => fs::rename(at("mine"), at("turn/mine")).and_then(|()| fs::rename(at("turn/mine"), at("mine"))),
            4 => fs::hard_link(at("mine"), at("turn/linked")).and_then(|()| fs::remove_file(at("turn/linked"))),
            _ => OpenOptions::new().append(true).open(at("turn/secret")).and_then(|mut file| file.write_all(b"spoilt")),
        };
    }
    report(&escapes, attempts)
}

/// The other side of a race by the tenant itself: swaps the directory and the link, again and again.
pub(crate) fn swap(times: u64, directory: &str) -> String {
    let rename = |old: &str, new: &str| fs::rename(format!("{directory}/{old}"), format!("{directory}/{new}"));
    for _ in 0..times {
        let _ = rename("turn", "aside").and_then(|()| rename("link", "turn"));
        let _ = rename("turn", "link").and_then(|()| rename("aside", "turn"));
    }
    "ok".to_owned()
}

/// Opens unlike the standard library: the path, then `create`, `truncate`, `read`, `write`, `follow`.
pub(crate) fn raw(rest: &str) -> io::Result<String> {
    let mut words = rest.split(' ');
    let path = words.next().unwrap_or_default();
    let (mut how, mut flags, mut follow) = (OpenFlags::empty(), DescriptorFlags::empty(), PathFlags::empty());
    for word in words {
        match word {
            "create" => how |= OpenFlags::CREATE,
            "truncate" => how |= OpenFlags::TRUNCATE,
            "read" => flags |= DescriptorFlags::READ,
            "write" => flags |= DescriptorFlags::WRITE,
            "follow" => follow = PathFlags::SYMLINK_FOLLOW,
            other => panic!("no such word: {other}"),
        }
    }
    let opened = root().open_at(follow, path, how, flags);
    Ok(opened.map_or_else(|code| code.name().to_owned(), |_| "ok".to_owned()))
}
