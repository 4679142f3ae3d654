//! An authentication attempt that outlives the packet in which it came: deciding it takes time.

use std::sync::Arc;

use whelk_ssh::auth::server::{Attempt, Credential};
use whelk_ssh::crypto::key::{Certificate, Presence, PublicKey};
use zeroize::Zeroizing;

use super::authenticators::Exchange;
use crate::source::{Peer, SourcePenalty};

/// Whose attempt it is, and how it was made.
#[derive(Clone, Debug)]
pub(crate) struct AttemptContext {
    /// The number of the connection, for the log.
    pub(crate) connection: u64,
    /// The other end. No list of addresses has an unknown one.
    pub(crate) peer: Peer,
    /// What the security key that has signed says of its user.
    pub(crate) presence: Option<Presence>,
    /// Counts the attempts of the connection from 1.
    pub(crate) number: u32,
    /// The client's identification line, escaped.
    pub(crate) client_version: String,
    /// The connection's exchange with an authenticator, if one is asked.
    pub(crate) exchange: Exchange,
    /// The penalty of the source. `None`: it gets none.
    pub(crate) penalty: Option<Arc<dyn SourcePenalty>>,
}

impl AttemptContext {
    /// Whether no password of this source is hashed now.
    pub(crate) fn is_refused(&self) -> bool {
        self.penalty.as_ref().is_some_and(|penalty| penalty.refuses())
    }
}

#[cfg(test)]
impl AttemptContext {
    /// The first attempt of a connection from here.
    pub(crate) fn of(peer: Peer) -> AttemptContext {
        let (client_version, exchange) = ("SSH-2.0-test".to_owned(), Exchange::default());
        AttemptContext { connection: 1, peer, presence: None, number: 1, client_version, exchange, penalty: None }
    }
}

/// An owned [`Attempt`]. Its passwords and answers are zeroized on drop.
pub(crate) struct OwnedAttempt {
    user: Vec<u8>,
    credential: OwnedCredential,
}

enum OwnedCredential {
    None,
    Password(Zeroizing<Vec<u8>>),
    NewPassword { old: Zeroizing<Vec<u8>>, new: Zeroizing<Vec<u8>> },
    Interactive,
    Answers(Vec<Zeroizing<Vec<u8>>>),
    KeyOffered(PublicKey),
    KeyProven(PublicKey),
    CertificateOffered(Box<Certificate>),
    CertificateProven(Box<Certificate>),
    Unusable,
}

impl OwnedAttempt {
    /// Copies an attempt.
    pub(crate) fn of(attempt: &Attempt<'_>) -> OwnedAttempt {
        let credential = match attempt.credential {
            Credential::None => OwnedCredential::None,
            Credential::Password(password) => OwnedCredential::Password(secret(password)),
            Credential::NewPassword { old, new } => OwnedCredential::NewPassword { old: secret(old), new: secret(new) },
            Credential::Interactive => OwnedCredential::Interactive,
            Credential::Answers(answers) => OwnedCredential::Answers(answers.to_vec()),
            Credential::KeyOffered(key) => OwnedCredential::KeyOffered(key.clone()),
            Credential::KeyProven(key) => OwnedCredential::KeyProven(key.clone()),
            Credential::CertificateOffered(shown) => OwnedCredential::CertificateOffered(Box::new(shown.clone())),
            Credential::CertificateProven(shown) => OwnedCredential::CertificateProven(Box::new(shown.clone())),
            Credential::Unusable => OwnedCredential::Unusable,
        };
        OwnedAttempt { user: attempt.user.to_vec(), credential }
    }

    /// The attempt in the protocol core's form.
    pub(crate) fn as_attempt(&self) -> Attempt<'_> {
        let credential = match &self.credential {
            OwnedCredential::None => Credential::None,
            OwnedCredential::Password(password) => Credential::Password(password),
            OwnedCredential::NewPassword { old, new } => Credential::NewPassword { old, new },
            OwnedCredential::Interactive => Credential::Interactive,
            OwnedCredential::Answers(answers) => Credential::Answers(answers),
            OwnedCredential::KeyOffered(key) => Credential::KeyOffered(key),
            OwnedCredential::KeyProven(key) => Credential::KeyProven(key),
            OwnedCredential::CertificateOffered(shown) => Credential::CertificateOffered(shown),
            OwnedCredential::CertificateProven(shown) => Credential::CertificateProven(shown),
            OwnedCredential::Unusable => Credential::Unusable,
        };
        Attempt { user: &self.user, credential }
    }
}

/// A copy that is zeroized on drop.
fn secret(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.to_vec())
}
