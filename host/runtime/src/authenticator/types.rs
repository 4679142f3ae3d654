//! What an authenticator is shown and what it answers.

/// A method of authentication, RFC 4252 and RFC 4256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoginMethod {
    /// `none`.
    None,
    /// `password`.
    Password,
    /// `publickey`.
    PublicKey,
    /// `keyboard-interactive`.
    KeyboardInteractive,
}

/// An attempt to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginAttempt {
    /// The name that the client asks for.
    pub user: String,
    /// The client's address and port, or `unknown`.
    pub address: String,
    /// The client's identification line, without characters that control a terminal.
    pub client_version: String,
    /// Counts the attempts of the connection from 1.
    pub number: u32,
    /// The methods that have succeeded before.
    pub satisfied: Vec<LoginMethod>,
}

/// A public key, and the certificate that it was shown by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginKey {
    /// The type, such as `ssh-ed25519`.
    pub algorithm: String,
    /// RFC 4253 §6.6.
    pub blob: Vec<u8>,
    /// `SHA256:...`.
    pub fingerprint: String,
    /// Checked by the host: authority, signature, validity, type, revocation and critical options. Its principals were
    /// not compared with the user's name.
    pub certificate: Option<LoginCertificate>,
}

/// A certificate of a user, OpenSSH `PROTOCOL.certkeys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginCertificate {
    /// What the authority calls it.
    pub key_id: String,
    /// The authority's number.
    pub serial: u64,
    /// The names that it is for.
    pub principals: Vec<String>,
    /// Names and contents.
    pub extensions: Vec<(String, String)>,
    /// The fingerprint of the authority's key.
    pub authority_fingerprint: String,
}

/// What a client has presented.
#[derive(Clone, Debug)]
pub enum LoginCredential {
    /// Nothing: the method `none`.
    None,
    /// A password in UTF-8.
    Password(String),
    /// The present password and a new one, both in UTF-8. RFC 4252 §8.
    NewPassword {
        /// The present one.
        old: String,
        /// The new one.
        new: String,
    },
    /// A key that the client may have: an acceptance means that it should sign.
    KeyOffered(LoginKey),
    /// A key that the client has: the host has verified its signature.
    KeyProven(LoginKey),
    /// The client begins keyboard-interactive and waits for a challenge.
    InteractiveStarted,
    /// Answers to the last challenge, one for each prompt.
    Answers(Vec<String>),
    /// The client has turned to another method while a challenge was open. Whatever the answer, it decides nothing.
    Abandoned,
}

impl LoginCredential {
    /// Whether it is a password or answers.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Password(_) | Self::NewPassword { .. } | Self::Answers(_))
    }
}

/// What an authenticator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginAnswer {
    /// The user is who they say.
    Accept(LoginGrant),
    /// Right so far, and one of these methods must follow, besides what the caller requires.
    Partial(Vec<LoginMethod>),
    /// Ask these questions. Only in reply to [`LoginCredential::InteractiveStarted`] and [`LoginCredential::Answers`].
    Challenge(LoginChallenge),
    /// The password must be changed, or the new one is not good enough: a line for the person, at most 512 bytes. Only
    /// in reply to [`LoginCredential::Password`] and [`LoginCredential::NewPassword`].
    ChangePassword(String),
    /// Rejected.
    Reject,
}

/// What a user gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginGrant {
    /// The account, which may differ from the name that was asked for. 1 to 255 bytes, without control characters.
    pub principal: String,
    /// The tenant of the sessions.
    pub tenant: String,
    /// The plugin of the sessions, unless it is the tenant's.
    pub plugin: Option<String>,
    /// For plugins: facts named `attr.NAME`. At most 16; names of at most 64 bytes, values of at most 1 KiB.
    pub attributes: Vec<(String, String)>,
}

/// Questions to the person, RFC 4256 §3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginChallenge {
    /// A title. May be empty.
    pub name: String,
    /// What to do. May be empty.
    pub instruction: String,
    /// Each question, and whether the answer may be shown while it is typed.
    pub prompts: Vec<(String, bool)>,
}
