//! Decides who may log in.
//!
//! An unknown user gets exactly the same answer as a wrong password: the same steps, the same work, the same time. The
//! name is looked up in an exact map and never becomes a path, a pattern or a query.
//!
//! Knows nothing of packets: signatures have been verified before a key counts as proven (RFC 4252 §7).
//!
//! `password` checks a password, `delay` hides how long a rejection took to find.

mod decision;
mod delay;
mod password;
mod queue;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::method::{AuthMethod, MethodSet};
use whelk_ssh::auth::server::{Attempt, Credential};

use crate::config::{Authentication, Config, LONGEST_NAME, LoginPolicy, User};
use crate::credential::{AuthorizedKey, PasswordHash};
use crate::source::Source;
use delay::FailureDelay;
use password::Passwords;

pub use decision::{Decision, Identity, Overload};

/// The method of a user who needs no credentials, whatever the client presents.
const NO_CREDENTIALS: &str = "none";

/// What keyboard-interactive asks every user, with the words of sshd with PAM. Clients put the user and the host before
/// them.
const PASSWORD_PROMPT: &str = "Password: ";

/// Decides who may log in. Shared by all connections.
pub struct Access {
    login_policy: Users,
    passwords: Passwords,
    delay: FailureDelay,
}

enum Users {
    Anybody,
    Known(BTreeMap<String, Member>),
}

struct Member {
    tenant: String,
    plugin: String,
    needs_no_credentials: bool,
    password: Option<Arc<PasswordHash>>,
    keys: Vec<AuthorizedKey>,
}

/// The result of [`Access::judge`], and how long it waited for a slot.
struct Judgement {
    decision: Decision,
    waited: Duration,
}

impl Access {
    /// For a configuration.
    pub fn new(config: &Config) -> Access {
        let (login_policy, hashes) = match &config.login_policy {
            LoginPolicy::Demonstration => (Users::Anybody, Vec::new()),
            LoginPolicy::Users(users) => {
                let members: BTreeMap<_, _> =
                    users.iter().map(|(name, user)| (name.clone(), Member::of(user))).collect();
                let hashes = members.values().filter_map(|member| member.password.clone()).collect();
                (Users::Known(members), hashes)
            }
        };
        let limits = &config.limits;
        let delay = FailureDelay::new(limits.failure_delay, limits.decision_grace);
        Access { login_policy, passwords: Passwords::new(hashes, limits), delay }
    }

    /// The methods to list after a failure, RFC 4252 §5.1: those that any user has, so that they reveal nothing about
    /// one. Some clients never try `none`, so a user who needs no credentials makes all methods worth trying.
    pub fn methods(&self) -> MethodSet {
        let Users::Known(members) = &self.login_policy else { return MethodSet::ALL };
        if members.values().any(|member| member.needs_no_credentials) {
            return MethodSet::ALL;
        }
        let keys = members.values().any(|member| !member.keys.is_empty());
        let passwords = self.passwords.any();
        let offered = |method: &AuthMethod| match method {
            AuthMethod::PublicKey => keys,
            AuthMethod::Password | AuthMethod::KeyboardInteractive => passwords,
        };
        AuthMethod::ALL.into_iter().filter(offered).collect()
    }

    /// Decides on an attempt. A rejection comes no sooner than the failure delay, after the same time for known and
    /// unknown users. Sources take turns. Sets `queued` if the attempt had to wait for a slot; that wait has no limit
    /// here, because the caller limits the whole login. Cancel safe.
    pub async fn decide(&self, attempt: Attempt<'_>, source: Source, queued: &AtomicBool) -> Decision {
        let started = Instant::now();
        let Judgement { decision, waited } = self.judge(attempt, source, queued).await;
        match &decision {
            Decision::Accept(identity) => {
                // A login without credentials has shown nothing by which the source could be trusted.
                let shown = matches!(
                    attempt.credential,
                    Credential::Password(_) | Credential::Answers(_) | Credential::KeyProven(_)
                );
                if shown && identity.method != NO_CREDENTIALS {
                    self.passwords.slots.logged_in(source);
                }
            }
            // Nothing was checked, so there is no working time to hide.
            Decision::Reject if matches!(attempt.credential, Credential::Unusable) => {}
            Decision::Reject => {
                // The wait was the same for every user. The working time may not have been, so it must be hidden.
                let began = started + waited;
                sleep_until(began + self.delay.answer_after(attempt.user, began.elapsed())).await;
            }
            // Every user is asked the same.
            Decision::Challenge(_) | Decision::Undecided(_) => {}
        }
        decision
    }

    async fn judge(&self, attempt: Attempt<'_>, source: Source, queued: &AtomicBool) -> Judgement {
        let now = |decision| Judgement { decision, waited: Duration::ZERO };
        let name = name(attempt.user);
        let members = match &self.login_policy {
            Users::Anybody => {
                let own = |name: &str| {
                    accept_without_credentials(name.to_owned(), name.to_owned(), name.to_owned(), attempt.credential)
                };
                return now(name.map_or(Decision::Reject, own));
            }
            Users::Known(members) => members,
        };
        let found = name.and_then(|name| members.get_key_value(name));
        if let Some((user, member)) = found.filter(|(_, member)| member.needs_no_credentials) {
            return now(accept_without_credentials(
                user.clone(),
                member.tenant.clone(),
                member.plugin.clone(),
                attempt.credential,
            ));
        }
        let member = found.map(|(_, member)| member);
        let entered = |method: AuthMethod, fingerprint| match found {
            Some((user, member)) => {
                let (user, tenant, plugin) = (user.clone(), member.tenant.clone(), member.plugin.clone());
                Decision::Accept(Identity { user, tenant, plugin, method: method.name(), fingerprint })
            }
            None => Decision::Reject,
        };
        let (password, method) = match attempt.credential {
            // No user's password can be changed here.
            Credential::None | Credential::Unusable | Credential::NewPassword { .. } => return now(Decision::Reject),
            Credential::Interactive => return now(Decision::Challenge(Challenge::secret(PASSWORD_PROMPT))),
            Credential::Password(password) => (password, AuthMethod::Password),
            Credential::Answers([answer]) => (answer.as_slice(), AuthMethod::KeyboardInteractive),
            Credential::Answers(_) => return now(Decision::Reject),
            Credential::KeyOffered(shown) | Credential::KeyProven(shown) => {
                let own = member.map(|member| member.keys.as_slice()).unwrap_or_default();
                // An RSA key has several signature algorithms.
                let admits = |key: &&AuthorizedKey| {
                    shown.signatures().iter().any(|name| key.admits(name.as_bytes(), shown.blob()))
                };
                let accepted = |key: &AuthorizedKey| entered(AuthMethod::PublicKey, Some(key.fingerprint.clone()));
                return now(own.iter().find(admits).map_or(Decision::Reject, accepted));
            }
        };
        let own = member.and_then(|member| member.password.as_ref());
        let (checked, waited) = self.passwords.check((attempt.user, password), own, source, queued).await;
        let decision = match checked {
            Ok(true) => entered(method, None),
            Ok(false) => Decision::Reject,
            Err(overload) => Decision::Undecided(overload),
        };
        Judgement { decision, waited }
    }
}

impl Member {
    fn of(user: &User) -> Member {
        let (needs_no_credentials, password, keys) = match &user.authentication {
            Authentication::NotRequired => (true, None, Vec::new()),
            Authentication::Required { password, keys } => (false, password.clone().map(Arc::new), keys.clone()),
        };
        Member { tenant: user.tenant.clone(), plugin: user.plugin.clone(), needs_no_credentials, password, keys }
    }
}

/// Whether a name can be a user's: RFC 4252 §5 requires UTF-8. A person never types control characters.
fn name(user: &[u8]) -> Option<&str> {
    let name = str::from_utf8(user).ok()?;
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    fits.then_some(name)
}

/// Accepts a user who needs no credentials, whatever the client presents. Of that, only the fingerprint of a key with a
/// verified signature is recorded: anybody may offer anybody's key.
fn accept_without_credentials(user: String, tenant: String, plugin: String, credential: Credential<'_>) -> Decision {
    let fingerprint = match credential {
        Credential::KeyProven(key) => Some(key.fingerprint()),
        _ => None,
    };
    Decision::Accept(Identity { user, tenant, plugin, method: NO_CREDENTIALS, fingerprint })
}
