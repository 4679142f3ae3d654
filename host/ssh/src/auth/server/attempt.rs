//! The question to the application, and its answer.

use std::fmt;

use zeroize::Zeroizing;

use crate::auth::challenge::{Challenge, UserAnswers};
use crate::auth::method::MethodSet;
use crate::auth::presented::Presented;
use crate::crypto::key::{Certificate, Presence, PublicKey};

/// A question to the application: does this credential authenticate this user?
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The user name: any bytes, at most 255, possibly empty. Look it up exactly; never use it as a path or show it
    /// unescaped.
    pub user: &'a [u8],
    /// What the user presented.
    pub credential: Credential<'a>,
}

/// What a user presented.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing: the method `none`. RFC 4252 §5.2.
    None,
    /// A password: at most 1024 bytes, any. RFC 4252 §8.
    Password(&'a [u8]),
    /// The current password and a new one: each at most 1024 bytes, any. Clients send it after
    /// [`Verdict::ChangePassword`], and may send it at any time. RFC 4252 §8.
    NewPassword {
        /// The current password.
        old: &'a [u8],
        /// The new password.
        new: &'a [u8],
    },
    /// A query whether this key would be accepted. It proves nothing: anybody may offer anybody's public key. RFC 4252
    /// §7.
    KeyOffered(&'a PublicKey),
    /// The client holds this key: its signature was verified. RFC 4252 §7.
    KeyProven(&'a PublicKey),
    /// A query whether this certificate would be accepted. Its authority has signed it, which proves nothing of the
    /// client.
    CertificateOffered(&'a Certificate),
    /// The client holds the key of this certificate: its signature was verified. Whether the authority is trusted, and
    /// the certificate valid for this user now, is for the application to decide.
    CertificateProven(&'a Certificate),
    /// The client asks for prompts: answer with [`Verdict::Challenge`]. RFC 4256 §3.1.
    Interactive,
    /// The answers to the last challenge, one for each of its prompts, each at most 1024 bytes, any. RFC 4256 §3.4.
    Answers(&'a [Zeroizing<Vec<u8>>]),
    /// Something that no user can have as a credential, so it is not examined: a key of a type that we cannot verify,
    /// or a password or an answer of more than 1024 bytes. Only a user who needs no credentials is accepted with it.
    /// Acceptance authenticates the client at once, as for `None`.
    Unusable,
}

/// Names the kind alone: passwords are never printed.
impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::None => "None",
            Credential::Password(_) => "Password",
            Credential::NewPassword { .. } => "NewPassword",
            Credential::KeyOffered(_) => "KeyOffered",
            Credential::KeyProven(_) => "KeyProven",
            Credential::CertificateOffered(_) => "CertificateOffered",
            Credential::CertificateProven(_) => "CertificateProven",
            Credential::Interactive => "Interactive",
            Credential::Answers(_) => "Answers",
            Credential::Unusable => "Unusable",
        })
    }
}

/// The application's answer to an [`Attempt`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Accept. For a key that was only offered: sign with it.
    Accept,
    /// Reject, for whatever reason. The client does not learn it.
    Reject,
    /// Partial success: right, but one of these methods must follow. For a key that was only offered: sign with it.
    /// RFC 4252 §5.1.
    Partial(MethodSet),
    /// Ask the client's user this. The answers are the next [`Credential::Answers`], and may lead to another challenge.
    /// If the client makes another request instead, the exchange is over: see
    /// [`take_abandoned`](super::ServerAuth::take_abandoned). For any credential except `Interactive` and `Answers`
    /// this is a rejection. RFC 4256 §3.2.
    Challenge(Challenge),
    /// The password must be changed first. The text is for the user: one line, at most 512 bytes. The client may answer
    /// with [`Credential::NewPassword`]. For any credential except `Password` and `NewPassword` this is a rejection.
    /// RFC 4252 §8.
    ChangePassword(String),
}

/// An [`Attempt`] as it is kept until the decision.
pub(super) enum Question {
    None,
    Password(Zeroizing<Vec<u8>>),
    NewPassword {
        old: Zeroizing<Vec<u8>>,
        new: Zeroizing<Vec<u8>>,
    },
    /// With the signature algorithm that the client will use.
    KeyOffered(Presented, Vec<u8>),
    /// With what a security key says about its user.
    KeyProven(Presented, Option<Presence>),
    Interactive,
    Answers(UserAnswers),
    UnusablePassword,
    UnusableAnswers,
    /// The algorithm as the client named it, and the key blob: for the log.
    UnusableKey {
        algorithm: Vec<u8>,
        blob: Vec<u8>,
    },
}

impl Question {
    /// The question in the application's form.
    pub(super) fn credential(&self) -> Credential<'_> {
        match self {
            Question::None => Credential::None,
            Question::Password(password) => Credential::Password(password),
            Question::NewPassword { old, new } => Credential::NewPassword { old, new },
            Question::KeyOffered(Presented::Key(key), _) => Credential::KeyOffered(key),
            Question::KeyProven(Presented::Key(key), _) => Credential::KeyProven(key),
            Question::KeyOffered(Presented::Certificate(shown), _) => Credential::CertificateOffered(shown),
            Question::KeyProven(Presented::Certificate(shown), _) => Credential::CertificateProven(shown),
            Question::Interactive => Credential::Interactive,
            Question::Answers(answers) => Credential::Answers(answers.as_slice()),
            Question::UnusablePassword | Question::UnusableAnswers | Question::UnusableKey { .. } => {
                Credential::Unusable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let secret = [Zeroizing::new(b"hunter2".to_vec())];
        let change = Credential::NewPassword { old: b"hunter2", new: b"hunter2" };
        for credential in [Credential::Password(b"hunter2"), change, Credential::Answers(&secret)] {
            let attempt = Attempt { user: b"alice", credential };
            assert!(!format!("{attempt:?}").contains("hunter2"));
            assert!(!format!("{:?}", attempt.credential).contains("104"));
        }
    }
}
