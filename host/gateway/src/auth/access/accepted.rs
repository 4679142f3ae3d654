//! A login that was accepted, and how it stands later.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::decision::Identity;
use crate::auth::proof::{Evidence, Proof, SeenFile};
use crate::auth::restrictions::Restrictions;
use crate::source::Peer;

/// A login whose connection lives.
#[derive(Clone, Debug)]
pub(crate) struct AcceptedLogin {
    pub(super) user: String,
    pub(super) principal: String,
    pub(super) tenant: String,
    pub(super) address: Option<IpAddr>,
    /// When it was accepted, in seconds since 1970: expiry is judged at this time.
    pub(super) at: u64,
    pub(super) evidence: Arc<Evidence>,
}

impl AcceptedLogin {
    /// That of a user who is accepted now.
    pub(crate) fn of(identity: &Identity, peer: Peer) -> AcceptedLogin {
        let Identity { user, principal, tenant, evidence, .. } = identity;
        AcceptedLogin {
            user: user.clone(),
            principal: principal.clone(),
            tenant: tenant.clone(),
            address: peer.ip(),
            at: now(),
            evidence: Arc::clone(evidence),
        }
    }

    /// One with a key that is in this file.
    #[cfg(test)]
    pub(crate) fn by_file(key: whelk_ssh::crypto::key::PublicKey, file: SeenFile) -> AcceptedLogin {
        use crate::auth::proof::{KeyProof, ShownCredential};

        let proof = KeyProof { shown: Arc::new(ShownCredential::Key(key)), files: vec![file] };
        let (user, tenant) = ("alice".to_owned(), "default".to_owned());
        let principal = user.clone();
        AcceptedLogin { user, principal, tenant, address: None, at: 0, evidence: Evidence::of(Proof::Key(proof)) }
    }

    /// The name that the user logged in with.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The files that have a say in it, as they were.
    pub(crate) fn files(&self) -> impl Iterator<Item = &SeenFile> {
        let of_keys = self.evidence.proofs.iter().filter_map(|proof| match proof {
            Proof::Key(key) => Some(&key.files),
            Proof::NotNeeded | Proof::Password(_) => None,
        });
        of_keys.flatten()
    }
}

/// How a login stands that was accepted earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It would be accepted now.
    Valid(StillGranted),
    /// It would be rejected now.
    Revoked(Revocation),
    /// A file of keys could not be used or does not have the key, perhaps only at this moment: why, for the log.
    Doubtful(Revocation),
    /// It cannot be told, and the connection is kept: why, for the log.
    Unknown(String),
}

/// What a login would be granted that would be accepted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StillGranted {
    /// The files that have a say in it, as they are now.
    pub(crate) files: Vec<SeenFile>,
    /// The restrictions of all its keys. None: they contradict one another.
    pub(super) restrictions: Option<Restrictions>,
}

impl Default for StillGranted {
    /// A grant that needed no key.
    fn default() -> StillGranted {
        StillGranted { files: Vec::new(), restrictions: Some(Restrictions::default()) }
    }
}

impl StillGranted {
    /// The grant of this proof joined with the `earlier` ones.
    pub(super) fn after(self, earlier: Option<StillGranted>) -> StillGranted {
        let Some(StillGranted { mut files, restrictions }) = earlier else { return self };
        files.extend(self.files);
        let restrictions = restrictions.zip(self.restrictions).and_then(|(one, other)| one.and(&other));
        StillGranted { files, restrictions }
    }
}

/// Why a login is no longer valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// What the client is told.
    pub(crate) told: &'static str,
    /// The reason for the log.
    pub(crate) reason: String,
}

impl Revocation {
    pub(super) fn of_key(reason: impl Into<String>) -> Revocation {
        Revocation { told: "the key of this login may no longer be used", reason: reason.into() }
    }

    pub(super) fn of_user(reason: impl Into<String>) -> Revocation {
        Revocation { told: "this account may no longer log in", reason: reason.into() }
    }

    pub(super) fn of_password(reason: impl Into<String>) -> Revocation {
        Revocation { told: "the password of this login is no longer valid", reason: reason.into() }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
