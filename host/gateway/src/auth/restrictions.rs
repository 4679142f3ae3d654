//! What a login may do in its sessions, as the options of its key or certificate say.

use crate::credential::KeyOptions;

/// What the sessions of a login may do, and what they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restrictions {
    /// Runs whatever the client asks for: `command=` of a key, `force-command` of a certificate.
    pub forced_command: Option<String>,
    /// Variables of every session, which the client cannot change: `environment=` of a key.
    pub environment: Vec<(String, String)>,
    /// A client may ask for a terminal.
    pub pty: bool,
    /// A client may use the channel types and global requests of a connection plugin: no `restrict` and no
    /// `no-port-forwarding` of a key, and `permit-port-forwarding` of a certificate. They are to a connection what
    /// forwarding is: a way besides the sessions.
    pub port_forwarding: bool,
}

/// No restrictions, as for a login by password or without credentials.
impl Default for Restrictions {
    fn default() -> Restrictions {
        Restrictions { forced_command: None, environment: Vec::new(), pty: true, port_forwarding: true }
    }
}

impl Restrictions {
    /// Those of a key.
    pub(crate) fn of_key(options: &KeyOptions) -> Restrictions {
        let KeyOptions { command, environment, pty, forwarding, .. } = options;
        let (forced_command, environment) = (command.clone(), environment.clone());
        Restrictions { forced_command, environment, pty: *pty, port_forwarding: forwarding.port }
    }

    /// Those of two keys that had to be proven one after the other. None if they force different commands, as in
    /// OpenSSH.
    pub(crate) fn and(&self, later: &Restrictions) -> Option<Restrictions> {
        let forced_command = match (&self.forced_command, &later.forced_command) {
            (Some(one), Some(other)) if one != other => return None,
            (Some(command), _) | (None, Some(command)) => Some(command.clone()),
            (None, None) => None,
        };
        // The first value of a variable counts, as in a key's own options.
        let is_new = |(name, _): &&(String, String)| !self.environment.iter().any(|(known, _)| known == name);
        let environment = self.environment.iter().chain(later.environment.iter().filter(is_new)).cloned().collect();
        let port_forwarding = self.port_forwarding && later.port_forwarding;
        Some(Restrictions { forced_command, environment, pty: self.pty && later.pty, port_forwarding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_restrict_together() {
        let with = |command: Option<&str>, value: &str, pty| Restrictions {
            forced_command: command.map(str::to_owned),
            environment: vec![("A".to_owned(), value.to_owned())],
            pty,
            port_forwarding: pty,
        };
        let joined = with(None, "1", true).and(&with(Some("ls"), "2", false));
        assert_eq!(joined, Some(with(Some("ls"), "1", false)));
        assert_eq!(with(Some("ls"), "1", false).and(&Restrictions::default()), Some(with(Some("ls"), "1", false)));
        assert_eq!(with(Some("ls"), "1", true).and(&with(Some("rm"), "1", true)), None);
    }
}
