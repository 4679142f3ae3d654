//! Plugins that fail end alone, without affecting other sessions of their connection.

use std::process::Command;
use whelk_tests::{Call, Client, Gateway, Input, Running, SOON, client_program, repository};

/// Requests that are reserved for the host, with bodies for which clients end a whole connection.
const LINES: [&str; 5] = [
    "request exit-status x",
    "request exit-signal x",
    "request xon-xoff",
    "request eow@openssh.com x",
    "request keepalive@openssh.com x",
];

/// What `probe` does to itself, and the signals that its client may report.
const BEHAVIOURS: [(&str, &[&str]); 4] =
    [("trap", &["ABRT"]), ("spin", &["KILL"]), ("alloc 1000000000", &["KILL", "ABRT"]), ("recurse", &["SEGV"])];

/// Runs each command in a session on one AsyncSSH connection, while another session on it echoes. Returns a report for
/// each and one for the echoing session, and all of it as text.
fn on_one_connection(gateway: &Gateway, commands: &[&str]) -> (Vec<serde_json::Value>, String) {
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop/isolation.py")).args(["--port", &gateway.port().to_string()]);
    command.args(commands);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}\n{}", finished.out.text(), finished.err);
    let text = finished.out.text();
    let reports = text.lines().map(|line| serde_json::from_str(line).expect("the driver prints JSON lines")).collect();
    (reports, text)
}

#[test]
fn a_plugin_that_sends_the_hosts_requests_affects_no_other_session_of_asyncssh() {
    let gateway = Gateway::demonstration();
    let (reports, text) = on_one_connection(&gateway, &LINES);
    assert_eq!(reports.len(), LINES.len() + 1, "{text}");
    for report in reports {
        assert_eq!((&report["echo"], &report["status"]), (&true.into(), &0.into()), "{text}");
    }
    gateway.end();
}

#[test]
fn a_plugin_that_sends_the_hosts_requests_affects_no_other_session_of_openssh() {
    let gateway = Gateway::demonstration();
    let socket = format!("ControlPath={}", gateway.folder().join("control").display());
    let call = |master: &str| {
        let call = Call::new(Client::OpenSsh100, &gateway, "probe").option("-o").option(&socket);
        call.option("-o").option(&format!("ControlMaster={master}"))
    };
    let mut beside = call("yes").exec("cat").start();
    beside.type_in(b"before\n");
    beside.wait_for_output("before");
    for line in LINES {
        let finished = call("no").exec(line).run(Input::Nothing);
        assert_eq!((finished.out.text().as_str(), finished.status), ("false\n", Some(0)), "{line}: {}", finished.err);
        beside.type_in(line.as_bytes());
        beside.wait_for_output(line);
    }
    assert_eq!(beside.finish().status, Some(0));
    // All of them ran on the one connection.
    let opened: Vec<String> = gateway.wait_all("sessions", |events| {
        let opened = events.iter().filter(|event| event.message == "session opened");
        let opened: Vec<String> = opened.map(|event| event.field("connection")).collect();
        (opened.len() > LINES.len()).then_some(opened)
    });
    assert!(opened.len() == LINES.len() + 1 && opened.iter().all(|connection| *connection == opened[0]), "{opened:?}");
    gateway.end();
}

#[test]
fn a_failing_session_ends_by_a_signal_while_its_neighbour_goes_on() {
    let gateway = Gateway::demonstration();
    let (reports, text) = on_one_connection(&gateway, &BEHAVIOURS.map(|(behaviour, _)| behaviour));
    for ((behaviour, signals), report) in BEHAVIOURS.iter().zip(&reports) {
        assert_eq!(report["command"], *behaviour, "{text}");
        assert!(
            signals.iter().any(|signal| report["signal"] == *signal),
            "{behaviour} is not told as {signals:?}: {text}"
        );
        assert_eq!(report["echo"], true, "the neighbour did not go on: {text}");
    }
    assert_eq!(reports.len(), BEHAVIOURS.len() + 1, "{text}");
    assert_eq!(reports[BEHAVIOURS.len()]["status"], 0, "the neighbour did not end well: {text}");
    gateway.end();
}
