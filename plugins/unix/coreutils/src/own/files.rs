//! Files: tac, tree, which, install, sync.

use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use unix_common::syntax::{Given, Syntax, Take};

use super::command::{failed, parse, worst};
use crate::utility::Arguments;

pub(super) fn tac(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "tac",
        usage: "tac [OPTION]... [FILE]...",
        status: 1,
        options: &[('b', "before", Take::Nothing), ('s', "separator", Take::Value), ('r', "regex", Take::Nothing)],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    if given.has('r') {
        eprintln!("tac: regular expressions as separators are not supported");
        return 1;
    }
    let separator = match given.value('s') {
        Some("") => "\0",
        Some(separator) => separator,
        None => "\n",
    };
    let files = if given.operands.is_empty() { vec!["-".to_owned()] } else { given.operands.clone() };
    worst(files.iter().map(|file| {
        let mut bytes = Vec::new();
        let read = match file.as_str() {
            "-" => stdin().read_to_end(&mut bytes).map(drop),
            path => fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map(drop),
        };
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                failed("tac", &format!("failed to open '{file}' for reading"), &error)
            }
            Err(error) => failed("tac", &format!("{file}: read error"), &error),
            Ok(()) => write(&reversed(&bytes, separator.as_bytes(), given.has('b'))),
        }
    }))
}

fn write(bytes: &[u8]) -> i32 {
    match stdout().write_all(bytes) {
        Ok(()) => 0,
        Err(error) => failed("tac", "write error", &error),
    }
}

/// The records in the opposite order. The separator belongs to the end of each, or with `before` to its beginning.
fn reversed(bytes: &[u8], separator: &[u8], before: bool) -> Vec<u8> {
    let mut ends: Vec<usize> = bytes.windows(separator.len()).enumerate().filter(|(_, part)| *part == separator).fold(
        Vec::new(),
        |mut places, (place, _)| {
            if places.last().is_none_or(|last| last + separator.len() <= place) {
                places.push(place);
            }
            places
        },
    );
    if !before {
        ends.iter_mut().for_each(|place| *place += separator.len());
    }
    let mut reversed = Vec::with_capacity(bytes.len());
    let mut end = bytes.len();
    for place in ends.into_iter().rev().filter(|place| *place < bytes.len()).chain([0]) {
        reversed.extend_from_slice(&bytes[place..end]);
        end = place;
    }
    reversed
}

pub(super) fn which(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "which",
        usage: "which [-a] NAME...",
        status: 2,
        options: &[('a', "", Take::Nothing), ('s', "", Take::Nothing)],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    let mut status = i32::from(given.operands.is_empty());
    for name in &given.operands {
        let places: Vec<PathBuf> = if name.contains('/') {
            vec![PathBuf::from(name)]
        } else {
            path.split(':').map(|folder| Path::new(if folder.is_empty() { "." } else { folder }).join(name)).collect()
        };
        let mut found = places.iter().filter(|place| is_program(place)).peekable();
        if found.peek().is_none() {
            status = 1;
        }
        let most = if given.has('a') { usize::MAX } else { 1 };
        found.take(most).filter(|_| !given.has('s')).for_each(|place| println!("{}", place.display()));
    }
    status
}

/// What may be run: a component, or a script by its first line.
fn is_program(path: &Path) -> bool {
    // The program table shows its programs, and lets nobody read them.
    if [Some(Path::new("/bin")), Some(Path::new("/usr/bin"))].contains(&path.parent()) {
        return fs::metadata(path).is_ok();
    }
    let mut first = [0; 4];
    let read = fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && fs::File::open(path).and_then(|mut file| file.read(&mut first)).is_ok();
    read && (first.starts_with(b"#!") || first == *b"\0asm")
}

pub(super) fn sync(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "sync",
        usage: "sync [OPTION] [FILE]...",
        status: 1,
        options: &[('d', "data", Take::Nothing), ('f', "file-system", Take::Nothing)],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    if given.operands.is_empty() && given.has('d') {
        eprintln!("sync: --data needs at least one argument");
        return 1;
    }
    worst(given.operands.iter().map(|file| {
        // A folder has nothing that could be written before its files are.
        let synced = match fs::metadata(file) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => fs::OpenOptions::new().append(true).open(file).and_then(|file| file.sync_all()),
            Err(error) => Err(error),
        };
        synced.map_or_else(|error| failed("sync", &format!("error opening '{file}'"), &error), |()| 0)
    }))
}

pub(super) fn install(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "install",
        usage: "install [OPTION]... SOURCE... DEST\n  or:  install [OPTION]... -d DIRECTORY...",
        status: 1,
        options: &[
            ('d', "directory", Take::Nothing),
            ('D', "", Take::Nothing),
            ('t', "target-directory", Take::Value),
            ('T', "no-target-directory", Take::Nothing),
            ('v', "verbose", Take::Nothing),
            ('m', "mode", Take::Value),
            ('o', "owner", Take::Value),
            ('g', "group", Take::Value),
            ('c', "", Take::Nothing),
            ('p', "preserve-timestamps", Take::Nothing),
        ],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    if given.has('o') || given.has('g') {
        eprintln!("install: files have no owners here");
        return 1;
    }
    let mut files = given.operands.clone();
    if files.is_empty() {
        return SYNTAX.refuse("missing file operand").tell();
    }
    let verbose = given.has('v');
    if given.has('d') {
        return make_folders(&files, verbose);
    }
    let to = match given.value('t') {
        Some(folder) => folder.to_owned(),
        None if files.len() == 1 => {
            return SYNTAX.refuse(&format!("missing destination file operand after '{}'", files[0])).tell();
        }
        None => files.pop().unwrap_or_default(),
    };
    let into = given.has('t') || (Path::new(&to).is_dir() && !given.has('T'));
    if !into && files.len() > 1 {
        eprintln!("install: target '{to}' is not a directory");
        return 1;
    }
    worst(files.iter().map(|file| {
        let from = Path::new(file);
        let target = if into { Path::new(&to).join(from.file_name().unwrap_or_default()) } else { PathBuf::from(&to) };
        let installed = if given.has('D')
            && let Some(parent) = target.parent()
        {
            fs::create_dir_all(parent)
        } else {
            Ok(())
        };
        install_one(from, &target, installed, (verbose, given.has('p')))
    }))
}

/// `install -d`.
fn make_folders(folders: &[String], verbose: bool) -> i32 {
    worst(folders.iter().map(|folder| {
        let is_new = !Path::new(folder).is_dir();
        match fs::create_dir_all(folder) {
            Ok(()) if verbose && is_new => {
                println!("install: creating directory '{folder}'");
                0
            }
            Ok(()) => 0,
            Err(error) => failed("install", &format!("cannot create directory '{folder}'"), &error),
        }
    }))
}

fn install_one(from: &Path, target: &Path, made: std::io::Result<()>, (verbose, keeps_times): (bool, bool)) -> i32 {
    let (shown, target_shown) = (from.display(), target.display());
    if fs::metadata(from).is_ok_and(|metadata| metadata.is_dir()) {
        eprintln!("install: omitting directory '{shown}'");
        return 1;
    }
    let metadata = match fs::metadata(from) {
        Ok(metadata) => metadata,
        Err(error) => return failed("install", &format!("cannot stat '{shown}'"), &error),
    };
    // A program that is in use keeps its old file.
    let copied = made.and_then(|()| {
        let _ = fs::remove_file(target);
        fs::copy(from, target)
    });
    if let Err(error) = copied {
        return failed("install", &format!("cannot create regular file '{target_shown}'"), &error);
    }
    if keeps_times && let (Ok(modified), Ok(accessed)) = (metadata.modified(), metadata.accessed()) {
        let times = fs::FileTimes::new().set_modified(modified).set_accessed(accessed);
        let set = fs::OpenOptions::new().append(true).open(target).and_then(|file| file.set_times(times));
        if let Err(error) = set {
            return failed("install", &format!("cannot set timestamps for '{target_shown}'"), &error);
        }
    }
    if verbose {
        println!("'{shown}' -> '{target_shown}'");
    }
    0
}

pub(super) fn tree(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "tree",
        usage: "tree [-adfiL LEVEL] [DIRECTORY]...",
        status: 1,
        options: &[
            ('a', "", Take::Nothing),
            ('d', "", Take::Nothing),
            ('f', "", Take::Nothing),
            ('i', "", Take::Nothing),
            ('L', "", Take::Value),
            ('\u{391}', "noreport", Take::Nothing),
        ],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let depth = match given.value('L').map(str::parse::<usize>) {
        None => usize::MAX,
        Some(Ok(depth)) if depth > 0 => depth,
        Some(_) => {
            eprintln!("tree: Invalid level, must be greater than 0.");
            return 1;
        }
    };
    let mut tree = Tree { given: &given, folders: 0, files: 0, failed: false };
    let roots = if given.operands.is_empty() { vec![".".to_owned()] } else { given.operands.clone() };
    for root in &roots {
        if fs::read_dir(root).is_err() {
            println!("{root}  [error opening dir]");
            tree.failed = true;
            continue;
        }
        println!("{root}");
        tree.show(Path::new(root), "", depth);
    }
    if !given.has('\u{391}') {
        let plural = |count: u32, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let files = if given.has('d') { String::new() } else { format!(", {}", plural(tree.files, "file", "files")) };
        println!("\n{}{files}", plural(tree.folders, "directory", "directories"));
    }
    if tree.failed { 2 } else { 0 }
}

struct Tree<'a> {
    given: &'a Given,
    folders: u32,
    files: u32,
    failed: bool,
}

impl Tree<'_> {
    fn show(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let Ok(entries) = fs::read_dir(folder) else {
            self.failed = true;
            return;
        };
        let (all, only_folders) = (self.given.has('a'), self.given.has('d'));
        let mut entries: Vec<(String, PathBuf)> = entries
            .filter_map(Result::ok)
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
            .filter(|(name, path)| (all || !name.starts_with('.')) && (!only_folders || path.is_dir()))
            .collect();
        entries.sort();
        let count = entries.len();
        for (place, (name, path)) in entries.into_iter().enumerate() {
            let (branch, below) = match (self.given.has('i'), place + 1 == count) {
                (true, _) => ("", ""),
                (false, true) => ("└── ", "    "),
                (false, false) => ("├── ", "│   "),
            };
            let shown = if self.given.has('f') { path.display().to_string() } else { name };
            let link = fs::read_link(&path).map(|target| format!(" -> {}", target.display())).unwrap_or_default();
            println!("{prefix}{branch}{shown}{link}");
            if path.is_dir() {
                self.folders += 1;
            } else {
                self.files += 1;
            }
            if path.is_dir() && link.is_empty() && depth > 1 {
                self.show(&path, &format!("{prefix}{below}"), depth - 1);
            }
        }
    }
}
