//! Decides who may log in.
//!
//! An unknown user gets exactly the same answer as a wrong password: the same steps, the same work, the same time. The
//! name is looked up in an exact map and never becomes a path, a pattern or a query.
//!
//! Knows nothing of packets: signatures have been verified before a key counts as proven (RFC 4252 §7).
//!
//! Passwords are hashed in a bounded number of slots, for which sources take turns (`queue.rs`). Waiting for a slot is
//! not a failure: it counts neither against the grace to decide nor as a wrong password.

mod queue;
mod slots;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use whelk_ssh::auth::server::{Attempt, Credential, Methods};
use zeroize::Zeroizing;

use crate::config::{Authentication, Config, LONGEST_NAME, LoginPolicy, User};
use crate::credential::{AuthorizedKey, PasswordHash};
use crate::os_limits;
use crate::source::Source;
use slots::Slots;

/// The longest password that is hashed, in bytes: a longer one would cost more work than it costs the attacker.
const LONGEST_PASSWORD: usize = 1024;
/// The method of a user who needs no credentials, whatever the client presents.
const NO_CREDENTIALS: &str = "none";
/// The largest extra delay of a user's failures, derived from the name by a secret of this process: so that comparing
/// the times of two names reveals nothing.
const SPREAD_MICROSECONDS: u64 = 4000;

/// Decides who may log in. Shared by all connections.
pub struct Access {
    login_policy: Users,
    /// All hashes: an attempt without a hash of its own is checked against one of them.
    decoys: Vec<Arc<PasswordHash>>,
    slots: Slots,
    /// The most memory of one hash, in bytes.
    most_memory: usize,
    secret: RandomState,
    failure_delay: Duration,
    decision_grace: Duration,
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

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Accepted. For a key that was offered: it would be accepted, prove it.
    Accept(Identity),
    /// Rejected, without a reason.
    Reject,
    /// Could not be decided, whether right or wrong: the connection must end, and the client may try again.
    Undecided(Overload),
}

/// Why an attempt could not be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Hashing the password took longer than `decision_grace`.
    Slow,
    /// There was no memory to hash the password in, or the hash needs more than the limit.
    Memory,
    /// Hashing panicked, which was logged.
    Panic,
}

/// The result of [`Access::judge`], and how long it waited for a slot.
struct Judgement {
    decision: Decision,
    waited: Duration,
}

/// An authenticated user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name, exactly as the client sent it and as the configuration has it.
    pub user: String,
    /// The name of the tenant of the sessions. In the demonstration it is the user name, and need not exist.
    pub tenant: String,
    /// The plugin of the sessions unless a route selects another. In the demonstration equal to the tenant.
    pub plugin: String,
    /// `none`, `password` or `publickey`.
    pub method: &'static str,
    /// The fingerprint of the key that was proven. For a key that was only offered, of that one, unless the user needs
    /// no credentials.
    pub fingerprint: Option<String>,
}

impl Access {
    /// For a configuration.
    pub fn new(config: &Config) -> Access {
        let (login_policy, decoys) = match &config.login_policy {
            LoginPolicy::Demonstration => (Users::Anybody, Vec::new()),
            LoginPolicy::Users(users) => {
                let members: BTreeMap<_, _> =
                    users.iter().map(|(name, user)| (name.clone(), Member::of(user))).collect();
                let decoys = members.values().filter_map(|member| member.password.clone()).collect();
                (Users::Known(members), decoys)
            }
        };
        Access {
            login_policy,
            decoys,
            slots: Slots::new(os_limits::hashing_slots(&config.limits), os_limits::hashing_memory(&config.limits)),
            most_memory: os_limits::most_memory_of_a_hash(&config.limits),
            secret: RandomState::new(),
            failure_delay: config.limits.failure_delay,
            decision_grace: config.limits.decision_grace,
        }
    }

    /// The methods to list after a failure, RFC 4252 §5.1: those that any user has, so that they reveal nothing about
    /// one. Some clients never try `none`, so a user who needs no credentials makes all methods worth trying.
    pub fn methods(&self) -> Methods {
        match &self.login_policy {
            Users::Anybody => Methods { password: true, publickey: true },
            Users::Known(members) => {
                let without = members.values().any(|member| member.needs_no_credentials);
                Methods {
                    password: without || !self.decoys.is_empty(),
                    publickey: without || members.values().any(|member| !member.keys.is_empty()),
                }
            }
        }
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
                let shown = matches!(attempt.credential, Credential::Password(_) | Credential::KeyProven(_));
                if shown && identity.method != NO_CREDENTIALS {
                    self.slots.logged_in(source);
                }
            }
            // Nothing was checked, so there is no working time to hide.
            Decision::Reject if matches!(attempt.credential, Credential::Unusable) => {}
            Decision::Reject => {
                // The wait was the same for every user. The working time may not have been, so it must be hidden.
                let began = started + waited;
                sleep_until(began + self.answer_after(attempt.user, began.elapsed())).await;
            }
            Decision::Undecided(_) => {}
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
        let entered = |method, fingerprint| match found {
            Some((user, member)) => {
                let (user, tenant, plugin) = (user.clone(), member.tenant.clone(), member.plugin.clone());
                Decision::Accept(Identity { user, tenant, plugin, method, fingerprint })
            }
            None => Decision::Reject,
        };
        match attempt.credential {
            Credential::None | Credential::Unusable => now(Decision::Reject),
            Credential::Password(password) => {
                let (checked, waited) = self.check((attempt.user, password), member, source, queued).await;
                let decision = match checked {
                    Ok(true) => entered("password", None),
                    Ok(false) => Decision::Reject,
                    Err(overload) => Decision::Undecided(overload),
                };
                Judgement { decision, waited }
            }
            Credential::KeyOffered(shown) | Credential::KeyProven(shown) => {
                let keys = member.map(|member| member.keys.as_slice()).unwrap_or_default();
                let key = keys.iter().find(|key| key.admits(shown.algorithm().as_bytes(), shown.blob()));
                now(key.map_or(Decision::Reject, |key| entered("publickey", Some(key.fingerprint.clone()))))
            }
        }
    }

    /// Checks a password against the user's hash, and returns how long it waited for a slot. For an unknown user or one
    /// without a hash, the hash of another user is used: the wait and the work are the same, and the result is ignored.
    /// The name determines which one, so that unknown names show the same mixture of costs as known ones, and each name
    /// always the same.
    async fn check(
        &self,
        (user, password): (&[u8], &[u8]),
        member: Option<&Member>,
        source: Source,
        queued: &AtomicBool,
    ) -> (Result<bool, Overload>, Duration) {
        if password.len() > LONGEST_PASSWORD {
            return (Ok(false), Duration::ZERO);
        }
        let own = member.and_then(|member| member.password.clone());
        let is_own = own.is_some();
        let Some(hash) = own.or_else(|| self.decoy(user)) else { return (Ok(false), Duration::ZERO) };
        if hash.memory() > self.most_memory {
            return (Err(Overload::Memory), Duration::ZERO);
        }
        let asked = Instant::now();
        let slot = self.slots.take(source, hash.memory(), queued).await;
        let waited = asked.elapsed();
        let password = Zeroizing::new(password.to_vec());
        let work = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even if nobody waits for it any more.
            let _slot = slot;
            hash.verify(&password)
        });
        let checked = match timeout(self.decision_grace, work).await {
            Ok(Ok(Ok(fits))) => Ok(fits && is_own),
            Ok(Ok(Err(_))) => Err(Overload::Memory),
            Ok(Err(_)) => Err(Overload::Panic),
            Err(_) => Err(Overload::Slow),
        };
        (checked, waited)
    }

    fn decoy(&self, user: &[u8]) -> Option<Arc<PasswordHash>> {
        let hashes = u64::try_from(self.decoys.len()).ok().filter(|hashes| *hashes > 0)?;
        let chosen = self.secret.hash_one(("decoy", user)) % hashes;
        self.decoys.get(usize::try_from(chosen).ok()?).cloned()
    }

    /// The delay after which a rejection is sent: the failure delay, doubled until it exceeds the time spent, so that
    /// small timing differences do not show. At most `decision_grace`, or the time spent if that was longer.
    fn answer_after(&self, user: &[u8], elapsed: Duration) -> Duration {
        let spread = Duration::from_micros(self.secret.hash_one(("delay", user)) % SPREAD_MICROSECONDS);
        let least = self.failure_delay + spread;
        let mut answer = least;
        while answer < elapsed && !answer.is_zero() {
            answer *= 2;
        }
        answer.min(self.decision_grace.max(elapsed)).max(least)
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
        Credential::None | Credential::Password(_) | Credential::KeyOffered(_) | Credential::Unusable => None,
    };
    Decision::Accept(Identity { user, tenant, plugin, method: NO_CREDENTIALS, fingerprint })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::Ordering;
    use std::task::{Context, Waker};

    use tokio::task::JoinSet;
    use whelk_ssh::algorithm::Preferences;
    use whelk_ssh::crypto::key::PublicKey;

    use crate::config::Limits;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    /// A key of no user.
    const NOBODYS_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGsG0EY6QnDI/dlt9lnofeD0dHhgGVgCvx+ttX8Kxd1w";

    fn key(line: &str) -> PublicKey {
        PublicKey::from_openssh(line).unwrap()
    }

    fn user(password: Option<&str>, keys: &[&str]) -> User {
        let password = password.map(|text| PasswordHash::parse(&bcrypt::hash(text, 4).unwrap()).unwrap());
        let keys = keys.iter().map(|key| crate::credential::parse_key(key).unwrap()).collect();
        member(Authentication::Required { password, keys })
    }

    fn member(authentication: Authentication) -> User {
        User { tenant: "acme".to_owned(), plugin: "echo".to_owned(), own_plugin: true, authentication }
    }

    fn access(users: impl IntoIterator<Item = (&'static str, User)>) -> Access {
        let users = users.into_iter().map(|(name, user)| (name.to_owned(), user)).collect();
        Access::new(&config(LoginPolicy::Users(users), Limits::default()))
    }

    fn config(login_policy: LoginPolicy, limits: Limits) -> Config {
        let (plugins, state, algorithms) = (PathBuf::new(), PathBuf::new(), Preferences::default());
        let (listen, tenants, notes, environment_names) = Default::default();
        Config {
            listen,
            plugins,
            state,
            banner: None,
            environment_names,
            login_policy,
            tenants,
            algorithms,
            limits,
            notes,
        }
    }

    fn two_users() -> Access {
        let guest = member(Authentication::NotRequired);
        access([("alice", user(Some("right"), &[KEY])), ("bob", user(None, &[OTHER_KEY])), ("guest", guest)])
    }

    async fn try_in(access: &Access, user: &[u8], credential: Credential<'_>) -> Option<Identity> {
        match decide(access, 1, user, credential).await {
            Decision::Accept(identity) => Some(identity),
            Decision::Reject => None,
            Decision::Undecided(overload) => panic!("undecided: {overload:?}"),
        }
    }

    async fn decide(access: &Access, from: u8, user: &[u8], credential: Credential<'_>) -> Decision {
        access.decide(Attempt { user, credential }, source(from), &AtomicBool::new(false)).await
    }

    fn source(number: u8) -> Source {
        Source::V4([192, 0, 2, number])
    }

    /// Takes every slot.
    async fn all_slots(access: &Access) -> Vec<slots::Slot> {
        let mut taken = Vec::new();
        for _ in 0..os_limits::hashing_slots(&Limits::default()) {
            taken.push(access.slots.take(source(99), 1, &AtomicBool::new(false)).await);
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn the_right_password_and_the_right_key_are_accepted() {
        let access = two_users();
        let identity = try_in(&access, b"alice", Credential::Password(b"right")).await.unwrap();
        assert_eq!((identity.user.as_str(), identity.plugin.as_str(), identity.method), ("alice", "echo", "password"));
        let key = key(KEY);
        let identity = try_in(&access, b"alice", Credential::KeyProven(&key)).await.unwrap();
        assert_eq!((identity.tenant.as_str(), identity.method), ("acme", "publickey"));
        assert_eq!(identity.fingerprint.as_deref(), Some("SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ"));
        assert!(try_in(&access, b"alice", Credential::KeyOffered(&key)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn another_users_credentials_are_rejected() {
        let access = two_users();
        assert!(try_in(&access, b"alice", Credential::Password(b"wrong")).await.is_none());
        assert!(try_in(&access, b"bob", Credential::Password(b"right")).await.is_none());
        assert!(try_in(&access, b"mallory", Credential::Password(b"right")).await.is_none());
        for credential in [Credential::KeyOffered(&key(KEY)), Credential::KeyProven(&key(KEY))] {
            assert!(try_in(&access, b"bob", credential).await.is_none());
            assert!(try_in(&access, b"mallory", credential).await.is_none());
        }
        assert!(try_in(&access, b"alice", Credential::KeyProven(&key(OTHER_KEY))).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_impossible_credential_is_accepted_only_for_a_user_without_credentials() {
        let access = two_users();
        let identity = try_in(&access, b"guest", Credential::Unusable).await.unwrap();
        assert_eq!((identity.method, identity.fingerprint), ("none", None));
        for user in [&b"alice"[..], b"bob", b"nobody", b"\xff"] {
            let before = Instant::now();
            assert_eq!(decide(&access, 1, user, Credential::Unusable).await, Decision::Reject);
            assert_eq!(before.elapsed(), Duration::ZERO, "nothing was looked at");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_without_credentials_is_accepted_whatever_the_client_presents() {
        let access = two_users();
        // No work can be done, and a user who needs no credentials needs none.
        let _all = all_slots(&access).await;
        let key = key(OTHER_KEY);
        let (offered, proven) = (Credential::KeyOffered(&key), Credential::KeyProven(&key));
        let shown = [Credential::None, Credential::Password(b""), Credential::Password(b"any"), offered, proven];
        for credential in shown {
            let identity = try_in(&access, b"guest", credential).await.unwrap();
            assert_eq!((identity.user.as_str(), identity.method), ("guest", "none"), "{credential:?}");
            // A key that was only offered may be anybody's.
            let is_proven = matches!(credential, Credential::KeyProven(_));
            assert_eq!(identity.fingerprint.is_some(), is_proven, "{credential:?}");
        }
        for user in [&b"alice"[..], b"bob", b"mallory", b""] {
            assert!(try_in(&access, user, Credential::None).await.is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn user_names_are_compared_byte_by_byte() {
        let access = two_users();
        let long = [b'a'; 70_000];
        let names: [&[u8]; 12] = [
            b"Alice",
            b"alice ",
            b" alice",
            b"alice\0",
            b"alice\n",
            b"\xff\xfe\x1b[31m",
            b"",
            &long,
            b"a/../alice",
            b"%n%s",
            "alice\u{202e}".as_bytes(),
            b"ali",
        ];
        for name in names {
            assert!(try_in(&access, name, Credential::Password(b"right")).await.is_none(), "{name:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_takes_as_long_for_a_name_that_exists_as_for_one_that_does_not() {
        let access = two_users();
        let (bobs, nobodys) = (key(OTHER_KEY), key(NOBODYS_KEY));
        let (bobs, nobodys) = (Credential::KeyOffered(&bobs), Credential::KeyOffered(&nobodys));
        for user in [&b"alice"[..], b"bob", b"mallory", b"\xff", b""] {
            let mut times = Vec::new();
            for credential in [Credential::None, Credential::Password(b"wrong"), bobs, nobodys] {
                let started = Instant::now();
                if try_in(&access, user, credential).await.is_none() {
                    times.push(started.elapsed());
                }
            }
            let (least, most) = (Duration::from_millis(5), Duration::from_millis(11));
            assert!(times.iter().all(|time| (least..most).contains(time)), "{times:?}");
            assert!(times.windows(2).all(|pair| pair[0] == pair[1]), "{times:?}");
        }
    }

    #[test]
    fn an_unknown_name_costs_as_much_as_a_known_one_and_always_the_same() {
        let cheap = bcrypt::hash("x", 4).unwrap();
        let dear = bcrypt::hash("x", 5).unwrap();
        let with = |hash: &str| {
            member(Authentication::Required { password: Some(PasswordHash::parse(hash).unwrap()), keys: Vec::new() })
        };
        let access = access([("alice", with(&cheap)), ("bob", with(&dear))]);
        let chosen = |name: &str| {
            let decoy = access.decoy(name.as_bytes()).unwrap();
            access.decoys.iter().position(|hash| Arc::ptr_eq(hash, &decoy)).unwrap()
        };
        let counts = (0..1000).map(|number| chosen(&format!("user{number}"))).sum::<usize>();
        assert!((400..600).contains(&counts), "{counts}");
        assert_eq!(chosen("mallory"), chosen("mallory"));
    }

    #[test]
    fn slow_work_is_answered_at_a_doubling_within_the_grace() {
        let access = two_users();
        let first = access.answer_after(b"alice", Duration::ZERO);
        assert_eq!(access.answer_after(b"alice", first), first);
        assert_eq!(access.answer_after(b"alice", first + Duration::from_nanos(1)), first * 2);
        assert_eq!(access.answer_after(b"alice", first * 15), first * 16);
        assert_eq!(access.answer_after(b"alice", Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(access.answer_after(b"alice", Duration::from_secs(9)), Duration::from_secs(9));
        let slow = Limits { failure_delay: Duration::from_secs(8), ..Limits::default() };
        let access = Access::new(&config(LoginPolicy::Demonstration, slow));
        assert_eq!(access.answer_after(b"alice", Duration::ZERO).as_secs(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_that_is_too_long_is_refused_before_any_work() {
        let access = two_users();
        // No work can be done: hashing would wait.
        let _all = all_slots(&access).await;
        let started = Instant::now();
        assert!(try_in(&access, b"alice", Credential::Password(&[b'x'; 1025])).await.is_none());
        assert!(started.elapsed() < Duration::from_millis(11));
        let longest = [b'x'; 1024];
        let waits = try_in(&access, b"alice", Credential::Password(&longest));
        assert!(timeout(Duration::from_secs(60), waits).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_slot_is_never_a_failure_for_any_user() {
        let access = two_users();
        for (user, right) in [(&b"alice"[..], true), (b"mallory", false)] {
            let all = all_slots(&access).await;
            let (queued, started) = (AtomicBool::new(false), Instant::now());
            let attempt = Attempt { user, credential: Credential::Password(b"right") };
            let mut decision = std::pin::pin!(access.decide(attempt, source(1), &queued));
            // Much longer than the grace to decide.
            assert!(timeout(Duration::from_secs(100), decision.as_mut()).await.is_err());
            assert!(queued.load(Ordering::Relaxed));
            drop(all);
            assert_eq!(matches!(decision.await, Decision::Accept(_)), right);
            assert_eq!(started.elapsed().as_secs(), 100);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn passwords_are_hashed_in_a_bounded_number_of_slots_and_all_are_served() {
        let access = Arc::new(two_users());
        let all = all_slots(&access).await;
        let mut tries = JoinSet::new();
        for from in 0..20 {
            let access = Arc::clone(&access);
            tries.spawn(async move { decide(&access, from, b"alice", Credential::Password(b"right")).await });
        }
        // The clock moves only when every task waits.
        assert!(timeout(Duration::from_secs(60), tries.join_next()).await.is_err());
        drop(all);
        let entered = tries.join_all().await;
        assert!(entered.iter().all(|decision| matches!(decision, Decision::Accept(_))), "{entered:?}");
        assert_eq!(entered.len(), 20);
    }

    /// A configuration with one user, `alice`, with this hash.
    fn alice(hash: &str, limits: Limits) -> Config {
        let password = Some(PasswordHash::parse(hash).unwrap());
        let authentication = Authentication::Required { password, keys: Vec::new() };
        config(LoginPolicy::Users(BTreeMap::from([("alice".to_owned(), member(authentication))])), limits)
    }

    #[tokio::test(start_paused = true)]
    async fn hashing_beyond_its_grace_is_not_a_wrong_password_for_any_user() {
        let hash = bcrypt::hash("right", 4).unwrap();
        // 2^13 rounds take most of a second, during which the clock is moved past the grace.
        let limits = Limits { hashing: 2, ..Limits::default() };
        let access = Access::new(&alice(&hash.replace("$04$", "$13$"), limits));
        for user in [&b"alice"[..], b"mallory"] {
            let queued = AtomicBool::new(false);
            let attempt = Attempt { user, credential: Credential::Password(b"right") };
            let mut decision = std::pin::pin!(access.decide(attempt, source(1), &queued));
            assert!(decision.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            tokio::time::advance(Duration::from_secs(6)).await;
            assert_eq!(decision.await, Decision::Undecided(Overload::Slow));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_above_the_memory_limit_is_never_computed_for_any_user() {
        let hash = "$argon2id$v=19$m=1048576,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let mut access = Access::new(&alice(hash, Limits::default()));
        access.most_memory = 512 << 20;
        for user in [&b"alice"[..], b"mallory"] {
            let decision = decide(&access, 1, user, Credential::Password(b"right")).await;
            assert_eq!(decision, Decision::Undecided(Overload::Memory));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_proven_credential_makes_a_source_known() {
        let access = two_users();
        let key = key(KEY);
        let proven = Credential::KeyProven(&key);
        let tries: [(u8, &[u8], Credential<'_>); 6] = [
            (1, b"guest", Credential::Password(b"any")),
            (2, b"alice", Credential::Password(b"wrong")),
            (3, b"alice", Credential::KeyOffered(&key)),
            (4, b"guest", proven),
            (5, b"alice", proven),
            (6, b"alice", Credential::Password(b"right")),
        ];
        for (from, user, credential) in tries {
            decide(&access, from, user, credential).await;
        }
        let known = (1..=6).filter(|number| access.slots.knows(source(*number)));
        assert_eq!(known.collect::<Vec<_>>(), [5, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_demonstration_anybody_logs_in_and_the_name_selects_the_plugin() {
        let access = Access::new(&config(LoginPolicy::Demonstration, Limits::default()));
        let (key, other) = (key(KEY), key(OTHER_KEY));
        let (key, other) = (Credential::KeyOffered(&key), Credential::KeyOffered(&other));
        for credential in [Credential::None, Credential::Password(b""), key, other, Credential::Unusable] {
            let identity = try_in(&access, b"echo", credential).await.unwrap();
            assert_eq!((&*identity.user, &*identity.tenant, &*identity.plugin), ("echo", "echo", "echo"));
            assert_eq!((identity.method, identity.fingerprint), ("none", None));
        }
        assert!(try_in(&access, b"\xff", Credential::None).await.is_none());
        assert!(try_in(&access, b"a\nb", Credential::None).await.is_none());
        assert_eq!(access.methods(), Methods { password: true, publickey: true });
    }

    #[test]
    fn the_methods_are_those_of_any_user() {
        assert_eq!(two_users().methods(), Methods { password: true, publickey: true });
        let keys_only = access([("bob", user(None, &[KEY]))]);
        assert_eq!(keys_only.methods(), Methods { password: false, publickey: true });
        // Clients that never try `none` must find a method to try.
        let guest_only = access([("guest", member(Authentication::NotRequired))]);
        assert_eq!(guest_only.methods(), Methods { password: true, publickey: true });
    }
}
