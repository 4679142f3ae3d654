//! ssh-audit's verdict on our algorithms.

use serde_json::Value;
use std::process::Command;
use whelk_tests::{Gateway, Input, Running, SOON, client_program};

/// The two key exchange methods without a post-quantum part, kept for clients that know nothing newer.
const CLASSICAL: [&str; 2] = ["curve25519-sha256", "curve25519-sha256@libssh.org"];

#[test]
fn ssh_audit_finds_no_failure_and_warns_of_nothing_but_classical_key_exchange() {
    let gateway = Gateway::demonstration();
    let mut command = Command::new(client_program("ssh-audit"));
    command.args(["--json", "--skip-rate-test", "--port", &gateway.port().to_string(), "127.0.0.1"]);
    let finished = Running::run(command, Input::Nothing, SOON);
    let text = finished.out.text();
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", finished.err));
    let mut complaints = Vec::new();
    let mut names = 0;
    for part in ["kex", "key", "enc", "mac"] {
        let algorithms = report[part].as_array().unwrap_or_else(|| panic!("no {part} in {text}"));
        names += algorithms.len();
        for algorithm in algorithms {
            let name = algorithm["algorithm"].as_str().unwrap_or_default();
            for kind in ["fail", "warn"] {
                let notes = algorithm["notes"][kind].as_array().into_iter().flatten().filter_map(Value::as_str);
                let expected =
                    |note: &&str| kind == "warn" && CLASSICAL.contains(&name) && note.contains("post-quantum");
                complaints.extend(notes.filter(|note| !expected(note)).map(|note| format!("{kind}: {name}: {note}")));
            }
        }
    }
    assert!(names >= 8, "ssh-audit saw only {names} names: {text}");
    assert!(complaints.is_empty(), "{complaints:#?}");
    gateway.end();
}
