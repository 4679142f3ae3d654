//! ssh-audit's verdict on our algorithms.

use serde_json::Value;
use std::process::Command;
use whelk_tests::{Gateway, Input, Running, SOON, client_program};

/// A complaint of ssh-audit that is accepted.
struct Accepted {
    /// `fail` or `warn`.
    kind: &'static str,
    /// How the algorithm's name begins.
    name: &'static str,
    /// What the complaint says.
    note: &'static str,
}

/// What ssh-audit says of the algorithms that are on by default. `whelk algorithms --strict` prints lists without any.
const ACCEPTED: [Accepted; 5] = [
    // For clients that know nothing newer: all but OpenSSH 9 and later, PuTTY 0.78, AsyncSSH and Go of 2025.
    Accepted {
        kind: "warn",
        name: "curve25519-sha256",
        note: "does not provide protection against post-quantum attacks",
    },
    Accepted {
        kind: "warn",
        name: "ecdh-sha2-nistp",
        note: "does not provide protection against post-quantum attacks",
    },
    // For clients without Curve25519, such as JSch before 0.1.57 and Microsoft's dev tunnels. OpenSSH offers them too;
    // that the constants of these curves hide a weakness is a suspicion, for which nothing has been found.
    Accepted { kind: "fail", name: "ecdh-sha2-nistp", note: "suspected as being backdoored" },
    // For clients without EtM, such as Twisted Conch, Net::SSH2 with libssh2 before 1.11 and JSch. A MAC over the clear
    // text is a risk with CBC, which is not offered; counter mode has no padding that an answer could reveal.
    Accepted { kind: "warn", name: "hmac-sha2-256", note: "using encrypt-and-MAC mode" },
    Accepted { kind: "warn", name: "hmac-sha2-512", note: "using encrypt-and-MAC mode" },
];

/// A failure or a warning.
#[derive(Debug)]
struct Complaint {
    kind: &'static str,
    name: String,
    note: String,
}

/// The names that ssh-audit has seen, and its complaints.
fn audit(gateway: &Gateway) -> (Vec<String>, Vec<Complaint>) {
    let mut command = Command::new(client_program("ssh-audit"));
    command.args(["--json", "--skip-rate-test", "--port", &gateway.port().to_string(), "127.0.0.1"]);
    let finished = Running::run(command, Input::Nothing, SOON);
    let text = finished.out.text();
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", finished.err));
    let (mut names, mut complaints) = (Vec::new(), Vec::new());
    for part in ["kex", "key", "enc", "mac"] {
        let algorithms = report[part].as_array().unwrap_or_else(|| panic!("no {part} in {text}"));
        assert!(!algorithms.is_empty(), "no {part} in {text}");
        for algorithm in algorithms {
            let name = algorithm["algorithm"].as_str().unwrap_or_default().to_owned();
            for kind in ["fail", "warn"] {
                let notes = algorithm["notes"][kind].as_array().into_iter().flatten().filter_map(Value::as_str);
                complaints.extend(notes.map(|note| Complaint { kind, name: name.clone(), note: note.to_owned() }));
            }
            names.push(name);
        }
    }
    (names, complaints)
}

/// K37.
#[test]
fn ssh_audit_finds_nothing_in_the_default_algorithms_but_what_is_accepted_for_a_reason() {
    let gateway = Gateway::demonstration();
    let (names, complaints) = audit(&gateway);
    assert!(names.len() >= 8, "{names:?}");
    let accepts = |accepted: &Accepted, complaint: &Complaint| {
        accepted.kind == complaint.kind
            && complaint.name.starts_with(accepted.name)
            && complaint.note.contains(accepted.note)
    };
    let others: Vec<_> =
        complaints.iter().filter(|complaint| !ACCEPTED.iter().any(|accepted| accepts(accepted, complaint))).collect();
    assert!(others.is_empty(), "{others:#?}");
    for accepted in &ACCEPTED {
        let stands = complaints.iter().any(|complaint| accepts(accepted, complaint));
        assert!(stands, "ssh-audit has no complaint {:?} of {} any more", accepted.note, accepted.name);
    }
    gateway.end();
}
