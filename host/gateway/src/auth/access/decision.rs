//! The decision about an attempt to log in.

use std::sync::Arc;
use std::time::Duration;

use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::method::{AuthMethod, MethodSet};
use whelk_ssh::crypto::key::Certificate;

use crate::auth::proof::Evidence;
use crate::auth::restrictions::Restrictions;
use crate::observe::escape::escape;

/// The method of a user who needs no credentials, whatever the client presents.
pub(super) const NO_CREDENTIALS: &str = "none";

/// What keyboard-interactive asks every user, with the words of sshd with PAM. Clients put the user and the host before
/// them.
pub(super) const PASSWORD_PROMPT: &str = "Password: ";

/// A decision, and how long it waited for a slot in which a password is hashed.
pub(super) struct Judgement {
    pub(super) decision: Decision,
    pub(super) waited: Duration,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Accepted. For a key that was offered: it would be accepted, prove it.
    Accept(Identity),
    /// Rejected, without a reason.
    Reject,
    /// Neither: the client's user must be asked this first.
    Challenge(Challenge),
    /// Neither: the password must be changed first, or the new one is not good enough. A line for the client's user.
    ChangePassword(String),
    /// Rejected: a key that the user has but may not use now. The reason is for the log alone.
    RejectKey(String),
    /// Right, and another method must follow.
    Partial(PartialLogin),
    /// Could not be decided, whether right or wrong: the connection must end, and the client may try again.
    Undecided(Overload),
}

/// A method that has succeeded, and is not enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialLogin {
    /// The method.
    pub method: AuthMethod,
    /// Whom the client would be, had this been enough.
    pub identity: Identity,
    /// The methods of which one must follow.
    pub next: MethodSet,
}

/// Why an attempt could not be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Hashing the password took longer than `decision_grace`.
    Slow,
    /// There was no memory to hash the password in, or the hash needs more than the limit.
    Memory,
    /// Hashing the password, or reading a file that decides on a key, panicked, which was logged.
    Panic,
    /// Reading a file that decides on a key took longer than `decision_grace`.
    SlowFile,
    /// Nothing was hashed: other connections of the source have done wrong meanwhile.
    Penalty,
    /// The audit is required, and cannot be written.
    Audit,
}

/// An authenticated user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name, exactly as the client sent it.
    pub user: String,
    /// The account: the name of the configuration, or what an authenticator has granted. Limits of a user count it.
    pub principal: String,
    /// The name of the tenant of the sessions. In the demonstration it is the user name, and need not exist.
    pub tenant: String,
    /// The plugin of the sessions unless a route selects another. In the demonstration equal to the tenant.
    pub plugin: String,
    /// `none`, `publickey`, `password` or `keyboard-interactive`: the last, where several had to succeed.
    pub method: &'static str,
    /// The fingerprint of the key that was proven or, in the answer to an offer, of the key that was offered. For a
    /// user who needs no credentials only that of a proven key.
    pub fingerprint: Option<String>,
    /// What the sessions may do, as the options of the key say.
    pub restrictions: Arc<Restrictions>,
    /// The certificate, if there was one.
    pub certificate: Option<CertificateFacts>,
    /// What an authenticator has granted besides: plugins see each as the fact `attr.NAME`.
    pub attributes: Arc<[(String, String)]>,
    /// What the login was accepted on.
    pub evidence: Arc<Evidence>,
}

impl Identity {
    /// What limits of a user count. Accounts of one name in two tenants are two.
    pub(crate) fn account(&self) -> String {
        format!("{}/{}", self.tenant, self.principal)
    }
}

impl Decision {
    /// The decision about two keys that must follow one another and force different commands.
    pub(super) fn other_command() -> Decision {
        Decision::RejectKey("it forces another command than the key that was proven before it".to_owned())
    }
}

/// What the log and plugins are told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// What its authority calls it, escaped.
    pub key_id: String,
    /// The number that its authority gave it.
    pub serial: u64,
    /// The fingerprint of its authority.
    pub authority: String,
}

impl CertificateFacts {
    /// Those of a certificate.
    pub(crate) fn of(certificate: &Certificate) -> CertificateFacts {
        CertificateFacts {
            key_id: escape(certificate.key_id()).to_string(),
            serial: certificate.serial(),
            authority: certificate.authority().fingerprint(),
        }
    }
}
