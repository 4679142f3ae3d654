//! Every event of a session occurs, in order.

use std::process::Command;
use whelk_tests::{Call, Client, Gateway, Input, Running, SOON, client_program, repository};

/// Asserts that the output has a line for each of these, in this order; each line begins with the first word and
/// contains the others.
fn assert_events(text: &str, events: &[&[&str]]) {
    let mut lines = text.lines();
    for event in events {
        let holds = |line: &str| line.starts_with(event[0]) && event.iter().all(|word| line.contains(word));
        assert!(lines.any(holds), "{event:?} is not in its place in:\n{text}");
    }
}

#[test]
fn a_plugin_receives_all_events_in_order() {
    let gateway = Gateway::demonstration();
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop/lifecycle.py")).args(["--port", &gateway.port().to_string()]);
    let finished = Running::run(command, Input::Nothing, SOON);
    let text = finished.out.text();
    assert_eq!(finished.status, Some(0), "{text}\n{}", finished.err);
    let events: [&[&str]; 10] = [
        &["open"],
        &["pty-req", "vt220", "97x33", "970x330", "VINTR=3", "ECHO=0"],
        &["env", "LC_TIME", "en_GB"],
        &["shell"],
        &["window-change", "101x35", "1010x350"],
        &["data", "typed"],
        &["signal", "USR1"],
        &["break", "250"],
        &["eof"],
        &["status 0"],
    ];
    // RFC 4254 §6 leaves the order of `env` and `pty-req` to the client.
    let (first, rest) = events.split_at(3);
    first.iter().for_each(|event| assert_events(&text, &[event]));
    assert_events(&text, rest);
    // Only a language may be requested: any other variable could change what a program does.
    assert!(!text.contains("LD_PRELOAD"), "{text}");
    gateway.wait("`closed` of the plugin", |event| {
        (event.is_from_plugin() && event.message.starts_with("closed")).then_some(())
    });
    gateway.end();
}

// The other clients cannot send one.
#[test]
fn a_signal_of_each_library_that_sends_them_arrives() {
    let gateway = Gateway::demonstration();
    let libraries =
        [Client::AsyncSsh, Client::Libssh, Client::Ssh2, Client::Conch, Client::NetSsh, Client::XCrypto, Client::Jsch];
    for client in libraries {
        let finished = Call::new(client, &gateway, "lifecycle").option("--signal=INT").run(Input::Nothing);
        assert_events(&finished.out.text(), &[&["open"], &["shell"], &["signal INT"], &["eof"]]);
        assert_eq!(finished.status, Some(0), "{client:?}: {}", finished.err);
    }
    gateway.end();
}

#[test]
fn a_command_and_a_subsystem_are_distinguished() {
    let gateway = Gateway::demonstration();
    let call = || Call::new(Client::OpenSsh100, &gateway, "lifecycle");
    let finished = call().exec("list all").run(Input::Nothing);
    assert_events(&finished.out.text(), &[&["open"], &["exec", "list all"], &["eof"]]);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    let finished = call().option("-s").exec("talk").run(Input::Nothing);
    assert_events(&finished.out.text(), &[&["open"], &["subsystem", "talk"], &["eof"]]);
    gateway.end();
}
