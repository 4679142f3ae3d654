use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::files::Times;
use crate::files::native::NativeFiles;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn write(folder: &TempDir, path: &str, text: &str) {
    fs::write(folder.path().join(path), text).expect("our own folder");
}

/// All that `scp OPTIONS` sends to a client that gives these replies, and its status. The client leaves after the last
/// reply if it is asked for more.
fn sent<F: Files>(files: F, options: &str, replies: &[u8]) -> (String, u8) {
    let request = Request::parse(options.split(' ').map(str::to_owned)).expect("they are right");
    let mut source = Source::new(files, request, "alice");
    let (mut bytes, mut replies) = (Vec::new(), replies.iter());
    loop {
        match source.step() {
            Step::Send(piece) => bytes.extend_from_slice(piece),
            Step::Reply => match replies.next() {
                Some(reply) => source.feed(&[*reply]),
                None => source.end(),
            },
            Step::Done => return (String::from_utf8_lossy(&bytes).into_owned(), source.status()),
        }
    }
}

fn sent_from(folder: &Path, options: &str) -> (String, u8) {
    sent(NativeFiles::new(folder), options, &[0; 10_000])
}

#[test]
fn files_directories_and_times_are_sent() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("d/e")).expect("our own folder");
    write(&folder, "d/e/f", "text");
    write(&folder, "one", "");
    for path in ["d/e/f", "d/e", "d", "one"] {
        let time = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        let times = fs::FileTimes::new().set_modified(time).set_accessed(time);
        let file = fs::File::open(folder.path().join(path));
        file.and_then(|file| file.set_times(times)).expect("our own folder");
    }
    let header = "T1234567890 0 1234567890 0\n";
    let (bytes, status) = sent_from(folder.path(), "-rpf one");
    assert_eq!((bytes, status), (format!("{header}C0644 0 one\n\0"), 0));
    let (bytes, status) = sent_from(folder.path(), "-rf d/ one");
    let expected = "D0755 0 d\nD0755 0 e\nC0644 4 f\ntext\0E\nE\nC0644 0 one\n\0";
    assert_eq!((bytes.as_str(), status), (expected, 0));
}

#[test]
fn what_cannot_be_sent_is_said_and_the_rest_is_sent() {
    let folder = folder();
    fs::create_dir(folder.path().join("d")).expect("our own folder");
    write(&folder, "x", "y");
    symlink("absent", folder.path().join("dangling")).expect("our own folder");
    let (bytes, status) = sent_from(folder.path(), "-f none d dangling /dev/null x");
    let expected = "\x01scp: none: No such file or directory\n\x01scp: d: not a regular file\n\
        \x01scp: dangling: No such file or directory\n\x01scp: /dev/null: not a regular file\nC0644 1 x\ny\0";
    assert_eq!((bytes.as_str(), status), (expected, 1));
}

#[test]
fn names_that_are_not_text_are_said_and_the_rest_is_sent() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("d/e")).expect("our own folder");
    for name in [&b"d/caf\xe9"[..], b"d/\xff", b"d/e/a\x80b", b"d/e/f"] {
        fs::write(folder.path().join(OsStr::from_bytes(name)), "x").expect("our own folder");
    }
    let (bytes, status) = sent_from(folder.path(), "-rf d");
    let expected = "D0755 0 d\n\x01scp: d: 2 names that are not UTF-8: not sent\nD0755 0 e\n\
        \x01scp: d/e: 1 name that is not UTF-8: not sent\nC0644 1 f\nx\0E\nE\n";
    assert_eq!((bytes.as_str(), status), (expected, 1));
    // A client that refuses the directory is told of none in it.
    let of = |replies: &[u8]| sent(NativeFiles::new(folder.path()), "-rf d d/e/f", replies);
    assert_eq!(of(b"\0\x01no\n\0\0"), ("D0755 0 d\nC0644 1 f\nx\0".to_owned(), 1));
}

#[test]
fn links_are_followed_and_loops_end() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("d/sub")).expect("our own folder");
    write(&folder, "x", "y");
    symlink("../x", folder.path().join("d/file")).expect("our own folder");
    symlink("../..", folder.path().join("d/sub/up")).expect("our own folder");
    symlink("self", folder.path().join("self")).expect("our own folder");
    let (bytes, status) = sent_from(folder.path(), "-rf d");
    assert!(bytes.contains("C0644 1 file\ny\0"), "{bytes}");
    assert!(bytes.contains("D0755 0 up\n") && bytes.contains("up/d: Too many levels of symbolic links\n"), "{bytes}");
    assert_eq!(status, 1);
    let (bytes, status) = sent_from(folder.path(), "-f self");
    assert!(bytes.starts_with("\x01scp: self: Too many levels of symbolic links"), "{bytes}");
    assert_eq!(status, 1);
}

#[test]
fn the_client_may_skip_entries_or_end_the_transfer() {
    let folder = folder();
    fs::create_dir(folder.path().join("d")).expect("our own folder");
    write(&folder, "d/in", "x");
    write(&folder, "a", "y");
    let of = |options: &str, replies: &[u8]| sent(NativeFiles::new(folder.path()), options, replies);
    assert_eq!(of("-rf d a", b"\0\x01no\n\0\0"), ("D0755 0 d\nC0644 1 a\ny\0".to_owned(), 1));
    assert_eq!(of("-rf d a", b"\0\x02never\n"), ("D0755 0 d\n".to_owned(), 1));
    assert_eq!(of("-pf a", b"\0\x01no\n").0.lines().count(), 1);
    assert_eq!(of("-f a a", b"\0\0"), ("C0644 1 a\ny\0".to_owned(), 1));
    assert_eq!(of("-f a", b"\0\0?what\n"), ("C0644 1 a\ny\0".to_owned(), 1));
    // A client that never ends its message, or sends what it was not asked for.
    assert_eq!(of("-f a", &[b'n'; 3000]), (String::new(), 1));
    assert_eq!(of("-f a", b""), (String::new(), 1));
}

#[test]
fn a_name_with_a_newline_stays_one_line() {
    let folder = folder();
    write(&folder, "a\nC0644 1 b", "x");
    assert_eq!(sent_from(folder.path(), "-f a\nC0644\u{20}1\u{20}b").1, 1);
    let request = Request {
        paths: vec!["a\nC0644 1 b".to_owned()],
        ..Request::parse(["-f".into(), "x".into()]).expect("it is right")
    };
    let mut source = Source::new(NativeFiles::new(folder.path()), request, "alice");
    source.feed(b"\0");
    assert_eq!(source.step(), Step::Send(b"C0644 1 a\\^JC0644 1 b\n"));
}

/// Files that are seen otherwise than they are.
struct Changed<C>(NativeFiles, C);

impl<C: Fn(&str, Found) -> Found> Files for Changed<C> {
    type File = <NativeFiles as Files>::File;
    fn look(&mut self, path: &str) -> Result<Found, FileError> {
        self.0.look(path).map(|found| (self.1)(path, found))
    }
    fn open(&mut self, path: &str) -> Result<(Self::File, Found), FileError> {
        // The host's names of programs cannot be opened.
        let (file, found) = self.0.open(path)?;
        let found = (self.1)(path, found);
        if found.is_hosts && found.kind == Kind::File {
            return Err(FileError("Operation not permitted".into()));
        }
        Ok((file, found))
    }
    fn create(&mut self, path: &str) -> Result<Self::File, FileError> {
        self.0.create(path)
    }
    fn read(&mut self, file: &mut Self::File, offset: u64, most: usize) -> Result<Vec<u8>, FileError> {
        self.0.read(file, offset, most)
    }
    fn write(&mut self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        self.0.write(file, offset, bytes)
    }
    fn set_size(&mut self, file: &mut Self::File, size: u64) -> Result<(), FileError> {
        self.0.set_size(file, size)
    }
    fn set_times(&mut self, path: &str, times: Times) -> Result<(), FileError> {
        self.0.set_times(path, times)
    }
    fn make_directory(&mut self, path: &str) -> Result<(), FileError> {
        self.0.make_directory(path)
    }
    fn list(&mut self, path: &str, directory: Self::File) -> Result<Names, FileError> {
        self.0.list(path, directory)
    }
    fn is_there(&mut self, path: &str) -> bool {
        self.0.is_there(path)
    }
    fn identity(&mut self, directory: &Self::File) -> Result<u128, FileError> {
        self.0.identity(directory)
    }
}

#[test]
fn the_home_directory_is_sent_under_the_name_of_the_user() {
    let folder = folder();
    fs::create_dir(folder.path().join("d")).expect("our own folder");
    write(&folder, "d/f", "");
    let expected = "D0755 0 alice\nD0755 0 d\nC0644 0 f\n\0E\nE\n";
    for path in [".", "./", "d/..", "../alice/.", "d/../."] {
        let (bytes, status) = sent_from(folder.path(), &format!("-rf {}", path.replace("alice", base(&folder))));
        assert_eq!((bytes.replace(base(&folder), "alice").as_str(), status), (expected, 0), "{path}");
    }
    assert_eq!(sent_from(folder.path(), "-rf d/.").0, "D0755 0 d\nC0644 0 f\n\0E\n");
    for user in ["", ".", "..", "a/b", "/"] {
        let request = Request::parse(["-rf", "d/.."].map(str::to_owned)).expect("they are right");
        let mut source = Source::new(NativeFiles::new(folder.path()), request, user);
        source.feed(b"\0");
        assert_eq!(source.step(), Step::Send(b"D0755 0 home\n"), "{user}");
    }
}

/// The last component of the folder's path.
fn base(folder: &TempDir) -> &str {
    folder.path().file_name().and_then(|name| name.to_str()).expect("it is UTF-8")
}

#[test]
fn what_the_host_makes_is_sent_only_if_a_path_names_it() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("dev/fd")).expect("our own folder");
    fs::create_dir_all(folder.path().join("bin")).expect("our own folder");
    write(&folder, "bin/sh", "");
    write(&folder, "own", "");
    let hosts = |path: &str, found: Found| Found { is_hosts: path.contains("dev") || path.contains("bin"), ..found };
    let of = |options: &str| sent(Changed(NativeFiles::new(folder.path()), hosts), options, &[0; 100]);
    assert_eq!(of("-rf ."), ("D0755 0 alice\nC0644 0 own\n\0E\n".to_owned(), 0));
    assert_eq!(of("-rf bin"), ("D0755 0 bin\nE\n".to_owned(), 0));
    assert_eq!(of("-f bin/sh"), ("\x01scp: bin/sh: Operation not permitted\n".to_owned(), 1));
    let expanded = crate::expand_patterns(&mut Changed(NativeFiles::new(folder.path()), hosts), vec!["*".to_owned()]);
    assert_eq!(expanded.map(|expanded| expanded.paths), Ok(vec!["own".to_owned()]));
}

/// Of a file that was longer when it was opened, the rest is zeros and an error.
#[test]
fn a_file_that_has_shrunk_is_padded_and_said() {
    let folder = folder();
    write(&folder, "f", "abc");
    let longer = |_: &str, found: Found| Found { size: found.size + 100_000, ..found };
    let (bytes, status) = sent(Changed(NativeFiles::new(folder.path()), longer), "-f f", &[0; 10]);
    let expected = format!("C0644 100003 f\nabc{}\x01scp: f: Broken pipe\n", "\0".repeat(100_000));
    assert!(bytes == expected && status == 1, "{} bytes", bytes.len());
}

#[test]
fn a_directory_that_cannot_be_read_is_said() {
    let folder = folder();
    fs::create_dir(folder.path().join("d")).expect("our own folder");
    fs::set_permissions(folder.path().join("d"), fs::Permissions::from_mode(0o000)).expect("our own folder");
    let (bytes, status) = sent_from(folder.path(), "-rf d");
    // root reads it all the same.
    let refused = ("\x01scp: d: Permission denied\n", 1);
    let is_root = fs::read_dir(folder.path().join("d")).is_ok();
    assert_eq!((bytes.as_str(), status), if is_root { ("D0755 0 d\nE\n", 0) } else { refused });
}
