//! The latency of commands on a reused connection.

use std::process::Command;

use whelk_tests::{Gateway, Input, Running, SOON, client_program, figure, repository};

/// The kernel's delay of an acknowledgement, in milliseconds.
const DELAY: f64 = 40.0;
/// The input of `cat`: more than one packet, and less than the gateway reads in one turn.
const STDIN: &str = "10240";

/// The median time of 40 consecutive commands on one connection, in milliseconds.
fn median(gateway: &Gateway, program: &str, driver: &str, options: &[&str]) -> f64 {
    let mut command = Command::new(client_program(program));
    command.arg(repository().join("tests/interop").join(driver)).args(["--port", &gateway.port().to_string()]);
    command.args(["--user", "probe", "--times", "40"]).args(options);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    let mut times: Vec<f64> = finished.out.text().lines().map(|line| line.parse().expect("milliseconds")).collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times.len(), 40);
    times[20]
}

/// Runs commands with a client that does not set TCP_NODELAY. Its kernel holds a small write back until the previous
/// one is acknowledged: a delayed acknowledgement of a CLOSE, of part of a packet or of data before EOF would add 40 ms
/// to each command. The same client with TCP_NODELAY waits for none, and shows how busy the machine is.
fn commands_on_one_connection(program: &str, driver: &str) {
    let gateway = Gateway::demonstration();
    for (name, options) in [("zeros", &["--exec", "zeros 1"][..]), ("cat", &["--exec", "cat", "--stdin", STDIN])] {
        let delaying = median(&gateway, program, driver, options);
        let control = median(&gateway, program, driver, &[options, &["--no-delay"]].concat());
        figure(&format!("a command on a connection in use, {driver}, {name}, median"), format!("{delaying:.2} ms"));
        figure(&format!("the same with TCP_NODELAY, {driver}, {name}, median"), format!("{control:.2} ms"));
        assert!(delaying < control + DELAY / 2.0, "{name}: {delaying} ms, and {control} ms with TCP_NODELAY");
    }
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
