//! The log in a file: rotated, refused, and on a full disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::GUEST;
use super::running::{Server, place, run};

/// The lines of a log, of which the last is whole too.
fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// Waits until a line of the file contains `text`, and returns it.
fn line(file: &Path, text: &str) -> String {
    loop {
        // The last line may be on its way.
        let log = fs::read_to_string(file).unwrap_or_default();
        let whole = log.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
        if let Some(line) = whole.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_log_file_is_reopened_after_it_was_renamed_and_kept_when_that_fails() {
    let place = place();
    let (log, old) = (place.path().join("log"), place.path().join("log.1"));
    let mut server = Server::start(place.path(), &["serve", "--listen", "127.0.0.1:0", "--log-file", "log"]);
    line(&log, "listening");
    fs::rename(&log, &old).unwrap();
    server.signal(Signal::USR2);
    line(&old, "SIGUSR2");
    server.signal(Signal::USR1);
    let reopened = line(&log, "log file reopened");
    assert!(reopened.ends_with("file=log"), "{reopened}");
    // As if somebody had put a folder there.
    fs::rename(&log, place.path().join("log.2")).unwrap();
    fs::create_dir(&log).unwrap();
    server.signal(Signal::USR1);
    let error = line(&place.path().join("log.2"), "log file not reopened; still writing to the old one");
    assert!(
        error.contains(" ERROR ") && error.contains("log: cannot be opened for appending: Is a directory"),
        "{error}"
    );
    fs::remove_dir(&log).unwrap();
    server.signal(Signal::USR1);
    line(&log, "log file reopened");
    server.signal(Signal::TERM);
    let mut errors = String::new();
    for line in server.lines.by_ref() {
        errors += &line.unwrap();
    }
    assert_eq!(server.status(), Some(0));
    let expected = "log file not reopened; still writing to the old one: log: cannot be opened for appending: Is a";
    assert!(errors.starts_with(expected) && errors.matches("log file").count() == 1, "{errors}");
    assert!(lines(&log).last().unwrap().contains("stopped"));
    assert!(!lines(&old).concat().contains("reopened"));
}

#[test]
fn a_log_file_that_cannot_be_opened_ends_the_start_with_path_and_reason() {
    let place = place();
    for (file, reason) in [("plugins", "Is a directory"), ("no/log", "No such file or directory")] {
        let (status, _, stderr) = run(place.path(), &["serve", "--listen", "127.0.0.1:0", "--log-file", file]);
        let expected = format!("--log-file {file}: cannot be opened for appending: {reason}");
        assert!(status == 2 && stderr.starts_with(&expected) && stderr.lines().count() == 1, "{status} {stderr}");
    }
}

#[test]
fn an_error_that_ends_the_start_is_in_the_log_file_and_on_standard_error() {
    let place = place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, stderr) = run(place.path(), &["serve", "--listen", &address, "--log", "json", "--log-file", "log"]);
    assert_eq!(status, 2);
    let last = lines(&place.path().join("log")).pop().unwrap();
    for line in [last.as_str(), stderr.trim_end()] {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["fields"]["message"], &line["fields"]["status"]), (&"fatal error".into(), &2.into()));
    }
}

/// The longest file that a process may write, in bytes: what a full disk is to it. None: as long as it likes.
fn allow(pid: Pid, bytes: Option<u64>) {
    let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

/// Connects, and reads what the server says first. It has logged the connection by then.
fn greet(address: SocketAddr) {
    let mut first = String::new();
    BufReader::new(TcpStream::connect(address).unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("SSH-2.0-"), "{first}");
}

#[test]
fn on_a_full_disk_connections_are_served_lines_are_counted_and_no_half_line_stays() {
    let place = place();
    let log = place.path().join("log");
    // Each connection ends without an attempt to log in.
    let text = format!("listen = [\"127.0.0.1:0\"]\nstate = \"state\"\npenalty_exempt = [\"127.0.0.1\"]\n{GUEST}");
    fs::write(place.path().join("whelk.toml"), text).unwrap();
    let arguments = ["serve", "--config", "whelk.toml", "--log", "json", "--log-file", "log"];
    // Each connection is two lines.
    let server = Server::start_by("WHELK_LOG=info,whelk::connection::driver=debug", place.path(), &arguments);
    let listening: serde_json::Value = serde_json::from_str(&line(&log, "\"listening\"")).unwrap();
    let address: SocketAddr = listening["fields"]["address"].as_str().unwrap().parse().unwrap();
    line(&log, "plugins prepared");
    // Whether the lines are written while the disk is full is up to the thread that writes them.
    let dropped = loop {
        let length = fs::metadata(&log).unwrap().len();
        // Half a line fits.
        allow(server.child.pid(), Some(length + 100));
        (0..20).for_each(|_| greet(address));
        allow(server.child.pid(), None);
        greet(address);
        let lines = fs::read(&log).unwrap().iter().filter(|byte| **byte == b'\n').count();
        server.signal(Signal::USR2);
        while fs::read(&log).unwrap().iter().filter(|byte| **byte == b'\n').count() <= lines {
            std::thread::yield_now();
        }
        let text = fs::read_to_string(&log).unwrap();
        if let Some(line) = text.lines().find(|line| line.contains("log lines dropped")) {
            break serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    };
    // Of the 20 connections: the failed writes themselves cause no lines.
    let count = dropped["fields"]["dropped"].as_u64().unwrap();
    assert!((1..200).contains(&count), "{dropped}");
    assert!(dropped["fields"]["reason"].as_str().unwrap().contains("File too large"), "{dropped}");
    server.signal(Signal::TERM);
    assert_eq!(server.status(), Some(0));
    for line in lines(&log) {
        serde_json::from_str::<serde_json::Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn a_disk_that_is_always_full_neither_prevents_the_start_nor_the_end() {
    let place = place();
    let mut server = Server::start(place.path(), &["serve", "--listen", "127.0.0.1:0", "--log-file", "/dev/full"]);
    let control = place.path().join("state/whelk/control");
    while !control.exists() {
        std::thread::yield_now();
    }
    server.signal(Signal::TERM);
    let mut errors = String::new();
    server.lines.by_ref().for_each(|line| errors += &line.unwrap());
    assert_eq!((server.status(), errors.as_str()), (Some(0), ""));
}
