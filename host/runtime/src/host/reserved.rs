//! Names of channel requests that a plugin may not send.
//!
//! A request that the client knows changes the state of the channel or reports how the program ended: only the host may
//! send it. And clients parse its body strictly: OpenSSH and AsyncSSH end the whole connection, with every session on
//! it, if the body of a known request is malformed.

/// The channel requests in the registry of RFC 4250 §4.9.3 (RFC 4254 §6, RFC 4335 §3), including those that clients
/// send: libraries parse them from either side.
const REGISTERED: [&str; 14] = [
    "pty-req",
    "x11-req",
    "env",
    "shell",
    "exec",
    "subsystem",
    "window-change",
    "xon-xoff",
    "signal",
    "exit-status",
    "exit-signal",
    "break",
    // The draft of agent forwarding, with and without the vendor's suffix.
    "auth-agent-req",
    "agent-req",
];

/// Domains whose names clients know besides: `eow@openssh.com`, `keepalive@openssh.com`, `auth-agent-req@openssh.com`;
/// `winadj@` and `simple@putty.projects.tartarus.org`.
const DOMAINS: [&str; 2] = ["openssh.com", "putty.projects.tartarus.org"];

/// Whether only the host or the client may send a request of this name.
///
/// Compares names as the most lenient clients do: some ignore case, and AsyncSSH maps a name to a method by replacing
/// `@`, `.` and `-` with `_at_`, `_dot_` and `_`, so that it takes `exit_status` for `exit-status`.
pub(super) fn is_reserved(name: &str) -> bool {
    let name = folded(name);
    REGISTERED.iter().any(|reserved| name == folded(reserved))
        || DOMAINS.iter().any(|domain| name.ends_with(&folded(&format!("@{domain}"))))
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('@', "_at_").replace('.', "_dot_").replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clients_know_are_reserved_and_private_ones_are_not() {
        for name in [
            "exit-status",
            "exit-signal",
            "xon-xoff",
            "signal",
            "pty-req",
            "Exit-Status",
            "exit_status",
            "keepalive_at_openssh_dot_com",
            "keepalive@openssh-dot-com",
            "eow@openssh.com",
            "keepalive@openssh.com",
            "anything@OpenSSH.com",
            "winadj@putty.projects.tartarus.org",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in
            ["ping", "exit-status2", "exit-status@example.org", "ask@example.org", "eow@notopenssh.com", "a@b@c"]
        {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
