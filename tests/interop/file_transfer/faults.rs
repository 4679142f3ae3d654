//! Requests that no well-behaved client sends, to both servers: rows C33 and C34 of the list of threats.
//!
//! `sftp_faults.py` sends them and says what the server did; this file has what is right, and the reason for each
//! difference from sshd. A difference that is not listed is a fault.

mod quota;
mod race;

use super::server::{Kind, Server};
use std::process::Command;
use whelk_tests::{Input, Running, SOON, client_program, repository};

/// One request, or a few.
struct Row {
    case: &'static str,
    ours: &'static str,
    /// What sshd does if it does something else, and why we do not follow it.
    theirs: Option<(&'static str, &'static str)>,
}

/// Both do the same.
const fn same(case: &'static str, does: &'static str) -> Row {
    Row { case, ours: does, theirs: None }
}

/// sshd does something else.
const fn differs(case: &'static str, ours: &'static str, theirs: &'static str, reason: &'static str) -> Row {
    Row { case, ours, theirs: Some((theirs, reason)) }
}

const ROOT: &str = "a user's home is the root of all that the user sees";
const ANSWERED: &str = "one bad request does not end a session whose packets can still be told apart";

/// Every case of `sftp_faults.py`, in its order.
const ROWS: &[Row] = &[
    same("version 6 asked for", "version 3"),
    same("handle of 257 bytes", "refused"),
    same("handle of 64 KiB", "refused"),
    same("handle of no bytes", "refused"),
    same("handle after its close", "refused, refused"),
    same("handle of another session of the connection", "refused"),
    same("folder's handle read as a file, and a file's as a folder", "refused, refused"),
    differs(
        "10,000 files opened and none closed",
        "some opened, then refused",
        "all opened",
        "the limit of sshd is that of its process",
    ),
    same("READ of 2^32 - 1 bytes", "1000 bytes"),
    same("READ of 0 bytes", "0 bytes"),
    same("READ at 2^63 - 1 and at 2^64 - 1", "refused, refused"),
    same("WRITE across 2^63 and at 2^64 - 1", "refused, refused"),
    same("sizes of 2^63 and 2^64 - 1 set", "refused, refused"),
    same("packet of 256 MiB announced", "session ended"),
    same("packet of 2^32 - 1 bytes announced", "session ended"),
    same("packet of no bytes", "session ended"),
    differs("OPEN without its flags", "refused", "session ended", ANSWERED),
    differs("string that is longer than its packet", "refused", "session ended", ANSWERED),
    same("packet sent byte by byte", "type 105"),
    same("WRITE of 255 KiB", "status 0"),
    same("2,000 requests before the first answer is read", "all answered"),
    same("1,000 READDIRs after the end", "status 1"),
    same("unknown extended request", "status 8"),
    differs("unknown type of packet", "status 8", "not answered", "each request is answered once, filexfer-02 §3"),
    same("no such file", "status 2"),
    differs("path with NUL", "refused", "session ended", ANSWERED),
    same("name of 256 bytes", "refused"),
    same("path of 4 KiB", "refused"),
    same("path of 64 KiB", "refused"),
    same("path of 4,096 folders, and back", "refused, refused"),
    differs("name that is not UTF-8", "status 4", "status 0", "paths of WASI are texts"),
    same("empty path", "type 104"),
    differs("file of the machine by an absolute path", "not there", "seen", ROOT),
    differs("file of the machine by way of `..`", "not there", "seen", ROOT),
    differs("file of the machine by way of a link", "not there", "seen", ROOT),
    same("link to itself opened", "refused"),
    same("folder renamed into itself, removed while full, removed as a file", "refused, refused, refused"),
    same("RENAME to a name that exists", "refused"),
    same(
        "RENAME of a file, a folder and a link to new names, and to names that exist",
        "[0, 0, 0, 0, 0], {'refused'}, kept",
    ),
    same("as many folders read at once as are promised", "all read"),
    same("READ of a file that is open for writing only", "refused"),
    same("WRITE to a file that is open for reading only", "refused"),
    same("exclusive OPEN of a file that exists", "refused"),
    same("two sessions write one file", "both seen"),
    same("file removed while it is open", "10 bytes"),
];

/// A driver of this folder's tests in Python, for a folder of the server.
fn driver(server: &Server, name: &str, folder: &str) -> Command {
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop").join(name));
    command.args(["--port", &server.port().to_string(), "--user", server.user(), "--key"]);
    command.arg(server.keys().openssh()).args(["--folder", folder]);
    command
}

/// What a server did in each case.
fn observe(kind: Kind) -> Vec<(String, String)> {
    let server = Server::start(kind);
    let site = server.site("faults", &[]);
    let finished = Running::run(driver(&server, "sftp_faults.py", &site.remote), Input::Nothing, SOON * 5);
    assert_eq!(finished.status, Some(0), "{kind:?}: {}{}", finished.out.text(), finished.err);
    let read = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the driver prints JSON lines");
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        (text("case"), text("does"))
    };
    let seen = finished.out.text().lines().map(read).collect();
    server.end();
    seen
}

/// Compares what a server did with its column of the rows.
fn compare(kind: Kind, right: impl Fn(&Row) -> &'static str) {
    let seen = observe(kind);
    let cases: Vec<&str> = seen.iter().map(|(case, _)| case.as_str()).collect();
    assert_eq!(cases, ROWS.iter().map(|row| row.case).collect::<Vec<_>>(), "the driver's cases are others");
    let mut faults = Vec::new();
    for (row, (case, does)) in ROWS.iter().zip(&seen) {
        println!("{case:<72} | {does}");
        let right = right(row);
        if does != right {
            faults.push(format!("{case}: {kind:?} does {does:?}, right is {right:?}"));
        }
    }
    for (row, (theirs, reason)) in ROWS.iter().filter_map(|row| Some((row, row.theirs?))) {
        println!("{} differs, sshd: {theirs}: {reason}", row.case);
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn sshd_answers_unusual_requests_of_sftp_as_the_list_says() {
    compare(Kind::Sshd, |row| row.theirs.map_or(row.ours, |(theirs, _)| theirs));
}

#[test]
fn unusual_requests_of_sftp_end_no_more_than_with_sshd() {
    compare(Kind::Whelk, |row| row.ours);
}
