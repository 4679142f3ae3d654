//! What the log says of a refused attempt and its client does not learn.

use whelk_ssh::auth::method::AuthMethod;
use whelk_ssh::auth::server::{Attempt, Credential};

use super::progress::AuthProgress;
use super::{Access, Member, Users, name};

impl Access {
    /// The tenant of a user of the configuration. None if there is no such user, and in the demonstration.
    pub(crate) fn tenant_of(&self, user: &[u8]) -> Option<&str> {
        self.member(user).map(|member| member.tenant.as_str())
    }

    /// Whether nobody could ever log in with this name.
    pub(crate) fn is_unknown(&self, user: &[u8]) -> bool {
        match &self.login_policy {
            Users::Anybody => name(user).is_none(),
            Users::Known(_) => self.member(user).is_none() && !self.has_authenticator(user),
        }
    }

    /// Why a password or answers were refused.
    pub(crate) fn why_rejected(&self, attempt: &Attempt<'_>, progress: &AuthProgress) -> &'static str {
        if name(attempt.user).is_none() {
            return "no user can have this name";
        }
        let Some(member) = self.member(attempt.user) else {
            return if self.has_authenticator(attempt.user) { "refused by an authenticator" } else { "unknown user" };
        };
        let method = match attempt.credential {
            Credential::NewPassword { .. } => return "the password of a user of the configuration cannot be changed",
            Credential::Answers(_) => AuthMethod::KeyboardInteractive,
            _ => AuthMethod::Password,
        };
        if member.password.is_none() {
            return "the user has no password";
        }
        if progress.expects(&member.methods, method) { "wrong password" } else { "another method must come first" }
    }

    fn member(&self, user: &[u8]) -> Option<&Member> {
        match &self.login_policy {
            Users::Anybody => None,
            Users::Known(members) => members.get(name(user)?),
        }
    }

    fn has_authenticator(&self, user: &[u8]) -> bool {
        name(user).is_some_and(|name| self.authenticators.find(name).is_some())
    }
}
