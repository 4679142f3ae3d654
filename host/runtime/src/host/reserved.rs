//! Names of channel requests that are not a plugin's to send.
//!
//! A request on a session's channel that its client gives a meaning to changes the state of the channel or says how the
//! program ended: that is the host's to say. And clients read its body strictly: OpenSSH and AsyncSSH end
//! the whole connection, with every session on it, when the body of a name that they know is not as they expect.

/// The names that the registry of RFC 4250 §4.9.3 has for requests on channels (RFC 4254 §6, RFC 4335 §3), the
/// client's own included: libraries read those too, whoever sends them.
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
    // The draft of agent forwarding, with and without the vendor's mark.
    "auth-agent-req",
    "agent-req",
];

/// Whose names clients know beside those: `eow@openssh.com`, `keepalive@openssh.com`, `auth-agent-req@openssh.com`;
/// `winadj@` and `simple@putty.projects.tartarus.org`.
const DOMAINS: [&str; 2] = ["openssh.com", "putty.projects.tartarus.org"];

/// Whether a request of this name is the host's or the client's to send.
///
/// Compares names as the most lenient clients do: some ignore case, and AsyncSSH maps a name to a method by replacing
/// `@`, `.` and `-` with `_at_`, `_dot_` and `_`, so that `exit_status` is `exit-status` to it.
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
    fn names_that_clients_act_upon_are_reserved_and_private_ones_are_not() {
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
