//! Descriptors of programs: pipes, open files, and the numbers that lead to them.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use whelk_runtime::{
    Access, ChannelEvent, Ending, Exit, FileTree, Grants, Limits, Output, Plugin, Quota, SignalName, Tenant,
};

use crate::client::{Client, Recorder};
use crate::guests;
use crate::program::{signal, terminal};
use crate::shell::{AMPLE, Place};

/// The program of these tests. Each of its arguments is something that it does; it tells the results on standard error.
pub(crate) fn program() -> Arc<Plugin> {
    static PROGRAM: OnceLock<Arc<Plugin>> = OnceLock::new();
    let load = || Plugin::load(guests::engine(), "descriptors", &guests::wasm("descriptors")).unwrap();
    Arc::clone(PROGRAM.get_or_init(load))
}

pub(crate) fn tenant(limits: Limits, grants: Grants) -> Arc<Tenant> {
    Tenant::new("acme", limits, Grants { process: true, ..grants })
}

/// A tenant with a directory.
pub(crate) fn at(place: &Place, limits: Limits) -> Arc<Tenant> {
    tenant(limits, Grants { directory: Some(Arc::clone(&place.directory)), ..Grants::default() })
}

/// The command line of these actions.
pub(crate) fn line(actions: &[&str]) -> String {
    format!("'{}'", actions.join("' '"))
}

/// A session that has started the program with these actions.
fn begin(tenant: &Arc<Tenant>, actions: &[&str]) -> Client {
    let client = Client::of(tenant, &program(), &[]);
    client.run(&line(actions));
    client
}

/// What the program tells of these actions, a line each, and what it has written to its standard output.
async fn done(tenant: &Arc<Tenant>, actions: &[&str], input: &str) -> (String, Recorder) {
    let client = begin(tenant, actions);
    client.send(input.as_bytes());
    client.happen(ChannelEvent::Eof);
    let (recorder, report) = client.end().await;
    assert!(report.error.is_none(), "{report:?}");
    (String::from_utf8(recorder.bytes_of(Output::Stderr)).unwrap(), recorder)
}

async fn told(tenant: &Arc<Tenant>, actions: &[&str]) -> String {
    done(tenant, actions, "").await.0
}

pub(crate) fn anyone() -> Arc<Tenant> {
    tenant(Limits::default(), Grants::default())
}

#[tokio::test]
async fn a_pipe_carries_bytes_and_its_end() {
    let text = told(
        &anyone(),
        &[
            "pipe r w",
            "kind r",
            "is-ready w",
            "is-ready r",
            "write w abc",
            "is-ready r",
            "await-read r",
            "read r 2",
            "dup w x",
            "drop w",
            "write x d",
            "read r 100",
            "drop x",
            "read r 100",
            "read r 0",
            "seek r 0 start",
            "truncate r 1",
            "write r x",
            "pipe p q",
            "read q 1",
        ],
    )
    .await;
    let expected = "pipe\ntrue true\nfalse true\n3\ntrue true\nreadable\n\"ab\"\n1\n\"cd\"\n\"\"\n\"\"\nseek r: not-seekable\n\
                    truncate r: invalid\nwrite r: bad-descriptor\nread q: bad-descriptor\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_write_takes_what_there_is_room_for_and_a_read_64_kib() {
    let text = told(&anyone(), &["pipe r w", "flood w 100000", "is-ready w", "read r 0", "drop w", "drain r"]).await;
    assert_eq!(text, "65536\ntrue false\n\"\"\n65536 bytes\n");
}

#[tokio::test]
async fn a_write_that_nobody_reads_raises_sigpipe() {
    let client = begin(&anyone(), &["pipe r w", "drop r", "is-ready w", "flood w 0", "write w x", "print never"]);
    let (recorder, report) = client.end().await;
    assert_eq!((recorder.exit(), report.ending), (Some(signal(SignalName::Pipe)), Some(Ending::Finished)));
    assert_eq!(recorder.bytes_of(Output::Stderr), b"true true\n0\n");
    // So does one of WASI's to such a pipe.
    let client = begin(&anyone(), &["pipe r w", "put 1 w", "drop r", "put-text x", "print never"]);
    assert_eq!(client.end().await.0.exit(), Some(signal(SignalName::Pipe)));
}

#[tokio::test]
async fn put_redirects_the_streams_of_a_program_that_runs() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| fs::write(path.join("in"), "one\ntwo\n").unwrap());
    let tenant = at(&place, Limits::default());
    let (text, recorder) = done(
        &tenant,
        &[
            "get 1 saved",
            "get 0 channel",
            "print a",
            "open out wct /out",
            "put 1 out",
            "print b",
            "write out c",
            "print d",
            "open in r /in",
            "put 0 in",
            "input",
            "put 0 channel",
            "put 1 saved",
            "input",
            "print e",
            "terminals",
        ],
        "typed",
    )
    .await;
    assert_eq!(text, "1\n\"one\\ntwo\\n\"\n\"typed\"\nfalse false false\n");
    assert_eq!(recorder.text(), "ae");
    assert_eq!(fs::read_to_string(place.path("out")).unwrap(), "bcd");
}

#[tokio::test]
async fn a_pipe_to_itself_is_read_through_wasi() {
    let (text, recorder) = done(
        &anyone(),
        &[
            "get 1 saved",
            "pipe r w",
            "put 1 w",
            "put 0 r",
            "print one",
            "close 1",
            "drop w",
            "put 1 saved",
            "input",
            "print two",
        ],
        "nobody reads this",
    )
    .await;
    assert_eq!(text, "\"one\"\n");
    assert_eq!(recorder.text(), "two");
    // What is closed takes nothing.
    let (text, recorder) = done(&anyone(), &["close 1", "put-text lost"], "").await;
    assert!(text.starts_with("put-text: ") && recorder.text().is_empty(), "{text}");
}

#[tokio::test]
async fn numbers_are_put_and_closed() {
    let text = told(
        &anyone(),
        &[
            "numbers",
            "get 0 in",
            "put 7 in",
            "put 1023 in",
            "put 1024 in",
            "numbers",
            "close 7",
            "close 7",
            "get 7 seven",
            "close 0",
            "get 0 zero",
            "line",
            "numbers",
        ],
    )
    .await;
    assert_eq!(
        text,
        "[0, 1, 2]\nput 1024: too-many-files\n[0, 1, 2, 7, 1023]\nclose 7: bad-descriptor\nnone\nnone\n\"\"\n[1, 2, 1023]\n"
    );
}

#[tokio::test]
async fn a_file_has_an_offset_that_its_duplicates_share() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| fs::write(path.join("f"), "0123456789").unwrap());
    let tenant = at(&place, Limits::default());
    let text = told(
        &tenant,
        &[
            "open f rw /f",
            "kind f",
            "read f 3",
            "dup f g",
            "read g 2",
            "seek f -1 current",
            "write g XY",
            "read f 100",
            "read f 1",
            "seek f 0 end",
            "seek f 2 start",
            "seek f -3 start",
            "seek f -3 current",
            "seek f 9223372036854775807 current",
            "truncate f 4",
            "read g 100",
            "is-ready f",
            "open other r f",
            "read other 100",
            "write other x",
            "truncate other 1",
        ],
    )
    .await;
    assert_eq!(
        text,
        "file\n\"012\"\n\"34\"\n4\n2\n\"6789\"\n\"\"\n10\n2\nseek f: invalid\nseek f: invalid\nseek f: invalid\n\"23\"\n\
         true true\n\"0123\"\nwrite other: bad-descriptor\ntruncate other: invalid\n"
    );
}

#[tokio::test]
async fn what_is_appended_goes_to_the_end() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| fs::write(path.join("log"), "a\n").unwrap());
    let tenant = at(&place, Limits::default());
    let actions =
        ["open log wa /log", "seek log 0 start", "write log b", "save /log A", "write log c", "seek log 0 current"];
    assert_eq!(told(&tenant, &actions).await, "0\n1\n1\n4\n");
    assert_eq!(fs::read_to_string(place.path("log")).unwrap(), "A\nbc");
}

#[tokio::test]
async fn what_open_refuses_has_the_errno_of_posix() {
    let place = Place::with(Access::ReadWrite, Quota { bytes: 108, files: 5 }, |path| {
        fs::create_dir(path.join("dir")).unwrap();
        fs::write(path.join("file"), "").unwrap();
        symlink("link", path.join("link")).unwrap();
        symlink("file", path.join("to-file")).unwrap();
    });
    let tenant = at(&place, Limits::default());
    for (action, error) in [
        ("open x - /file", "invalid"),
        ("open x rt /file", "invalid"),
        ("open x rcd /new", "invalid"),
        ("open x rw ", "no-entry"),
        ("open x r /absent", "no-entry"),
        ("open x r absent/file", "no-entry"),
        ("open x r /file/x", "not-a-directory"),
        ("open x rd /file", "not-a-directory"),
        ("open x w /dir", "is-directory"),
        ("open x wc /dir", "is-directory"),
        ("open x wd /dir", "is-directory"),
        ("open x wcx /file", "exists"),
        ("open x r /link", "link-loop"),
        ("open x rn /to-file", "link-loop"),
        ("open x r /dev/tty", "no-device"),
        ("open x r /dev/fd/3", "no-entry"),
        ("open x r /dev/fd/01", "no-entry"),
        ("open x r /dev/fd/1", "access"),
        ("open x w /dev/stdin", "access"),
        ("open x wc /dev/new", "read-only"),
        ("open x wc /1/2", "no-entry"),
    ] {
        assert_eq!(told(&tenant, &[action]).await, format!("open x: {error}\n"), "{action}");
    }
    let long = format!("open x r /{}", "n".repeat(300));
    assert_eq!(told(&tenant, &[&long]).await, "open x: name-too-long\n");
    let text = told(&tenant, &["open d r /dir", "kind d", "read d 1", "seek d 0 end", "truncate d 0"]).await;
    assert_eq!(text, "directory\nread d: is-directory\nseek d: invalid\ntruncate d: invalid\n");
    let text = told(&tenant, &["open f w /file", "flood f 100", "flood f 1", "open a wc /a", "open b wc /b"]).await;
    assert_eq!(text, "100\nflood f: quota\nopen b: quota\n");
}

#[tokio::test]
async fn devices_are_descriptions_too() {
    let text = told(
        &anyone(),
        &[
            "open null rw /dev/null",
            "kind null",
            "read null 10",
            "write null abc",
            "seek null 5 end",
            "truncate null 0",
            "open zero r /dev/zero",
            "read zero 2",
            "open full w /dev/full",
            "write full x",
            "put 1 null",
            "put-text lost",
            "put 0 null",
            "input",
        ],
    )
    .await;
    assert_eq!(text, "device\n\"\"\n3\n0\ntruncate null: invalid\n\"\\0\\0\"\nwrite full: no-space\n\"\"\n");
}

#[tokio::test]
async fn dev_fd_leads_to_the_same_descriptions() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| fs::write(path.join("f"), "0123456789").unwrap());
    let tenant = at(&place, Limits::default());
    let (text, recorder) = done(
        &tenant,
        &[
            "open f rw /f",
            "put 7 f",
            "list /dev/fd",
            "read f 2",
            "open same r /dev/fd/7",
            "read same 2",
            "show /dev/fd/7",
            "seek f 0 start",
            // Nothing is truncated.
            "open same wct /dev/fd/7",
            "write same AB",
            "append /dev/fd/7 CD",
            "save /dev/stdout out",
            "save /dev/fd/1 put",
            "show /dev/stdin",
            "close 7",
            "list /dev/fd",
            "show /dev/fd/7",
            "close 0",
            "show /dev/stdin",
            "drop f",
            "drop same",
            "pipe r w",
            "put 9 w",
            "save /dev/fd/9 piped",
            "close 9",
            "drop w",
            "put 8 r",
            "show /dev/fd/8",
        ],
        "input",
    )
    .await;
    assert_eq!(
        text,
        "0 1 2 7\n\"01\"\n\"23\"\n\"456789\"\n0\n2\n\"input\"\n0 1 2\nshow: NotFound\nshow: NotFound\n\"piped\"\n"
    );
    assert_eq!(recorder.text(), "output");
    assert_eq!(fs::read_to_string(place.path("f")).unwrap(), "ABCD456789");
}

#[tokio::test]
async fn a_terminal_is_one_description_for_reading_and_writing() {
    let client = Client::of(&anyone(), &program(), &[]).and(terminal());
    client.run(&line(&[
        "terminals",
        "get 2 t",
        "kind t",
        "write t hello",
        "read t 100",
        "open tty rw /dev/tty",
        "read tty 100",
        "open null rw /dev/null",
        "put 1 null",
        "terminals",
        "write tty end",
    ]));
    client.send(b"one\ntwo\n");
    let (recorder, _) = client.end().await;
    let text = recorder.text();
    let seen: Vec<_> = text.split("\r\n").filter(|line| !["one", "two"].contains(line)).collect();
    assert_eq!(
        seen,
        ["true true true", "terminal", "hello5", "\"one\\n\"", "\"two\\n\"", "true false true", "end3", ""]
    );
}

#[tokio::test]
async fn open_files_are_limited_for_the_process_the_session_and_the_tenant() {
    // X2
    let place = Place::with(Access::ReadWrite, AMPLE, |path| fs::write(path.join("f"), "text").unwrap());
    let limits = |open_files, session_open_files, tenant_open_files| Limits {
        open_files,
        session_open_files,
        tenant_open_files,
        ..Limits::default()
    };
    for (limits, actions, expected) in [
        (
            limits(9, 100, 100),
            ["pipes", "opens /f", "pipes"],
            "4, then too-many-files\n9, then too-many-files\n4, then too-many-files\n",
        ),
        (
            limits(64, 10, 100),
            ["pipes", "opens /f", "pipes"],
            "5, then too-many-files\n10, then too-many-files\n5, then too-many-files\n",
        ),
        (
            limits(64, 100, 6),
            ["pipes", "opens /f", "pipes"],
            "3, then too-many-files\n6, then too-many-files\n3, then too-many-files\n",
        ),
        // However many lead to a description, it counts once; handles and numbers are limited for the process alone.
        (limits(20, 2, 2), ["pipe r w", "dups r", "puts w"], "18, then too-many-files\n17, then too-many-files\n"),
        (
            limits(20, 2, 2),
            ["opens /dev/fd/0", "opens /dev/null", "opens /dev/fd/0"],
            "20, then too-many-files\n2, then too-many-files\n20, then too-many-files\n",
        ),
    ] {
        assert_eq!(told(&at(&place, limits), &actions).await, expected, "{actions:?}");
    }
}

#[tokio::test]
async fn bytes_in_pipes_are_memory_of_the_tenant() {
    // X2
    let limits = Limits { open_files: 1000, tenant_memory: 8 << 20, ..Limits::default() };
    let tenant = tenant(limits, Grants::default());
    let text = told(&tenant, &["pipes", "pipes"]).await;
    let (made, error) = text.lines().next().unwrap().split_once(", then ").unwrap();
    assert_eq!(error, "no-memory");
    assert!((10..80).contains(&made.parse::<u32>().unwrap()), "{text}");
    // All of it was given back.
    let mut lines = text.lines();
    assert_eq!(lines.next(), lines.next());
}

#[tokio::test]
async fn a_process_that_waits_at_its_own_pipe_ends_with_its_session() {
    // X8
    let client = begin(&anyone(), &["pipe r w", "print waits", "read r 1"]);
    let mut client = client;
    client.until_stdout(5).await;
    client.inbox.end(Ending::Drained);
    let (_, report) = client.end().await;
    assert_eq!(report.ending, Some(Ending::Drained));
    let mut client = begin(&anyone(), &["pipe r w", "flood w 100000", "print waits", "flood w 1"]);
    client.until_stdout(5).await;
    client.happen(ChannelEvent::Signal(SignalName::Term));
    assert_eq!(client.end().await.0.exit(), Some(signal(SignalName::Term)));
}

#[tokio::test]
async fn a_program_without_the_grant_does_not_start() {
    let tenant = Tenant::new("acme", Limits::default(), Grants::default());
    let (_, report) = Client::of(&tenant, &program(), &[]).and(ChannelEvent::Shell).end().await;
    let error = report.error.unwrap().to_string();
    assert!(error.contains("[tenants.acme.grants] process = true"), "{error}");
}

#[tokio::test]
async fn links_that_change_never_lead_from_dev_fd_elsewhere() {
    // X12
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        fs::create_dir(path.join("d")).unwrap();
        fs::write(path.join("d/0"), "inside").unwrap();
        fs::write(path.join("d/7"), "inside").unwrap();
        symlink("/dev/fd", path.join("way")).unwrap();
    });
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("7"), "outside").unwrap();
    fs::write(outside.path().join("0"), "outside").unwrap();
    let tenant = at(&place, Limits::default());
    let (ends, root, target) = (Arc::new(AtomicBool::new(false)), place.path(""), outside.path().to_owned());
    let is_over = Arc::clone(&ends);
    // From the host, since a session that runs its own program has no second one to change them.
    let changes = thread::spawn(move || {
        let ways = ["/dev/fd".into(), "d".into(), "../../dev/fd".into(), target, "/dev/fd/0".into()];
        for way in ways.iter().cycle() {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            symlink(way, root.join("next")).unwrap();
            fs::rename(root.join("next"), root.join("way")).unwrap();
        }
    });
    for _ in 0..20 {
        let (text, _) = done(&tenant, &["show /way/7", "show /way/0", "open x r /way/7", "list /way"], "typed").await;
        assert!(!text.contains("outside"), "{text}");
        let shown: Vec<_> = text.lines().take(2).collect();
        assert!(["\"inside\"", "show: NotFound", "show: NotADirectory"].contains(&shown[0]), "{text}");
        assert!(["\"inside\"", "\"typed\"", "show: NotFound", "show: NotADirectory"].contains(&shown[1]), "{text}");
    }
    ends.store(true, Ordering::Relaxed);
    changes.join().unwrap();
}

#[tokio::test]
async fn handlers_see_the_streams_that_are_their_log() {
    let tree = FileTree::default();
    assert_eq!(tree.root_names(true).collect::<Vec<_>>(), ["dev"]);
    let exit = begin(&anyone(), &["list /dev"]).end().await.0;
    assert_eq!(exit.exit(), Some(Exit::Status(0)));
    let names = String::from_utf8(exit.bytes_of(Output::Stderr)).unwrap();
    assert_eq!(names, "fd full null random stderr stdin stdout tty urandom zero\n");
}
