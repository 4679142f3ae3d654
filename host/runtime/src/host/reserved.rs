//! Names that have a meaning to clients or to the host, and that a plugin may therefore not use.
//!
//! A request that the client knows changes the state of the channel or reports how the program ended: only the host may
//! send it. And clients parse its body strictly: OpenSSH and AsyncSSH end the whole connection, with every session on
//! it, if the body of a known request is malformed. A channel that the client knows is worse: OpenSSH's client opens
//! its agent to a server that asks, though the request for it was refused.

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

/// Domains of the names that clients of every kind know in channel requests: `eow@openssh.com`,
/// `keepalive@openssh.com`, `auth-agent-req@openssh.com`; `winadj@` and `simple@putty.projects.tartarus.org`.
const DOMAINS: [&str; 2] = ["openssh.com", "putty.projects.tartarus.org"];

/// Domains of SSH programs and libraries: each defines names of its own, or may.
const PROGRAMS: [&str; 20] = [
    "openssh.com",
    "openssh.org",
    "putty.projects.tartarus.org",
    "libssh.org",
    "libssh2.org",
    "ssh.com",
    "ssh.fi",
    "lysator.liu.se",
    "matt.ucc.asn.au",
    "lag.net",
    "timeheart.net",
    "golang.org",
    "sshd.apache.org",
    "apache.org",
    "microsoft.com",
    "goteleport.com",
    "bitvise.com",
    "vandyke.com",
    "sshtools.com",
    "tinyssh.org",
];

/// How the part before the `@` of no name of a plugin's begins: types of channel and global requests in the registry
/// (RFC 4250 §4.9) and in OpenSSH's PROTOCOL, whatever domain is put behind them.
const MEANT: [&str; 15] = [
    "session",
    "x11",
    "auth-agent",
    "agent-req",
    "direct-",
    "forwarded-",
    "tun",
    "hostkeys",
    "exit-",
    "tcpip-forward",
    "cancel-",
    "streamlocal-forward",
    "no-more-sessions",
    "keepalive",
    "ping",
];

/// Whether only the host or the client may send a channel request of this name.
///
/// Compares names as the most lenient clients do: some ignore case, and AsyncSSH maps a name to a method by replacing
/// `@`, `.` and `-` with `_at_`, `_dot_` and `_`, so that it takes `exit_status` for `exit-status`.
pub(super) fn is_reserved(name: &str) -> bool {
    let name = folded(name);
    REGISTERED.iter().any(|reserved| name == folded(reserved)) || is_in(&name, &DOMAINS)
}

/// Whether a connection plugin may use this name for a type of channel or a global request, in either direction: at
/// most 64 printable ASCII characters, one `@` with a domain behind it, and no meaning in the field. RFC 4250 §4.6.1.
/// Compares as for channel requests.
#[must_use]
pub fn is_private_name(name: &str) -> bool {
    if name.len() > 64 {
        return false;
    }
    let Some((local, domain)) = name.split_once('@') else { return false };
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b',' && byte != b'@';
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let sound = !local.is_empty() && local.bytes().all(plain);
    let has_domain = domain.contains('.') && domain.split('.').all(label);
    let (whole, begin) = (folded(name), folded(local));
    sound
        && has_domain
        && !is_reserved(name)
        && !is_in(&whole, &PROGRAMS)
        && !MEANT.iter().any(|meant| begin.starts_with(&folded(meant)))
}

/// Whether a folded name is in one of these domains, or in one below it.
fn is_in(name: &str, domains: &[&str]) -> bool {
    let below = |domain: &&str| ["@", "."].iter().any(|mark| name.ends_with(&folded(&format!("{mark}{domain}"))));
    domains.iter().any(below)
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

    #[test]
    fn only_names_with_a_domain_of_their_own_are_a_plugins() {
        for name in ["thing@example.org", "a@b.c", "Ask@EXAMPLE.org", "my_thing@x-y.example", "stun@example.org"] {
            assert!(is_private_name(name), "{name}");
        }
        let long = format!("{}@example.org", "x".repeat(60));
        for name in [
            "thing",
            "",
            "@example.org",
            "thing@",
            "thing@localhost",
            "thing@example..org",
            "thing@exa mple.org",
            "a@b@example.org",
            "a,b@example.org",
            "a\x1b@example.org",
            "\u{e4}@example.org",
            &long,
        ] {
            assert!(!is_private_name(name), "{name:?}");
        }
    }

    /// C18, C29: whatever a client might take for something that it knows.
    #[test]
    fn names_with_a_meaning_in_the_field_are_no_plugins_however_they_are_written() {
        for name in [
            "auth-agent@openssh.com",
            "auth-agent",
            "auth-agent@example.org",
            "AUTH_AGENT@example.org",
            "auth_agent_at_openssh_dot_com@example.org",
            "thing@auth.openssh.com",
            "thing@OpenSSH.com",
            "thing@openssh-dot-com.example.openssh.com",
            "x11@example.org",
            "x11-req@example.org",
            "session@example.org",
            "direct-streamlocal@example.org",
            "forwarded-streamlocal@openssh.com",
            "forwarded-tcpip@example.org",
            "tun@openssh.com",
            "tun@example.org",
            "hostkeys-00@openssh.com",
            "hostkeys-prove-00@example.org",
            "exit-status@example.org",
            "exit_signal@example.org",
            "tcpip-forward@example.org",
            "cancel-tcpip-forward@example.org",
            "streamlocal-forward@openssh.com",
            "no-more-sessions@example.org",
            "keepalive@example.org",
            "ping@openssh.com",
            "winadj@putty.projects.tartarus.org",
            "simple@libssh.org",
            "session-reconnect@microsoft.com",
            "keepalive@golang.org",
        ] {
            assert!(!is_private_name(name), "{name}");
        }
    }
}
