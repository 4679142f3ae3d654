//! The same requests to this server and to OpenSSH's sftp-server, each in a directory of its own: the answers are the
//! same, except for what the README of the plugin names.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod client;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use client::{Attributes, Name, Put, Reply, packet};
use proptest::prelude::*;
use sftp::{Account, NativeFiles, Server, kind};

const OPENSSH: &str = "/usr/lib/openssh/sftp-server";
/// No file of it grows beyond, in units of 512 bytes as POSIX has it for `ulimit`: `copy-data` until the end of a file
/// into that same file has no end.
const LARGEST_FILE: &str = "2048";
/// Later times are those of the test's run.
const LONG_AGO: u32 = 1_000_000_000;

/// A server that answers one request at a time.
trait Peer {
    fn ask(&mut self, packet: &[u8]) -> Reply;
}

struct Ours {
    server: Server<NativeFiles>,
    /// Bytes are fed in pieces of so many.
    piece: usize,
}

impl Ours {
    fn new(home: &Path, piece: usize) -> Self {
        let account = Account { user: "root".into(), home: home.to_str().unwrap().into() };
        Self { server: Server::new(NativeFiles::default(), account), piece }
    }
}

impl Peer for Ours {
    fn ask(&mut self, packet: &[u8]) -> Reply {
        for piece in packet.chunks(self.piece) {
            assert!(self.server.output().is_empty(), "an answer before the request");
            assert_eq!(self.server.feed(piece), Ok(piece.len()));
        }
        let mut bytes = self.server.output().to_vec();
        self.server.sent(bytes.len());
        let (_, reply) = Reply::take(&mut bytes).expect("an answer");
        assert!(bytes.is_empty(), "a second answer");
        reply
    }
}

struct Theirs {
    child: Child,
    bytes: Vec<u8>,
}

impl Theirs {
    fn new(home: &Path) -> Self {
        assert!(Path::new(OPENSSH).exists(), "{OPENSSH} is missing (apt-get install openssh-sftp-server)");
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -f "$0" && exec "$1""#, LARGEST_FILE, OPENSSH]);
        command.current_dir(home).env("TZ", "UTC").stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        Self { child, bytes: Vec::new() }
    }
}

impl Peer for Theirs {
    fn ask(&mut self, packet: &[u8]) -> Reply {
        self.child.stdin.as_mut().unwrap().write_all(packet).unwrap();
        loop {
            if let Some((_, reply)) = Reply::take(&mut self.bytes) {
                return reply;
            }
            let mut piece = vec![0; 64 << 10];
            let length = self.child.stdout.as_mut().unwrap().read(&mut piece).unwrap();
            assert!(length > 0, "sftp-server has ended");
            self.bytes.extend(&piece[..length]);
        }
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends with its input");
    }
}

/// One request, or the requests of one listing. Files are numbers of handles, in the order of opening.
#[derive(Debug, Clone)]
enum Step {
    Open(&'static str, u32),
    Close(usize),
    Read(usize, u64, u32),
    Write(usize, u64, Vec<u8>),
    OfHandle(u8, usize),
    OfPath(u8, &'static str),
    Set(&'static str, Vec<u8>),
    SetLink(&'static str, u32),
    SetOpen(usize, Vec<u8>),
    List(&'static str),
    Rename(bool, &'static str, &'static str),
    Link(&'static str, &'static str),
    Symlink(&'static str, &'static str),
    Sync(usize),
    Expand(&'static str),
    Copy((usize, u64, u64), (usize, u64)),
}

struct Run<P> {
    peer: P,
    handles: Vec<Vec<u8>>,
    /// Device and inode of each.
    files: Vec<(u64, u64)>,
    home: PathBuf,
}

impl<P: Peer> Run<P> {
    fn new(peer: P, home: &Path) -> Self {
        let mut run = Self { peer, handles: Vec::new(), files: Vec::new(), home: home.to_owned() };
        assert!(matches!(run.ask(kind::INIT, &[]), Reply::Version(3, _)));
        run
    }

    fn ask(&mut self, kind: u8, fields: &[u8]) -> Reply {
        let number = if kind == kind::INIT { 3 } else { 7 };
        self.peer.ask(&packet(kind, number, fields))
    }

    fn handle(&self, at: usize) -> Vec<u8> {
        self.handles.get(at).cloned().unwrap_or_else(|| b"none".to_vec())
    }

    fn named(&self, name: &str) -> Vec<u8> {
        Vec::new().string(name)
    }

    /// All names of a directory, in order.
    fn list(&mut self, path: &str) -> Reply {
        let handle = match self.ask(kind::OPENDIR, &self.named(path)) {
            Reply::Handle(handle) => Vec::new().string(handle),
            other => return other,
        };
        let mut all = Vec::new();
        loop {
            match self.ask(kind::READDIR, &handle) {
                Reply::Names(names) => all.extend(names),
                Reply::Status(1, _) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(self.ask(kind::READDIR, &handle), Reply::Status(1, _)), "the end stays the end");
        assert!(matches!(self.ask(kind::CLOSE, &handle), Reply::Status(0, _)));
        all.sort();
        Reply::Names(all)
    }

    fn step(&mut self, step: &Step) -> Reply {
        let file = |at: &usize| Vec::new().string(self.handle(*at));
        let names = |one: &str, other: &str| Vec::new().string(one).string(other);
        let (kind, fields) = match step {
            Step::Open(path, flags) => (kind::OPEN, self.named(path).number(*flags).number(0)),
            Step::Close(at) => (kind::CLOSE, file(at)),
            Step::Read(at, offset, length) => (kind::READ, file(at).long(*offset).number(*length)),
            Step::Write(at, offset, data) => (kind::WRITE, file(at).long(*offset).string(data)),
            Step::OfHandle(kind, at) => (*kind, file(at)),
            Step::OfPath(kind::MKDIR, path) => (kind::MKDIR, self.named(path).number(0)),
            Step::OfPath(kind, path) => (*kind, self.named(path)),
            Step::Set(path, attributes) => (kind::SETSTAT, [self.named(path), attributes.clone()].concat()),
            Step::SetLink(path, time) => {
                let fields = names("lsetstat@openssh.com", path).number(8).number(*time).number(*time);
                (kind::EXTENDED, fields)
            }
            Step::SetOpen(at, attributes) => (kind::FSETSTAT, [file(at), attributes.clone()].concat()),
            Step::List(path) => {
                let listed = self.list(path);
                return self.comparable(listed);
            }
            Step::Rename(true, old, new) => (kind::EXTENDED, names("posix-rename@openssh.com", old).string(new)),
            Step::Rename(false, old, new) => (kind::RENAME, names(old, new)),
            Step::Link(old, new) => (kind::EXTENDED, names("hardlink@openssh.com", old).string(new)),
            Step::Symlink(target, path) => (kind::SYMLINK, names(target, path)),
            Step::Sync(at) => (kind::EXTENDED, Vec::new().string("fsync@openssh.com").string(self.handle(*at))),
            Step::Expand(path) => (kind::EXTENDED, names("expand-path@openssh.com", path)),
            Step::Copy((from, offset, length), (to, at)) => {
                let from = Vec::new().string("copy-data").string(self.handle(*from)).long(*offset).long(*length);
                (kind::EXTENDED, from.string(self.handle(*to)).long(*at))
            }
        };
        let reply = self.ask(kind, &fields);
        match (step, &reply) {
            (Step::Open(path, _), Reply::Handle(handle)) => {
                self.handles.push(handle.clone());
                let found = std::fs::metadata(self.home.join(path)).unwrap();
                self.files.push((found.dev(), found.ino()));
            }
            // OpenSSH gives it to the next file.
            (Step::Close(at), Reply::Status(0, _)) => self.handles[*at] = b"none".to_vec(),
            _ => {}
        }
        self.comparable(reply)
    }

    /// The reply without what differs by intention: messages, handles, modes, owners, times of this run.
    fn comparable(&self, reply: Reply) -> Reply {
        let place = self.home.parent().and_then(Path::to_str).unwrap();
        let attributes = |found: Attributes| Attributes {
            mode: found.mode & 0o170_000,
            owner: (0, 0),
            // A listing may be such an access, before or after its own answer.
            accessed: Some(found.accessed).filter(|time| *time < LONG_AGO && found.mode & 0o040_000 == 0).unwrap_or(0),
            modified: Some(found.modified).filter(|time| *time < LONG_AGO).unwrap_or(0),
            ..found
        };
        match reply {
            Reply::Status(code, _) => Reply::Status(code, String::new()),
            Reply::Handle(_) => Reply::Handle(Vec::new()),
            Reply::Attributes(found) => Reply::Attributes(attributes(found)),
            Reply::Names(names) => {
                let comparable = |name: Name| Name {
                    line: comparable_line(&name),
                    attributes: attributes(name.attributes),
                    name: name.name.replace(place, "PLACE"),
                };
                let one = |name: Name| match &*name.name {
                    // Other tests use the directory above.
                    ".." => Name { line: String::new(), attributes: Attributes::default(), ..name },
                    _ => comparable(name),
                };
                Reply::Names(names.into_iter().map(one).collect())
            }
            other => other,
        }
    }
}

/// The line of `ls -l` without modes and owners, and without times of this run.
fn comparable_line(name: &Name) -> String {
    if name.attributes.mode == 0 {
        return String::new();
    }
    let columns: Vec<_> = name.line.split_whitespace().collect();
    let date = if name.attributes.modified < LONG_AGO { columns[5..8].join(" ") } else { String::new() };
    let (kind, rest) = (&columns[0][..1], columns[8..].join(" "));
    format!("{} {kind} {} {} {date} {rest}", name.line.find(columns[1]).unwrap(), columns[1], columns[4])
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "b", "d", "d/x", "d/y", "e", "l", "l/x", "none/z", "a/z", ".", "d/../b", "d/", "", "ä",
    ])
}

fn attributes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..100_u64).prop_map(|size| Vec::new().number(1).long(size)),
        (1..LONG_AGO).prop_map(|time| Vec::new().number(8).number(time).number(time + 1)),
        Just(Vec::new().number(4).number(0o755)),
        Just(Vec::new().number(2).number(0).number(0)),
        (0..50_u64).prop_map(|size| Vec::new().number(0x8000_0009).long(size).number(5).number(6).number(0)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (file, offset) = (0..4_usize, 0..60_u64);
    let data = prop::collection::vec(any::<u8>(), 0..80);
    let of_handle = prop::sample::select(vec![kind::FSTAT, kind::READDIR]);
    let of_path = prop::sample::select(vec![
        kind::STAT,
        kind::LSTAT,
        kind::REMOVE,
        kind::MKDIR,
        kind::MKDIR,
        kind::RMDIR,
        kind::REALPATH,
        kind::READLINK,
    ]);
    let target = prop::sample::select(vec!["a", "d", "x", "../a", "l", "none", ".", ""]);
    let length = prop_oneof![Just(0), 1..100_u32, Just(u32::MAX)];
    prop_oneof![
        4 => (path(), 0..64_u32).prop_map(|(path, flags)| Step::Open(path, flags)),
        3 => (path(), Just(0x0b)).prop_map(|(path, flags)| Step::Open(path, flags)),
        1 => file.clone().prop_map(Step::Close),
        3 => (file.clone(), offset.clone(), length).prop_map(|(at, offset, length)| Step::Read(at, offset, length)),
        4 => (file.clone(), offset, data).prop_map(|(at, offset, data)| Step::Write(at, offset, data)),
        1 => (of_handle, file.clone()).prop_map(|(kind, at)| Step::OfHandle(kind, at)),
        6 => (of_path, path()).prop_map(|(kind, path)| Step::OfPath(kind, path)),
        2 => (path(), attributes()).prop_map(|(path, set)| Step::Set(path, set)),
        1 => (path(), 1..LONG_AGO).prop_map(|(path, time)| Step::SetLink(path, time)),
        1 => (file.clone(), attributes()).prop_map(|(at, set)| Step::SetOpen(at, set)),
        3 => path().prop_map(Step::List),
        3 => (any::<bool>(), path(), path()).prop_map(|(replace, old, new)| Step::Rename(replace, old, new)),
        1 => (path(), path()).prop_map(|(old, new)| Step::Link(old, new)),
        2 => (target, path()).prop_map(|(target, path)| Step::Symlink(target, path)),
        1 => file.clone().prop_map(Step::Sync),
        1 => prop::sample::select(vec!["~", "~/d", "~root0/x", "l", "", "d/../l"]).prop_map(Step::Expand),
        1 => ((file.clone(), 0..9_u64, 0..99_u64), (file, 0..99_u64)).prop_map(|(from, to)| Step::Copy(from, to)),
    ]
}

/// Where the two differ by intention. OpenSSH's RENAME of a link or a directory replaces a link that leads nowhere. Its
/// versions differ about `copy-data` of files that are not open, and it copies a file that has two names into itself.
fn differs(run: &mut Run<Ours>, step: &Step) -> bool {
    if let Step::Copy((from, ..), (to, _)) = step {
        let mut is_file = |at: &usize| {
            let handle = Vec::new().string(run.handle(*at));
            matches!(run.ask(kind::FSTAT, &handle), Reply::Attributes(_))
        };
        return !is_file(from) || !is_file(to) || run.files[*from] == run.files[*to];
    }
    let mut look = |kind, path: &str| match run.ask(kind, &Vec::new().string(path)) {
        Reply::Attributes(found) => found.mode & 0o170_000,
        _ => 0,
    };
    match step {
        Step::Rename(false, old, new) => {
            look(kind::LSTAT, old) != 0o100_000 && look(kind::LSTAT, new) == 0o120_000 && look(kind::STAT, new) == 0
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_give_the_same_answers(
        steps in prop::collection::vec(step(), 1..60),
        piece in prop_oneof![Just(1_usize), 2..40_usize, Just(1 << 20)],
    ) {
        // Each has the directory above to itself too: links and `..` lead there.
        let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [here, there] = places.each_ref().map(|place| place.path().join("home"));
        [&here, &there].into_iter().for_each(|home| std::fs::create_dir(home).unwrap());
        let mut ours = Run::new(Ours::new(&here, piece), &here);
        let mut theirs = Run::new(Theirs::new(&there), &there);
        for (at, step) in steps.iter().enumerate() {
            if differs(&mut ours, step) {
                continue;
            }
            let (one, other) = (ours.step(step), theirs.step(step));
            if matches!(step, Step::Copy(..)) && other == Reply::Status(0, String::new()) {
                // OpenSSH says so too if the last piece could not be copied.
                continue;
            }
            prop_assert_eq!(one, other, "step {}: {:?}", at, step);
        }
    }
}

#[test]
fn a_file_is_not_copied_into_itself_by_another_name() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let mut ours = Run::new(Ours::new(&home, 1), &home);
    for step in [Step::Open("b", 0x0b), Step::Write(0, 0, b"text".into()), Step::OfPath(kind::MKDIR, "d")] {
        ours.step(&step);
    }
    assert_eq!(ours.step(&Step::Link("b", "a")), Reply::Status(0, String::new()));
    for name in ["d/../b", "a"] {
        let file = ours.handles.len();
        ours.step(&Step::Open(name, 3));
        assert_eq!(ours.step(&Step::Copy((0, 0, 0), (file, 4))), Reply::Status(4, String::new()), "{name}");
    }
    assert_eq!(std::fs::read(home.join("b")).unwrap(), b"text");
}

#[test]
fn both_name_the_same_extensions() {
    let place = tempfile::tempdir().unwrap();
    let hello = packet(kind::INIT, 3, &[]);
    let (ours, theirs) = (Ours::new(place.path(), 1).ask(&hello), Theirs::new(place.path()).ask(&hello));
    assert_eq!(ours, theirs);
}
