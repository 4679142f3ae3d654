//! How long a command takes on a connection that is used again and again.

use std::process::Command;

use whelk_tests::{Gateway, Input, Running, SOON, client_program, figure, repository};

/// What the kernel delays an acknowledgement by, in milliseconds.
const DELAY: f64 = 40.0;

/// paramiko does not set TCP_NODELAY: its kernel holds a small write back until the one before is acknowledged. When
/// the acknowledgement of its CLOSE is delayed each further command takes 40 ms longer. That all of them do is what
/// this test would see; a busy machine makes some of them slow.
#[test]
fn commands_of_a_client_without_nodelay_do_not_wait_for_a_delayed_acknowledgement() {
    let gateway = Gateway::demonstration();
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop/repeat.py")).args(["--port", &gateway.port().to_string()]);
    command.args(["--user", "probe", "--times", "40", "--exec", "zeros 1"]);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    let mut times: Vec<f64> = finished.out.text().lines().map(|line| line.parse().expect("milliseconds")).collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times.len(), 40);
    figure("a command on a connection in use, paramiko, median", format!("{:.2} ms", times[20]));
    assert!(times[10] < DELAY, "three quarters of the commands took longer than {DELAY} ms: {times:?}");
    gateway.end();
}
