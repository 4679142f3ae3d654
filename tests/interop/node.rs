//! ssh2 for node, which closes channels in its own way. `matrix` has what it does like other clients.

use std::process::Command;
use whelk_tests::{Access, Call, Client, Gateway, Input, MIB, Running, SOON, client_program, repository};

/// How often a session is closed early.
const TIMES: usize = 10;
/// How many commands the driver runs, one by one and at once.
const COMMANDS: u64 = 28;

// ssh2 sends EOF and CLOSE, and then WINDOW_ADJUST for what it had read.
#[test]
fn a_stream_closed_early_ends_alone_ten_times() {
    let gateway = Gateway::demonstration();
    let mut command = Command::new(client_program("node"));
    command.arg(repository().join("tests/interop/ssh2_early_close.js"));
    command.args(["--port", &gateway.port().to_string(), "--user", "probe", "--times", &TIMES.to_string()]);
    let finished = Running::run(command, Input::Nothing, SOON);
    let text = finished.out.text();
    assert_eq!(finished.status, Some(0), "{text}{}", finished.err);
    let reports: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("the driver prints JSON lines")).collect();
    assert_eq!(reports.len(), TIMES + 1, "{text}");
    for report in &reports {
        assert_eq!(report["echo"], true, "the witness is gone: {text}");
    }
    assert_eq!(reports[TIMES]["commands"], COMMANDS, "{text}");
    gateway.end();
}

#[test]
fn ssh2_carries_all_bytes_both_ways() {
    let gateway = Gateway::demonstration();
    let call = |command: &str| Call::new(Client::Ssh2, &gateway, "probe").exec(command);
    let up = call("sink").run(Input::Generated(16 * MIB));
    assert_eq!(up.status, Some(0), "{}", up.err);
    assert_eq!(up.out.text(), format!("{} {}\n", 16 * MIB, up.fed.expect("all of it was read")));
    let both = call("cat").run(Input::Generated(8 * MIB));
    assert_eq!(both.status, Some(0), "{}", both.err);
    assert_eq!(Some(digest(&both.out.kept)), both.fed, "{} bytes came back", both.out.total);
    gateway.end();
}

fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

// ssh2 tries `none` first, then its credential.
#[test]
fn ssh2_logs_in_a_user_without_credentials_whatever_it_offers() {
    let gateway = Gateway::demonstration();
    for access in [Access::Nothing, Access::password("any"), Access::fresh_key().0] {
        let finished = Call::new(Client::Ssh2, &gateway, "probe").access(access).exec("exit 5").run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{}", finished.err);
    }
    gateway.end();
}
