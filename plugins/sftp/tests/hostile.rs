//! Bad input: a clear answer or the end of the session, and memory that stays bounded.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod client;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use client::{Put, Reply, packet};
use sftp::{Account, MAX_HANDLES, MAX_PACKET, MAX_READ, NativeFiles, OUTPUT_HIGH, ProtocolError, Server, kind};
use tempfile::TempDir;

const OK: u32 = 0;
const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const PERMISSION_DENIED: u32 = 3;
const FAILURE: u32 = 4;
const BAD_MESSAGE: u32 = 5;
const OP_UNSUPPORTED: u32 = 8;

struct Session {
    server: Server<NativeFiles>,
    place: TempDir,
}

impl Session {
    /// Before INIT.
    fn new() -> Self {
        Self::before_init(NativeFiles::default())
    }

    fn before_init(files: NativeFiles) -> Self {
        let place = tempfile::tempdir().unwrap();
        let account = Account { user: "alice".into(), home: place.path().to_str().unwrap().into() };
        Self { server: Server::new(files, account), place }
    }

    fn begun() -> Self {
        Self::on(NativeFiles::default())
    }

    fn on(files: NativeFiles) -> Self {
        let mut session = Self::before_init(files);
        assert!(matches!(session.ask(kind::INIT, 3, &[]), Reply::Version(..)));
        session
    }

    fn replies(&mut self, bytes: &[u8]) -> Result<Vec<(u32, Reply)>, ProtocolError> {
        let (mut rest, mut output) = (bytes, Vec::new());
        while !rest.is_empty() {
            let taken = self.server.feed(rest)?;
            output.extend(self.server.output());
            self.server.sent(self.server.output().len());
            rest = &rest[taken..];
        }
        Ok(std::iter::from_fn(|| Reply::take(&mut output)).collect())
    }

    fn ask(&mut self, kind: u8, id: u32, fields: &[u8]) -> Reply {
        let mut replies = self.replies(&packet(kind, id, fields)).unwrap();
        assert_eq!(replies.len(), 1);
        let (answered, reply) = replies.remove(0);
        assert!(answered == id || kind == kind::INIT);
        reply
    }

    fn status(&mut self, kind: u8, fields: &[u8]) -> (u32, String) {
        match self.ask(kind, 9, fields) {
            Reply::Status(status, message) => (status, message),
            other => panic!("{other:?}"),
        }
    }

    fn open(&mut self, name: &str, flags: u32) -> Reply {
        self.ask(kind::OPEN, 1, &Vec::new().string(name).number(flags).number(0))
    }

    /// A new file, open for reading and writing.
    fn file(&mut self, name: &str) -> Vec<u8> {
        match self.open(name, 0x0b) {
            Reply::Handle(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, handle: &[u8], offset: u64, length: u32) -> Reply {
        self.ask(kind::READ, 2, &Vec::new().string(handle).long(offset).number(length))
    }

    fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> u32 {
        self.status(kind::WRITE, &Vec::new().string(handle).long(offset).string(data)).0
    }
}

#[test]
fn every_version_of_the_client_is_told_version_3() {
    for version in [0, 1, 2, 3, 6, u32::MAX] {
        assert!(matches!(Session::new().ask(kind::INIT, version, &[]), Reply::Version(3, _)), "{version}");
    }
    // What versions 3 and later may add to INIT is ignored.
    let named = Vec::new().string("newline@vandyke.com").string("\n");
    assert!(matches!(Session::new().ask(kind::INIT, 3, &named), Reply::Version(3, _)));
}

#[test]
fn what_is_no_sftp_ends_the_session_and_says_why() {
    let before_init = packet(kind::STAT, 1, &Vec::new().string("/"));
    assert_eq!(Session::new().replies(&before_init), Err(ProtocolError::NoInit(kind::STAT)));
    let http = u32::from_be_bytes(*b"GET ");
    assert_eq!(Session::new().replies(b"GET / HTTP/1.1\r\n"), Err(ProtocolError::TooLong(http)));
    for (bytes, error) in [
        (vec![0, 0, 0, 0], ProtocolError::TooShort(0)),
        (vec![0, 0, 0, 1, 5], ProtocolError::TooShort(1)),
        (vec![0, 0, 0, 4, 5, 0, 0, 0], ProtocolError::TooShort(4)),
        (u32::MAX.to_be_bytes().to_vec(), ProtocolError::TooLong(u32::MAX)),
        ((256_u32 << 20).to_be_bytes().to_vec(), ProtocolError::TooLong(256 << 20)),
    ] {
        assert_eq!(Session::begun().replies(&bytes), Err(error));
        // The same if they arrive one by one.
        let mut session = Session::begun();
        let mut results = bytes.iter().map(|byte| session.replies(&[*byte]));
        assert_eq!(results.find(Result::is_err), Some(Err(error)));
    }
}

#[test]
fn input_that_ends_in_the_middle_of_a_request_is_reported() {
    let init = packet(kind::INIT, 3, &[]);
    let stat = packet(kind::STAT, 1, &Vec::new().string("."));
    for end in 0..=init.len() + stat.len() {
        let mut session = Session::new();
        session.replies(&[&init[..], &stat].concat()[..end]).unwrap();
        let is_whole = [0, init.len(), init.len() + stat.len()].contains(&end);
        assert_eq!(session.server.is_in_request(), !is_whole, "{end}");
    }
    for (input, expected) in [(&init[..], ""), (&init[..7], "sftp: the input ended in the middle of a request\n")] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sftp"));
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = program.spawn().unwrap();
        program.stdin.take().unwrap().write_all(input).unwrap();
        let finished = program.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(finished.stderr).unwrap(), expected);
        assert_eq!(finished.status.code(), Some(i32::from(!expected.is_empty())));
        assert_eq!(finished.stdout.is_empty(), !expected.is_empty());
    }
}

#[test]
fn the_longest_packet_is_executed_and_a_longer_one_is_not_waited_for() {
    let mut session = Session::begun();
    let handle = session.file("f");
    let data = vec![7; MAX_PACKET - 5 - 4 - handle.len() - 8 - 4];
    let longest = packet(kind::WRITE, 1, &Vec::new().string(&handle).long(0).string(&data));
    assert_eq!(longest.len(), 4 + MAX_PACKET);
    assert_eq!(session.replies(&longest), Ok(vec![(1, Reply::Status(OK, String::new()))]));
    assert_eq!(fs::read(session.place.path().join("f")).unwrap(), data);
    let length = u32::try_from(MAX_PACKET + 1).unwrap();
    assert_eq!(session.replies(&length.to_be_bytes()), Err(ProtocolError::TooLong(length)));
}

#[test]
fn a_malformed_request_is_answered_and_the_next_one_served() {
    let mut session = Session::begun();
    for kind in 3..=20 {
        assert_eq!(session.status(kind, &[]).0, BAD_MESSAGE, "{kind}");
        assert_eq!(session.status(kind, &[0, 0, 0, 200, b'x']).0, BAD_MESSAGE, "{kind}");
    }
    assert_eq!(session.status(kind::EXTENDED, &[]).0, BAD_MESSAGE);
    let (status, message) = session.status(kind::STAT, &Vec::new().string("a\0b"));
    assert_eq!((status, message.contains("NUL")), (BAD_MESSAGE, true));
    let (status, message) = session.status(kind::MKDIR, &Vec::new().string(b"caf\xe9").number(0));
    assert_eq!((status, message.contains("UTF-8")), (FAILURE, true));
    assert_eq!(session.status(kind::MKDIR, &Vec::new().string("a".repeat(4096)).number(0)).0, BAD_MESSAGE);
    let deep = "a/".repeat(100_000);
    assert_eq!(session.status(kind::OPENDIR, &Vec::new().string(&deep)).0, BAD_MESSAGE);
    assert_eq!(session.status(kind::REALPATH, &Vec::new().string(&deep)).0, BAD_MESSAGE);
    for kind in [0, 2, 21, 100, 101, 201, 255] {
        assert_eq!(session.status(kind, b"anything").0, OP_UNSUPPORTED, "{kind}");
    }
    assert_eq!(session.status(kind::EXTENDED, &Vec::new().string("no@such.extension")).0, OP_UNSUPPORTED);
    assert!(matches!(session.ask(kind::STAT, 1, &Vec::new().string(".")), Reply::Attributes(_)));
}

#[test]
fn handles_are_the_sessions_own_and_end_with_close() {
    let (mut session, mut other) = (Session::begun(), Session::begun());
    let handle = session.file("f");
    assert_eq!(other.read(&handle, 0, 1), Reply::Status(FAILURE, message_of_bad_handle(&mut other)));
    assert_eq!(session.status(kind::READDIR, &Vec::new().string(&handle)).0, FAILURE);
    assert_eq!(session.status(kind::CLOSE, &Vec::new().string(&handle)).0, OK);
    assert_eq!(session.status(kind::CLOSE, &Vec::new().string(&handle)).0, NO_SUCH_FILE);
    let next = session.file("g");
    assert_ne!(next, handle);
    assert_eq!(session.write(&handle, 0, b"x"), FAILURE);
    assert_eq!(session.write(&vec![0; 257], 0, b"x"), BAD_MESSAGE);
    assert_eq!(session.write(&vec![0; 200_000], 0, b"x"), BAD_MESSAGE);
}

fn message_of_bad_handle(session: &mut Session) -> String {
    session.status(kind::FSTAT, &Vec::new().string("")).1
}

#[test]
fn devices_and_pipes_cannot_be_opened_nor_by_a_link() {
    let mut session = Session::begun();
    std::os::unix::fs::symlink("/dev/zero", session.place.path().join("zero")).unwrap();
    let pipe = session.place.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    // For reading and for both; with creation and truncation.
    for flags in [0x01, 0x03, 0x1b] {
        for name in ["/dev/null", "/dev/zero", "zero", "pipe"] {
            let reply = session.open(name, flags);
            let Reply::Status(PERMISSION_DENIED, message) = reply else { panic!("{name} {flags}: {reply:?}") };
            assert!(message.contains("devices"), "{message}");
        }
    }
    assert!(matches!(session.ask(kind::STAT, 1, &Vec::new().string("zero")), Reply::Attributes(_)));
    assert!(matches!(session.open(".", 0x01), Reply::Handle(_)));
}

#[test]
fn ten_thousand_opens_are_refused_and_the_session_goes_on() {
    let mut session = Session::begun();
    session.file("f");
    let opened = (0..10_000).filter(|_| matches!(session.open("f", 1), Reply::Handle(_))).count();
    assert_eq!(opened, MAX_HANDLES - 1);
    let Reply::Status(FAILURE, message) = session.open("f", 1) else { panic!("it was opened") };
    assert!(message.contains("too many"), "{message}");
    let directory = session.status(kind::OPENDIR, &Vec::new().string("."));
    assert_eq!(directory.0, FAILURE);
    assert!(matches!(session.ask(kind::STAT, 1, &Vec::new().string("f")), Reply::Attributes(_)));
}

#[test]
fn reads_and_writes_have_limits() {
    let mut session = Session::begun();
    let handle = session.file("f");
    fs::write(session.place.path().join("f"), vec![5; 1 << 20]).unwrap();
    let Reply::Data(data) = session.read(&handle, 3, u32::MAX) else { panic!("no data") };
    assert_eq!((data.len(), data.iter().all(|byte| *byte == 5)), (MAX_READ, true));
    let Reply::Data(data) = session.read(&handle, (1 << 20) - 10, 100) else { panic!("no data") };
    assert_eq!(data.len(), 10);
    assert_eq!(session.read(&handle, 3, 0), Reply::Data(Vec::new()));
    for offset in [1 << 20, i64::MAX as u64 - 1] {
        assert!(matches!(session.read(&handle, offset, 1), Reply::Status(EOF, _)), "{offset}");
    }
    for offset in [1 << 63, u64::MAX] {
        assert!(matches!(session.read(&handle, offset, u32::MAX), Reply::Status(BAD_MESSAGE, _)), "{offset}");
        assert_eq!(session.write(&handle, offset, b"x"), BAD_MESSAGE, "{offset}");
    }
    assert_eq!(session.write(&handle, i64::MAX as u64 - 1, b"xyz"), BAD_MESSAGE);
    assert_eq!(session.write(&handle, 1 << 62, b"xyz"), FAILURE);
    let size = |name: &[u8]| Vec::new().string(name).number(1).long(1 << 63);
    assert_eq!(session.status(kind::SETSTAT, &size(b"f")).0, BAD_MESSAGE);
    assert_eq!(session.status(kind::FSETSTAT, &size(&handle)).0, BAD_MESSAGE);
    let directory = session.open(".", 1);
    let Reply::Handle(directory) = directory else { panic!("{directory:?}") };
    assert!(matches!(session.read(&directory, 0, 1), Reply::Status(FAILURE, message) if message == "is a directory"));
}

#[test]
fn a_read_is_whole_even_if_the_file_system_reads_less_at_a_time() {
    let mut session = Session::on(NativeFiles { most_read: 64 << 10, ..NativeFiles::default() });
    let handle = session.file("f");
    for size in [1, 64 << 10, (64 << 10) + 1, 128 << 10, MAX_READ] {
        let contents: Vec<u8> = (0..size).map(|at| (at >> 8) as u8).collect();
        fs::write(session.place.path().join("f"), &contents).unwrap();
        assert!(session.read(&handle, 0, u32::MAX) == Reply::Data(contents), "{size}");
    }
}

#[test]
fn no_further_request_is_executed_while_replies_wait() {
    let mut session = Session::begun();
    let handle = session.file("f");
    fs::write(session.place.path().join("f"), vec![5; 1 << 20]).unwrap();
    let read = |id| packet(kind::READ, id, &Vec::new().string(&handle).long(0).number(u32::MAX));
    let many: Vec<u8> = (0..10_000).flat_map(read).collect();
    let taken = session.server.feed(&many).unwrap();
    assert_eq!(taken, read(0).len(), "one reply is more than may wait");
    assert!(session.server.output().len() < OUTPUT_HIGH + MAX_READ);
    assert_eq!(session.server.feed(&many[taken..]), Ok(0));
    session.server.sent(session.server.output().len() - OUTPUT_HIGH + 1);
    assert_eq!(session.server.feed(&many[taken..]), Ok(taken));
}

#[test]
fn replies_are_sent_before_a_request_that_may_take_long() {
    let stat = packet(kind::STAT, 1, &Vec::new().string("."));
    let copy = Vec::new().string("copy-data").string("from").long(0).long(0).string("to").long(0);
    let handle = Vec::new().string("handle");
    for slow in [packet(kind::EXTENDED, 2, &copy), packet(kind::READDIR, 2, &handle)] {
        // Parts of the slow request that arrive with the first one.
        for early in 0..=slow.len() {
            let mut session = Session::begun();
            let first = [&stat, &slow[..early]].concat();
            let taken = session.server.feed(&first).unwrap();
            assert_eq!(taken, if early == slow.len() { stat.len() } else { first.len() }, "{early}");
            let rest = [&first[taken..], &slow[early..]].concat();
            assert!(session.server.feed(&rest).unwrap() < rest.len(), "{early}");
            let mut output = session.server.output().to_vec();
            session.server.sent(output.len());
            assert!(matches!(Reply::take(&mut output), Some((1, Reply::Attributes(_)))), "{early}");
            assert!(output.is_empty(), "{early}");
        }
    }
}

#[test]
fn a_few_replies_are_sent_before_the_next_requests() {
    let mut session = Session::begun();
    let stat = packet(kind::STAT, 1, &Vec::new().string("."));
    let many = stat.repeat(100);
    for _ in 0..3 {
        assert_eq!(session.server.feed(&many), Ok(16 * stat.len()));
        assert_eq!(session.server.feed(&many), Ok(0));
        session.server.sent(session.server.output().len());
    }
}

#[test]
fn a_listing_comes_in_large_pieces_and_its_end_stays_the_end() {
    let mut session = Session::begun();
    for number in 0..2000 {
        fs::write(session.place.path().join(format!("a-file-with-a-long-name-{number}")), b"").unwrap();
    }
    assert_eq!(session.status(kind::OPENDIR, &Vec::new().string("")).0, NO_SUCH_FILE);
    let Reply::Handle(handle) = session.ask(kind::OPENDIR, 1, &Vec::new().string(".")) else { panic!("no handle") };
    let (mut names, mut replies) = (Vec::new(), 0);
    loop {
        match session.ask(kind::READDIR, 1, &Vec::new().string(&handle)) {
            Reply::Names(more) => names.extend(more.into_iter().map(|name| name.name)),
            Reply::Status(EOF, _) => break,
            other => panic!("{other:?}"),
        }
        replies += 1;
    }
    names.sort();
    names.dedup();
    assert_eq!((names.len(), replies <= 6), (2002, true), "{replies} replies");
    for _ in 0..3 {
        assert_eq!(session.status(kind::READDIR, &Vec::new().string(&handle)).0, EOF);
    }
}

#[test]
fn too_many_numbers_of_users_are_refused() {
    let mut session = Session::begun();
    let ask = |count: usize| {
        let numbers = 1000_u32.to_be_bytes().repeat(count);
        Vec::new().string("users-groups-by-id@openssh.com").string(numbers).string("")
    };
    let Reply::Extended(reply) = session.ask(kind::EXTENDED, 1, &ask(1024)) else { panic!("no names") };
    assert_eq!(reply, Vec::new().string(Vec::new().string("alice").repeat(1024)).string(""));
    assert_eq!(session.status(kind::EXTENDED, &ask(1025)).0, FAILURE);
    let odd = Vec::new().string("users-groups-by-id@openssh.com").string("abc").string("");
    assert_eq!(session.status(kind::EXTENDED, &odd).0, BAD_MESSAGE);
}

#[test]
fn names_of_users_fit_into_a_packet_whatever_the_user_is_called() {
    let numbers = 1000_u32.to_be_bytes().repeat(1024);
    let fields = Vec::new().string("users-groups-by-id@openssh.com").string(&numbers).string(&numbers);
    for (length, shown) in [(64, 64), (65, 4), (60_000, 4)] {
        let mut session = Session::new();
        let account = Account { user: "u".repeat(length), home: "/".into() };
        session.server = Server::new(NativeFiles::default(), account);
        session.ask(kind::INIT, 3, &[]);
        let Reply::Extended(reply) = session.ask(kind::EXTENDED, 1, &fields) else { panic!("no names") };
        assert_eq!(reply.len(), 2 * (4 + 1024 * (4 + shown)), "{length}");
        assert!(reply.len() < MAX_PACKET);
    }
}

#[test]
fn a_path_that_leads_to_too_many_names_is_refused() {
    let mut session = Session::begun();
    fs::create_dir(session.place.path().join("d")).unwrap();
    // 800 names and more of the test's own directory for each link on the path.
    std::os::unix::fs::symlink("d/../".repeat(800), session.place.path().join("l")).unwrap();
    let path = |links: usize| Vec::new().string("l/".repeat(links));
    assert!(matches!(session.ask(kind::REALPATH, 1, &path(10)), Reply::Names(_)));
    let (status, message) = session.status(kind::REALPATH, &path(11));
    assert_eq!((status, message.contains("links")), (NO_SUCH_FILE, true));
}

#[test]
fn no_more_handles_are_promised_than_the_file_system_allows() {
    for (most_open, promised) in [(usize::MAX, MAX_HANDLES), (MAX_HANDLES + 1, MAX_HANDLES), (32, 32), (0, 0)] {
        let mut session = Session::on(NativeFiles { most_open, ..NativeFiles::default() });
        let limits = session.ask(kind::EXTENDED, 1, &Vec::new().string("limits@openssh.com"));
        let (data, promised) = (MAX_READ as u64, promised as u64);
        assert_eq!(limits, Reply::Extended(Vec::new().long(256 << 10).long(data).long(data).long(promised)));
    }
}

#[test]
fn a_file_is_not_copied_to_itself() {
    let mut session = Session::begun();
    let (one, other) = (session.file("f"), session.file("f"));
    let copy = |from: &[u8], to: &[u8]| Vec::new().string("copy-data").string(from).long(0).long(0).string(to).long(9);
    assert_eq!(session.write(&one, 0, b"data"), OK);
    assert_eq!(session.status(kind::EXTENDED, &copy(&one, &one)).0, FAILURE);
    assert_eq!(session.status(kind::EXTENDED, &copy(&one, &other)).0, FAILURE);
    assert_eq!(session.status(kind::EXTENDED, &copy(b"none", &other)).0, NO_SUCH_FILE);
    assert_eq!(fs::read(session.place.path().join("f")).unwrap(), b"data");
}

#[test]
fn a_session_that_may_only_read_changes_nothing() {
    let mut session = Session::begun();
    fs::write(session.place.path().join("file"), "text").unwrap();
    fs::create_dir(session.place.path().join("folder")).unwrap();
    session.server = session.server.read_only(true);
    let two = |first: Vec<u8>| first.string(b"file").string(b"new");
    // WRITE, CREATE, TRUNCATE and APPEND, each with READ.
    for flags in [2, 8 | 1, 16 | 1, 4 | 1, 0x1a] {
        let open = Vec::new().string(b"file").number(flags).number(0);
        assert_eq!(session.status(kind::OPEN, &open).0, PERMISSION_DENIED, "{flags}");
    }
    let sized = Vec::new().string(b"file").number(1).long(0);
    assert_eq!(session.status(kind::SETSTAT, &sized).0, PERMISSION_DENIED);
    assert_eq!(session.status(kind::REMOVE, &Vec::new().string(b"file")).0, PERMISSION_DENIED);
    assert_eq!(session.status(kind::MKDIR, &Vec::new().string(b"new").number(0)).0, PERMISSION_DENIED);
    assert_eq!(session.status(kind::RMDIR, &Vec::new().string(b"folder")).0, PERMISSION_DENIED);
    assert_eq!(session.status(kind::RENAME, &two(Vec::new())).0, PERMISSION_DENIED);
    assert_eq!(session.status(kind::SYMLINK, &two(Vec::new())).0, PERMISSION_DENIED);
    for name in ["posix-rename@openssh.com", "hardlink@openssh.com"] {
        let request = two(Vec::new().string(name.as_bytes()));
        assert_eq!(session.status(kind::EXTENDED, &request).0, PERMISSION_DENIED, "{name}");
    }
    let open = Vec::new().string(b"file").number(1).number(0);
    assert!(matches!(session.ask(kind::OPEN, 9, &open), Reply::Handle(_)));
    assert_eq!(fs::read(session.place.path().join("file")).unwrap(), b"text");
    assert_eq!(fs::read_dir(session.place.path()).unwrap().count(), 2);
}

#[test]
fn an_option_that_is_not_known_ends_the_program_before_it_answers() {
    for (options, status) in [(&["-R"][..], 0), (&["-P", "write"], 1), (&["-x"], 1), (&["folder"], 1)] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sftp"));
        let output = program.args(options).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{options:?}");
        assert_eq!(output.stderr.is_empty(), status == 0, "{options:?}");
    }
}
