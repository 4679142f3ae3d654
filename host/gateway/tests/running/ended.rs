//! `whelk kill` and `whelk drain`.

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use whelk_ssh::message::mux::Stream;
use whelk_ssh::message::request::Request;

use crate::peer::{Happened, Peer};
use crate::server::Server;
use crate::visit;

/// Calls of plugins may take as long as they like.
const LONG_CALLS: &str = "[limits]\ncpu_call = \"3600 s\"\n[audit]\nfile = \"audit.json\"\n";

/// What the client was told until its channel was closed: its stderr, and the signal with its message.
async fn ending(peer: &mut Peer) -> (String, String, String) {
    let (mut stderr, mut signal, mut message) = (Vec::new(), String::new(), String::new());
    loop {
        match peer.happens().await.unwrap() {
            Happened::Data(_, Stream::STDERR, data) => stderr.extend(data),
            Happened::ExitSignal(_, name, text) => (signal, message) = (name, text),
            Happened::Closed(_) => return (String::from_utf8(stderr).unwrap(), signal, message),
            _ => {}
        }
    }
}

/// Why the connection ended.
async fn disconnected(peer: &mut Peer) -> String {
    loop {
        if let Err(error) = peer.happens().await {
            return error.to_string();
        }
    }
}

#[tokio::test]
async fn a_session_is_ended_alone_and_its_client_told_why() {
    let server = Server::start(LONG_CALLS);
    let (mut alice, _) = server.client("alice", b"write x").await;
    let _other = visit::open(&mut alice, Some(&Request::Exec { command: b"write other" })).await;
    let (status, stdout, stderr) = server.ask(&["kill", "1.1", "--reason", "for\nmaintenance"]);
    let closing = "ended: 1 session\n1.1: is listed until its client closes the channel\n";
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (0, closing, ""));
    let told = "for\\x0amaintenance".to_owned();
    assert_eq!(ending(&mut alice).await, (format!("whelk: {told}\n"), "HUP".to_owned(), told));
    // Its own CLOSE is on its way to the server.
    while server.listed(&["sessions"]).len() > 1 {}
    let left = server.listed(&["sessions"]);
    assert_eq!(server.ids([&left[0]["id"]]), ["1.2"]);
    let (status, stdout, stderr) = server.ask(&["kill", "1.1", "9", "7f3a9c21-1.2"]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    for id in ["1.1", "9", "7f3a9c21-1.2"] {
        assert!(stderr.contains(&format!("{id}: there is no such session or connection")), "{stderr}");
    }
    assert_eq!(server.ask(&["kill", "1.2", "--user", "bob"]).0, 2);
    for (arguments, words) in [
        (&["kill", "--user", "nobody"][..], "nothing matches"),
        (&["kill", "--tenant", "nobody", "--user", "alice"], "nothing matches"),
    ] {
        let (status, _, stderr) = server.ask(arguments);
        assert!(status == 1 && stderr.contains(words), "{status} {stderr}");
    }
    let (status, _, stderr) = server.ask(&["kill", "1;2"]);
    assert!(status == 2 && stderr.contains("an ID is that of a session"), "{stderr}");
    assert_eq!(server.ask(&["kill"]).0, 2);
    let records = server.audited(1, |event| event == "session_end_requested");
    let [record] = &records[..] else { panic!("{records:?}") };
    let uid = rustix::process::geteuid().as_raw();
    let expected = [("uid", json!(uid)), ("session", json!(1)), ("user", json!("alice")), ("tenant", json!("acme"))];
    expected.iter().for_each(|(name, value)| assert_eq!(record[*name], *value, "{record}"));
    // As a program has read it.
    assert!(server.told(&["kill", left[0]["id"].as_str().unwrap()]).starts_with("ended: 1 session\n"));
}

/// Waits until nothing more of the output of a session is sent: the same number in several answers of the server, which
/// makes progress between them.
fn stuck(server: &Server, id: &str) {
    let sent = || {
        let all = server.listed(&["sessions"]);
        let is_wanted = |session: &&Value| server.ids([&session["id"]]) == [id];
        all.iter().find(is_wanted).and_then(|session| session["sent"].as_u64()).unwrap_or_default()
    };
    let (mut last, mut equal) = (0, 0);
    while last == 0 || equal < 5 {
        let now = sent();
        equal = if now == last { equal + 1 } else { 0 };
        last = now;
    }
}

#[tokio::test]
async fn what_does_not_react_is_ended_all_the_same() {
    let server = Server::start(LONG_CALLS);
    // A guest that never returns, and one that waits in a call of the host.
    let mut spins = server.client("alice", b"write x; spin").await.0;
    let mut blocks = server.client("alice", b"write x; sleep 3600000").await.0;
    // A client that reads nothing: its window and then its socket are full.
    let mut deaf = visit::log_in(server.address, "alice").await;
    let exec = Request::Exec { command: b"fill 2510000; fill 2510000; fill 2510000" };
    let channel = deaf.connection.open_session().unwrap();
    while !matches!(deaf.happens().await.unwrap(), Happened::Opened(_)) {}
    assert!(deaf.connection.request(channel, exec.kind(), &exec.body(), false));
    deaf.turn().unwrap();
    while server.listed(&["sessions", "--user", "alice"]).len() < 3 {}
    stuck(&server, "3.1");
    let told = server.told(&["kill", "1.1", "2.1", "3.1", "--reason", "enough", "--json"]);
    let mut outcome: Value = serde_json::from_str(&told).unwrap();
    let closing = outcome["closing"].take();
    assert_eq!(server.ids(closing.as_array().unwrap()), ["1.1", "2.1", "3.1"]);
    let expected = json!({ "sessions": 3, "connections": 0, "unknown": [], "remaining": [], "closing": null });
    assert_eq!(outcome, expected);
    let discarded = server.audited(1, |event| event == "session_unread_discarded");
    let uid = json!(rustix::process::geteuid().as_raw());
    assert!(discarded.iter().any(|record| record["session"] == 1 && record["uid"] == uid), "{discarded:?}");
    for peer in [&mut spins, &mut blocks] {
        let (_, _, message) = ending(peer).await;
        assert!(!message.is_empty());
    }
    let left = server.listed(&["sessions"]);
    assert!(left.iter().all(|entry| entry["processes"] == 0 && entry["memory"] == 0), "{left:?}");
    // And the whole connection of one that still reads nothing.
    assert_eq!(server.told(&["kill", "3"]).lines().count(), 1);
    let left = server.listed(&["sessions", "--connections"]);
    assert!(!server.ids(left.iter().map(|entry| &entry["id"])).contains(&"3"));
}

#[tokio::test]
async fn all_connections_of_a_user_or_a_tenant_are_ended() {
    let server = Server::start(LONG_CALLS);
    let mut alice = server.client("alice", b"write x").await.0;
    let mut idle = visit::log_in(server.address, "alice").await;
    let mut bob = server.client("bob", b"write x").await.0;
    let mut zoe = server.client("zoe", b"write x").await.0;
    assert_eq!(server.told(&["kill", "--user", "alice"]), "ended: 2 connections with 1 session\n");
    for peer in [&mut alice, &mut idle] {
        let error = disconnected(peer).await;
        assert!(error.contains("ended by the operator"), "{error}");
    }
    assert_eq!(
        server.told(&["kill", "--tenant", "acme", "--reason", "closed"]),
        "ended: 1 connection with 1 session\n"
    );
    assert!(disconnected(&mut bob).await.contains("closed"));
    assert_eq!(server.audited(3, |event| event == "connection_end_requested").len(), 3);
    // The other tenant's go on.
    let channel = visit::open(&mut zoe, Some(&Request::Exec { command: b"write here" })).await;
    while !matches!(zoe.happens().await.unwrap(), Happened::Data(of, ..) if of == channel) {}
}

#[tokio::test]
async fn a_drain_lets_sessions_end_and_then_the_server_exits() {
    let mut server = Server::start("[audit]\nfile = \"audit.json\"\n");
    let (mut alice, _) = server.client("alice", b"write x").await;
    let told = server.told(&["drain", "--time", "10 min"]);
    assert_eq!(told, "draining: 1 connection with 1 session; time left 10m00s\n");
    server.line("no longer listening");
    assert!(std::net::TcpStream::connect(server.address).is_err());
    let (status, again, stderr) = server.ask(&["drain", "--time", "1 s", "--json"]);
    assert!(status == 1 && stderr.contains("the server was stopping already"), "{status} {stderr}");
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["begun"], again["left_s"].as_u64() > Some(500)), (&json!(false), true), "{again}");
    let status: Value = serde_json::from_str(&server.told(&["status", "--json"])).unwrap();
    assert_eq!((&status["state"], &status["listeners"]), (&json!("draining"), &json!([])));
    assert_eq!(server.told(&["kill", "--user", "alice"]), "ended: 1 connection with 1 session\n");
    assert!(disconnected(&mut alice).await.contains("ended by the operator"));
    let (status, server) = spawn_blocking(move || (server.child.wait().unwrap(), server)).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let records = server.audited(1, |event| event == "server_drain_requested");
    assert_eq!((records.len(), &records[0]["seconds"]), (1, &json!(600)));
}
