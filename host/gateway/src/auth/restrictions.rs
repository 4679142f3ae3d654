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
}

/// None: of a password, or of a user who needs no credentials.
impl Default for Restrictions {
    fn default() -> Restrictions {
        Restrictions { forced_command: None, environment: Vec::new(), pty: true }
    }
}

impl Restrictions {
    /// Those of a key.
    pub(crate) fn of_key(options: &KeyOptions) -> Restrictions {
        let KeyOptions { command, environment, pty, .. } = options;
        Restrictions { forced_command: command.clone(), environment: environment.clone(), pty: *pty }
    }
}
