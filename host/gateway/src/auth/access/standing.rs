//! Judges the login of a live connection again, after a reload or when a file has changed that had a say in it.
//!
//! It still stands if the user could log in now with what was shown then: a user of the configuration, of the same
//! tenant, who has the same password or the key, which is not revoked. What an authenticator would say is not asked.
//!
//! Decided 2026-11-29, as in sshd: what ends by time alone (`expiry-time=`, the validity of a certificate) ends no
//! connection. Changes of methods, limits and options do not end connections, except options that would refuse the key
//! now (`from=`, an earlier `expiry-time=`, `cert-authority`). A login that is not complete is refused if methods or
//! restrictions have changed: the client tries again by the new rules.

use std::time::Instant;

use whelk_ssh::auth::method::AuthMethod;

use super::accepted::{AcceptedLogin, Revocation, Standing, StillGranted};
use super::decision::Identity;
use super::keys::{KeyOwner, Recheck};
use super::progress::{AuthProgress, Next};
use super::{Access, Member, Users};
use crate::auth::proof::{KeyProof, Proof};
use crate::credential::PasswordHash;
use crate::source::Peer;

impl Access {
    /// Whether connections end whose users may no longer log in.
    pub(crate) fn ends_revoked(&self) -> bool {
        self.ends_revoked
    }

    /// Whether a login that is about to be accepted, perhaps by an older configuration, still would be: with the same
    /// restrictions, and after these methods. `done`: those before the last.
    pub(crate) async fn still_accepts(&self, identity: &Identity, done: &AuthProgress, peer: Peer) -> bool {
        let Standing::Valid(granted) = self.rejudge(&AcceptedLogin::of(identity, peer), Instant::now()).await else {
            return false;
        };
        let Users::Known(members) = &self.login_policy else { return true };
        let required = match members.get(&identity.user) {
            Some(member) if member.needs_no_credentials => return true,
            Some(member) => &member.methods,
            None => match self.authenticators.find(&identity.user) {
                Some(asked) => asked.methods(),
                None => return false,
            },
        };
        let last = AuthMethod::ALL.into_iter().find(|method| method.name() == identity.method);
        let is_enough = match last {
            Some(method) => done.after(required, method) == Next::Nothing,
            // An authenticator lets somebody in without credentials.
            None => required.lists().is_empty(),
        };
        is_enough && granted.restrictions.as_ref() == Some(&*identity.restrictions)
    }

    /// Judges a login again. Files are read as they are at `since` or later.
    pub(crate) async fn rejudge(&self, login: &AcceptedLogin, since: Instant) -> Standing {
        let Users::Known(members) = &self.login_policy else { return Standing::Valid(StillGranted::default()) };
        let revoked = |reason: &str| Standing::Revoked(Revocation::of_user(reason));
        let member = members.get(&login.user);
        if let Some(name) = &login.evidence.authenticator {
            if member.is_some() {
                return revoked("the name is now that of a user of the configuration");
            }
            let Some(asked) = self.authenticators.find(&login.user).filter(|asked| asked.name() == &**name) else {
                return revoked("the authenticator is no longer asked about this name");
            };
            if !asked.may_grant(&login.tenant) {
                return revoked("the authenticator may no longer grant the tenant");
            }
            if members.get(&login.principal).is_some_and(|member| member.tenant == login.tenant) {
                return revoked("the principal is now the name of a user of the tenant");
            }
            let recheck = Recheck { login, since, owner: KeyOwner::Authenticator(asked.authorities()) };
            return self.rejudge_keys(&recheck, None).await;
        }
        let Some(member) = member else { return revoked("the user was removed") };
        if member.tenant != login.tenant {
            return revoked("the user is of another tenant now");
        }
        let recheck = Recheck { login, since, owner: KeyOwner::User(&member.keys) };
        self.rejudge_keys(&recheck, Some(member)).await
    }

    /// Judges each of the proofs. The worst counts.
    async fn rejudge_keys(&self, recheck: &Recheck<'_>, member: Option<&Member>) -> Standing {
        let valid = || Standing::Valid(StillGranted::default());
        if member.is_some_and(|member| member.needs_no_credentials) {
            return valid();
        }
        let (mut granted, mut doubt) = (None, None);
        for proof in &recheck.login.evidence.proofs {
            let judged = match (proof, member) {
                (Proof::Key(KeyProof { shown, .. }), _) => self.keys.rejudge(shown, recheck).await,
                (Proof::Password(hash), Some(member)) => password(member, hash),
                (Proof::NotNeeded, Some(_)) => Standing::Revoked(Revocation::of_user("the user now needs credentials")),
                (Proof::Password(_) | Proof::NotNeeded, None) => valid(),
            };
            match judged {
                Standing::Valid(this) => granted = Some(this.after(granted)),
                Standing::Revoked(_) => return judged,
                Standing::Doubtful(_) => doubt = Some(judged),
                Standing::Unknown(_) => doubt = doubt.or(Some(judged)),
            }
        }
        doubt.unwrap_or_else(|| Standing::Valid(granted.unwrap_or_default()))
    }
}

/// Whether the user still has the password of this hash.
fn password(member: &Member, hash: &PasswordHash) -> Standing {
    match &member.password {
        Some(own) if **own == *hash => Standing::Valid(StillGranted::default()),
        Some(_) => Standing::Revoked(Revocation::of_password("the password was changed")),
        None => Standing::Revoked(Revocation::of_password("the password was removed")),
    }
}

#[cfg(test)]
mod tests;
