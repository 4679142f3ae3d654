use std::fs;
use std::path::Path;

use super::*;
use crate::files::Names;
use crate::files::native::NativeFiles;
use tempfile::TempDir;

/// Files of which only so many bytes can be written.
struct Limited {
    files: NativeFiles,
    left: u64,
}

impl Files for Limited {
    type File = <NativeFiles as Files>::File;

    fn look(&mut self, path: &str) -> Result<Found, FileError> {
        self.files.look(path)
    }

    fn open(&mut self, path: &str) -> Result<(Self::File, Found), FileError> {
        self.files.open(path)
    }

    fn create(&mut self, path: &str) -> Result<Self::File, FileError> {
        self.files.create(path)
    }

    fn read(&mut self, file: &mut Self::File, offset: u64, most: usize) -> Result<Vec<u8>, FileError> {
        self.files.read(file, offset, most)
    }

    fn write(&mut self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        let left = self.left.checked_sub(bytes.len() as u64).ok_or(FileError("Quota exceeded".into()))?;
        self.left = left;
        self.files.write(file, offset, bytes)
    }

    fn set_size(&mut self, file: &mut Self::File, size: u64) -> Result<(), FileError> {
        self.files.set_size(file, size)
    }

    fn set_times(&mut self, path: &str, times: Times) -> Result<(), FileError> {
        self.files.set_times(path, times)
    }

    fn make_directory(&mut self, path: &str) -> Result<(), FileError> {
        self.files.make_directory(path)
    }

    fn is_there(&mut self, path: &str) -> bool {
        self.files.is_there(path)
    }
    fn list(&mut self, path: &str, directory: Self::File) -> Result<Names, FileError> {
        self.files.list(path, directory)
    }

    fn identity(&mut self, directory: &Self::File) -> Result<u128, FileError> {
        self.files.identity(directory)
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// What `scp OPTIONS` answers to these bytes in this folder, and its status. It is fed in pieces of this size.
fn fed_in(folder: &Path, left: u64, options: &str, input: &[u8], size: usize) -> (Vec<u8>, u8) {
    let request = Request::parse(options.split(' ').map(str::to_owned)).expect("they are right");
    let mut sink = Sink::new(Limited { files: NativeFiles::new(folder), left }, request);
    let mut replies = sink.take_reply();
    for mut piece in input.chunks(size) {
        while !piece.is_empty() {
            piece = sink.feed(piece);
            replies.extend(sink.take_reply());
        }
    }
    sink.end();
    replies.extend(sink.take_reply());
    assert!(sink.is_done());
    (replies, sink.status())
}

fn fed(folder: &TempDir, options: &str, input: &[u8]) -> (String, u8) {
    let (replies, status) = fed_in(folder.path(), u64::MAX, options, input, 4096);
    (String::from_utf8(replies).expect("replies are UTF-8"), status)
}

fn read(folder: &TempDir, path: &str) -> String {
    fs::read_to_string(folder.path().join(path)).unwrap_or_else(|error| format!("{path}: {error}"))
}

#[test]
fn files_and_directories_arrive_however_they_are_cut() {
    let input = [
        &b"T1700000000 0 1600000000 0\nD0755 0 d\nC0644 5 a\nhello\0C0600 0 empty\n\0"[..],
        b"D0700 0 e\nC0644 2 \xc3\xa9\n\n\0\0E\nE\nC0644 1 last\nx\0",
    ]
    .concat();
    for size in [1, 2, 3, 7, 64, 4096] {
        let folder = folder();
        let (replies, status) = fed_in(folder.path(), u64::MAX, "-rpt .", &input, size);
        assert_eq!((&*replies, status), (&[0; 14][..], 0), "{size}: {}", replies.escape_ascii());
        let texts = ["d/a", "d/empty", "d/e/é", "last"].map(|path| read(&folder, path));
        assert_eq!(texts, ["hello", "", "\n\0", "x"], "{size}");
        let found = NativeFiles::new(folder.path()).look("d").expect("it was made");
        assert_eq!(found.times, Times { modified: 1_700_000_000, accessed: 1_600_000_000 });
    }
}

#[test]
fn one_file_gets_the_name_of_the_target_and_what_is_longer_is_cut() {
    let folder = folder();
    fs::write(folder.path().join("there"), "longer than that").expect("our own folder");
    assert_eq!(fed(&folder, "-t there", b"C0644 3 sent\nabc\0"), ("\0\0\0".to_owned(), 0));
    assert_eq!(read(&folder, "there"), "abc");
    assert_eq!(fed(&folder, "-t new", b"C0644 0 sent\n\0"), ("\0\0\0".to_owned(), 0));
    assert_eq!(read(&folder, "new"), "");
    assert_eq!(fed(&folder, "-rt made", b"D0755 0 sent\nC0644 1 x\ny\0E\n"), ("\0".repeat(5), 0));
    assert_eq!(read(&folder, "made/x"), "y");
}

#[test]
fn a_file_that_does_not_fit_is_read_to_its_end_and_the_next_one_is_written() {
    let folder = folder();
    fs::write(folder.path().join("big"), "old").expect("our own folder");
    let big = vec![b'x'; 200_000];
    let input = [b"C0644 200000 big\n", &*big, b"\0C0644 2 small\nok\0"].concat();
    for size in [1000, 65_536, 400_000] {
        let (replies, status) = fed_in(folder.path(), 100_000, "-t .", &input, size);
        let replies = String::from_utf8_lossy(&replies);
        assert_eq!((&*replies, status), ("\0\0\x01scp: ./big: Quota exceeded\n\0\0", 1));
        assert_eq!(read(&folder, "small"), "ok");
        // What had room. It is not cut to the size of what was sent: OpenSSH does not either.
        assert_eq!(read(&folder, "big").len(), 65_536, "{size}");
    }
}

#[test]
fn a_failed_upload_keeps_what_was_there_behind_what_was_written() {
    let folder = folder();
    fs::write(folder.path().join("kept"), "old contents").expect("our own folder");
    let (_, status) = fed_in(folder.path(), 0, "-t .", b"C0644 3 kept\nnew\0", 64);
    assert_eq!((read(&folder, "kept").as_str(), status), ("old contents", 1));
}

#[test]
fn names_that_lead_elsewhere_end_the_transfer() {
    for name in ["", ".", "..", "../x", "/etc/x", "a/b", "a\0b", "\0"] {
        for kind in ["C0644 1", "D0755 0"] {
            let folder = folder();
            fs::create_dir(folder.path().join("in")).expect("our own folder");
            let (replies, status) = fed(&folder, "-rt in", format!("{kind} {name}\nx\0").as_bytes());
            assert!(replies.starts_with("\0\x01scp: error: unexpected filename: "), "{replies:?}");
            assert_eq!((replies.matches('\n').count(), status), (1, 1), "{replies:?}");
            assert_eq!(fs::read_dir(folder.path().join("in")).map(Iterator::count).ok(), Some(0), "{name}");
            assert_eq!(fs::read_dir(folder.path()).map(Iterator::count).ok(), Some(1), "{name}");
        }
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_refused_and_the_transfer_goes_on() {
    let folder = folder();
    let (replies, status) = fed(&folder, "-rt .", b"C0644 1 a\xff\nD0755 0 \xfe\nC0644 1 b\nx\0");
    let (first, second) =
        ("\x01scp: ./a\u{fffd}: the name is not UTF-8\n", "\x01scp: ./\u{fffd}: the name is not UTF-8\n");
    assert_eq!((replies, status), (format!("\0{first}{second}\0\0"), 1));
    assert_eq!(read(&folder, "b"), "x");
}

#[test]
fn control_characters_are_kept_in_names_and_shown_in_octal() {
    let folder = folder();
    assert_eq!(fed(&folder, "-t .", b"C0644 1 a\x1b[2J\nx\0"), ("\0\0\0".to_owned(), 0));
    assert_eq!(read(&folder, "a\x1b[2J"), "x");
    let (replies, _) = fed(&folder, "-t a\x1b[2J", b"C0644 1 x\nx\0C0644 1 a\x1b/\n");
    assert!(replies.ends_with("\x01scp: error: unexpected filename: a\\033/\n"), "{replies:?}");
}

#[test]
fn lines_that_are_wrong_end_the_transfer_with_the_words_of_openssh() {
    let long = format!("C0644 1 {}", "n".repeat(5000));
    let wrong = [
        ("\n", "protocol error: unexpected <newline>"),
        ("C0644 -5 x\n", "protocol error: size not present"),
        ("C0644 9223372036854775808 x\n", "protocol error: size out of range"),
        ("Cabcd 1 x\n", "protocol error: bad mode"),
        ("T1 2\n", "protocol error: mtime.usec not delimited"),
        ("D0755 0 d\n", "protocol error: received directory without -r"),
        ("bash: scp: command not found\n", "bash: scp: command not found"),
        ("C0644 0 a\n\0hello\n", "protocol error: expected control record"),
        ("C0644 1 a", "protocol error: lost connection"),
        (&*long, "protocol error: line too long"),
    ];
    for (input, text) in wrong {
        for size in [1, 3, 4096] {
            let folder = folder();
            let (replies, status) = fed_in(folder.path(), u64::MAX, "-t .", input.as_bytes(), size);
            let replies = String::from_utf8_lossy(&replies);
            assert!(replies.ends_with(&format!("\x01scp: {text}\n")), "{input:?}: {replies:?}");
            assert_eq!(status, 1);
        }
    }
}

#[test]
fn a_target_that_must_be_a_directory_is_checked() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").expect("our own folder");
    assert_eq!(fed(&folder, "-dt file", b""), ("\x01scp: file: Not a directory\n".to_owned(), 1));
    assert_eq!(fed(&folder, "-dt none", b""), ("\x01scp: none: No such file or directory\n".to_owned(), 1));
    assert_eq!(fed(&folder, "-t", b""), ("\x01scp: ambiguous target\n".to_owned(), 1));
    assert_eq!(fed(&folder, "-dt .", b""), ("\0".to_owned(), 0));
}

#[test]
fn files_in_the_way_are_said_and_skipped() {
    let folder = folder();
    fs::create_dir(folder.path().join("d")).expect("our own folder");
    fs::write(folder.path().join("f"), "kept").expect("our own folder");
    let (replies, status) = fed(&folder, "-rt .", b"D0755 0 f\nC0644 1 d\nC0644 1 x\ny\0");
    let said = "\0\x01scp: ./f: Not a directory\n\x01scp: ./d: Is a directory\n\0\0";
    assert_eq!((replies.as_str(), status), (said, 1));
    assert_eq!((read(&folder, "f"), read(&folder, "x")), ("kept".to_owned(), "y".to_owned()));
}

#[test]
fn ten_thousand_directories_are_refused_where_the_path_is_too_long() {
    let folder = folder();
    let (replies, status) = fed(&folder, "-rt .", "D0755 0 d\n".repeat(10_000).as_bytes());
    let made = replies.matches('\0').count() - 1;
    assert!((2000..2100).contains(&made), "{made}");
    assert_eq!((replies.matches("File name too long").count(), status), (10_000 - made, 1));
}

#[test]
fn replies_are_bounded_until_they_are_taken() {
    let folder = folder();
    let target = "x".repeat(4000);
    let request = Request::parse(["-rvt", &*target].map(str::to_owned)).expect("they are right");
    let mut sink = Sink::new(NativeFiles::new(folder.path()), request);
    let line = b"D0755 0 \xff\n";
    let input = line.repeat(6000);
    let (mut rest, mut replies) = (&*input, 0);
    while !rest.is_empty() {
        rest = sink.feed(rest);
        let (reply, shown) = (sink.take_reply(), sink.take_shown());
        assert!((1..8 << 10).contains(&(reply.len() + shown.len())), "{} and {} bytes", reply.len(), shown.len());
        replies += reply.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(replies, 6000);
}

#[test]
fn times_hold_in_their_own_directory_only() {
    let folder = folder();
    let input = b"D0755 0 b\nT245270755 0 245270755 0\nE\nD0755 0 a\nE\nC0644 1 f\nx\0";
    assert_eq!(fed(&folder, "-rpt .", input), ("\0".repeat(8), 0));
    for name in ["a", "f"] {
        let found = NativeFiles::new(folder.path()).look(name).expect("it was made");
        assert!(found.times.modified > 245_270_755, "{name}");
    }
}

#[test]
fn an_end_without_a_directory_is_the_end() {
    let folder = folder();
    assert_eq!(fed(&folder, "-rt .", b"E\nC0644 1 x\ny\0"), ("\0\0".to_owned(), 0));
    assert!(!folder.path().join("x").exists());
}

#[test]
fn what_came_before_the_connection_was_lost_stays() {
    let folder = folder();
    fs::write(folder.path().join("f"), "0123456789").expect("our own folder");
    let huge = i64::MAX;
    let (replies, status) = fed(&folder, "-t .", format!("C0644 {huge} f\nabc").as_bytes());
    assert_eq!((replies.as_str(), status), ("\0\0\x01scp: Broken pipe\n", 1));
    assert_eq!(read(&folder, "f"), "abc3456789");
}

#[test]
fn errors_of_the_sender_count_and_are_not_answered() {
    let folder = folder();
    let (replies, status) =
        fed(&folder, "-t .", b"\x01scp: x: No\nC0644 2 a\n\0\0\x01scp: a: Broken pipe\nC0644 1 b\nz\0");
    assert_eq!((replies, status), ("\0".repeat(5), 1));
    assert_eq!(read(&folder, "b"), "z");
    assert_eq!(fed(&folder, "-t .", b"\x02gone\nC0644 1 c\nz\0"), ("\0".to_owned(), 1));
    assert!(!folder.path().join("c").exists());
}
