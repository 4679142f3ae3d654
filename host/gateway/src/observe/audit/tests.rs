//! `AUDIT.md` says what the code does, and records have the form that it says.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use super::record::{Recorder, VERSION, key};
use whelk_runtime::event::PathText;

use super::*;
use crate::observe::escape::{Brief, escape};
use crate::observe::event::{ServerEvent, SessionEvent, descriptions};
use crate::source::Peer;

/// What every record has, or those of a connection.
const COMMON: [(&str, &str); 11] = [
    ("version", "the version of this schema, a number"),
    ("time", "when it happened: RFC 3339, UTC, with microseconds"),
    ("event", "the name of the event"),
    ("run", "tells this run of the program from all others, as in the log"),
    ("seq", "the number of the record in this run, from 1 on; one that was left out has a number, too"),
    ("connection", "of a connection: its identity, as in the log"),
    ("session", "of a session: its number on the connection, from 1 on"),
    ("user", "of a connection: the name that the user logged in with, once somebody has"),
    ("principal", "the account of that user"),
    ("tenant", "the tenant of that user"),
    ("peer", "of a connection: address and port of the client, or `unknown`"),
];

fn document() -> String {
    let mut text = format!(
        "# Audit\n\n\
         With the table `[audit]` of the configuration the server records who logged in, what was run, what plugins did to\n\
         files and what operators did: one JSON object a line (`whelk config` shows the settings). In syslog (RFC 5424) the\n\
         object is MSG and the event name is MSGID. In journald they are MESSAGE and WHELK_EVENT.\n\n\
         Generated. To regenerate after an intended change:\n\n    \
         WHELK_BLESS=1 cargo test --release --workspace --lib observe::audit\n\n\
         The schema has version {VERSION}. Names are stable: later versions of the program may add fields and events, and raise\n\
         the version if one changes its meaning. Nothing that authenticates is ever recorded.\n\n\
         Every record has the first five fields. The others appear where they apply.\n\n\
         | field | what it means |\n|---|---|\n"
    );
    for (name, meaning) in COMMON {
        writeln!(text, "| `{name}` | {meaning} |").unwrap();
    }
    text += "\nThe other fields of an event are those of its line in the log: `EVENTS.md` has the meaning of each. A command is\n\
             exact: as text if it is UTF-8, otherwise as hexadecimal digits in `command_hex`. The paths of `file_used` are\n\
             exact, too; `…` stands for what precedes the last 4 KiB of one. Other texts of clients are written as in the\n\
             log: what is not readable text as `\\xNN` or `\\u{..}`, a backslash twice. A value takes up to 16 KiB, to syslog\n\
             and journald up to 4 KiB: `NAME_cut` says how many bytes were left out at the end of one, or at the beginning of\n\
             a path, and `NAME_sha256` has the digest of the whole.\n\n\
             A record is in the file when the kernel has it, and survives the end of the process. After the death of a process\n\
             in the middle of a record the next one begins a new line. `FILE.1` is the newest of the older files.\n\n\
             While the destination fails, up to 32 MiB of records wait. In the place of those that find no room there is\n\
             `audit_left_out`: how many (`left_out`), the numbers of the first (`seq`) and the last, and of the file events\n\
             among them whose they are: `of` has the `tenant`, the `user` and `left_out` of up to eight users. File events\n\
             are left out beyond three quarters of that room, those of one tenant beyond 5,000 a second (20,000 at once) and\n\
             beyond an eighth of it, failures of clients that have not logged in beyond 1,000 a second and beyond a quarter.\n\
             Once half of what a tenant may have is taken, a user of it has 500 a second (2,000 at once) and a sixteenth of\n\
             its room. With `required = true` nobody can log in, open a session or start a command while writing fails or the\n\
             queue is half full. Running sessions continue.\n\n\
             ## Events\n\n";
    for event in descriptions().filter(|event| AUDITED.contains(&event.name)) {
        let common = |name: &&str| !COMMON.iter().any(|(common, _)| common == name);
        let fields: Vec<String> = event
            .fields
            .iter()
            .filter_map(|(name, _)| key(name))
            .filter(common)
            .map(|name| format!("`{name}`"))
            .collect();
        let fields = if fields.is_empty() { "no more fields".to_owned() } else { fields.join(", ") };
        writeln!(text, "* **`{}`**: {fields}", event.name).unwrap();
    }
    text += "* **`audit_left_out`**: `left_out`, `last`, `of`\n";
    text
}

#[test]
fn the_schema_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("AUDIT.md");
    if std::env::var_os("WHELK_BLESS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == document(), "write AUDIT.md anew, as it says itself");
}

#[test]
fn every_event_that_is_recorded_exists() {
    let known: BTreeSet<&str> = descriptions().map(|event| event.name).collect();
    let recorded: BTreeSet<&str> = AUDITED.into_iter().collect();
    assert_eq!((recorded.len(), recorded.difference(&known).count()), (AUDITED.len(), 0));
}

fn record(recorder: &Recorder, event: impl Into<Event<'static>>) -> serde_json::Value {
    let event = event.into();
    recorder.note(&event);
    let line = super::record::numbered(recorder.line(&event), 5);
    recorder.forget(&event);
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    let text = String::from_utf8_lossy(&line);
    assert!(COMMON.iter().all(|(key, _)| text.matches(&format!("\"{key}\":")).count() <= 1), "twice: {text}");
    serde_json::from_slice(&line).unwrap()
}

fn opened() -> ConnectionEvent<'static> {
    ConnectionEvent::Opened { connection: 7, peer: Peer::Address("192.0.2.1:5000".parse().unwrap()) }
}

fn succeeded() -> LoginEvent<'static> {
    LoginEvent::Succeeded {
        connection: 7,
        peer: Peer::Unknown,
        method: "publickey",
        user: escape(b"alice"),
        principal: None,
        tenant: escape(b"acme"),
        plugin: escape(b"files"),
        algorithm: Some("ssh-ed25519"),
        fingerprint: Some("SHA256:x"),
        key_id: None,
        serial: None,
        authority: None,
    }
}

fn started(command: &'static [u8]) -> SessionEvent<'static> {
    let (user, tenant) = (escape(b"alice"), escape(b"acme"));
    SessionEvent::Started {
        connection: 7,
        channel: 0,
        session: 3,
        user,
        tenant,
        plugin: Some("files"),
        start: escape(b"exec"),
        command: Brief(command),
        forced: None,
        kind: "exec",
    }
}

#[test]
fn a_record_says_whose_its_connection_and_session_are() {
    let recorder = Recorder::new(usize::MAX);
    record(&recorder, opened());
    assert!(!recorder.is_logged_in(7));
    let login = record(&recorder, succeeded());
    assert!(recorder.is_logged_in(7));
    for (field, value) in [("event", "login_succeeded"), ("user", "alice"), ("fingerprint", "SHA256:x")] {
        assert_eq!(login[field], value, "{login}");
    }
    assert!(login["version"] == 1 && login["key_id"].is_null() && login["connection"].is_string(), "{login}");
    let time = login["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-11-29T17:06:07.123456Z".len(), "{time}");
    let (user, tenant) = (escape(b"alice"), escape(b"acme"));
    let (plugin, generation) = ("files", 1);
    record(&recorder, SessionEvent::Opened { connection: 7, channel: 0, session: 3, user, tenant, plugin, generation });
    let used = Event::Runtime(LogEvent::FileUsed {
        tenant: "acme",
        user: "alice",
        plugin: "files",
        connection: Some(7),
        channel: 0,
        operation: "read-end",
        path: PathText { whole: "a/b", shown: "" },
        to_path: None,
        bytes: None,
        read: Some(5),
        refused: None,
    });
    let used = record(&recorder, used);
    for (field, value) in [("user", "alice"), ("principal", "alice"), ("peer", "192.0.2.1:5000"), ("path", "a/b")] {
        assert_eq!(used[field], value, "{used}");
    }
    assert_eq!((&used["session"], &used["read"]), (&3.into(), &5.into()), "{used}");
    let (peer, reason, level) = (Peer::Unknown, escape(b"end"), Level::INFO);
    let closed = ConnectionEvent::Closed {
        connection: 7,
        peer,
        seconds: 1.5,
        received: 1,
        sent: 2,
        sessions: 3,
        attempts: 0,
        user: Some("alice"),
        tenant: Some("acme"),
        reason,
        level,
        outcome: "hung_up",
    };
    assert_eq!(record(&recorder, closed)["seconds"], 1.5);
    assert_eq!(recorder.remembered(), 1, "its session has not ended");
}

#[test]
fn the_start_of_the_program_says_which_program_it_is() {
    let (version, run, file, digest) = ("0.1.0", "7f3a9c21", Some("whelk.toml"), Some("00"));
    let started = ServerEvent::Started { version, run, file, digest, users: 2, tenants: 1 };
    let started = record(&Recorder::new(usize::MAX), started);
    assert_eq!((&started["version"], &started["program_version"]), (&1.into(), &"0.1.0".into()), "{started}");
}

#[test]
fn a_command_is_exact_whatever_its_bytes() {
    let recorder = Recorder::new(usize::MAX);
    let text = b"printf 'a\\n\"\x1b[2J\xe2\x80\xae' \\x41";
    assert_eq!(record(&recorder, started(text))["command"].as_str().unwrap().as_bytes(), text);
    let bytes = record(&recorder, started(b"cat \xff\x00"));
    assert_eq!((bytes["command_hex"].as_str(), &bytes["command"]), (Some("63617420ff00"), &serde_json::Value::Null));
    let long: &'static [u8] = vec![b'x'; 255 << 10].leak();
    assert_eq!(record(&recorder, started(long))["command"].as_str().unwrap().len(), long.len());
    let line = String::from_utf8(recorder.line(&started(text).into())).unwrap();
    assert!(line.contains("\\u001b") && line.contains("\\u202e") && !line.contains(['\u{1b}', '\u{202e}']), "{line}");
    let cut = record(&Recorder::new(4 << 10), started(long));
    assert_eq!((cut["command"].as_str().unwrap().len(), &cut["command_cut"]), (4096, &(251 << 10).into()));
    assert_eq!(cut["command_sha256"].as_str().map(str::len), Some(64));
}

/// Neither a long path nor a strange one hides which file was meant, and the source of a rename not its target.
#[test]
fn a_path_is_exact_and_keeps_its_end() {
    let renamed = |whole: &'static str, to: &'static str| {
        Event::Runtime(LogEvent::FileUsed {
            tenant: "acme",
            user: "alice",
            plugin: "files",
            connection: None,
            channel: 0,
            operation: "rename",
            path: PathText { whole, shown: "" },
            to_path: Some(PathText { whole: to, shown: "" }),
            bytes: None,
            read: None,
            refused: None,
        })
    };
    let strange = "a \"to\" \\b\u{1b}\n\u{202e}";
    let whole = record(&Recorder::new(usize::MAX), renamed(strange, "c"));
    assert_eq!((whole["path"].as_str(), whole["to_path"].as_str()), (Some(strange), Some("c")));
    let long: &'static str = format!("{}/secret", "\u{1b}".repeat(4000)).leak();
    let cut = record(&Recorder::new(4 << 10), renamed(long, "bin/x"));
    let path = cut["path"].as_str().unwrap();
    // Each escape takes six bytes.
    assert_eq!((path.len(), long.ends_with(path)), ((4089 / 6) + 7, true));
    assert_eq!(cut["path_cut"], long.len() - path.len());
    assert_eq!((cut["path_sha256"].as_str().map(str::len), cut["to_path"].as_str()), (Some(64), Some("bin/x")));
}

/// Whoever hides in the noise of a session's starts, or outlives the connection, is recorded by name all the same.
#[test]
fn a_session_that_outlives_its_connection_is_recorded_with_its_user_and_then_forgotten() {
    let recorder = Recorder::new(usize::MAX);
    record(&recorder, opened());
    record(&recorder, succeeded());
    for session in [3, 4] {
        let (user, tenant, plugin, generation) = (escape(b"alice"), escape(b"acme"), "files", 1);
        record(
            &recorder,
            SessionEvent::Opened { connection: 7, channel: 0, session, user, tenant, plugin, generation },
        );
    }
    record(&recorder, closed(7, Some("alice")));
    for session in [3, 4] {
        assert_eq!(recorder.remembered(), 1);
        let ended = SessionEvent::Ended {
            connection: 7,
            channel: 0,
            session,
            user: escape(b"alice"),
            tenant: "acme",
            plugin: "files",
            generation: 1,
            ending: "finished",
            exit: "status 0",
            cpu_ms: 0,
            memory: 0,
            error: None,
            level: Level::INFO,
            failure: None,
        };
        let ended = record(&recorder, ended);
        assert_eq!((&ended["session"], &ended["principal"]), (&session.into(), &"alice".into()), "{ended}");
        assert_eq!(ended["peer"], "192.0.2.1:5000");
    }
    assert_eq!(recorder.remembered(), 0);
}

/// Strangers that come and go take no memory.
#[test]
fn connections_without_a_login_are_forgotten() {
    let recorder = Recorder::new(usize::MAX);
    record(&recorder, opened());
    assert_eq!(recorder.remembered(), 1);
    record(&recorder, closed(7, None));
    assert_eq!(recorder.remembered(), 0);
}

fn closed(connection: u64, user: Option<&'static str>) -> ConnectionEvent<'static> {
    ConnectionEvent::Closed {
        connection,
        peer: Peer::Unknown,
        seconds: 0.0,
        received: 1,
        sent: 1,
        sessions: 0,
        attempts: 0,
        user,
        tenant: user.map(|_| "acme"),
        reason: escape(b""),
        level: Level::INFO,
        outcome: "hung_up",
    }
}

#[test]
fn keys_before_the_right_one_and_strangers_without_a_login_are_not_recorded() {
    let recorder = Recorder::new(usize::MAX);
    let closed = |connection| closed(connection, None);
    assert!(!is_recorded(&recorder, &closed(7).into()));
    record(&recorder, opened());
    record(&recorder, succeeded());
    assert!(is_recorded(&recorder, &closed(7).into()) && is_recorded(&recorder, &succeeded().into()));
    assert!(!is_recorded(&recorder, &opened().into()));
    let rejected = |level| LoginEvent::Rejected {
        connection: 7,
        peer: Peer::Unknown,
        method: "publickey",
        user: escape(b"alice"),
        tenant: None,
        reason: escape(b"unknown user"),
        algorithm: None,
        fingerprint: None,
        key_id: None,
        serial: None,
        authority: None,
        level,
    };
    assert!(is_recorded(&recorder, &rejected(Level::INFO).into()));
    assert!(!is_recorded(&recorder, &rejected(Level::DEBUG).into()));
}
