//! What a client shows when it logs in, and what a login was accepted on.

use std::sync::Arc;

use whelk_ssh::auth::server::Credential;
use whelk_ssh::crypto::key::{Certificate, PublicKey};

use crate::credential::{FileStamp, KeyPath, PasswordHash};

/// A key or certificate that a client shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShownCredential {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

impl ShownCredential {
    /// The key or certificate of a credential that is one, and whether the client has signed with it.
    pub(in crate::auth) fn of(credential: Credential<'_>) -> Option<(ShownCredential, bool)> {
        match credential {
            Credential::KeyOffered(key) => Some((ShownCredential::Key(key.clone()), false)),
            Credential::KeyProven(key) => Some((ShownCredential::Key(key.clone()), true)),
            Credential::CertificateOffered(shown) => {
                Some((ShownCredential::Certificate(Box::new(shown.clone())), false))
            }
            Credential::CertificateProven(shown) => Some((ShownCredential::Certificate(Box::new(shown.clone())), true)),
            _ => None,
        }
    }
}

/// What a login was accepted on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The authenticator that let the user in; none for a user of the configuration.
    pub(in crate::auth) authenticator: Option<Arc<str>>,
    /// What was shown, in order.
    pub(in crate::auth) proofs: Vec<Proof>,
}

/// One thing that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Proof {
    /// Nothing, since nothing is needed.
    NotNeeded,
    /// A password of this hash.
    Password(Arc<PasswordHash>),
    /// A key or certificate.
    Key(KeyProof),
}

/// A key or certificate, and the files that have a say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::auth) struct KeyProof {
    pub(in crate::auth) shown: Arc<ShownCredential>,
    pub(in crate::auth) files: Vec<SeenFile>,
}

/// A file as it was when it was read. No stamp: it could not be used.
pub(crate) type SeenFile = (KeyPath, Option<FileStamp>);

impl Evidence {
    /// One proof of a user of the configuration.
    pub(in crate::auth) fn of(proof: Proof) -> Arc<Evidence> {
        Arc::new(Evidence { authenticator: None, proofs: vec![proof] })
    }

    /// This, and what was shown before it.
    pub(in crate::auth) fn after(&self, earlier: &Evidence) -> Arc<Evidence> {
        let proofs = earlier.proofs.iter().chain(&self.proofs).cloned().collect();
        Arc::new(Evidence { authenticator: self.authenticator.clone(), proofs })
    }
}
