//! Plugins that go wrong, end alone.

use std::process::Command;
use whelk_tests::{Gateway, Input, Running, SOON, client_program, repository};

/// What `probe` does to itself, and the signals by which its client may hear of it.
const DEEDS: [(&str, &[&str]); 4] =
    [("trap", &["ABRT"]), ("spin", &["KILL"]), ("alloc 1000000000", &["KILL", "ABRT"]), ("recurse", &["SEGV"])];

#[test]
fn a_session_that_goes_wrong_ends_by_a_signal_while_its_neighbour_goes_on() {
    let gateway = Gateway::demonstration();
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop/isolation.py")).args(["--port", &gateway.port().to_string()]);
    command.args(DEEDS.iter().map(|(deed, _)| deed));
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}\n{}", finished.out.text(), finished.err);
    let text = finished.out.text();
    let reports: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("the driver prints JSON lines")).collect();
    for ((deed, signals), report) in DEEDS.iter().zip(&reports) {
        assert_eq!(report["command"], *deed, "{text}");
        assert!(signals.iter().any(|signal| report["signal"] == *signal), "{deed} is not told as {signals:?}: {text}");
        assert_eq!(report["echo"], true, "the neighbour did not go on: {text}");
    }
    assert_eq!(reports.len(), DEEDS.len() + 1, "{text}");
    assert_eq!(reports[DEEDS.len()]["status"], 0, "the neighbour did not end well: {text}");
    gateway.end();
}
