//! ssh-audit's verdict on our algorithms.

use serde_json::Value;
use std::process::Command;
use whelk_tests::{Gateway, Input, Running, SOON, Setup, client_program, has_ring, program};

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
const ACCEPTED: [Accepted; 7] = [
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
    // As the curve of a host key, for the same clients; those that know Ed25519 prefer it. A nonce that is drawn badly
    // would give an ECDSA key away: ours comes from the provider's generator, which mixes the key in.
    Accepted { kind: "fail", name: "ecdsa-sha2-nistp", note: "suspected as being backdoored" },
    Accepted {
        kind: "warn",
        name: "ecdsa-sha2-nistp",
        note: "using weak random number generator could reveal the key",
    },
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

/// The program with these arguments.
fn whelk(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments);
    command
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

/// K37.
#[test]
fn ssh_audit_complains_of_nothing_in_the_strict_algorithms() {
    let printed = Running::run(whelk(&["algorithms", "--strict"]), Input::Nothing, SOON);
    assert_eq!(printed.status, Some(0), "{}", printed.err);
    let users = "[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n";
    let gateway = Setup::default().configuration(&(users.to_owned() + &printed.out.text())).start();
    let (names, complaints) = audit(&gateway);
    assert!(complaints.is_empty(), "{complaints:#?}");
    // Three key exchanges and the marker, two keys, six ciphers, two MACs; ring makes no RSA key.
    let least = if has_ring() { 12 } else { 13 };
    assert!(names.len() >= least, "{names:?}");
    assert_eq!(names.iter().any(|name| name == "rsa-sha2-512"), !has_ring(), "{names:?}");
    gateway.end();
}

/// `whelk algorithms` prints what a server with this configuration offers.
#[test]
fn the_algorithms_that_are_printed_are_those_that_are_offered() {
    let text = "[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n[algorithms]\nkey_exchange = [\"curve25519-sha256\"]\n\
                macs = [\"hmac-sha2-512\", \"hmac-sha2-256-etm@openssh.com\"]\n";
    let gateway = Setup::default().configuration(text).start();
    let file = gateway.folder().join("printed.toml");
    std::fs::write(&file, format!("state = \"state\"\nplugins = \"shipped\"\n{text}")).expect("our own folder");
    let file = file.display().to_string();
    let printed = Running::run(whelk(&["algorithms", &file]), Input::Nothing, SOON);
    assert_eq!(printed.status, Some(0), "{}", printed.err);
    let printed: Vec<String> = printed.out.text().split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let (offered, _) = audit(&gateway);
    let markers = |name: &&String| !name.starts_with("kex-strict") && name.as_str() != "ext-info-s";
    // There is no certificate, no P-384 or P-521 key, and with ring no RSA key. ssh-audit does not list compression.
    let lacks = |name: &str| {
        name.ends_with("p384")
            || name.ends_with("p521")
            || name.contains("-cert-")
            || has_ring() && name.starts_with("rsa")
    };
    let expected = |name: &&String| !lacks(name) && name.as_str() != "none";
    let offered: Vec<&String> = offered.iter().filter(markers).collect();
    assert_eq!(printed.iter().filter(expected).collect::<Vec<_>>(), offered);
    gateway.end();
}
