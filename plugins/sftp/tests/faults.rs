//! A file system that fails on demand: what the client is told, and what is left behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod client;

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use client::{Put, Reply, packet};
use sftp::{Account, FileError, FileKind, FileSystem, Metadata, NativeFiles, NewTimes, OpenMode, Server, Space, kind};
use tempfile::TempDir;

const OK: u32 = 0;
const EOF: u32 = 1;
const FAILURE: u32 = 4;

type Native<Kind> = Result<Kind, FileError>;

/// Which operations fail, and how.
#[derive(Default)]
struct Faults {
    /// Reads at this offset and behind it.
    read: Cell<Option<(u64, FileError)>>,
    /// RENAME.
    rename: Cell<Option<FileError>>,
    /// After so many names of a listing.
    next: Cell<Option<(usize, FileError)>>,
}

/// The machine's files, with faults.
struct Faulty {
    files: NativeFiles,
    faults: Rc<Faults>,
}

impl FileSystem for Faulty {
    type File = <NativeFiles as FileSystem>::File;
    type Listing = <NativeFiles as FileSystem>::Listing;
    const PIECE: usize = NativeFiles::PIECE;

    fn rename_new(&mut self, old: &str, new: &str) -> Native<()> {
        self.faults.rename.get().map_or_else(|| self.files.rename_new(old, new), Err)
    }

    fn link(&mut self, old: &str, new: &str) -> Native<()> {
        self.files.link(old, new)
    }

    fn remove_file(&mut self, path: &str) -> Native<()> {
        self.files.remove_file(path)
    }

    fn most_open(&mut self) -> usize {
        self.files.most_open()
    }

    /// An error ends the listing: the next call says that it is at its end, as the host does.
    fn next(&mut self, listing: &mut Self::Listing) -> Native<Option<(String, Metadata)>> {
        match self.faults.next.get() {
            Some((0, error)) => {
                self.faults.next.set(None);
                while self.files.next(listing)?.is_some() {}
                Err(error)
            }
            fault => {
                self.faults.next.set(fault.map(|(left, error)| (left - 1, error)));
                self.files.next(listing)
            }
        }
    }

    fn open(&mut self, path: &str, mode: OpenMode) -> Native<Self::File> {
        self.files.open(path, mode)
    }

    fn read(&mut self, file: &mut Self::File, offset: u64, length: usize, into: &mut Vec<u8>) -> Native<usize> {
        match self.faults.read.get() {
            Some((bad, error)) if offset >= bad => Err(error),
            // As a disk with a bad block.
            Some((bad, _)) => self.files.read(file, offset, length.min(usize::try_from(bad - offset).unwrap()), into),
            None => self.files.read(file, offset, length, into),
        }
    }

    fn write(&mut self, file: &mut Self::File, offset: u64, data: &[u8]) -> Native<usize> {
        self.files.write(file, offset, data)
    }

    fn append(&mut self, file: &mut Self::File, data: &[u8]) -> Native<usize> {
        self.files.append(file, data)
    }

    fn file_kind(&mut self, file: &Self::File) -> Native<FileKind> {
        self.files.file_kind(file)
    }

    fn file_metadata(&mut self, file: &Self::File) -> Native<Metadata> {
        self.files.file_metadata(file)
    }

    fn set_file_size(&mut self, file: &Self::File, size: u64) -> Native<()> {
        self.files.set_file_size(file, size)
    }

    fn set_file_times(&mut self, file: &Self::File, times: NewTimes) -> Native<()> {
        self.files.set_file_times(file, times)
    }

    fn sync(&mut self, file: &Self::File) -> Native<()> {
        self.files.sync(file)
    }

    fn is_same(&mut self, one: &Self::File, other: &Self::File) -> Native<bool> {
        self.files.is_same(one, other)
    }

    fn list(&mut self, path: &str) -> Native<Self::Listing> {
        self.files.list(path)
    }

    fn metadata(&mut self, path: &str, follow: bool) -> Native<Metadata> {
        self.files.metadata(path, follow)
    }

    fn set_size(&mut self, path: &str, size: u64) -> Native<()> {
        self.files.set_size(path, size)
    }

    fn set_times(&mut self, path: &str, follow: bool, times: NewTimes) -> Native<()> {
        self.files.set_times(path, follow, times)
    }

    fn create_directory(&mut self, path: &str) -> Native<()> {
        self.files.create_directory(path)
    }

    fn remove_directory(&mut self, path: &str) -> Native<()> {
        self.files.remove_directory(path)
    }

    fn rename(&mut self, old: &str, new: &str) -> Native<()> {
        self.files.rename(old, new)
    }

    fn symlink(&mut self, target: &str, path: &str) -> Native<()> {
        self.files.symlink(target, path)
    }

    fn read_link(&mut self, path: &str) -> Native<String> {
        self.files.read_link(path)
    }

    fn space(&mut self, path: &str) -> Native<Space> {
        self.files.space(path)
    }

    fn now(&mut self) -> u64 {
        self.files.now()
    }
}

struct Session {
    server: Server<Faulty>,
    faults: Rc<Faults>,
    place: TempDir,
}

impl Session {
    fn new() -> Self {
        let (place, faults) = (tempfile::tempdir().unwrap(), Rc::new(Faults::default()));
        let account = Account { user: "alice".into(), home: place.path().to_str().unwrap().into() };
        let files = Faulty { files: NativeFiles::default(), faults: Rc::clone(&faults) };
        let mut session = Self { server: Server::new(files, account), faults, place };
        assert!(matches!(session.ask(kind::INIT, &[]), Reply::Version(..)));
        session
    }

    fn ask(&mut self, kind: u8, fields: &[u8]) -> Reply {
        let request = packet(kind, 3, fields);
        assert_eq!(self.server.feed(&request), Ok(request.len()));
        let mut output = self.server.output().to_vec();
        self.server.sent(output.len());
        Reply::take(&mut output).unwrap().1
    }

    fn rename(&mut self, old: &str, new: &str) -> (u32, String) {
        match self.ask(kind::RENAME, &Vec::new().string(old).string(new)) {
            Reply::Status(status, message) => (status, message),
            other => panic!("{other:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.place.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_rename_that_fails_is_said_and_changes_nothing() {
    let mut session = Session::new();
    fs::write(session.place.path().join("old"), "a").unwrap();
    session.faults.rename.set(Some(FileError::Busy));
    assert_eq!(session.rename("old", "new"), (FAILURE, FileError::Busy.message().into()));
    assert_eq!(session.names(), ["old"]);
}

#[test]
fn an_error_in_a_listing_is_told_after_the_names_before_it_and_stays() {
    for before in [0, 1, 3] {
        let mut session = Session::new();
        for name in ["a", "b", "c"] {
            fs::write(session.place.path().join(name), "").unwrap();
        }
        let Reply::Handle(handle) = session.ask(kind::OPENDIR, &Vec::new().string(".")) else { panic!("no handle") };
        session.faults.next.set(Some((before, FileError::Io)));
        let handle = Vec::new().string(handle);
        if before > 0 {
            let Reply::Names(names) = session.ask(kind::READDIR, &handle) else { panic!("no names") };
            assert_eq!(names.len(), before);
        }
        for _ in 0..3 {
            let expected = Reply::Status(FAILURE, FileError::Io.message().into());
            assert_eq!(session.ask(kind::READDIR, &handle), expected, "{before}");
        }
        assert!(matches!(session.ask(kind::CLOSE, &handle), Reply::Status(OK, _)));
    }
}

#[test]
fn what_can_be_read_before_an_error_is_sent_and_then_the_error() {
    let mut session = Session::new();
    fs::write(session.place.path().join("f"), vec![7; 200 << 10]).unwrap();
    let open = Vec::new().string("f").number(1).number(0);
    let Reply::Handle(handle) = session.ask(kind::OPEN, &open) else { panic!("no handle") };
    session.faults.read.set(Some((128 << 10, FileError::Io)));
    let read = |offset| Vec::new().string(&handle).long(offset).number(u32::MAX);
    let Reply::Data(data) = session.ask(kind::READ, &read(0)) else { panic!("no data") };
    assert_eq!(data.len(), 128 << 10);
    let expected = Reply::Status(FAILURE, FileError::Io.message().into());
    assert_eq!(session.ask(kind::READ, &read(128 << 10)), expected);
}

#[test]
fn a_directory_that_was_removed_has_no_names() {
    let mut session = Session::new();
    fs::create_dir(session.place.path().join("d")).unwrap();
    let Reply::Handle(handle) = session.ask(kind::OPENDIR, &Vec::new().string("d")) else { panic!("no handle") };
    fs::remove_dir(session.place.path().join("d")).unwrap();
    let handle = Vec::new().string(handle);
    assert!(matches!(session.ask(kind::READDIR, &handle), Reply::Status(EOF, _)));
}
