//! The audit: logins, commands and what operators do, on disks that fill up, vanish and come back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use whelk_tests::{Access, Call, Client, Finished, Gateway, Input, Setup};

use crate::logs::ARGON2;

fn users() -> String {
    format!(
        "[users.alice]\nplugin = \"probe\"\npassword = \"{ARGON2}\"\n\
         [users.guest]\nplugin = \"probe\"\nauth = \"none\"\n"
    )
}

/// A gateway whose audit is a file in a folder of its own.
fn gateway(settings: &str) -> (Gateway, PathBuf) {
    let setup = Setup::default();
    let folder = setup.folder().join("audit");
    fs::create_dir(&folder).expect("our own folder");
    let file = folder.join("audit.log");
    let text = format!("[audit]\nfile = \"{}\"\n{settings}\n{}", file.display(), users());
    (setup.configuration(&text).start(), file)
}

fn run(gateway: &Gateway, user: &str, access: Access, command: &str) -> Finished {
    Call::new(Client::Ours, gateway, user).access(access).exec(command).run(Input::Nothing)
}

/// The records of a file, but for one that is being written.
fn records(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Waits until a connection is over and in the audit: connections end in the log before they end there.
fn wait_for(gateway: &Gateway, file: &Path, is: impl Fn(&Value) -> bool) -> Vec<Value> {
    // Each further login makes the gateway say something, until the record is there.
    for _ in 0..50 {
        let records = records(file);
        if records.iter().any(&is) {
            return records;
        }
        run(gateway, "guest", Access::Nothing, "exit 0");
    }
    panic!("no such record in {:?}", records(file))
}

#[test]
fn logins_and_commands_are_recorded_exactly_and_secrets_never() {
    let (mut gateway, file) = gateway("");
    let command = "print 'a\\n' \"b\" \u{1b}[2J";
    let finished = run(&gateway, "alice", Access::right_password(), command);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    assert_ne!(run(&gateway, "alice", Access::password("a wrong secret"), "exit 5").status, Some(5));
    let closed = |record: &Value| record["event"] == "login_failed";
    let records = wait_for(&gateway, &file, closed);
    let text = fs::read_to_string(&file).expect("it is there");
    assert!(!text.contains("a wrong secret") && !text.contains(whelk_tests::PASSWORD), "{text}");
    let one = |name: &str, user: &str| {
        let found = records.iter().find(|record| record["event"] == name && record["user"] == user);
        found.unwrap_or_else(|| panic!("no {name} of {user} in {text}"))
    };
    assert_eq!(records[0]["event"], "server_started");
    let run = records[0]["run"].as_str().expect("a text");
    let login = one("login_succeeded", "alice");
    let started = one("session_started", "alice");
    assert_eq!((&started["command"], &started["session"]), (&command.into(), &1.into()), "{started}");
    let ended = one("session_ended", "alice");
    assert_eq!((&ended["exit"], &ended["tenant"]), (&"status 0".into(), &"default".into()), "{ended}");
    for record in [login, started, ended, one("connection_closed", "alice")] {
        assert_eq!(record["connection"], format!("{run}-1"), "{record}");
        assert!(record["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{record}");
        assert!(record["version"] == 1 && record["principal"] == "alice", "{record}");
    }
    let rejected = one("login_rejected", "alice");
    assert_eq!((&rejected["reason"], &rejected["method"]), (&"wrong password".into(), &"password".into()));
    gateway.terminate();
    let records = self::records(&file);
    let stops =
        records.iter().filter(|record| record["event"] == "server_stopping" || record["event"] == "server_stopped");
    assert_eq!(stops.count(), 2, "{records:?}");
}

/// O12.
#[test]
fn after_a_kill_the_audit_parses_and_goes_on_with_a_new_line() {
    let (mut gateway, file) = gateway("");
    run(&gateway, "guest", Access::Nothing, "exit 5");
    wait_for(&gateway, &file, |record| record["event"] == "connection_closed");
    // Half a record, as a process leaves it that is killed in the middle of one.
    let text = fs::read_to_string(&file).expect("it is there") + "{\"version\":1,\"ti";
    fs::write(&file, &text).expect("our own folder");
    gateway.kill_and_restart();
    run(&gateway, "guest", Access::Nothing, "exit 5");
    gateway.terminate();
    let lines: Vec<Result<Value, _>> =
        fs::read_to_string(&file).expect("it is there").lines().map(serde_json::from_str).collect();
    assert_eq!(lines.iter().filter(|line| line.is_err()).count(), 1);
    let runs: std::collections::BTreeSet<&str> =
        lines.iter().flatten().filter_map(|record| record["run"].as_str()).collect();
    assert_eq!(runs.len(), 2, "{runs:?}");
}

/// O8, O10.
#[test]
fn a_required_audit_that_cannot_be_written_lets_nobody_in_until_it_can() {
    let (mut gateway, file) = gateway("required = true");
    let folder = file.parent().expect("it has one").to_owned();
    assert_eq!(run(&gateway, "guest", Access::Nothing, "exit 5").status, Some(5));
    fs::remove_dir_all(&folder).expect("our own folder");
    // What a file is in the place of cannot be a folder.
    fs::write(&folder, "").expect("our own folder");
    run(&gateway, "guest", Access::Nothing, "exit 5");
    let reason =
        gateway.wait("failure", |event| (event.message == "audit cannot be written").then(|| event.field("reason")));
    assert!(reason.contains("audit.log: cannot be opened for appending"), "{reason}");
    let refused = run(&gateway, "alice", Access::right_password(), "exit 5");
    assert_ne!(refused.status, Some(5), "{}", refused.err);
    gateway.wait("reason", |event| {
        let is_it = event.message == "login not decided" && event.field("reason").contains("audit");
        is_it.then_some(())
    });
    fs::remove_file(&folder).expect("our own file");
    fs::create_dir(&folder).expect("our own folder");
    // Tried again each second, or at once.
    rustix::process::kill_process(gateway.process(), rustix::process::Signal::USR1).expect("it runs");
    gateway.wait("recovery", |event| (event.message == "audit is written again").then_some(()));
    assert_eq!(run(&gateway, "alice", Access::right_password(), "exit 5").status, Some(5));
    gateway.terminate();
    assert!(records(&file).iter().any(|record| record["event"] == "login_succeeded" && record["user"] == "alice"));
}

/// O8: best effort.
#[test]
fn an_audit_that_is_not_required_stops_nobody() {
    let (gateway, file) = gateway("");
    let folder = file.parent().expect("it has one").to_owned();
    fs::remove_dir_all(&folder).expect("our own folder");
    fs::write(&folder, "").expect("our own folder");
    for _ in 0..3 {
        assert_eq!(run(&gateway, "alice", Access::right_password(), "exit 5").status, Some(5));
    }
    let failures = gateway.wait_all("failure", |events| {
        Some(events.iter().filter(|event| event.message == "audit cannot be written").count())
            .filter(|count| *count > 0)
    });
    assert_eq!(failures, 1);
    gateway.end();
}
