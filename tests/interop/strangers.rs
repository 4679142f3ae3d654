//! Users who log in while thousands of connections never do.
//!
//! The short form has fewer of these connections and proportionally less room, so that the server keeps reclaiming
//! places. The proof has the defaults.

use std::path::{Path, PathBuf};
use whelk_tests::{
    Access, Call, Client, Gateway, Input, Output, Running, SOON, Setup, Sshd, figure, size, write_script,
};

/// [`whelk_tests::PASSWORD`], hashed.
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";

/// Room for fewer unauthenticated connections than arrive, but enough that not all of them arrived within the last two
/// seconds.
const LITTLE_ROOM: &str = "unauthenticated_full = 300\nunauthenticated_per_source = 8\nunauthenticated_waiting = 64\n";

/// A gateway with one user who has a key and a password, and that key's line for other servers.
fn gateway(limits: &str) -> (Gateway, Access, String) {
    let setup = Setup::default();
    let (key, line) = Access::fresh_key();
    std::fs::write(setup.folder().join("keys"), &line).expect("our own folder");
    let configuration = format!(
        "[users.alice]\nplugin = \"probe\"\nauthorized_keys = \"keys\"\npassword = \"{ARGON2}\"\n\
         [users.guest]\nplugin = \"probe\"\nauth = \"none\"\n[limits]\n{limits}"
    );
    (setup.configuration(&configuration).start(), key, line)
}

/// Our own client with a hostile load, once it is ready.
fn siege(gateway: &Gateway, port: u16, user: &str, access: &Access, options: &[&str], command: &str) -> Running {
    let call = Call::new(Client::Ours, gateway, user).port(port).access(access.clone()).option("--siege");
    let call = options.iter().fold(call, |call, option| call.option(option));
    let call = if command.is_empty() { call } else { call.exec(command) };
    let mut running = call.start_long();
    running.wait_for_output("ready");
    running.type_in(b"go\n");
    running
}

/// Unauthenticated connections at a server, all of which are open.
fn strangers(gateway: &Gateway, port: u16, kind: &str, count: u64, sources: u64) -> Running {
    let (count, sources) = (count.to_string(), sources.to_string());
    let options = [kind, "--count", &count, "--addresses", &sources];
    let strangers = siege(gateway, port, "nobody", &Access::Nothing, &options, "");
    strangers.wait_for_output("all have come");
    strangers
}

/// Ends them. Returns what became of them.
fn leave(mut strangers: Running) -> String {
    strangers.type_in(b"enough\n");
    let text = strangers.finish().out.text();
    text.lines().find(|line| line.starts_with("open ")).expect("it says how many").to_owned()
}

/// The reports of logins of one kind.
struct Report(String);

impl Report {
    fn of(logins: Running) -> Self {
        Self(logins.finish().out.text())
    }

    fn line(&self) -> &str {
        self.0.lines().find(|line| line.contains(" logged in, ")).unwrap_or(&self.0)
    }
}

/// Logs in for a while, by key and by password.
fn honest_logins(gateway: &Gateway, port: u16, user: &str, key: &Access, command: &str) -> Running {
    let (count, rate) = (size(20, 60).to_string(), size(10, 1).to_string());
    siege(gateway, port, user, key, &["timed", "--count", &count, "--rate", &rate], command)
}

/// From here on there is always a connection old enough to be dropped.
fn wait_for_a_place_taken_back(gateway: &Gateway) {
    gateway.wait("place that is given to another", |event| {
        (event.message == "connection gives its place to a new one").then_some(())
    });
}

fn honest_users_beside(kind: &str, sources: u64) {
    let (gateway, key, line) = gateway(if size(0, 1) == 0 { LITTLE_ROOM } else { "" });
    let count = size(360, 5000);
    let sources = if sources == 1 { 1 } else { size(sources / 10, sources) };
    let name = format!("{count} {kind} strangers from {sources} addresses");
    let crowd = strangers(&gateway, gateway.port(), kind, count, sources);
    if size(0, 1) == 0 && sources > 1 {
        wait_for_a_place_taken_back(&gateway);
    }
    let password = Access::right_password();
    let by_key = honest_logins(&gateway, gateway.port(), "alice", &key, "exit 0");
    let by_password = honest_logins(&gateway, gateway.port(), "alice", &password, "exit 0");
    for access in [&key, &password] {
        let finished =
            Call::new(Client::OpenSsh100, &gateway, "alice").access(access.clone()).exec("exit 5").run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{name}, OpenSSH: {}", finished.err);
    }
    let (by_key, by_password) = (Report::of(by_key), Report::of(by_password));
    figure(&format!("{name}, logins by key"), by_key.line());
    figure(&format!("{name}, logins by password"), by_password.line());
    figure(&format!("{name}, what became of them"), leave(crowd));
    let all = format!("{0} of {0} logged in, ", size(20, 60));
    assert!(by_key.line().starts_with(&all), "{name}, by key: {}", by_key.0);
    assert!(by_password.line().starts_with(&all), "{name}, by password: {}", by_password.0);
    if size(0, 1) == 1 {
        beside_sshd(&gateway, &key, &line, kind, count, sources, &name);
    }
    gateway.end();
}

/// The same at sshd with its defaults, for comparison.
fn beside_sshd(gateway: &Gateway, key: &Access, line: &str, kind: &str, count: u64, sources: u64, name: &str) {
    let sshd = Sshd::start(line, "");
    let alone = Report::of(siege(gateway, sshd.port(), sshd.user(), key, &["timed", "--count", "1"], "exit 0"));
    assert!(alone.line().starts_with("1 of 1 logged in, "), "sshd alone: {}", alone.0);
    let crowd = strangers(gateway, sshd.port(), kind, count, sources);
    let by_key = Report::of(honest_logins(gateway, sshd.port(), sshd.user(), key, "exit 0"));
    figure(&format!("{name}, logins by key at sshd"), by_key.line());
    leave(crowd);
}

#[test]
fn users_log_in_beside_silent_connections_from_one_address() {
    honest_users_beside("silent", 1);
}

#[test]
fn users_log_in_beside_silent_connections_from_500_addresses() {
    honest_users_beside("silent", 500);
}

#[test]
fn users_log_in_beside_dripping_connections_from_one_address() {
    honest_users_beside("drip", 1);
}

#[test]
fn users_log_in_beside_dripping_connections_from_500_addresses() {
    honest_users_beside("drip", 500);
}

/// P8.
#[test]
fn an_unauthenticated_connection_takes_at_most_48_kib() {
    let count = size(500, 5000);
    for kind in ["silent", "drip"] {
        let (gateway, ..) = gateway("identification_grace = \"600 s\"\n");
        let before = gateway.resident_memory();
        let crowd = strangers(&gateway, gateway.port(), kind, count, size(50, 500));
        gateway.wait_all("connections of all strangers", |events| {
            let opened = events.iter().filter(|event| event.message == "connection opened").count() as u64;
            (opened >= count).then_some(())
        });
        let each = gateway.resident_memory().saturating_sub(before) / count;
        figure(&format!("resident memory of each of {count} {kind} strangers, bytes"), each);
        assert!(each <= 48 << 10, "{kind}: {each} bytes");
        assert!(leave(crowd).starts_with(&format!("open {count} opened {count} closed 0")));
        gateway.end();
    }
}

/// Connections without a place wait for one and are served in turn.
#[test]
fn logins_beyond_the_places_of_a_source_wait_for_a_place() {
    let (gateway, key, _) = gateway("unauthenticated_per_source = 4\nconnections_per_user = 1000\n");
    let options = ["reconnect", "--count", "100", "--at-once", "50"];
    let storm = siege(&gateway, gateway.port(), "alice", &key, &options, "exit 0");
    storm.wait_for_output("done");
    let told = storm.finish().out.text();
    let ended = |line: &str| line.strip_suffix(" status 0").and_then(|count| count.parse::<u32>().ok());
    assert!(told.lines().find_map(ended).is_some_and(|count| count >= 100), "{told}");
    assert!(!told.contains("closed") && !told.contains("failed"), "{told}");
    gateway.wait("warning", |event| {
        (event.level == "WARN" && event.message == "connection waits to be served").then_some(())
    });
    gateway.end();
}

/// A connection that finds even the waiting room full is told so before any protocol, and the log has the numbers.
#[test]
fn a_connection_beyond_the_queue_of_a_source_is_refused_in_clear_text() {
    let (gateway, key, _) = gateway("unauthenticated_per_source = 1\nunauthenticated_waiting = 0\n");
    let silent = std::net::TcpStream::connect(("127.0.0.1", gateway.port())).expect("the gateway listens");
    gateway.wait("connection", |event| (event.message == "connection opened").then_some(()));
    let call = Call::new(Client::OpenSsh100, &gateway, "alice").access(key).option("-v").exec("exit 5");
    let finished = call.run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    let line = "Exceeded MaxStartups: too many connections from your address wait to log in; try again.";
    assert!(finished.err.contains(line), "{}", finished.err);
    let reason =
        gateway.wait("refusal", |event| (event.message == "connection refused").then(|| event.field("reason")));
    assert!(reason.starts_with("1 connections from 127.0.0.1 have not logged in: 1 are served"), "{reason}");
    drop(silent);
    gateway.wait("end", |event| (event.message == "connection closed").then_some(()));
    assert_eq!(call.run(Input::Nothing).status, Some(5));
    gateway.end();
}

/// A program that OpenSSH asks whether the host key is right, and that waits until a file exists.
fn thinker(folder: &Path) -> PathBuf {
    let (program, word) = (folder.join("think"), folder.join("word"));
    let seconds = size(0, 60);
    let script = format!("echo asked >&2\nsleep {seconds}\nread -r go < '{}'\necho yes", word.display());
    write_script(&program, &script);
    let made = std::process::Command::new("mkfifo").arg(&word).status().expect("mkfifo is there");
    assert!(made.success());
    program
}

/// A client whose user compares the fingerprint has sent all that it can: silent connections are dropped first. It
/// keeps its place however many others arrive.
#[test]
fn ten_users_of_one_address_who_read_the_fingerprint_all_log_in() {
    let (gateway, ..) = gateway(&LITTLE_ROOM.replace("per_source = 8", "per_source = 64"));
    let program = thinker(gateway.folder());
    let ask = || {
        // A password, so that the program is asked; it is never needed.
        let call = Call::new(Client::OpenSsh100, &gateway, "guest").access(Access::password("")).exec("exit 5");
        let mut command = call.option("-oStrictHostKeyChecking=ask").command();
        command.env("SSH_ASKPASS", &program);
        Running::start(command, Input::Nothing, Output::Read, SOON * 3)
    };
    let people: Vec<Running> = (0..10).map(|_| ask()).collect();
    people.iter().for_each(|person| person.wait_for_stderr("asked"));
    let crowd = strangers(&gateway, gateway.port(), "silent", 360, 50);
    wait_for_a_place_taken_back(&gateway);
    let mut word = std::fs::File::options().read(true).write(true).open(gateway.folder().join("word")).expect("a pipe");
    std::io::Write::write_all(&mut word, "\n".repeat(10).as_bytes()).expect("a pipe has room for a few bytes");
    for person in people {
        let finished = person.finish();
        assert_eq!(finished.status, Some(5), "{}", finished.err);
    }
    leave(crowd);
    gateway.end();
}
