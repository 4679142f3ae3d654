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

fn report(escapes: &BTreeSet<String>) -> String {
    if escapes.is_empty() { "held".to_owned() } else { escapes.iter().cloned().collect::<Vec<_>>().join(", ") }
}

/// Names of something outside. The directory has `out`, a link to an absolute path, `up`, a link to `../outside`, and
/// `sub`.
const OUTSIDE: [&str; 10] = [
    "../outside/secret",
    "/etc/passwd",
    "sub/../../outside/secret",
    "sub/./.././../outside/secret",
    "out/secret",
    "up/secret",
    "sub/../up/secret",
    "/proc/self/root/etc/passwd",
    "..",
    "sub/../..",
];

/// Attempts that need no second session.
pub(crate) fn attack(times: u64) -> String {
    let mut escapes = BTreeSet::new();
    let root = root();
    let (read, write) = (DescriptorFlags::READ, DescriptorFlags::READ | DescriptorFlags::WRITE);
    for round in 0..times {
        let mut tried = |what: &str, done: bool| {
            if done {
                escapes.insert(format!("{what} in round {round}"));
            }
        };
        let path = OUTSIDE[round as usize % OUTSIDE.len()];
        let new = match path.rsplit_once('/') {
            Some((directory, name)) if name != ".." => format!("{directory}/new"),
            _ => format!("{path}/new"),
        };
        tried("open", open(&root, path, OpenFlags::empty(), read).is_ok());
        tried("write", open(&root, path, OpenFlags::CREATE, write).is_ok());
        tried("truncate", open(&root, path, OpenFlags::TRUNCATE, write).is_ok());
        tried("stat", root.stat_at(PathFlags::SYMLINK_FOLLOW, path).is_ok());
        tried("mkdir", root.create_directory_at(&new).is_ok());
        tried("remove", root.unlink_file_at(path).is_ok());
        tried("rmdir", root.remove_directory_at(path).is_ok());
        tried("rename out", root.rename_at("mine", &root, path).is_ok());
        tried("rename in", root.rename_at(path, &root, "taken").is_ok());
        tried("link in", root.link_at(PathFlags::empty(), path, &root, "taken").is_ok());
        tried("link out", root.link_at(PathFlags::empty(), "mine", &root, path).is_ok());
        tried("link inside", root.link_at(PathFlags::empty(), "mine", &root, "second").is_ok());
        tried("absolute link", root.symlink_at("/etc/passwd", "taken").is_ok());
        tried("link outside", root.symlink_at("mine", &new).is_ok());
    }
    report(&escapes)
}

/// Attempts that a concurrent swap could open: `turn` is a directory at one time and a link to the outside at another.
pub(crate) fn raid(times: u64) -> String {
    let mut escapes = BTreeSet::new();
    for round in 0..times {
        let mut tried = |what: &str, done: bool| {
            if done {
                escapes.insert(format!("{what} in round {round}"));
            }
        };
        tried("read", fs::read("turn/secret").is_ok_and(|bytes| bytes == SECRET));
        tried("list", fs::read_dir("turn").is_ok_and(|list| list.flatten().any(|entry| entry.file_name() == "bait")));
        tried("stat", fs::metadata("turn/bait").is_ok());
        // Success here shows only outside: nothing may have changed there.
        let _ = match round % 5 {
            0 => fs::write("turn/planted", b"planted"),
            1 => fs::create_dir("turn/planted-dir").and_then(|()| fs::remove_dir("turn/planted-dir")),
            2 => fs::remove_file("turn/bait"),
            3 => fs::rename("mine", "turn/mine").and_then(|()| fs::rename("turn/mine", "mine")),
            _ => OpenOptions::new().append(true).open("turn/secret").and_then(|mut file| file.write_all(b"spoilt")),
        };
    }
    report(&escapes)
}

/// The other side of a race by the tenant itself: swaps the directory and the link, again and again.
pub(crate) fn swap(times: u64) -> String {
    for _ in 0..times {
        let _ = fs::rename("turn", "aside").and_then(|()| fs::rename("link", "turn"));
        let _ = fs::rename("turn", "link").and_then(|()| fs::rename("aside", "turn"));
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
