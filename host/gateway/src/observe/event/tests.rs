//! `EVENTS.md` says what the code does, and names and fields keep to their rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use super::*;

/// The families, in the order of the list.
const FAMILIES: [&str; 9] = ["connection", "login", "session", "process", "plugin", "file", "home", "limit", "server"];

/// What each field means, wherever it is.
const FIELDS: &[(&str, &str)] = &[
    ("added", "how many users, tenants and addresses are new"),
    ("address", "where it listens: address and port"),
    ("algorithm", "the type of a key: the name of its algorithm"),
    ("answer", "what an authenticator answered"),
    ("attempts", "how many attempts to log in were refused"),
    ("authenticator", "the name of an authenticator"),
    ("authority", "the fingerprint of the key that has signed a certificate"),
    ("bytes", "a number of bytes"),
    ("change", "what to change on the machine or in the configuration"),
    ("channel", "the number of a channel of the connection; a session has one"),
    ("cipher", "the cipher of what the client sends, by its name in SSH"),
    ("command", "what the client asks to start: a command or the name of a subsystem, its first 200 bytes"),
    ("compression", "the compression of what the client sends, by its name in SSH"),
    ("configured", "the value that a setting has in the configuration"),
    ("connection", "a connection: the run of the program, and its number in that, from 1 on (`7f3a9c21-42`)"),
    ("connections", "a number of connections"),
    ("count", "how many there were"),
    ("cpu_ms", "processor time of the plugins, in milliseconds"),
    ("destination", "what a plugin wanted to connect to"),
    ("detail", "what was asked for, at most 200 bytes"),
    ("digest", "the SHA-256 of a file, or the digest of what was written to a recording, in hexadecimal"),
    ("dropped", "how many connections or lines were dropped"),
    ("ending", "how a session ended"),
    ("error", "what failed"),
    ("exit", "what the client was told of the end: a status, a signal, or `none`"),
    ("file", "the path of a file of the operator's or of a tenant's"),
    ("files", "a number of files and folders"),
    ("fingerprint", "the fingerprint of a key, as OpenSSH writes it"),
    ("folder", "the path of a plugin folder"),
    ("forced", "the command that runs instead of what the client asks for"),
    ("from", "the plugin that had the session before"),
    ("generation", "the version of a plugin, from 1 on since the start"),
    ("had_done", "how far a client had come with its login"),
    ("has", "what the machine has"),
    ("hash", "the hash that the digest of a recording is made with: `blake3` or `sha256`"),
    ("home", "the path of a home, or of the folder that holds those of a tenant"),
    ("homes", "how many homes a tenant has"),
    ("host_key", "the algorithm of the signature by the host key"),
    ("hosts", "the host names that a certificate is for; for all if there is none"),
    ("interactive", "how many exchanges of prompts and answers (keyboard-interactive) were refused"),
    ("key_exchange", "the key exchange, by its name in SSH"),
    ("key_id", "what the authority of a certificate calls it"),
    ("keys", "how many keys were refused"),
    ("kind", "the type of a channel"),
    ("last", "no more of these are told, and this says so"),
    ("left_out", "how many file events or records of the audit were left out"),
    ("limit", "the name of the limit in the configuration"),
    ("listening", "on how many addresses it listens"),
    ("lost", "how many bytes were not shown, or not recorded"),
    ("mac", "the MAC of what the client sends, by its name in SSH"),
    ("memory", "the most memory that a plugin of the session had, in bytes"),
    ("message", "the text that the plugin wrote"),
    ("method", "the name of the authentication method, RFC 4252"),
    ("more", "how many events of this kind were not told since the last line"),
    ("most", "the value of the limit"),
    ("name", "the name of a variable"),
    ("names", "the names of at most eight variables"),
    ("needs", "what the limits may take"),
    ("next", "the methods of which one must follow, RFC 4252"),
    ("nones", "how many attempts of method `none` were refused"),
    ("number", "which plugin folder it is, from 0 on"),
    ("of_source", "how many connections or lines there are of the source"),
    ("opened_by", "who began a channel: `the client` or `the server`"),
    (
        "operation",
        "what a plugin did to a file: `open`, `create`, `truncate`, `read-end`, `write-end`, `rename`, `remove`, \
         `mkdir`, `rmdir`, `link`, `symlink` or `times`",
    ),
    ("others", "how many attempts of other methods were refused"),
    ("panic", "what a panic said"),
    ("passwords", "how many passwords were refused"),
    ("path", "the path of a file, from the root that the plugin sees; `…` stands for the beginning of a long one"),
    ("pause", "how long no session of this version is started"),
    ("peer", "address and port of the client, or `unknown`"),
    ("place", "the line of source that panicked"),
    ("plugin", "the name of a plugin"),
    ("plugins", "how many plugins are served"),
    ("principal", "the account of a user; in `login_succeeded` only if it has another name"),
    ("processes", "number and program of the first eight processes, and how many more there are"),
    ("read", "how many bytes a plugin read from a file until it was closed"),
    ("reason", "why, in words"),
    ("received", "how many bytes were read from the client"),
    ("refused", "the error that the plugin was given, or how many plugin files were refused"),
    ("removed", "how many users, tenants and addresses are no longer there"),
    ("resource", "what the machine has too little of"),
    ("restart_ms", "how long it is until the task is started again, in milliseconds"),
    ("retry_s", "how long it is until the file is tried again, in seconds"),
    ("run", "tells this run of the program from all others"),
    ("running", "the value that a setting has until the restart"),
    ("said", "what a panic said"),
    ("seconds", "how long it took"),
    ("sent", "how many bytes were written to the client"),
    ("serial", "the number that the authority of a certificate gave it"),
    ("session", "the number of a session of the connection, from 1 on"),
    ("sessions", "how many sessions there are, or a connection has had"),
    ("setting", "the full key of a setting"),
    ("signal", "the name of a signal"),
    ("source", "an address, or the network of an IPv6 address"),
    ("sources", "how many sources there are"),
    (
        "special_files",
        "the FIFOs, sockets and devices of a skeleton that were not copied: the first three, and how many more",
    ),
    ("start", "what the client asks to start: `shell`, `exec` or `subsystem`"),
    ("status", "the exit status of the program"),
    ("task", "the name of a task or thread of the server"),
    ("tenant", "the name of a tenant"),
    ("tenants", "how many tenants the configuration has"),
    ("text", "what the client wrote"),
    ("thread", "the name of a thread"),
    ("to", "the version that sessions get instead"),
    ("to_path", "the new path of a rename or link, the target of a symbolic link"),
    ("took_ms", "how long it took, in milliseconds"),
    ("uid", "the user of the system who has asked for it: its number"),
    ("unauthenticated", "how many connections that have not logged in"),
    ("unread_for", "how long nothing was read"),
    ("user", "the name that a user logs in with"),
    ("users", "how many users the configuration has"),
    ("version", "the version of the program"),
    ("what", "the name of a request or of a kind of channel, RFC 4254"),
];

/// What a field may hold more than one of.
const BOTH_KINDS: [&str; 1] = ["refused"];

/// Whether a field is a number in JSON, by its type in Rust.
fn is_number(of: &str) -> bool {
    let inner = of.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(of);
    ["u8", "u16", "u32", "u64", "usize", "f32"].contains(&inner)
}

fn family(event: &Description) -> &str {
    event.name.split('_').next().unwrap_or_default()
}

/// One event as an item of the list.
fn item(event: &Description) -> String {
    let Description { name, part, message, when, .. } = event;
    let levels = event.levels.join(", ");
    let message = if message.is_empty() { String::new() } else { format!(" \"{message}\".") };
    let field = |(name, of): &(&str, &str)| {
        let optional = if of.starts_with("Option<") { "?" } else { "" };
        format!("`{name}`{optional}")
    };
    let fields: Vec<String> = event.fields.iter().map(field).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(" Fields: {}.", fields.join(", ")) };
    format!("* **`{name}`** ({levels}; `{part}`):{message} {when}{fields}")
}

/// Breaks a paragraph into lines of at most 120 columns; those after the first are indented. Code stays as it is.
fn wrap(text: &str, indent: &str) -> String {
    if text.starts_with("    ") {
        return text.to_owned();
    }
    let (mut wrapped, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        if column > 0 && column + 1 + word.chars().count() > 120 {
            wrapped += &format!("\n{indent}");
            column = indent.len();
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += word.chars().count();
    }
    wrapped
}

fn document() -> String {
    let mut text = "# Events\n\n".to_owned();
    for paragraph in [
        "Every line of the log is one of these events. Generated. To regenerate after an intended change:",
        "    WHELK_BLESS=1 cargo test --release --workspace --lib observe::event",
        "An event has a name, one level or a choice of levels, and a part of the server by which `WHELK_LOG` selects its \
         line (`info,whelk::connection=debug`). Its line has a message and fields, in this order; `?` marks a field that \
         may be absent. Names, parts, messages and fields are stable. The name is not in the line. Subscribers in the \
         same process match on it.",
    ] {
        writeln!(text, "{}\n", wrap(paragraph, "")).unwrap();
    }
    for family_name in FAMILIES {
        writeln!(text, "## {family_name}\n").unwrap();
        for event in descriptions().filter(|event| family(event) == family_name) {
            writeln!(text, "{}", wrap(&item(event), "  ")).unwrap();
        }
        text.push('\n');
    }
    text += "## Fields\n\n| field | what it means |\n|---|---|\n";
    for (name, meaning) in FIELDS {
        writeln!(text, "| `{name}` | {meaning} |").unwrap();
    }
    text
}

#[test]
fn the_list_of_events_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("EVENTS.md");
    let document = document();
    if std::env::var_os("WHELK_BLESS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    let other = kept.lines().zip(document.lines()).find(|(kept, made)| kept != made);
    assert!(kept == document, "write EVENTS.md anew, as it says itself; it has, and should have: {other:#?}");
}

#[test]
fn names_are_unique_and_begin_with_their_family() {
    let mut names = BTreeSet::new();
    for event in descriptions() {
        assert!(names.insert(event.name), "{}: twice", event.name);
        assert!(FAMILIES.contains(&family(event)), "{}: not of a family", event.name);
        let is_snake = event.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(is_snake && event.name.len() > family(event).len() + 1, "{}", event.name);
        assert!(event.when.ends_with('.'), "{}: when?", event.name);
        let has_message = !event.message.is_empty() || event.fields.iter().any(|(name, _)| *name == "message");
        assert!(has_message, "{}: no message", event.name);
    }
}

#[test]
fn a_field_means_one_thing_in_all_events() {
    let mut kinds: BTreeMap<&str, bool> = BTreeMap::new();
    for event in descriptions() {
        for (field, of) in event.fields {
            let kind = *kinds.entry(field).or_insert_with(|| is_number(of));
            assert!(kind == is_number(of) || BOTH_KINDS.contains(field), "{}: {field} is a {of}", event.name);
        }
    }
    let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), known, "the meaning of each field, in the order of their names");
}

/// What the subscriber of this test program has heard.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether the subscriber of this test program is one, from now on.
static IS_SUBSCRIBED: LazyLock<bool> = LazyLock::new(|| {
    let hear = |event: &Event<'_>| {
        let heard = match event {
            Event::Server(ServerEvent::Stopping { signal }) => format!("{}: {signal}", event.name()),
            Event::Session(SessionEvent::Started { connection, start, .. }) => {
                format!("{}: {connection} {start}", event.name())
            }
            _ => return,
        };
        HEARD.lock().unwrap().push(heard);
    };
    subscribe(vec![Box::new(hear)], FileEvents::All)
});

/// How often something like this was heard while `work` was done.
pub(crate) fn heard(text: &str, work: impl FnOnce()) -> usize {
    assert!(*IS_SUBSCRIBED);
    let count = || HEARD.lock().unwrap().iter().filter(|heard| *heard == text).count();
    let before = count();
    work();
    count() - before
}

#[test]
fn a_subscriber_is_told_of_each_event_with_its_values() {
    let emitted = heard("server_stopping: emitted", || emit(ServerEvent::Stopping { signal: "emitted" }));
    assert_eq!(emitted, 1);
    assert!(!subscribe(Vec::new(), FileEvents::All), "once in a program");
    // Nothing that a throttle of the log leaves out is withheld from the audit.
    let throttled = heard("server_stopping: throttled", || {
        [true, false, false].iter().for_each(|has_line| {
            emit_throttled(*has_line, ServerEvent::Stopping { signal: "throttled" });
        });
    });
    assert_eq!(throttled, 3);
}
