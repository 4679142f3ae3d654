//! `whelk watch`.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::Request;

use crate::peer::{Happened, Peer};
use crate::server::Server;
use crate::visit;

/// Bytes of one call: 0 to 250, again and again.
const CALL: u64 = 251 * 10_000;
/// More than fits into a client's window.
const BYTES: u64 = 5 * CALL;

/// A session whose output its client has not read yet: its window is full.
async fn waiting(server: &Server, end: &str) -> (Peer, ChannelId) {
    let mut peer = visit::log_in(server.address, "alice").await;
    let channel = peer.connection.open_session().unwrap();
    while !matches!(peer.happens().await.unwrap(), Happened::Opened(_)) {}
    let command = format!("{}{end}", format!("fill {CALL}; ").repeat(5));
    let exec = Request::Exec { command: command.as_bytes() };
    assert!(peer.connection.request(channel, exec.kind(), &exec.body(), false));
    peer.turn().unwrap();
    let sent = || server.listed(&["sessions"]).iter().map(|entry| entry["sent"].as_u64().unwrap()).sum::<u64>();
    while sent() == 0 {}
    (peer, channel)
}

/// Reads everything that the session sends. Returns how many bytes, and its status.
async fn read_all(peer: &mut Peer) -> (u64, Option<u32>) {
    let (mut bytes, mut status) = (0, None);
    loop {
        match peer.happens().await.unwrap() {
            Happened::Data(_, _, data) => bytes += data.len() as u64,
            Happened::ExitStatus(_, told) => status = Some(told),
            Happened::Closed(_) => return (bytes, status),
            _ => {}
        }
    }
}

#[tokio::test]
async fn one_who_watches_sees_the_output_in_order_and_is_told_what_is_missing() {
    let server = Server::start("[audit]\nfile = \"audit.json\"\n");
    let (mut peer, _) = waiting(&server, "finish 3").await;
    let mut child = server.whelk(&["watch", "1", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = move || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert_eq!((server.ids([&first["session"]["id"]]), first.get("size")), (vec!["1.1"], None));
    let before = first["session"]["sent"].as_u64().unwrap();
    let watching = spawn_blocking(move || {
        let (mut at, mut shown) = (None, 0);
        loop {
            let line = next();
            let lost = line["lost"].as_u64().unwrap_or_default();
            shown += lost;
            at = at.map(|at| at + lost);
            if let Some(digits) = line["output_hex"].as_str() {
                for pair in digits.as_bytes().chunks(2) {
                    let byte = u64::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
                    let place = *at.get_or_insert(byte);
                    assert_eq!(byte, place % 251);
                    at = Some(place + 1);
                    shown += 1;
                }
            }
            if let Some(done) = line.get("done") {
                return (shown, done["exit"].clone());
            }
        }
    });
    assert_eq!(read_all(&mut peer).await, (BYTES, Some(3)));
    let (shown, exit) = watching.await.unwrap();
    assert_eq!(exit, json!("status 3"));
    // What was sent between the two lists of it.
    assert!(shown <= BYTES - before && shown > 0, "{shown} {before}");
    assert!(child.wait().unwrap().success());
    let records = server.audited(2, |event| event.contains("watch"));
    let [began, ended] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&began["event"], &ended["event"]), (&json!("session_watch_began"), &json!("session_watch_ended")));
    for record in [began, ended] {
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!((&record["uid"], &record["session"], &record["user"]), (&json!(uid), &json!(1), &json!("alice")));
    }
}

#[tokio::test]
async fn watchers_who_do_not_read_slow_nobody_and_at_most_32_watch() {
    let server = Server::start("");
    let (mut peer, _) = waiting(&server, "finish 3").await;
    let watch = || {
        let mut socket = UnixStream::connect(server.path("state/control")).unwrap();
        socket.write_all(b"watch {\"id\":\"1.1\"}\n").unwrap();
        let mut first = String::new();
        BufReader::new(socket.try_clone().unwrap()).read_line(&mut first).unwrap();
        (socket, first)
    };
    let watchers: Vec<_> = (0..32).map(|_| watch()).collect();
    assert!(watchers.iter().all(|(_, first)| first.contains("\"session\"")));
    assert_eq!(watch().1, "{\"error\":\"the limit of 32 watchers is reached\"}\n");
    assert_eq!(read_all(&mut peer).await, (BYTES, Some(3)));
    // Others are answered meanwhile.
    assert_eq!(server.listed(&["sessions"]).len(), 0);
    drop(watchers);
    let mut peer = server.client("alice", b"write x").await.0;
    let (mut socket, _) = loop {
        // The places are free once the server has seen that the others have gone.
        let mut socket = UnixStream::connect(server.path("state/control")).unwrap();
        socket.write_all(b"watch {\"id\":\"2.1\"}\n").unwrap();
        let mut first = [0; 10];
        socket.read_exact(&mut first).unwrap();
        if first.starts_with(b"{\"session\"") {
            break (socket, first);
        }
    };
    assert!(server.told(&["kill", "2.1"]).starts_with("ended: 1 session\n"));
    while !matches!(peer.happens().await.unwrap(), Happened::Closed(_)) {}
    let mut rest = String::new();
    socket.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("{\"done\":{\"exit\":\"signal HUP\"}}\n"), "{rest}");
}

#[tokio::test]
async fn a_reader_who_closes_the_pipe_ends_the_watching() {
    let server = Server::start("[limits]\ncpu_call = \"3600 s\"\n");
    let (mut peer, _) = waiting(&server, "sleep 3600000").await;
    let mut child = server.whelk(&["watch", "1", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let mut bytes = 0;
    while bytes < BYTES {
        if let Happened::Data(_, _, data) = peer.happens().await.unwrap() {
            bytes += data.len() as u64;
        }
    }
    let status = spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!((status.code(), server.listed(&["sessions"]).len()), (Some(0), 1));
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused_in_words() {
    let server = Server::start("");
    let (mut alice, _) = server.client("alice", b"write x").await;
    let _second = visit::open(&mut alice, Some(&Request::Exec { command: b"write y" })).await;
    for (id, words) in [
        ("1", "1: the connection has several sessions"),
        ("1.3", "1.3: there is no such session"),
        ("2", "2: there is no such session"),
        ("00000000-1.1", "that is of another run of the server"),
    ] {
        let (status, stdout, stderr) = server.ask(&["watch", id]);
        assert_eq!((status, stdout.as_str()), (1, ""), "{id}");
        assert!(stderr.contains(words), "{stderr}");
    }
    assert_eq!(server.ask(&["watch", "alice"]).0, 2);
}
