//! How long a command takes on a connection that is used again and again.

use std::process::Command;

use whelk_tests::{Gateway, Input, Running, SOON, client_program, figure, repository};

/// What the kernel delays an acknowledgement by, in milliseconds.
const DELAY: f64 = 40.0;

/// 40 commands on one connection through a client that does not set TCP_NODELAY. Its kernel holds a small write back
/// until the one before is acknowledged: were the acknowledgement of a CLOSE or of a part of a packet delayed, each
/// command but the first would take 40 ms longer. That some do is no fault: a busy machine makes them slow.
fn commands_on_one_connection(program: &str, driver: &str) {
    let gateway = Gateway::demonstration();
    let mut command = Command::new(client_program(program));
    command.arg(repository().join("tests/interop").join(driver)).args(["--port", &gateway.port().to_string()]);
    command.args(["--user", "probe", "--times", "40", "--exec", "zeros 1"]);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    let mut times: Vec<f64> = finished.out.text().lines().map(|line| line.parse().expect("milliseconds")).collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times.len(), 40);
    figure(&format!("a command on a connection in use, {driver}, median"), format!("{:.2} ms", times[20]));
    assert!(times[10] < DELAY, "three quarters of the commands took longer than {DELAY} ms: {times:?}");
    gateway.end();
}

#[test]
fn commands_of_paramiko_do_not_wait_for_delayed_acknowledgements() {
    commands_on_one_connection("python", "paramiko_repeat.py");
}

#[test]
fn commands_of_ssh2_for_node_do_not_wait_for_delayed_acknowledgements() {
    commands_on_one_connection("node", "ssh2_repeat.js");
}
