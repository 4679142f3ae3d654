//! Unusual messages of real clients, sent to Whelk and to OpenSSH's sshd in one run.
//!
//! The rule: a violation on one channel affects that channel only. A connection ends only when its state can no longer
//! be known. `channel_faults.py` sends the messages and reports what the server did; this file has what is right, and
//! the reason for each difference from sshd. A difference that is not listed is a fault.

use std::process::Command;
use whelk_tests::{Access, Input, Running, SOON, Setup, Sshd, client_program, repository};

/// One unusual message.
struct Row {
    case: &'static str,
    ours: &'static str,
    /// What sshd may do if it does something else, and why we do not follow it. Versions differ.
    theirs: Option<(&'static [&'static str], &'static str)>,
}

/// Both do the same.
const fn same(case: &'static str, does: &'static str) -> Row {
    Row { case, ours: does, theirs: None }
}

/// sshd does something else.
const fn differs(case: &'static str, ours: &'static str, theirs: &'static [&'static str], reason: &'static str) -> Row {
    Row { case, ours, theirs: Some((theirs, reason)) }
}

const CROSSING: &str = "a message of a client that closes early crosses our CLOSE or follows it; nobody else is harmed";
const NOT_DROPPED: &str =
    "bytes of a channel that goes on are never dropped: older versions of sshd drop them with a log line";
const ONE_CHANNEL: &str = "only this channel is at fault";

/// What sshd does with a message for a channel that both sides have closed: it knows the channel until it has learnt
/// that the program has ended.
const GONE: &[&str] = &["DISCONNECT 2", "ignored"];

/// Every case of `channel_faults.py`, in its order.
const ROWS: &[Row] = &[
    same("WINDOW_ADJUST after both CLOSEs", "ignored"),
    differs("EOF after both CLOSEs", "ignored", GONE, CROSSING),
    differs("DATA after both CLOSEs", "ignored", GONE, CROSSING),
    differs("EXTENDED_DATA after both CLOSEs", "ignored", GONE, CROSSING),
    differs("request without reply after both CLOSEs", "ignored", GONE, CROSSING),
    differs("request with reply after both CLOSEs", "ignored", GONE, CROSSING),
    differs("CLOSE after both CLOSEs", "ignored", GONE, CROSSING),
    same("closing early while output comes, then three WINDOW_ADJUSTs", "ignored"),
    same("CLOSE twice without waiting", "ignored"),
    same("CLOSE, then EOF, WINDOW_ADJUST and a request at once", "ignored"),
    same("EOF twice", "ignored"),
    same("DATA after EOF", "ignored"),
    differs("DATA of 9 bytes more than the maximum packet size", "all data taken", &["data lost"], NOT_DROPPED),
    differs("DATA of 100,000 bytes in one packet", "all data taken", &["data lost"], NOT_DROPPED),
    differs("9 bytes over the window", "all data taken", &["data lost", "all data taken"], NOT_DROPPED),
    differs("5 % over the window", "all data taken", &["data lost", "all data taken"], NOT_DROPPED),
    differs("1 MiB over a window of at most 2 MiB", "channel closed", &["data lost", "DISCONNECT 2"], ONE_CHANNEL),
    differs("WINDOW_ADJUST twice by 2^32 - 1", "channel closed", &["connection ended"], ONE_CHANNEL),
    same("keepalive@openssh.com", "100"),
    same("winadj@putty.projects.tartarus.org", "100"),
    same("keepalive@openssh.com while the program is busy", "100"),
    same("winadj@putty.projects.tartarus.org 200 times while the program is busy", "100 x 200"),
    same("unknown channel request", "100"),
    same("a second exec on one channel", "100"),
    same("EXT_INFO after login", "3"),
    same("EXT_INFO twice after login", "3 x 2"),
    same("SERVICE_REQUEST after login", "3"),
    differs("USERAUTH_REQUEST after login", "ignored", &["3"], "RFC 4252 §5.1: ignored silently"),
    differs("unknown message 200", "3", &["DISCONNECT 2", "3"], "RFC 4253 §11.4: answered with UNIMPLEMENTED"),
    same("UNIMPLEMENTED for a message of long ago", "ignored"),
    same("200 REQUEST_SUCCESS that nobody asked for", "ignored"),
    same("200 REQUEST_FAILURE that nobody asked for", "ignored"),
    same("200 CHANNEL_SUCCESS that nobody asked for", "ignored"),
    same("900 variables in a burst, without replies", "then a command runs"),
    same("900 variables in a burst, with replies", "100 x 900, then a command runs"),
    differs(
        "WINDOW_ADJUST for a channel that never was",
        "DISCONNECT 2",
        &["ignored"],
        "as with every other message for a number that was never given out: no client does this",
    ),
    same("DATA for a channel that never was", "DISCONNECT 2"),
    same("EOF for a channel that never was", "DISCONNECT 2"),
    same("CLOSE for a channel that never was", "DISCONNECT 2"),
    same("request for a channel that never was", "DISCONNECT 2"),
    same("OPEN_CONFIRMATION that nobody asked for", "DISCONNECT 2"),
    same("unknown global request", "82"),
    differs(
        "unknown channel type",
        "92 reason 3",
        &["92 reason 2"],
        "RFC 4254 §5.1: the reason has a number of its own",
    ),
    differs("session with a maximum packet size of 0", "92 reason 2", &["91"], "nothing could ever be sent on it"),
    same("session with a maximum packet size of 1", "echo abc"),
    same("session with a window of 0, opened later", "0 bytes, then echo abc"),
    same("extended data of an unknown type", "echo abc"),
    differs(
        "70 sessions on one connection",
        "91 x 63, 92 reason 4 x 7",
        &["91 x 9, 92 reason 2 x 61"],
        "64 sessions beside its 10, and the reason that RFC 4254 §5.1 has for it",
    ),
    differs("a channel request that is cut off", "DISCONNECT 2", &["connection ended"], "it is told why"),
];

/// What a server did in each case.
fn observe(port: u16, user: &str, access: &Access, commands: [&str; 2]) -> Vec<(String, String)> {
    let Access::Key(keys) = access else { panic!("the driver logs in with a key") };
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop/channel_faults.py"));
    command.args(["--port", &port.to_string(), "--user", user, "--key"]).arg(keys.openssh());
    command.args(["--zeros", commands[0], "--sleep", commands[1]]);
    let finished = Running::run(command, Input::Nothing, SOON * 5);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    let read = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the driver prints JSON lines");
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        (text("case"), text("does"))
    };
    finished.out.text().lines().map(read).collect()
}

#[test]
fn a_violation_on_one_channel_ends_no_more_than_it_does_with_sshd() {
    let (access, line) = Access::fresh_key();
    let setup = Setup::default();
    std::fs::write(setup.folder().join("keys"), &line).expect("our own folder");
    let users = "[users.probe]\nplugin = \"probe\"\nauthorized_keys = \"keys\"\n";
    let gateway = setup.configuration(users).start();
    let sshd = Sshd::start(&line, "MaxStartups 1000");
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| observe(gateway.port(), "probe", &access, ["zeros 100000000", "sleep 20000"]));
        let theirs = observe(sshd.port(), sshd.user(), &access, ["head -c 100000000 /dev/zero", "sleep 20"]);
        (ours.join().expect("told by its own panic"), theirs)
    });
    let cases: Vec<&str> = ours.iter().map(|(case, _)| case.as_str()).collect();
    assert_eq!(cases, ROWS.iter().map(|row| row.case).collect::<Vec<_>>(), "the driver's cases are others");
    println!("{:<72} | {:<30} | sshd", "case", "ours");
    let mut faults = Vec::new();
    for (row, ((_, ours), (_, theirs))) in ROWS.iter().zip(ours.iter().zip(&theirs)) {
        println!("{:<72} | {ours:<30} | {theirs}", row.case);
        if ours != row.ours {
            faults.push(format!("{}: it is answered with {ours:?}, right is {:?}", row.case, row.ours));
        }
        let expected = row.theirs.map_or_else(|| vec![row.ours], |(theirs, _)| theirs.to_vec());
        if !expected.contains(&theirs.as_str()) {
            faults.push(format!("{}: sshd does {theirs:?}, which is not among {expected:?}", row.case));
        }
    }
    for (row, (_, reason)) in ROWS.iter().filter_map(|row| Some((row, row.theirs?))) {
        println!("{} differs: {reason}", row.case);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    gateway.end();
}
