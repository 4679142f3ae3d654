//! `whelk sessions` and `whelk status`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;
use crate::visit;

#[tokio::test]
async fn sessions_are_listed_with_who_they_are_and_what_they_use() {
    let server = Server::start("");
    let _alice = server.client("alice", b"write \x1b[2Jstarted").await;
    let _zoe = server.client("zoe", b"write hello").await;
    let _idle = visit::log_in(server.address, "bob").await;
    let listed = server.listed(&["sessions"]);
    let [alice, zoe] = &listed[..] else { panic!("{listed:?}") };
    for (name, value) in [
        ("session", json!(1)),
        ("channel", json!(0)),
        ("user", json!("alice")),
        ("tenant", json!("acme")),
        ("method", json!("none")),
        ("plugin", json!("script")),
        ("generation", json!(1)),
        ("start", json!("exec")),
        ("command", json!("write \u{1b}[2Jstarted")),
        ("received", json!(0)),
        ("sent", json!("\u{1b}[2Jstarted".len())),
        ("processes", json!(1)),
        ("ending", json!(false)),
    ] {
        assert_eq!(alice[name], value, "{name}: {alice}");
    }
    assert!(
        alice["connection"].as_str().unwrap().ends_with("-1") && alice["memory"].as_u64() > Some(65_535),
        "{alice}"
    );
    assert_eq!((server.ids([&alice["id"], &zoe["id"]]), &zoe["user"]), (vec!["1.1", "2.1"], &json!("zoe")));
    let ids = |arguments: &[&str]| -> Vec<String> {
        let listed = server.listed(&[&["sessions"], arguments].concat());
        server.ids(listed.iter().map(|entry| &entry["id"])).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(ids(&["--tenant", "acme"]), ["1.1"]);
    assert_eq!(ids(&["--user", "zoe", "--plugin", "script"]), ["2.1"]);
    assert_eq!(ids(&["--connections", "--user", "bob"]), ["3"]);
    assert_eq!(ids(&["--plugin", "absent"]), [""; 0]);
    let table = server.told(&["sessions"]);
    assert!(table.starts_with("ID ") && table.contains("\n1.1 ") && table.contains("write \\x1b[2Jstarted"), "{table}");
    assert!(table.chars().all(|character| character == '\n' || (' '..='~').contains(&character)), "{table:?}");
    assert_eq!(server.told(&["sessions", "--user", "nobody"]), "no sessions\n");
}

#[tokio::test]
async fn the_status_says_how_the_server_is() {
    let server = Server::start("[limits]\ninstances = 2\n");
    let _clients = [server.client("alice", b"write x").await, server.client("zoe", b"write x").await];
    let status: Value = serde_json::from_str(&server.told(&["status", "--json"])).unwrap();
    for (name, value) in [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("pid", json!(server.child.id())),
        ("state", json!("serving")),
        ("drain_left_s", Value::Null),
        ("listeners", json!([server.address.to_string()])),
        ("sessions", json!(2)),
        ("instances", json!({ "used": 2, "most": 2 })),
        ("plugins", json!({ "served": 1, "preparing": 0, "refused": 0 })),
        ("near", json!([{ "tenant": null, "setting": "instances", "used": 2, "limit": 2 }])),
    ] {
        assert_eq!(status[name], value, "{name}: {status}");
    }
    assert_eq!(status["connections"]["used"], 2);
    let report = server.told(&["status"]);
    assert!(report.contains("near its limit: instances: 2 of 2\n"), "{report}");
}

#[test]
fn who_asks_nobody_or_another_version_is_told_so() {
    let server = Server::start("");
    let folder = server.path("elsewhere");
    fs::create_dir(&folder).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
    let output = command.args(["sessions", "--state"]).arg(&folder).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let words = format!("no whelk is running with the state folder {}", folder.display());
    assert!(output.status.code() == Some(1) && told.contains(&words), "{told}");
    let raw = |request: &str| {
        let mut socket = UnixStream::connect(server.path("state/control")).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        serde_json::from_str::<Value>(answer.trim_end()).unwrap()["error"].as_str().unwrap_or_default().to_owned()
    };
    // A later program, and one with a field that this server does not know.
    let words = "is it of another version?";
    for request in ["rewind {}\n", "sessions {\"colour\":1}\n", "sessions [\n"] {
        assert!(raw(request).contains(words), "{request}: {}", raw(request));
    }
}

#[test]
fn a_thousand_clients_at_once_get_their_answers() {
    let server = Server::start("");
    let socket = server.path("state/control");
    let clients: Vec<UnixStream> = (0..1_000).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    clients.iter().for_each(|mut client| client.write_all(b"sessions\n").unwrap());
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "{\"done\":{}}\n");
    }
}

#[tokio::test]
async fn tenants_are_listed_with_what_they_have_used_beside_their_limits() {
    let grants = r#"
[tenants.acme.limits]
tenant_sessions = 7
[tenants.acme.grants]
keyvalue = { bytes = "16 MiB", keys = 100 }
directory = { path = "files", access = "read-write", bytes = "1 GiB" }
"#;
    let server = Server::start(grants);
    let _alice = server.client("alice", b"write hello").await;
    let listed = server.listed(&["tenants"]);
    let [acme, _default, other] = &listed[..] else { panic!("{listed:?}") };
    for (name, value) in [
        ("tenant", json!("acme")),
        ("sessions", json!({ "used": 1, "most": 7 })),
        ("instances", json!(1)),
        ("disk", json!({ "used": 0, "most": 1 << 30 })),
        ("keyvalue", json!({ "used": 0, "most": 16 << 20 })),
        ("keyvalue_keys", json!({ "used": 0, "most": 100 })),
        ("received", json!(0)),
        ("sent", json!(5)),
    ] {
        assert_eq!(acme[name], value, "{name}: {acme}");
    }
    assert!(acme["memory"]["used"].as_u64() > Some(65_535), "{acme}");
    let nothing = (&other["tenant"], &other["sessions"]["used"], &other["keyvalue"], &other["disk"]);
    assert_eq!(nothing, (&json!("other"), &json!(0), &Value::Null, &Value::Null));
    assert_eq!(server.listed(&["tenants", "--tenant", "acme"]).len(), 1);
    let table = server.told(&["tenants"]);
    assert!(table.starts_with("TENANT ") && table.contains("1/7"), "{table}");
    // With a file it explains that, and asks no server.
    let mut explained = Command::new(env!("CARGO_BIN_EXE_whelk"));
    let output = explained.args(["tenants", "whelk.toml", "alice"]).current_dir(server.path(".")).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("alice"));
    assert_eq!(server.ask(&["tenants", "whelk.toml"]).0, 2);
}
