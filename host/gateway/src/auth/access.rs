//! Decides who may log in.
//!
//! An unknown user gets exactly the same answer as a wrong password: the same steps, the same work, the same time. The
//! name is looked up in an exact map and never becomes a path, a pattern or a query. About one that is not found there
//! an authenticator may be asked.
//!
//! Knows nothing of packets: signatures have been verified before a key counts as proven (RFC 4252 §7).
//!
//! `password` checks a password, `keys` a key, `asked` lets an authenticator decide, `progress` knows which methods
//! must follow, `delay` hides how long a rejection took to find. `standing` judges logins again whose connections live,
//! by what they were accepted on.

mod accepted;
mod asked;
mod decision;
mod delay;
mod keys;
mod password;
mod progress;
mod queue;
mod reloaded;
mod secret;
mod slots;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::method::{AuthMethod, MethodSet};
use whelk_ssh::auth::server::{Attempt, Credential};

use super::attempt::AttemptContext;
use super::authenticators::{Authenticators, ConfiguredAuthenticator};
use super::proof::{Evidence, KeyProof, Proof, ShownCredential};
use crate::config::{
    Authentication, Authorities, Config, KeyFileSetting, LONGEST_NAME, LoginPolicy, RequiredMethods, TenantConfig, User,
};
use crate::credential::{KeyPath, PasswordHash};
use asked::{AskedAttempt, IsTaken};
use decision::{Judgement, NO_CREDENTIALS, PASSWORD_PROMPT};
use delay::FailureDelay;
use keys::{GrantedKey, KeyAccess, KeySources, UserKeys};
use password::Passwords;
use progress::Next;
pub use secret::TimingSecret;

pub(crate) use accepted::{AcceptedLogin, Revocation, Standing};
pub use decision::{CertificateFacts, Decision, Identity, Overload, PartialLogin};
pub(crate) use progress::AuthProgress;

/// The number of the next [`Access`].
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Decides who may log in. Shared by all connections.
pub struct Access {
    login_policy: Users,
    authenticators: Authenticators,
    passwords: Passwords,
    keys: KeyAccess,
    delay: FailureDelay,
    /// Whether connections end when their login is revoked (`end_revoked`).
    ends_revoked: bool,
    /// No other `Access` of this process has it.
    number: u64,
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
    methods: RequiredMethods,
    keys: UserKeys,
}

impl Access {
    /// For a configuration, with its authenticators and a secret of the server: see [`TimingSecret`].
    pub(crate) fn new(config: &Config, authenticators: Authenticators, secret: &TimingSecret) -> Access {
        let (login_policy, hashes) = match &config.login_policy {
            LoginPolicy::Demonstration => (Users::Anybody, Vec::new()),
            LoginPolicy::Users(users) => {
                // Shared by all users of a tenant.
                let of_tenant =
                    |(name, tenant): (&String, &TenantConfig)| (name.clone(), Arc::new(tenant.authorities.clone()));
                let authorities: BTreeMap<String, Arc<Authorities>> = config.tenants.iter().map(of_tenant).collect();
                let member = |(name, user): (&String, &User)| {
                    let authorities = authorities.get(&user.tenant).cloned().unwrap_or_default();
                    let home = config.home(&user.tenant, name).map(Arc::from);
                    (name.clone(), Member::of(user, authorities, home.as_ref()))
                };
                let members: BTreeMap<_, _> = users.iter().map(member).collect();
                let hashes = members.values().filter_map(|member| member.password.clone()).collect();
                (Users::Known(members), hashes)
            }
        };
        let limits = &config.limits;
        let delay = FailureDelay::new(secret.clone(), limits.failure_delay, limits.decision_grace);
        let members = match &login_policy {
            Users::Anybody => None,
            Users::Known(members) => Some(members),
        };
        let of_users = members.into_iter().flat_map(BTreeMap::values).map(|member| &member.keys);
        let of_others = authenticators.iter().filter_map(ConfiguredAuthenticator::authorities);
        let (authorities, revoked) = (Arc::new(config.authorities.clone()), config.revoked.keys.clone());
        let (keys, ends_revoked) = ((of_users, of_others), config.revoked.ends);
        let keys = KeySources::new(keys, authorities, revoked, limits.decision_grace, secret.clone());
        let keys = KeyAccess::new(keys);
        let (passwords, number) =
            (Passwords::new(hashes, secret.clone(), limits), NEXT.fetch_add(1, Ordering::Relaxed));
        Access { login_policy, passwords, authenticators, keys, delay, ends_revoked, number }
    }

    /// The number by which it differs from every other in this process, such as that before a reload.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The methods to list until one has succeeded, RFC 4252 §5.1: those with which any user can begin, so that they
    /// reveal nothing about one.
    pub fn methods(&self) -> MethodSet {
        let Users::Known(members) = &self.login_policy else { return MethodSet::ALL };
        let authorities = self.keys.has_authorities();
        let of_users = members.values().map(|member| member.first_methods(authorities));
        // What an authenticator asks for only its plugin knows.
        let of_others = self.authenticators.iter().map(|asked| first_of(asked.methods()));
        of_users.chain(of_others).fold(MethodSet::NONE, MethodSet::or)
    }

    /// Decides on an attempt. A rejection comes no sooner than the failure delay, after the same time for known and
    /// unknown users. Sources take turns. Sets `queued` if the attempt had to wait for a slot; that wait has no limit
    /// here, because the caller limits the whole login. Cancel safe.
    pub(crate) async fn decide(
        &self,
        attempt: Attempt<'_>,
        context: &AttemptContext,
        progress: &AuthProgress,
        queued: &AtomicBool,
    ) -> Decision {
        let (started, unjudged) = (Instant::now(), context.exchange.unjudged());
        let Judgement { decision, waited } = self.judge(attempt, context, progress, queued).await;
        match &decision {
            Decision::Accept(identity) => {
                // A login without credentials has shown nothing by which the source could be trusted.
                let shown = matches!(
                    attempt.credential,
                    Credential::Password(_)
                        | Credential::NewPassword { .. }
                        | Credential::Answers(_)
                        | Credential::KeyProven(_)
                        | Credential::CertificateProven(_)
                );
                if shown && identity.method != NO_CREDENTIALS {
                    self.passwords.slots.logged_in(context.peer.source());
                }
            }
            // Nothing was checked, so there is no working time to hide.
            Decision::Reject if matches!(attempt.credential, Credential::Unusable) => {}
            // The first question may come from an authenticator and take time, which must not tell whose names are
            // users of the configuration.
            Decision::Challenge(_) if !matches!(attempt.credential, Credential::Interactive) => {}
            Decision::Reject | Decision::RejectKey(_) | Decision::Challenge(_) => {
                let is_guess = matches!(
                    attempt.credential,
                    Credential::Password(_) | Credential::NewPassword { .. } | Credential::Answers(_)
                );
                if is_guess && matches!(decision, Decision::Reject) {
                    self.passwords.slots.failed(context.peer.source());
                    // Before the delay, in which others of the source would be hashed.
                    if let Some(penalty) = context.penalty.as_ref().filter(|_| context.exchange.unjudged() == unjudged)
                    {
                        penalty.add_failed_login();
                    }
                }
                // The wait was the same for every user. The working time may not have been, so it must be hidden.
                let began = started + waited;
                sleep_until(began + self.delay.answer_after(attempt.user, began.elapsed())).await;
            }
            // Only who has proven something gets these.
            Decision::ChangePassword(_) | Decision::Partial(_) | Decision::Undecided(_) => {}
        }
        decision
    }

    async fn judge(
        &self,
        attempt: Attempt<'_>,
        context: &AttemptContext,
        progress: &AuthProgress,
        queued: &AtomicBool,
    ) -> Judgement {
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
            let (user, tenant, plugin) = (user.clone(), member.tenant.clone(), member.plugin.clone());
            return now(accept_without_credentials(user, tenant, plugin, attempt.credential));
        }
        let is_taken = |name: &str, tenant: &str| members.get(name).is_some_and(|member| member.tenant == tenant);
        if let (None, Some(asked)) = (found, self.asked(name, &is_taken, context, progress)) {
            // On the heap: others need not have room for it.
            return Box::pin(asked.judge(attempt.credential, queued)).await;
        }
        // A method out of its turn is answered as if the user did not have it, after the same time.
        let expected = |method| found.filter(|(_, member)| progress.expects(&member.methods, method));
        if let Some((shown, proven)) = ShownCredential::of(attempt.credential) {
            let user = expected(AuthMethod::PublicKey);
            let own = user.map(|(_, member)| &member.keys);
            return now(match (self.keys.judge((attempt.user, own), shown, proven, context).await, user) {
                (Ok(granted), Some((user, member))) => member.granted(user, granted, proven, progress),
                (Ok(_), None) => Decision::Reject,
                (Err(refusal), _) => refusal.into(),
            });
        }
        let (password, method) = match attempt.credential {
            Credential::Interactive => return now(Decision::Challenge(Challenge::secret(PASSWORD_PROMPT))),
            Credential::Password(password) => (password, Some(AuthMethod::Password)),
            Credential::Answers([answer]) => (answer.as_slice(), Some(AuthMethod::KeyboardInteractive)),
            // No user of the configuration can change the password: it is hashed like a wrong one.
            Credential::NewPassword { old, .. } => (old, None),
            // No user can have such a credential.
            _ => return now(Decision::Reject),
        };
        let user = method.and_then(|method| expected(method).map(|(user, member)| (user, member, method)));
        let own = user.and_then(|(_, member, _)| member.password.as_ref());
        let (checked, waited) = self.passwords.check((attempt.user, password), own, context, queued).await;
        let decision = match (checked, user) {
            (Ok(true), Some((user, member, method))) => {
                member.proven(member.identity(user, method, None), method, progress)
            }
            (Ok(_), _) => Decision::Reject,
            (Err(overload), _) => Decision::Undecided(overload),
        };
        Judgement { decision, waited }
    }
}

impl Access {
    /// The attempt of somebody whose name is no user's, if there is an authenticator to ask.
    fn asked<'a>(
        &'a self,
        name: Option<&'a str>,
        is_taken: IsTaken<'a>,
        context: &'a AttemptContext,
        progress: &'a AuthProgress,
    ) -> Option<AskedAttempt<'a>> {
        let user = name?;
        let authenticator = self.authenticators.find(user)?;
        let (keys, passwords) = (&self.keys, &self.passwords);
        Some(AskedAttempt { keys, passwords, authenticator, user, context, progress, is_taken })
    }
}

/// What the log says of a refused attempt and its client does not learn.
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

impl Member {
    /// `home`: the home directory, if the user has one.
    fn of(user: &User, authorities: Arc<Authorities>, home: Option<&Arc<Path>>) -> Member {
        let (needs_no_credentials, password, keys) = match &user.authentication {
            Authentication::NotRequired => (true, None, UserKeys::default()),
            Authentication::Required { password, keys, key_files } => {
                let path = |file: &KeyFileSetting| match file {
                    KeyFileSetting::Named(path) => Some(KeyPath::named(path)),
                    KeyFileSetting::InHome(path) => Some(KeyPath::in_home(home?, path)),
                };
                let files = key_files.iter().filter_map(path).collect();
                let principals = user.principals.as_deref().map(Arc::from);
                let keys = UserKeys { listed: keys.as_slice().into(), files, authorities, principals };
                (false, password.clone().map(Arc::new), keys)
            }
        };
        let (tenant, plugin, methods) = (user.tenant.clone(), user.plugin.clone(), user.methods.clone());
        Member { tenant, plugin, needs_no_credentials, password, methods, keys }
    }

    /// The methods with which the user can begin; `authorities`: any user may have a certificate. Some clients never
    /// try `none`, so to a user who needs no credentials all methods are worth trying.
    fn first_methods(&self, authorities: bool) -> MethodSet {
        if self.needs_no_credentials {
            return MethodSet::ALL;
        }
        let has = |method: &AuthMethod| match method {
            AuthMethod::PublicKey => authorities || self.keys.any(),
            AuthMethod::Password | AuthMethod::KeyboardInteractive => self.password.is_some(),
        };
        AuthMethod::ALL.into_iter().filter(has).collect::<MethodSet>().and(first_of(&self.methods))
    }

    fn identity(&self, user: &str, method: AuthMethod, granted: Option<GrantedKey>) -> Identity {
        let (user, principal) = (user.to_owned(), user.to_owned());
        let (tenant, plugin, attributes) = (self.tenant.clone(), self.plugin.clone(), Arc::default());
        let (fingerprint, restrictions, certificate, proof) = match granted {
            Some(GrantedKey { fingerprint, restrictions, certificate, shown, files }) => {
                let proof = Some(Proof::Key(KeyProof { shown, files }));
                (Some(fingerprint), Arc::new(restrictions), certificate, proof)
            }
            None => (None, Arc::default(), None, self.password.clone().map(Proof::Password)),
        };
        let (method, evidence) = (method.name(), proof.map(Evidence::of).unwrap_or_default());
        Identity {
            user,
            principal,
            tenant,
            plugin,
            method,
            fingerprint,
            restrictions,
            certificate,
            attributes,
            evidence,
        }
    }

    /// The decision about a key that the user may use, which was proven or only offered.
    fn granted(&self, user: &str, granted: GrantedKey, proven: bool, progress: &AuthProgress) -> Decision {
        if progress.has_used(&granted.fingerprint) {
            return Decision::Reject;
        }
        let identity = self.identity(user, AuthMethod::PublicKey, Some(granted));
        if proven { self.proven(identity, AuthMethod::PublicKey, progress) } else { Decision::Accept(identity) }
    }

    /// The decision when `method` has succeeded: accepted, or another must follow.
    fn proven(&self, identity: Identity, method: AuthMethod, progress: &AuthProgress) -> Decision {
        let Some(identity) = progress.join(identity) else { return Decision::other_command() };
        match progress.after(&self.methods, method) {
            Next::Nothing => Decision::Accept(identity),
            Next::Methods(next) => Decision::Partial(PartialLogin { method, identity, next }),
        }
    }
}

/// The methods with which a login can begin of which these are required.
fn first_of(required: &RequiredMethods) -> MethodSet {
    AuthMethod::ALL.into_iter().filter(|method| AuthProgress::default().expects(required, *method)).collect()
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
        Credential::CertificateProven(shown) => Some(shown.key().fingerprint()),
        _ => None,
    };
    let (principal, method, certificate) = (user.clone(), NO_CREDENTIALS, None);
    let (restrictions, attributes) = (Arc::default(), Arc::default());
    Decision::Accept(Identity {
        user,
        principal,
        tenant,
        plugin,
        method,
        fingerprint,
        restrictions,
        certificate,
        attributes,
        evidence: Evidence::of(Proof::NotNeeded),
    })
}
