//! W27: attempts to leave the tenant's directory. Beside it is a folder `outside` with a file `secret`, which no plugin
//! may reach.
//!
//! Every attempt uses WASI's own calls, because the standard library would normalize the paths first.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

use crate::after::{After, number};

/// Paths that lead to the secret if they are followed. `door` is a link out, `operator` a link that was there before,
/// `deep` a folder; `absolute` and `chain` are links too.
const WAYS: [&str; 13] = [
    "../outside/secret",
    "deep/../../outside/secret",
    "./deep/./../../outside/./secret",
    "deep/../deep/../../outside/secret",
    "/outside/secret",
    "//../outside/secret",
    "/etc/passwd",
    "/proc/self/cwd/../outside/secret",
    "door/secret",
    "operator/secret",
    "deep/../door/secret",
    "absolute",
    "chain",
];

const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;
const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;

/// The outcome of the attempts.
#[derive(Default)]
struct Tally {
    tried: u64,
    escaped: u64,
    ways: Vec<String>,
}

impl Tally {
    fn count<T, E>(&mut self, what: &str, way: &str, result: Result<T, E>) {
        self.tried += 1;
        if result.is_ok() {
            self.escaped += 1;
            if self.ways.len() < 10 {
                self.ways.push(format!("{what} {way}"));
            }
        }
    }

    fn report(&self) -> After {
        After::Report(format!("tried {} escaped {} {}\n", self.tried, self.escaped, self.ways.join("; ")))
    }
}

pub(crate) fn behave(shape: &[&str]) -> After {
    let Some((root, _)) = get_directories().into_iter().next() else {
        return After::Report("no directory\n".to_owned());
    };
    match shape {
        ["prepare"] => prepare(&root),
        ["every", ..] => every(&root, number(shape, 1)),
        ["swap", ..] => swap(&root, number(shape, 1)),
        ["race", ..] => race(&root, number(shape, 1)),
        ["truncate", name] => truncate(&root, name),
        _ => panic!("no such shape: {shape:?}"),
    }
}

/// Creates what the attempts need. A host may refuse to make the links; then the paths through them lead nowhere, which
/// is as good.
fn prepare(root: &Descriptor) -> After {
    let made = [
        root.create_directory_at("deep").is_ok(),
        root.symlink_at("../outside", "door").is_ok(),
        root.symlink_at("/etc/passwd", "absolute").is_ok(),
        root.symlink_at("door/secret", "chain").is_ok(),
        root.open_at(PathFlags::empty(), "inside", OpenFlags::CREATE, READ | WRITE).is_ok(),
    ];
    After::Report(format!("made {}\n", made.iter().filter(|made| **made).count()))
}

/// Tries every path with every call.
fn every(root: &Descriptor, rounds: u64) -> After {
    let mut tally = Tally::default();
    for _ in 0..rounds {
        for way in WAYS {
            attempt(root, way, &mut tally);
        }
    }
    tally.report()
}

fn attempt(root: &Descriptor, way: &str, tally: &mut Tally) {
    tally.count("open", way, root.open_at(FOLLOW, way, OpenFlags::empty(), READ));
    tally.count("write", way, root.open_at(FOLLOW, way, OpenFlags::empty(), WRITE));
    tally.count("truncate", way, root.open_at(FOLLOW, way, OpenFlags::TRUNCATE, WRITE));
    tally.count("stat", way, root.stat_at(FOLLOW, way));
    tally.count("hash", way, root.metadata_hash_at(FOLLOW, way));
    tally.count("link through", way, root.link_at(FOLLOW, way, root, "stolen"));
    // These two are the tenant's own links: they may be linked, moved and removed, but not what they point to.
    if matches!(way, "absolute" | "chain") {
        return;
    }
    tally.count("link in", way, root.link_at(PathFlags::empty(), way, root, "stolen"));
    tally.count("rename in", way, root.rename_at(way, root, "stolen"));
    tally.count("rename over", way, root.rename_at("inside", root, way));
    tally.count("remove", way, root.unlink_file_at(way));
    tally.count("create", way, root.open_at(FOLLOW, &format!("{way}.new"), OpenFlags::CREATE, WRITE));
    tally.count("folder", way, root.create_directory_at(&format!("{way}.folder")));
    tally.count("link out", way, root.link_at(PathFlags::empty(), "inside", root, &format!("{way}.link")));
    tally.count("rename out", way, root.rename_at("inside", root, &format!("{way}.moved")));
}

/// One half of a race: `gate` alternates between a folder and a link out.
fn swap(root: &Descriptor, rounds: u64) -> After {
    let mut swapped = 0;
    for _ in 0..rounds {
        swapped += u64::from(root.create_directory_at("gate").is_ok());
        // Failures are ignored: the other half may have the folder open.
        let _ = root.rename_at("gate", root, "gate.folder");
        let _ = root.symlink_at("../outside", "gate");
        let _ = root.unlink_file_at("gate");
        let _ = root.remove_directory_at("gate.folder");
    }
    After::Report(format!("swapped {swapped}\n"))
}

/// The other half: opens paths through the gate, whatever it is at the moment.
fn race(root: &Descriptor, rounds: u64) -> After {
    let mut tally = Tally::default();
    for _ in 0..rounds {
        tally.count("race", "open", root.open_at(FOLLOW, "gate/secret", OpenFlags::empty(), READ));
        tally.count("race", "create", root.open_at(FOLLOW, "gate/../secret", OpenFlags::TRUNCATE, WRITE));
        // The folder that was just opened may have been moved: its parent must still not be reachable.
        if let Ok(gate) = root.open_at(FOLLOW, "gate", OpenFlags::DIRECTORY, READ) {
            tally.count("race", "secret of the gate", gate.open_at(FOLLOW, "secret", OpenFlags::empty(), READ));
            tally.count("race", "above", gate.open_at(FOLLOW, "../../outside/secret", OpenFlags::empty(), READ));
        }
    }
    tally.report()
}

/// In a read-only directory no file may be truncated, not even by opening it.
fn truncate(root: &Descriptor, name: &str) -> After {
    let mut tally = Tally::default();
    for flags in [READ, WRITE, READ | WRITE, READ | DescriptorFlags::MUTATE_DIRECTORY] {
        tally.count("truncate", name, root.open_at(FOLLOW, name, OpenFlags::TRUNCATE, flags));
        tally.count("create", name, root.open_at(FOLLOW, "made", OpenFlags::CREATE, flags));
    }
    tally.count("write", name, root.open_at(FOLLOW, name, OpenFlags::empty(), WRITE));
    if let Ok(file) = root.open_at(FOLLOW, name, OpenFlags::empty(), READ) {
        tally.count("write", "by the handle", file.write(b"x", 0));
        tally.count("set size", name, file.set_size(0));
    }
    tally.count("remove", name, root.unlink_file_at(name));
    tally.count("rename", name, root.rename_at(name, root, "other"));
    tally.count("folder", name, root.create_directory_at("folder"));
    tally.count("link", name, root.link_at(PathFlags::empty(), name, root, "hard"));
    tally.report()
}
