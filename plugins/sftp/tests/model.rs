//! The server against a model of a file system: what a client writes is what it reads, names mean what they should,
//! and requests that are sent all at once get the same answers as one by one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod client;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use client::{Attributes, Put, Reply, packet};
use proptest::prelude::*;
use sftp::{Account, MAX_READ, NativeFiles, Server, kind};
use tempfile::TempDir;

const OK: u32 = 0;
const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const FAILURE: u32 = 4;

const WRITE: u32 = 0x02;
const CREATE: u32 = 0x08;
const TRUNCATE: u32 = 0x10;
const EXCLUSIVE: u32 = 0x20;

type Contents = Rc<RefCell<Vec<u8>>>;

#[derive(Clone)]
enum Node {
    File(Contents),
    Directory,
}

/// Paths without links, `.` and `..`, and open files.
#[derive(Default)]
struct Model {
    nodes: BTreeMap<String, Node>,
    open: Vec<Option<Contents>>,
}

#[derive(Debug, Clone)]
enum Step {
    Open(&'static str, u32),
    Close(usize),
    Read(usize, u64, u32),
    Write(usize, u64, Vec<u8>),
    Size(&'static str, u64),
    Stat(&'static str),
    Remove(&'static str),
    MakeDirectory(&'static str),
    RemoveDirectory(&'static str),
    Rename(&'static str, &'static str),
    Replace(&'static str, &'static str),
}

/// What the model expects of a reply.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Status(u32),
    Handle,
    /// Runs of equal bytes, so that a failure shows few numbers.
    Data(Vec<(u8, usize)>),
    /// A directory, or a file of so many bytes.
    Found(Option<u64>),
}

impl Answer {
    fn data(data: &[u8]) -> Self {
        Self::Data(data.chunk_by(|one, other| one == other).map(|run| (run[0], run.len())).collect())
    }

    fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Status(status, _) => Self::Status(*status),
            Reply::Handle(_) => Self::Handle,
            Reply::Data(data) => Self::data(data),
            Reply::Attributes(found) => Self::Found((found.mode >> 12 == 0o10).then_some(found.size)),
            other => panic!("{other:?}"),
        }
    }
}

impl Model {
    /// Whether the directory that holds it is there, or the status if not.
    fn parent(&self, path: &str) -> Result<(), Answer> {
        match path.rsplit_once('/').map(|(parent, _)| self.nodes.get(parent)) {
            None | Some(Some(Node::Directory)) => Ok(()),
            Some(_) => Err(Answer::Status(NO_SUCH_FILE)),
        }
    }

    fn found(&self, path: &str) -> Result<&Node, Answer> {
        self.parent(path)?;
        self.nodes.get(path).ok_or(Answer::Status(NO_SUCH_FILE))
    }

    fn is_empty(&self, path: &str) -> bool {
        !self.nodes.keys().any(|name| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    fn file(&self, at: usize) -> Result<&Contents, Answer> {
        self.open.get(at).and_then(Option::as_ref).ok_or(Answer::Status(FAILURE))
    }

    fn step(&mut self, step: &Step) -> Result<Answer, Answer> {
        match step {
            Step::Open(path, flags) => return self.open(path, *flags),
            Step::Close(at) => {
                let closed = self.open.get_mut(*at).and_then(Option::take);
                closed.ok_or(Answer::Status(NO_SUCH_FILE))?;
            }
            Step::Read(at, offset, length) => {
                let contents = self.file(*at)?.borrow();
                let rest = contents.get(usize::try_from(*offset).unwrap()..).unwrap_or_default();
                let read = &rest[..rest.len().min(*length as usize).min(MAX_READ)];
                let is_end = read.is_empty() && *length > 0;
                return if is_end { Err(Answer::Status(EOF)) } else { Ok(Answer::data(read)) };
            }
            Step::Write(at, offset, data) => {
                let (mut contents, begin) = (self.file(*at)?.borrow_mut(), usize::try_from(*offset).unwrap());
                if !data.is_empty() {
                    let end = contents.len().max(begin + data.len());
                    contents.resize(end, 0);
                    contents[begin..begin + data.len()].copy_from_slice(data);
                }
            }
            Step::Size(path, size) => match self.found(path)? {
                Node::File(contents) => contents.borrow_mut().resize(usize::try_from(*size).unwrap(), 0),
                Node::Directory => return Err(Answer::Status(FAILURE)),
            },
            Step::Stat(path) => {
                return Ok(match self.found(path)? {
                    Node::File(contents) => Answer::Found(Some(contents.borrow().len() as u64)),
                    Node::Directory => Answer::Found(None),
                });
            }
            Step::Remove(path) => match self.found(path)? {
                Node::File(_) => drop(self.nodes.remove(*path)),
                Node::Directory => return Err(Answer::Status(FAILURE)),
            },
            Step::MakeDirectory(path) => {
                self.parent(path)?;
                if self.nodes.contains_key(*path) {
                    return Err(Answer::Status(FAILURE));
                }
                self.nodes.insert((*path).to_owned(), Node::Directory);
            }
            Step::RemoveDirectory(path) => self.remove_directory(path)?,
            Step::Rename(old, new) => {
                self.found(old)?;
                self.parent(new)?;
                if self.nodes.contains_key(*new) {
                    return Err(Answer::Status(FAILURE));
                }
                self.rename(old, new)?;
            }
            Step::Replace(old, new) => {
                self.parent(new)?;
                self.rename(old, new)?;
            }
        }
        Ok(Answer::Status(OK))
    }

    fn remove_directory(&mut self, path: &str) -> Result<(), Answer> {
        match self.found(path)? {
            Node::File(_) => Err(Answer::Status(NO_SUCH_FILE)),
            Node::Directory if !self.is_empty(path) => Err(Answer::Status(FAILURE)),
            Node::Directory => {
                self.nodes.remove(path);
                Ok(())
            }
        }
    }

    fn open(&mut self, path: &str, flags: u32) -> Result<Answer, Answer> {
        self.parent(path)?;
        let contents = match self.nodes.get(path) {
            Some(_) if flags & (CREATE | EXCLUSIVE) == CREATE | EXCLUSIVE => return Err(Answer::Status(FAILURE)),
            Some(Node::Directory) => return Err(Answer::Status(FAILURE)),
            Some(Node::File(contents)) => Rc::clone(contents),
            None if flags & CREATE == 0 => return Err(Answer::Status(NO_SUCH_FILE)),
            None => Rc::default(),
        };
        if flags & TRUNCATE != 0 {
            contents.borrow_mut().clear();
        }
        self.nodes.insert(path.to_owned(), Node::File(Rc::clone(&contents)));
        self.open.push(Some(contents));
        Ok(Answer::Handle)
    }

    /// As rename(2).
    fn rename(&mut self, old: &str, new: &str) -> Result<(), Answer> {
        let moved = self.found(old)?.clone();
        if old == new {
            return Ok(());
        }
        let below = format!("{old}/");
        if matches!(moved, Node::Directory) && new.starts_with(&below) {
            // It would be in itself: EINVAL.
            return Err(Answer::Status(5));
        }
        match (&moved, self.nodes.get(new)) {
            (Node::Directory, Some(Node::File(_))) => return Err(Answer::Status(NO_SUCH_FILE)),
            (Node::File(_), Some(Node::Directory)) => return Err(Answer::Status(FAILURE)),
            (Node::Directory, Some(Node::Directory)) if !self.is_empty(new) => return Err(Answer::Status(FAILURE)),
            _ => {}
        }
        self.nodes.remove(old);
        self.nodes.insert(new.to_owned(), moved);
        let inside: Vec<_> = self.nodes.keys().filter(|name| name.starts_with(&below)).cloned().collect();
        for name in inside {
            let node = self.nodes.remove(&name).unwrap();
            self.nodes.insert(format!("{new}/{}", &name[below.len()..]), node);
        }
        Ok(())
    }
}

struct Session {
    server: Server<NativeFiles>,
    handles: Vec<Vec<u8>>,
    _place: TempDir,
}

impl Session {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let account = Account { user: "alice".into(), home: place.path().to_str().unwrap().into() };
        let mut server = Server::new(NativeFiles::default(), account);
        assert_eq!(server.feed(&packet(kind::INIT, 3, &[])), Ok(9));
        server.sent(usize::MAX >> 1);
        Self { server, handles: Vec::new(), _place: place }
    }

    /// Feeds the bytes in pieces of this size, and returns the replies in order.
    fn feed(&mut self, bytes: &[u8], piece: usize) -> Vec<Reply> {
        let mut output = Vec::new();
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let taken = self.server.feed(piece).unwrap();
                output.extend(self.server.output());
                self.server.sent(self.server.output().len());
                piece = &piece[taken..];
            }
        }
        std::iter::from_fn(|| Reply::take(&mut output)).map(|(_, reply)| timeless(reply)).collect()
    }

    fn request(&self, step: &Step) -> Vec<u8> {
        let named = |path: &str| Vec::new().string(path);
        let handle = |at: &usize| Vec::new().string(self.handles.get(*at).cloned().unwrap_or_default());
        let (kind, fields) = match step {
            Step::Open(path, flags) => (kind::OPEN, named(path).number(*flags).number(0)),
            Step::Close(at) => (kind::CLOSE, handle(at)),
            Step::Read(at, offset, length) => (kind::READ, handle(at).long(*offset).number(*length)),
            Step::Write(at, offset, data) => (kind::WRITE, handle(at).long(*offset).string(data)),
            Step::Size(path, size) => (kind::SETSTAT, named(path).number(1).long(*size)),
            Step::Stat(path) => (kind::STAT, named(path)),
            Step::Remove(path) => (kind::REMOVE, named(path)),
            Step::MakeDirectory(path) => (kind::MKDIR, named(path).number(0)),
            Step::RemoveDirectory(path) => (kind::RMDIR, named(path)),
            Step::Rename(old, new) => (kind::RENAME, named(old).string(new)),
            Step::Replace(old, new) => (kind::EXTENDED, named("posix-rename@openssh.com").string(old).string(new)),
        };
        packet(kind, 7, &fields)
    }
}

fn timeless(reply: Reply) -> Reply {
    match reply {
        Reply::Attributes(found) => Reply::Attributes(Attributes { accessed: 0, modified: 0, ..found }),
        other => other,
    }
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select(vec!["a", "b", "d", "e", "d/x", "d/y", "e/x", "a/x"]);
    let flags = prop::sample::select(vec![0, CREATE, CREATE | TRUNCATE, CREATE | EXCLUSIVE, TRUNCATE]);
    let (file, offset) = (0..5_usize, 0..200_000_u64);
    let data = (any::<u8>(), prop_oneof![0..40_usize, 60_000..150_000_usize]);
    let length = prop_oneof![0..50_u32, Just(1 << 18)];
    prop_oneof![
        6 => (path(), flags).prop_map(|(path, flags)| Step::Open(path, flags | WRITE | 1)),
        1 => file.clone().prop_map(Step::Close),
        4 => (file.clone(), offset.clone(), length).prop_map(|(at, offset, length)| Step::Read(at, offset, length)),
        4 => (file, offset.clone(), data)
            .prop_map(|(at, offset, (byte, length))| Step::Write(at, offset, vec![byte; length])),
        1 => (path(), offset).prop_map(|(path, size)| Step::Size(path, size)),
        3 => path().prop_map(Step::Stat),
        1 => path().prop_map(Step::Remove),
        2 => path().prop_map(Step::MakeDirectory),
        1 => path().prop_map(Step::RemoveDirectory),
        2 => (path(), path()).prop_map(|(old, new)| Step::Rename(old, new)),
        1 => (path(), path()).prop_map(|(old, new)| Step::Replace(old, new)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_does_what_the_model_says_and_the_same_if_asked_all_at_once(
        steps in prop::collection::vec(step(), 1..80),
        piece in prop_oneof![Just(1_usize), 2..2000_usize, Just(1 << 16), Just(1 << 20)],
    ) {
        let (mut model, mut session) = (Model::default(), Session::new());
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        for (at, step) in steps.iter().enumerate() {
            let request = session.request(step);
            let mut answer = session.feed(&request, 1 << 14);
            prop_assert_eq!(answer.len(), 1);
            let reply = answer.remove(0);
            let expected = model.step(step).unwrap_or_else(|answer| answer);
            prop_assert_eq!(Answer::of(&reply), expected, "step {}: {:?}", at, step);
            if let Reply::Handle(handle) = &reply {
                session.handles.push(handle.clone());
            }
            requests.extend(request);
            replies.push(reply);
        }
        prop_assert!(Session::new().feed(&requests, piece) == replies, "other answers in pieces of {}", piece);
    }
}
