//! Decides on public keys and certificates: whether a user has one, and whether it may be used now, from here, and in
//! this way.
//!
//! `shown` decides, `certificate` knows what certificates permit; both without waiting. This file finds what they need:
//! a user's key files and the files of authorities and of revoked keys are looked at in each attempt, by `readers`. For
//! a name that is no user's, and for a user without key files or without a file of authorities, those of another are
//! read and the result is ignored: the steps are the same, and the failure delay hides how long they took.
//!
//! The file in a home directory is what an untrusted user writes. It never loosens a restriction of the operator: it is
//! ignored for keys and authorities that the operator lists, for users with any restricted key, and while a file of the
//! operator's for this user cannot be used. It sets no variables.

mod certificate;
#[cfg(test)]
mod certificate_tests;
mod lookup;
mod readers;
mod shown;
mod sources;

use std::time::Instant;

use super::accepted::{AcceptedLogin, Revocation, Standing, StillGranted, now};
use crate::auth::attempt::AttemptContext;
use crate::auth::proof::ShownCredential;
use crate::config::Authorities;
use lookup::{Lookup, LookupKind};
use shown::ShownKey;

pub(super) use shown::{GrantedKey, KeyRefusal};
pub(super) use sources::{KeyOwner, KeySources, UserKeys};

/// The reason when a live login's key is in no file and no list any more.
const GONE: &str = "the user no longer has the key";

/// Decides on keys. Shared by all connections.
pub(super) struct KeyAccess(KeySources);

/// The name of an attempt, and the keys of the user of that name, if there is one.
type Asked<'a> = (&'a [u8], Option<&'a UserKeys>);

/// What a live login is rechecked with.
pub(super) struct Recheck<'a> {
    pub(super) login: &'a AcceptedLogin,
    /// Files that were read at this time or later need not be read again.
    pub(super) since: Instant,
    pub(super) owner: KeyOwner<'a>,
}

impl KeyAccess {
    /// The keys to check against.
    pub(super) fn new(sources: KeySources) -> KeyAccess {
        KeyAccess(sources)
    }

    /// Shares the readers with the generation before.
    pub(super) fn continue_from(&mut self, before: &KeyAccess) {
        self.0.readers.continue_from(&before.0.readers);
    }

    /// Whether any user may have a certificate.
    pub(super) fn has_authorities(&self) -> bool {
        self.0.authorities.any()
    }

    /// Decides whether a user, or a name that is no user's, may use what the client shows. `proven`: the client has
    /// signed with it.
    pub(super) async fn judge(
        &self,
        (name, user): Asked<'_>,
        credential: ShownCredential,
        proven: bool,
        context: &AttemptContext,
    ) -> Result<GrantedKey, KeyRefusal> {
        let owner = user.map_or(KeyOwner::Nobody, KeyOwner::User);
        self.judge_for(owner, shown_key(name, credential, proven, context), context).await
    }

    /// Decides whether an authenticator is shown what the client shows: any key that is not revoked, and a certificate
    /// of one of these authorities, or else the server's, that may be used now, from here, and in this way. Whose it is
    /// the authenticator decides.
    pub(super) async fn check(
        &self,
        (name, authorities): (&[u8], Option<&Authorities>),
        credential: ShownCredential,
        proven: bool,
        context: &AttemptContext,
    ) -> Result<GrantedKey, KeyRefusal> {
        let owner = KeyOwner::Authenticator(authorities);
        self.judge_for(owner, shown_key(name, credential, proven, context), context).await
    }

    async fn judge_for(
        &self,
        owner: KeyOwner<'_>,
        shown: ShownKey,
        context: &AttemptContext,
    ) -> Result<GrantedKey, KeyRefusal> {
        let kind = LookupKind::Attempt { connection: context.connection };
        let lookup = Lookup { sources: &self.0, owner, shown: &shown, kind };
        let findings = lookup.read().await?;
        lookup.decide(findings)
    }

    /// Judges a key or certificate again with which a user has logged in: at the time of the login, and without regard
    /// to how a security key was used.
    pub(super) async fn rejudge(&self, shown: &ShownCredential, recheck: &Recheck<'_>) -> Standing {
        let Recheck { login, since, owner } = recheck;
        let (user, address) = (login.user.as_bytes().to_vec(), login.address);
        let shown = ShownKey { user, credential: shown.clone(), proven: None, address, now: login.at };
        let lookup =
            Lookup { sources: &self.0, owner: *owner, shown: &shown, kind: LookupKind::Again { since: *since } };
        let mut findings = match lookup.read().await {
            Ok(findings) => findings,
            Err(KeyRefusal::Panic) => return Standing::Unknown("reading a file of keys panicked".to_owned()),
            Err(_) => return Standing::Unknown("a file of keys could not be read in time".to_owned()),
        };
        let (unusable, unread, has_files) =
            (findings.unusable.clone(), findings.unread.clone(), lookup.has_files(&findings));
        let is_revoked = unread.is_none() && findings.revoked.is_some();
        if unread.is_some() {
            // What the rest says counts: the key may be gone.
            findings.revoked = None;
        }
        let doubtful = |reason| Standing::Doubtful(Revocation::of_key(reason));
        match (lookup.decide(findings), unusable) {
            // The list may revoke the key, but more likely it will be there again in a moment.
            (Ok(granted), _) => match unread {
                Some(reason) => Standing::Unknown(reason),
                None => {
                    let GrantedKey { files, restrictions, .. } = granted;
                    Standing::Valid(StillGranted { files, restrictions: Some(restrictions) })
                }
            },
            (Err(KeyRefusal::NotNow(reason)), _) if is_revoked => Standing::Revoked(Revocation::of_key(reason)),
            (Err(_), Some(fault)) if fault.is_passing => Standing::Unknown(fault.reason),
            (Err(_), Some(fault)) => doubtful(fault.reason),
            (Err(KeyRefusal::NotNow(reason)), None) => Standing::Revoked(Revocation::of_key(reason)),
            // Programs that write a file anew empty it first.
            (Err(_), None) if has_files => doubtful(GONE.to_owned()),
            (Err(_), None) => Standing::Revoked(Revocation::of_key(GONE)),
        }
    }
}

/// What a client shows for a name, now.
fn shown_key(name: &[u8], credential: ShownCredential, proven: bool, context: &AttemptContext) -> ShownKey {
    let proven = proven.then_some(context.presence);
    ShownKey { user: name.to_vec(), credential, proven, address: context.peer.ip(), now: now() }
}

#[cfg(test)]
mod tests;
