//! The table of `src/answers.md`, which the crate's documentation shows: every message number and every name that this
//! crate knows, and what a server answers. Each answer is what a server has sent to a client written by hand.

use std::collections::BTreeSet;
use std::fmt::Write;

use whelk_ssh::auth::server::{ServerAuth, Verdict};
use whelk_ssh::message::Role;
use whelk_ssh::message::auth::{AuthMessage, Method};
use whelk_ssh::message::interactive::InteractiveMessage;
use whelk_ssh::message::kex::KexMessage;
use whelk_ssh::message::mux::MuxMessage;
use whelk_ssh::message::password::PasswordMessage;
use whelk_ssh::message::request::{Modes, Request, WindowSize};
use whelk_ssh::message::transport::TransportMessage;
use whelk_ssh::phase::{Admission, Phase, admits};
use whelk_ssh::wire::{Rest, Wire};

use crate::pair::Setup;
use crate::raw::{Raw, encode, none, request};

/// A name of the application's own, which has asked to be told of such.
const PRIVATE: &str = "NAME@DOMAIN";

const GLOBAL_REQUESTS: [&str; 10] = [
    "no-more-sessions@openssh.com",
    "keepalive@openssh.com",
    "hostkeys-00@openssh.com",
    "hostkeys-prove-00@openssh.com",
    "tcpip-forward",
    "cancel-tcpip-forward",
    "streamlocal-forward@openssh.com",
    "cancel-streamlocal-forward@openssh.com",
    PRIVATE,
    "any other",
];

const CHANNEL_TYPES: [&str; 11] = [
    "session",
    "x11",
    "direct-tcpip",
    "forwarded-tcpip",
    "direct-streamlocal@openssh.com",
    "forwarded-streamlocal@openssh.com",
    "auth-agent",
    "auth-agent@openssh.com",
    "tun@openssh.com",
    PRIVATE,
    "any other",
];

const CHANNEL_REQUESTS: [&str; 17] = [
    "pty-req",
    "env",
    "shell",
    "exec",
    "subsystem",
    "window-change",
    "signal",
    "break",
    "exit-status",
    "exit-signal",
    "eow@openssh.com",
    "keepalive@openssh.com",
    "x11-req",
    "auth-agent-req",
    "auth-agent-req@openssh.com",
    "xon-xoff",
    "any other",
];

const METHODS: [&str; 8] = [
    "none",
    "password",
    "publickey",
    "publickey-hostbound-v00@openssh.com",
    "keyboard-interactive",
    "hostbased",
    "gssapi-with-mic",
    "any other",
];

const EXTENSIONS: [&str; 4] =
    ["server-sig-algs", "publickey-hostbound@openssh.com", "ping@openssh.com", "ext-info-in-auth@openssh.com"];

/// The name of a message's number, if this crate knows it.
fn name(number: u8) -> &'static str {
    let tables = [
        TransportMessage::NAMES,
        KexMessage::NAMES,
        AuthMessage::NAMES,
        InteractiveMessage::NAMES,
        PasswordMessage::NAMES,
        MuxMessage::NAMES,
    ];
    let known = tables.into_iter().flatten().find(|(known, _)| *known == number);
    known.map_or("any other", |(_, name)| name)
}

/// What the server has sent, as the names of its messages.
fn told(raw: &mut Raw<ServerAuth>) -> String {
    let names: Vec<&str> = raw.replies().iter().map(|reply| name(reply[0])).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn admission(phase: Phase, number: u8) -> &'static str {
    match admits(Role::Server, phase, number) {
        Admission::Handle => "handled",
        Admission::Ignore => "ignored",
        Admission::Unimplemented => "UNIMPLEMENTED",
        Admission::Disconnect => "DISCONNECT",
    }
}

/// One row for each known message, and one for all others.
fn messages(text: &mut String) {
    *text += "## Messages\n\nWhat a server does with each during authentication and after login. All phases of both \
              sides are in `tests/phases.txt`.\n\n| number | message | authentication | after login |\n|---|---|---|---|\n";
    let other = 200;
    for number in (0..=255).filter(|number| name(*number) != "any other").chain([other]) {
        let shown = if number == other { "other".to_owned() } else { number.to_string() };
        let (auth, open) = (admission(Phase::Auth, number), admission(Phase::Open, number));
        writeln!(text, "| {shown} | {} | {auth} | {open} |", name(number)).expect("a String takes all");
    }
}

/// A request of a session, well formed.
fn channel_request(kind: &str) -> Vec<u8> {
    let (size, modes) = (WindowSize::default(), Modes::new(b"\0"));
    let known = [
        Request::PtyReq { term: b"xterm", size, modes },
        Request::Env { name: b"LANG", value: b"C" },
        Request::Exec { command: b"ls" },
        Request::Subsystem { name: b"sftp" },
        Request::WindowChange { size },
        Request::Signal { name: b"TERM" },
        Request::Break { length_ms: 1 },
        Request::ExitStatus { status: 0 },
        Request::ExitSignal { name: b"TERM", core_dumped: false, message: b"", language: b"" },
    ];
    known.iter().find(|known| known.kind() == kind.as_bytes()).map_or(Vec::new(), Request::body)
}

/// A request of authentication, well formed, and refused by the application.
fn method(raw: &Raw<ServerAuth>, kind: &str) -> Vec<u8> {
    let (algorithm, key, host_key) = (&b"ssh-ed25519"[..], raw.host_key.public().blob(), raw.application.key.public());
    let known = [
        Method::None,
        Method::Password { password: b"x", new: None },
        Method::PublicKey { algorithm, key, signature: None },
        Method::HostBoundKey { algorithm, key, host_key: host_key.blob(), signature: None },
        Method::KeyboardInteractive,
    ];
    let mut body = Vec::new();
    for method in known {
        let mut encoded = Vec::new();
        if method.encode(&mut encoded) == kind.as_bytes() {
            body = encoded;
        }
    }
    let (user, service) = (&b"alice"[..], &b"ssh-connection"[..]);
    encode(&AuthMessage::UserauthRequest { user, service, method: kind.as_bytes(), body: Rest(&body) })
}

/// What a server does about an extension: it says it itself, or answers a client that does.
fn extension(setup: &Setup, kind: &str) -> String {
    let mut raw = Raw::client(setup);
    raw.identify();
    let said = raw.exchange().into_iter().filter(|reply| reply[0] == 7).collect::<Vec<_>>().concat();
    let sent = said.windows(kind.len()).any(|window| window == kind.as_bytes());
    let mut payload = [&b"\x07\0\0\0\x01"[..], &(kind.len() as u32).to_be_bytes(), kind.as_bytes()].concat();
    payload.extend_from_slice(b"\0\0\0\x010");
    raw.send(&payload);
    let mut raw = raw.service();
    raw.application.verdict = Verdict::Reject;
    raw.send(&none(b"alice"));
    match (sent, told(&mut raw).starts_with("EXT_INFO")) {
        (true, false) => "the server sends it".to_owned(),
        (false, true) => "EXT_INFO before the first answer of authentication".to_owned(),
        (sent, answered) => panic!("{kind} {sent} {answered}"),
    }
}

/// The table as it is.
fn print() -> String {
    let setup = Setup::new(usize::MAX);
    let mut text = String::from(
        "# What a server answers\n\nMade by the test `answers`, which sends each of these to a server. \"asks\" means \
         that the application\ndecides; what follows is the answer of one that accepts.\n\n",
    );
    messages(&mut text);
    let mut section = |title: &str, names: &[&str], probe: &mut dyn FnMut(&str) -> String| {
        write!(text, "\n## {title}\n\n| name | answer |\n|---|---|\n").expect("a String takes all");
        for kind in names {
            writeln!(text, "| `{kind}` | {} |", probe(kind)).expect("a String takes all");
        }
    };
    section("Global requests", &GLOBAL_REQUESTS, &mut |kind| {
        let mut raw = Raw::entered(&setup);
        raw.side.pass_on_private_names();
        let mut body = Vec::new();
        if kind == "hostkeys-prove-00@openssh.com" {
            raw.application.key.public().blob().write(&mut body);
        }
        let (kind, want_reply, body) = (kind.as_bytes(), true, Rest(&body));
        raw.send(&encode(&MuxMessage::GlobalRequest { kind, want_reply, body }));
        let asks = if raw.application.events.is_empty() { "" } else { "asks: " };
        format!("{asks}{}", told(&mut raw))
    });
    section("Channel types", &CHANNEL_TYPES, &mut |kind| {
        let mut raw = Raw::entered(&setup);
        raw.side.pass_on_private_names();
        let (kind, window, max_packet) = (kind.as_bytes(), 1000, 1000);
        raw.send(&encode(&MuxMessage::ChannelOpen { kind, sender: 0, window, max_packet, body: Rest(b"") }));
        let asks = if raw.application.saw("open 0") { "asks: " } else { "" };
        format!("{asks}{}", told(&mut raw))
    });
    section("Channel requests", &CHANNEL_REQUESTS, &mut |kind| {
        let mut raw = Raw::opened(&setup);
        raw.send(&request(kind.as_bytes(), true, &channel_request(kind)));
        let asks = if raw.application.saw(&format!("request 0 {kind}")) { "asks: " } else { "" };
        format!("{asks}{}", told(&mut raw))
    });
    section("Methods of authentication", &METHODS, &mut |kind| {
        let answer = |verdict| {
            let mut raw = Raw::serviced(&setup);
            raw.application.verdict = verdict;
            let request = method(&raw, kind);
            raw.send(&request);
            told(&mut raw)
        };
        let (accepted, rejected) = (answer(Verdict::Accept), answer(Verdict::Reject));
        if accepted == rejected { rejected } else { format!("asks: {accepted}, or {rejected}") }
    });
    section("Extensions of EXT_INFO", &EXTENSIONS, &mut |kind| extension(&setup, kind));
    text
}

/// After a change that is meant: `WHELK_BLESS=1 cargo test -p whelk-ssh --test hostile answers`, and read the
/// difference.
#[test]
fn the_documentation_says_what_a_server_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/answers.md");
    if std::env::var_os("WHELK_BLESS").is_some() {
        std::fs::write(path, print()).expect("the sources can be written");
    }
    assert_eq!(print(), std::fs::read_to_string(path).expect("the table is there"), "the table and {path} differ");
}

/// Names that are added to the code are missed here.
#[test]
fn the_table_has_every_name_that_the_code_knows() {
    let listed: BTreeSet<&str> =
        [&GLOBAL_REQUESTS[..], &CHANNEL_TYPES, &CHANNEL_REQUESTS, &METHODS, &EXTENSIONS].concat().into_iter().collect();
    let sources = [
        include_str!("../../src/mux/policy.rs"),
        include_str!("../../src/mux/global.rs"),
        include_str!("../../src/mux.rs"),
        include_str!("../../src/message/request.rs"),
        include_str!("../../src/message/auth.rs"),
        include_str!("../../src/transport/extensions.rs"),
    ];
    let mut found = 0;
    for source in sources {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for literal in code.split("b\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let is_name =
                literal.len() > 2 && literal.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte));
            found += usize::from(is_name);
            assert!(!is_name || listed.contains(literal), "no row for {literal}");
        }
    }
    assert!(found > 35, "only {found} names were found in the code");
}
