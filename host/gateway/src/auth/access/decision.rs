//! The decision about an attempt to log in.

use whelk_ssh::auth::challenge::Challenge;

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Accepted. For a key that was offered: it would be accepted, prove it.
    Accept(Identity),
    /// Rejected, without a reason.
    Reject,
    /// Neither: the client's user must be asked this first.
    Challenge(Challenge),
    /// Could not be decided, whether right or wrong: the connection must end, and the client may try again.
    Undecided(Overload),
}

/// Why an attempt could not be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Hashing the password took longer than `decision_grace`.
    Slow,
    /// There was no memory to hash the password in, or the hash needs more than the limit.
    Memory,
    /// Hashing panicked, which was logged.
    Panic,
}

/// An authenticated user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name, exactly as the client sent it and as the configuration has it.
    pub user: String,
    /// The name of the tenant of the sessions. In the demonstration it is the user name, and need not exist.
    pub tenant: String,
    /// The plugin of the sessions unless a route selects another. In the demonstration equal to the tenant.
    pub plugin: String,
    /// `none`, `publickey`, `password` or `keyboard-interactive`.
    pub method: &'static str,
    /// The fingerprint of the key that was proven. For a key that was only offered, of that one, unless the user needs
    /// no credentials.
    pub fingerprint: Option<String>,
}
