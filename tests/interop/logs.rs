//! The log as an operator reads it: who, in one line; strangers that send nothing; and fail2ban with the shipped
//! filter.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use whelk_tests::{Access, Call, Client, Event, Gateway, Input, Running, SOON, Setup, client_program, repository};

/// [`whelk_tests::PASSWORD`], hashed.
pub(crate) const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";

/// A gateway with a user who has a password, one who has a key, and a guest.
fn configuration(key: &str, settings: &str) -> String {
    format!(
        "{settings}\n[users.alice]\nplugin = \"probe\"\npassword = \"{ARGON2}\"\n\
         [users.carol]\nplugin = \"probe\"\nkeys = [\"{}\"]\n\
         [users.guest]\nplugin = \"probe\"\nauth = \"none\"\n",
        key.trim()
    )
}

fn is<'e>(message: &'e str) -> impl Fn(&Event) -> Option<Event> + 'e {
    move |event| (event.message == message).then(|| event.clone())
}

#[test]
fn one_line_tells_who_logged_in_what_was_started_and_how_much_was_moved() {
    let (key, public) = Access::fresh_key();
    let gateway = Setup::default().log_filter("info").configuration(&configuration(&public, "")).start();
    let finished = Call::new(Client::OpenSsh100, &gateway, "carol").access(key).exec("exit 5").run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    let login = gateway.wait("login", is("authenticated"));
    for (field, value) in [
        ("user", "carol"),
        ("tenant", "default"),
        ("method", "publickey"),
        ("algorithm", "ssh-ed25519"),
        ("plugin", "probe"),
    ] {
        assert_eq!(login.field(field), value, "{}", login.line);
    }
    assert!(login.field("peer").starts_with("127.0.0.1:"), "{}", login.line);
    assert!(login.field("fingerprint").starts_with("SHA256:"), "{}", login.line);
    let started = gateway.wait("start", is("session started"));
    for (field, value) in [("user", "carol"), ("start", "exec"), ("command", "exit 5"), ("session", "1")] {
        assert_eq!(started.field(field), value, "{}", started.line);
    }
    let closed = gateway.wait("end", is("connection closed"));
    assert_eq!((closed.field("user"), closed.field("sessions")), ("carol".to_owned(), "1".to_owned()));
    for field in ["received", "sent"] {
        assert!(closed.field(field).parse::<u64>().is_ok_and(|bytes| bytes > 1_000), "{}", closed.line);
    }
    // One identity for the connection in all of them, unique over restarts.
    let run = gateway.wait("start of the program", is("started"));
    let (run, digest) = (run.field("run"), run.field("digest"));
    assert_eq!((run.len(), digest.len()), (8, 64));
    for event in [&login, &started, &closed] {
        assert_eq!(event.field("connection"), format!("{run}-1"), "{}", event.line);
    }
    gateway.end();
}

/// Connects and leaves, so many times: fewer than may be served at a time.
fn leave(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        drop(TcpStream::connect(("127.0.0.1", gateway.port())).expect("it listens"));
    }
}

/// Health checks: they connect and leave, or wait for the banner and leave.
#[test]
fn connections_that_send_nothing_are_one_line_in_a_minute() {
    let gateway = Setup::default().log_filter("info").configuration(&configuration(&Access::fresh_key().1, ""));
    let mut gateway = gateway.start();
    let before = gateway.wait_all("start", |events| Some(events.len()));
    leave(&gateway, 50);
    let finished = Call::new(Client::OpenSsh100, &gateway, "guest").exec("exit 5").run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.wait("end", is("connection closed"));
    let events = gateway.terminate();
    let told: Vec<&Event> = events.iter().filter(|event| event.message == "connections sent nothing").collect();
    // Two if the test takes longer than a minute.
    assert!((1..=2).contains(&told.len()), "{told:?}");
    let count: u64 = told.iter().filter_map(|event| event.field("count").parse::<u64>().ok()).sum();
    assert_eq!((count, told[0].field("source"), told[0].field("sources")), (50, "127.0.0.1".into(), "1".into()));
    // Beside it there is what the one login and the stop say, and what the start still had to say.
    assert!(events.len() - before < 20, "{events:?}");
}

/// What fail2ban finds in a file with the shipped filter: how often each address has failed.
fn failures(log: &Path, mode: &str) -> BTreeMap<String, usize> {
    let mut command = Command::new(client_program("fail2ban-regex"));
    command.arg("-c").arg(repository().join("host/gateway/service/fail2ban")).args(["-o", "ip"]);
    command.arg(log).arg(format!("whelk[mode={mode}]"));
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}\n{}", finished.out.text(), finished.err);
    let mut counts = BTreeMap::new();
    for address in finished.out.text().split_whitespace() {
        *counts.entry(address.to_owned()).or_default() += 1;
    }
    counts
}

/// What fail2ban has to find: refused passwords and answers, and connections that have tried keys alone, by address.
fn failed(events: &[Event]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        let is_it = match event.message.as_str() {
            "rejected" => event.field("method") != "publickey",
            "login failed" => {
                event.field("keys") != "0" && event.field("passwords") + &event.field("interactive") == "00"
            }
            _ => false,
        };
        if is_it {
            let peer = event.field("peer");
            let (address, _) = peer.rsplit_once(':').expect("address and port");
            *counts.entry(address.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// OpenSSH from an address of this machine.
fn from(gateway: &Gateway, address: &str, user: &str, access: &Access) -> Call {
    Call::new(Client::OpenSsh100, gateway, user)
        .access(access.clone())
        .option(&format!("-oBindAddress={address}"))
        .exec("exit 5")
}

/// The log so far as a file, and with what a journal puts before each line.
fn files(gateway: &Gateway) -> [PathBuf; 2] {
    write_log(gateway.folder(), &gateway.wait_all("log", |events| Some(events.to_vec())))
}

fn write_log(folder: &Path, events: &[Event]) -> [PathBuf; 2] {
    let (plain, journal) = (folder.join("plain.log"), folder.join("journal.log"));
    let text: String = events.iter().map(|event| format!("{}\n", event.line)).collect();
    let prefixed = |event: &Event| format!("{}+0000 host whelk[42]: {}\n", &event.line[..19], event.line);
    let prefixed: String = events.iter().map(prefixed).collect();
    std::fs::write(&plain, text).expect("our own folder");
    std::fs::write(&journal, prefixed).expect("our own folder");
    [plain, journal]
}

/// Waits until this many connections are over.
fn wait_closed(gateway: &Gateway, count: usize) {
    gateway.wait_all("end of each", |events| {
        (events.iter().filter(|event| event.message == "connection closed").count() >= count).then_some(())
    });
}

#[test]
fn fail2ban_counts_each_failure_once_and_no_honest_login() {
    let (key, public) = Access::fresh_key();
    let settings =
        "penalty_exempt = [\"127.0.0.1\", \"127.0.0.2\", \"127.0.0.3\", \"127.0.0.4\", \"127.0.0.5\", \"127.0.0.6\"]";
    let limits = "[limits]\npenalty_failed_login = \"10 min\"\n";
    let text = configuration(&public, settings) + limits;
    let mut gateway = Setup::default().log_filter("info").text_log().configuration(&text).start();
    let wrong = Access::password("guess");
    // A wrong password, an unknown user, a wrong key, an agent with many keys.
    for (address, user, access) in [
        ("127.0.0.2", "alice", &wrong),
        ("127.0.0.3", "nobody", &wrong),
        ("127.0.0.4", "carol", &Access::fresh_key().0),
        // Honest ones.
        ("127.0.0.5", "alice", &Access::right_password()),
        ("127.0.0.5", "carol", &key),
        ("127.0.0.5", "guest", &Access::Nothing),
    ] {
        let finished = from(&gateway, address, user, access).run(Input::Nothing);
        assert_eq!(finished.status, Some(if address == "127.0.0.5" { 5 } else { 255 }), "{user}: {}", finished.err);
    }
    let mut agent = from(&gateway, "127.0.0.6", "carol", &Access::fresh_key().0);
    let keys: Vec<Access> = (0..7).map(|_| Access::fresh_key().0).collect();
    for key in &keys {
        let Access::Key(key) = key else { unreachable!("it is a key") };
        agent = agent.option("-i").option(key.openssh().to_str().expect("a plain name"));
    }
    let finished = agent.run(Input::Nothing);
    assert!(finished.err.contains("Too many authentication failures"), "{}", finished.err);
    // One that gets a penalty, and comes back.
    for _ in 0..2 {
        let finished = from(&gateway, "127.0.0.7", "alice", &wrong).run(Input::Nothing);
        assert_eq!(finished.status, Some(255), "{}", finished.err);
        wait_closed(&gateway, 8);
    }
    let expected = gateway.wait_all("failures", |events| Some(failed(events)));
    let addresses: Vec<&str> = expected.keys().map(String::as_str).collect();
    assert_eq!(addresses, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.6", "127.0.0.7"]);
    assert_eq!((expected["127.0.0.4"], expected["127.0.0.6"]), (1, 1), "keys count once a connection");
    for file in files(&gateway) {
        assert_eq!(failures(&file, "normal"), expected, "{}", file.display());
    }
    // The penalty is counted too, and scanners: ssh-keyscan, and 200 connections that send nothing.
    let mut scan = Command::new(client_program("ssh-keyscan"));
    scan.args(["-p", &gateway.port().to_string(), "127.0.0.1"]);
    assert_eq!(Running::run(scan, Input::Nothing, SOON).status, Some(0));
    for _ in 0..4 {
        leave(&gateway, 50);
        let finished = from(&gateway, "127.0.0.5", "guest", &Access::Nothing).run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{}", finished.err);
    }
    wait_closed(&gateway, 13);
    let events = gateway.terminate();
    for file in write_log(gateway.folder(), &events) {
        let found = failures(&file, "aggressive");
        assert_eq!(found.get("127.0.0.7"), Some(&(expected["127.0.0.7"] + 1)), "{found:?}");
        assert!(found.get("127.0.0.1").is_some_and(|count| *count >= 2), "{found:?}");
        assert_eq!(found.get("127.0.0.5"), None, "{found:?}");
    }
}

/// A stranger must not be able to have another address banned, or to hide.
#[test]
fn fail2ban_believes_no_address_that_a_client_has_written() {
    let text = configuration(&Access::fresh_key().1, "");
    let gateway = Setup::default().log_filter("info").text_log().configuration(&text).start();
    let names = [
        "x peer=192.0.2.1:22 method=password user=root",
        "rejected connection=1-1 peer=192.0.2.2:22 method=password user=",
        "2026-11-29T17:06:07.123456Z  INFO whelk::connection::login: rejected connection=1-1 peer=192.0.2.3:22 \
         method=password user=root",
        "root\n2026-11-29T17:06:07.123456Z  INFO whelk::connection::login: rejected connection=1-1 peer=192.0.2.4:22 \
         method=password user=root",
        "\" peer=192.0.2.5:22 reason=\"",
        "\\\" peer=192.0.2.6:22 method=password user=\\",
        "1999-01-01T00:00:00Z",
        "192.0.2.7",
        "from 192.0.2.8 port 22 ssh2",
        "\u{1b}[2K\rINFO whelk::connection::login: rejected connection=1-1 peer=192.0.2.9:22 method=password user=",
    ];
    for name in names {
        // A client that asks nobody what a name may hold.
        let call = Call::new(Client::Ours, &gateway, name).access(Access::password("guess")).exec("exit 5");
        assert_ne!(call.run(Input::Nothing).status, Some(5));
    }
    wait_closed(&gateway, names.len());
    let expected = gateway.wait_all("failures", |events| Some(failed(events)));
    assert!(expected.len() == 1 && expected["127.0.0.1"] >= names.len(), "{expected:?}");
    for file in files(&gateway) {
        for mode in ["normal", "aggressive"] {
            assert_eq!(failures(&file, mode), expected, "{mode}");
        }
    }
    gateway.end();
}
