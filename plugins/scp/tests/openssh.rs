//! Our program against OpenSSH's scp, in both roles: what one sends the other receives, and the trees are the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;

/// Our program.
const OURS: &str = env!("CARGO_BIN_EXE_scp");

/// The programs of OpenSSH that `cargo xtask test` installs.
fn theirs() -> [PathBuf; 2] {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients/bin");
    let folder = std::env::var_os("WHELK_CLIENTS").map_or_else(default, PathBuf::from);
    ["scp-9.2", "scp-10.0"].map(|name| {
        let path = folder.join(name);
        assert!(path.is_file(), "{} is not there: run these tests with `cargo xtask test`", path.display());
        path
    })
}

/// Names and contents that are hard on a protocol of lines.
fn source() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let make = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("our own folder");
        fs::write(&path, bytes).expect("our own folder");
        let file = fs::File::open(&path).expect("it was made");
        let time = UNIX_EPOCH + Duration::from_secs(1_500_000_000 + bytes.len() as u64);
        file.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time)).expect("our own folder");
    };
    make("tree/empty", b"");
    make("tree/a b/C0644 1 x", b"\x01\x02\0E\n");
    make("tree/a b/-r", b"option");
    make("tree/d/e/f/g/é ü.txt", "text".repeat(10_000).as_bytes());
    for size in [1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 1_000_003] {
        make(&format!("tree/sizes/{size}"), &vec![b'x'; size]);
    }
    (0..200).for_each(|number| make(&format!("tree/many/{number}"), number.to_string().as_bytes()));
    fs::create_dir(folder.path().join("tree/nothing")).expect("our own folder");
    symlink("../a b", folder.path().join("tree/d/link")).expect("our own folder");
    // Those that ours sends.
    for (path, file) in tree(folder.path()) {
        let mode = if file.is_some() { 0o644 } else { 0o755 };
        fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(mode)).expect("our own folder");
    }
    // With relatime the first read after a change sets the time of access: the programs are to see the same one.
    assert!(!tree(folder.path()).is_empty());
    folder
}

/// The files below a folder with their contents and times, and its directories.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<(Vec<u8>, i64)>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let name = path.strip_prefix(folder).expect("it is below").to_owned();
        let metadata = fs::metadata(&path).expect("it is there");
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("it is there").flatten().map(|entry| entry.path()));
            found.insert(name, None);
        } else {
            found.insert(name, Some((fs::read(&path).expect("it is there"), metadata.mtime())));
        }
    }
    found
}

fn start(program: &Path, folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("the program is there")
}

fn copy(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut buffer, mut seen) = (vec![0; 100_000], Vec::new());
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            seen.extend_from_slice(&buffer[..count]);
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                return seen;
            }
        }
    })
}

/// Connects a source and a sink; gives their statuses, and what the sink replied.
fn connect(mut source: Child, mut sink: Child) -> (Option<i32>, Option<i32>, String) {
    let data = copy(source.stdout.take().expect("it is piped"), sink.stdin.take().expect("it is piped"));
    let replies = copy(sink.stdout.take().expect("it is piped"), source.stdin.take().expect("it is piped"));
    let source = source.wait().expect("it was started").code();
    data.join().expect("it does not panic");
    let sink = sink.wait().expect("it was started").code();
    let replies = replies.join().expect("it does not panic");
    (source, sink, String::from_utf8_lossy(&replies).replace('\0', ""))
}

/// Each pair of programs of which one is ours: source, sink.
fn pairs() -> Vec<(PathBuf, PathBuf)> {
    let pairs = theirs().into_iter().flat_map(|theirs| [(OURS.into(), theirs.clone()), (theirs, OURS.into())]);
    pairs.chain([(OURS.into(), OURS.into())]).collect()
}

#[test]
fn a_tree_is_the_same_after_it_went_either_way() {
    let from = source();
    for (source, sink) in pairs() {
        let to = tempfile::tempdir().expect("a temporary folder can be made");
        let sent = start(&source, from.path(), &["-r", "-p", "-f", "tree"]);
        let taken = start(&sink, to.path(), &["-r", "-p", "-t", "."]);
        let (source_status, sink_status, replies) = connect(sent, taken);
        assert_eq!((source_status, sink_status, replies.as_str()), (Some(0), Some(0), ""), "{source:?} to {sink:?}");
        assert!(tree(&from.path().join("tree")) == tree(&to.path().join("tree")), "{source:?} to {sink:?}");
    }
}

#[test]
fn errors_have_the_same_words_and_statuses() {
    let from = source();
    symlink("loop", from.path().join("loop")).expect("our own folder");
    for (source, sink) in pairs() {
        let to = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir_all(to.path().join("tree/empty")).expect("our own folder");
        fs::write(to.path().join("tree/d"), "a file").expect("our own folder");
        let sent = start(&source, from.path(), &["-r", "-f", "tree", "absent", "loop", "/dev/null"]);
        let (source_status, sink_status, replies) = connect(sent, start(&sink, to.path(), &["-r", "-t", "."]));
        assert_eq!((source_status, sink_status), (Some(1), Some(1)), "{source:?} to {sink:?}");
        let mut replies: Vec<&str> = replies.lines().collect();
        replies.sort_unstable();
        let expected = ["\x01scp: ./tree/d: Not a directory", "\x01scp: ./tree/empty: Is a directory"];
        assert_eq!(replies, expected, "{source:?} to {sink:?}");
        assert_eq!(fs::read(to.path().join("tree/sizes/65537")).map(|bytes| bytes.len()).ok(), Some(65_537));
    }
}

/// What a source says to a sink that agrees to everything.
fn said(source: &Path, folder: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let mut source = start(source, folder, arguments);
    let mut input = source.stdin.take().expect("it is piped");
    input.write_all(&[0; 1000]).expect("there is room");
    let mut text = String::new();
    source.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it is UTF-8");
    (text, source.wait().expect("it was started").code())
}

#[test]
fn a_source_says_what_openssh_says_byte_for_byte() {
    let folder = source();
    symlink("loop", folder.path().join("loop")).expect("our own folder");
    fs::write(folder.path().join("new\nline\\\t"), "x").expect("our own folder");
    for arguments in [
        &["-f", "tree/empty", "tree/sizes/1"][..],
        &["-pf", "tree/sizes/1", "tree"],
        &["-prf", "tree/d/e"],
        &["-rf", "tree/a b/", "tree/nothing//"],
        &["-f", "absent", "loop", "tree", "/dev/null", "tree/a b/-r"],
        &["-f", "new\nline\\\t"],
        &["-f", "--", "tree/a b/C0644 1 x"],
    ] {
        let ours = said(Path::new(OURS), folder.path(), arguments);
        for theirs in theirs() {
            assert_eq!(ours, said(&theirs, folder.path(), arguments), "{arguments:?}");
        }
    }
}

/// What a sink answers to these bytes.
fn answered(sink: &Path, arguments: &[&str], input: &[u8]) -> (String, Option<i32>, BTreeMap<PathBuf, Vec<u8>>) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::write(folder.path().join("old"), "0123456789").expect("our own folder");
    fs::create_dir(folder.path().join("dir")).expect("our own folder");
    let mut sink = start(sink, folder.path(), arguments);
    let mut output = sink.stdout.take().expect("it is piped");
    // It may have ended before it has read them.
    let _ = sink.stdin.take().expect("it is piped").write_all(input);
    let mut text = String::new();
    output.read_to_string(&mut text).expect("it is UTF-8");
    let files = tree(folder.path()).into_iter().filter_map(|(path, file)| Some((path, file?.0)));
    let files = files.collect();
    (text, sink.wait().expect("it was started").code(), files)
}

#[test]
fn a_sink_answers_what_openssh_answers_byte_for_byte() {
    let lines: [(&[&str], &[u8]); 28] = [
        (&["-t", "."], b"C0644 3 a\nabc\0C0644 0 b\n\0"),
        (&["-t", "old"], b"C0644 3 a\nabc\0"),
        (&["-t", "new"], b"C0644 3 a\nabc\0"),
        (&["-t", "absent/new"], b"C0644 3 a\n"),
        (&["-t", "dir/"], b"C0644 1 a\nx\0"),
        (&["-td", "old"], b""),
        (&["-td", "absent"], b""),
        (&["-t", "a", "b"], b""),
        (&["-t", "uploads/"], b"C0644 1 a\n"),
        (&["-t", "absent/uploads/"], b"C0644 1 a\n"),
        (&["-t", "old/"], b"C0644 1 a\n"),
        (&["-t", "old"], b"C0644 30 a\n"),
        (&["-rt", "."], b"D0755 0 d\nC0644 1 a\nx\0E\nC0644 1 b\ny\0"),
        (&["-rt", "new"], b"D0755 0 d\nC0644 1 a\nx\0E\n"),
        (&["-rt", "."], b"D0755 0 old\nC0644 1 dir\n"),
        (&["-t", "."], b"D0755 0 d\n"),
        (&["-rt", "."], b"E\nC0644 1 a\nx\0"),
        (&["-t", "."], b"\n"),
        (&["-t", "."], b"C0644 -1 a\n"),
        (&["-t", "."], b"C0644 99999999999999999999 a\n"),
        (&["-t", "."], b"C0898 1 a\n"),
        (&["-t", "."], b"T1 0 1\n"),
        (&["-t", "."], b"C0644 1 ../a\n"),
        (&["-t", "."], b"C0644 1 \n"),
        (&["-t", "."], b"hello\n"),
        (&["-t", "."], b"C0644 1 a\nx\x01scp: a: gone\nC0644 1 b\ny\0"),
        (&["-t", "."], b"\x01scp: no\nC0644 1 a\nx\0"),
        (&["-t", "."], b"\x02scp: no\nC0644 1 a\nx\0"),
    ];
    for (arguments, input) in lines {
        let ours = answered(Path::new(OURS), arguments, input);
        for theirs in theirs() {
            let theirs = answered(&theirs, arguments, input);
            assert_eq!(ours, theirs, "{arguments:?}: {}", input.escape_ascii());
        }
    }
}
