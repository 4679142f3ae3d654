//! The environment of a program.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::host::ORIGINAL_COMMAND;
use crate::session_types::{Facts, ProgramRequest, Pty};

/// The home directory, which is the root of what a program sees, and where it starts.
pub(super) const HOME: &str = "/";

/// The path of a program's terminal.
const TERMINAL: &str = "/dev/tty";

/// What the environment of a program is made of.
pub(super) struct Sources<'a> {
    pub(super) facts: &'a Facts,
    /// The tenant's grant.
    pub(super) granted: &'a [(String, String)],
    /// Variables that were accepted, those of the host among them.
    pub(super) accepted: &'a [(String, Vec<u8>)],
    pub(super) pty: Option<&'a Pty>,
    pub(super) request: Option<ProgramRequest<'a>>,
}

impl Sources<'_> {
    /// The environment, in the order of the names. Of variables with the same name the client's override the defaults,
    /// the tenant's override those, and what is known of the session overrides all. Variables that are not UTF-8 are
    /// left out: WASI has none.
    ///
    /// There is no SHELL: a session runs what its plugin or route names, and no login shell.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let mut all = BTreeMap::new();
        let mut set = |name: &str, value: &str| {
            if !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') {
                all.insert(name.to_owned(), value.to_owned());
            }
        };
        let user = self.facts.account();
        for (name, value) in [("HOME", HOME), ("PWD", HOME), ("PATH", "/usr/bin:/bin"), ("USER", user)] {
            set(name, value);
        }
        set("LOGNAME", user);
        // With a forced command the accepted variable has the client's, and it is the host's: no client may set it
        // (`Channel::admits_env`).
        if let Some(ProgramRequest::Exec(command)) = self.request
            && let Ok(command) = str::from_utf8(command)
        {
            set(ORIGINAL_COMMAND, command);
        }
        for (name, value) in self.accepted {
            if let Ok(value) = str::from_utf8(value) {
                set(name, value);
            }
        }
        for (name, value) in self.granted {
            set(name, value);
        }
        if let Some(client) = self.fact_of_address("address")
            && let Some(server) = self.fact_of_address("local-address")
        {
            set("SSH_CLIENT", &format!("{} {} {}", client.ip(), client.port(), server.port()));
            let (from, to) = ((client.ip(), client.port()), (server.ip(), server.port()));
            set("SSH_CONNECTION", &format!("{} {} {} {}", from.0, from.1, to.0, to.1));
        }
        if let Some(pty) = self.pty {
            set("TERM", &pty.term);
            set("SSH_TTY", TERMINAL);
            for (name, number) in [("COLUMNS", pty.size.columns), ("LINES", pty.size.rows)] {
                if number > 0 {
                    set(name, &number.to_string());
                }
            }
        }
        all.into_iter().collect()
    }

    /// An address of the connection. None if it is not known, as on a pipe.
    fn fact_of_address(&self, name: &str) -> Option<SocketAddr> {
        let address: SocketAddr = self.facts.get(name)?.parse().ok()?;
        // An IPv4 address that is mapped into IPv6 is shown as the IPv4 address, as sshd does.
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_types::WindowSize;

    fn text(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn bytes(name: &str, value: &[u8]) -> (String, Vec<u8>) {
        (name.to_owned(), value.to_vec())
    }

    #[test]
    fn what_is_known_overrides_what_was_granted_and_that_what_the_client_sent() {
        let facts = Facts::from_iter([("user", "typed"), ("principal", "alice")]);
        let granted = [text("TOKEN", "t"), text("LANG", "C"), text("TERM", "granted")];
        let accepted = [
            bytes("LANG", b"de_DE"),
            bytes("LC_ALL", "\u{e4}".as_bytes()),
            bytes("LC_TIME", b"\xff"),
            bytes("", b"nameless"),
            bytes("A=B", b"c"),
            bytes("LC_NUL", b"a\0b"),
            bytes("COLUMNS", b"7"),
            bytes("USER", b"bob"),
        ];
        let size = WindowSize { columns: 80, rows: 0, width_px: 640, height_px: 480 };
        let pty = Pty { term: "xterm".to_owned(), size, modes: Vec::new(), erase_by_width: false };
        let request = Some(ProgramRequest::Exec(b"a  'b'"));
        let sources = Sources { facts: &facts, granted: &granted, accepted: &accepted, pty: Some(&pty), request };
        let expected = [
            ("COLUMNS", "80"),
            ("HOME", "/"),
            ("LANG", "C"),
            ("LC_ALL", "\u{e4}"),
            ("LOGNAME", "alice"),
            ("PATH", "/usr/bin:/bin"),
            ("PWD", "/"),
            ("SSH_ORIGINAL_COMMAND", "a  'b'"),
            ("SSH_TTY", "/dev/tty"),
            ("TERM", "xterm"),
            ("TOKEN", "t"),
            ("USER", "bob"),
        ]
        .map(|(name, value)| text(name, value));
        assert_eq!(sources.environment(), expected);
    }

    #[test]
    fn the_addresses_of_the_connection_are_those_of_sshd_if_both_are_known() {
        let of = |client: &str, server: &str| {
            let facts = Facts::from_iter([("address", client), ("local-address", server)]);
            let all = Sources { facts: &facts, granted: &[], accepted: &[], pty: None, request: None };
            let all = all.environment().into_iter().filter(|(name, _)| name.starts_with("SSH_"));
            all.map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(of("192.0.2.1:50000", "192.0.2.2:22"), ["192.0.2.1 50000 22", "192.0.2.1 50000 192.0.2.2 22"]);
        assert_eq!(of("[2001:db8::1]:5", "[::1]:22"), ["2001:db8::1 5 22", "2001:db8::1 5 ::1 22"]);
        let mapped = ["192.0.2.1 5 22", "192.0.2.1 5 192.0.2.2 22"];
        assert_eq!(of("192.0.2.1:5", "[::ffff:192.0.2.2]:22"), mapped);
        for (client, server) in [("unknown", ""), ("192.0.2.1:5", ""), ("unknown", "192.0.2.2:22")] {
            assert_eq!(of(client, server), [""; 0]);
        }
    }

    #[test]
    fn a_forced_command_leaves_what_the_client_sent() {
        let facts = Facts::default();
        let accepted = [bytes(ORIGINAL_COMMAND, b"what the client sent")];
        let request = Some(ProgramRequest::Exec(b"forced"));
        let sources = Sources { facts: &facts, granted: &[], accepted: &accepted, pty: None, request };
        assert!(sources.environment().contains(&text(ORIGINAL_COMMAND, "what the client sent")));
        let sources = Sources { accepted: &[], request: Some(ProgramRequest::Shell), ..sources };
        assert!(!sources.environment().iter().any(|(name, _)| name == ORIGINAL_COMMAND || name == "TERM"));
    }
}
