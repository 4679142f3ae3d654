//! Decisions about every kind of credential, for known and unknown users.

#[cfg(test)]
mod hashing;
#[cfg(test)]
mod methods;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use whelk_ssh::algorithm::Preferences;
use whelk_ssh::crypto::key::PublicKey;
use zeroize::Zeroizing;

use super::*;
use crate::config::{AddressLists, Limits, RevocationConfig};
use crate::os_limits;
use crate::source::{Peer, Source};

pub(super) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
pub(super) const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

/// A key of no user.
const NOBODYS_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGsG0EY6QnDI/dlt9lnofeD0dHhgGVgCvx+ttX8Kxd1w";

pub(super) fn key(line: &str) -> PublicKey {
    PublicKey::from_openssh(line).unwrap()
}

pub(super) fn user(password: Option<&str>, keys: &[&str]) -> User {
    let password = password.map(|text| PasswordHash::parse(&bcrypt::hash(text, 4).unwrap()).unwrap());
    let keys = keys.iter().map(|key| crate::credential::parse_key(key).unwrap()).collect();
    member(Authentication::Required { password, keys, key_files: Vec::new() })
}

pub(super) fn member(authentication: Authentication) -> User {
    User {
        tenant: "acme".to_owned(),
        plugin: "echo".to_owned(),
        own_plugin: true,
        authentication,
        principals: None,
        methods: RequiredMethods::default(),
    }
}

pub(super) fn access_of(config: &Config) -> Access {
    Access::new(config, Authenticators::default(), &TimingSecret::new([7; 32]))
}

pub(super) fn access(users: impl IntoIterator<Item = (&'static str, User)>) -> Access {
    let users = users.into_iter().map(|(name, user)| (name.to_owned(), user)).collect();
    access_of(&config(LoginPolicy::Users(users), Limits::default()))
}

pub(super) fn config(login_policy: LoginPolicy, limits: Limits) -> Config {
    let (plugins, state, algorithms) = (PathBuf::new(), PathBuf::new(), Preferences::default());
    let (listen, host_keys, tenants, notes, environment_names) = Default::default();
    Config {
        listen,
        addresses: AddressLists::default(),
        plugins,
        state,
        host_keys,
        banner: None,
        environment_names,
        erase_by_width: true,
        software_version: whelk_ssh::transport::SoftwareVersion::of(whelk_ssh::message::Role::Server),
        login_policy,
        authenticators: Vec::new(),
        tenants,
        algorithms,
        limits,
        one_connection: false,
        authorities: Authorities::default(),
        revoked: RevocationConfig::default(),
        notes,
        audit: None,
        metrics: crate::config::MetricsConfig::default(),
        source: None,
    }
}

fn two_users() -> Access {
    let guest = member(Authentication::NotRequired);
    access([("alice", user(Some("right"), &[KEY])), ("bob", user(None, &[OTHER_KEY])), ("guest", guest)])
}

pub(super) async fn try_in(access: &Access, user: &[u8], credential: Credential<'_>) -> Option<Identity> {
    match decide(access, 1, user, credential).await {
        Decision::Accept(identity) => Some(identity),
        Decision::Reject | Decision::RejectKey(_) => None,
        Decision::Challenge(challenge) => panic!("asked {challenge:?}"),
        Decision::ChangePassword(prompt) => panic!("to be changed: {prompt}"),
        Decision::Partial(partial) => panic!("more is needed: {partial:?}"),
        Decision::Undecided(overload) => panic!("undecided: {overload:?}"),
    }
}

async fn decide(access: &Access, from: u8, user: &[u8], credential: Credential<'_>) -> Decision {
    let (progress, queued) = (AuthProgress::default(), AtomicBool::new(false));
    access.decide(Attempt { user, credential }, &context(from), &progress, &queued).await
}

fn context(from: u8) -> AttemptContext {
    let peer = Peer::Address((Ipv4Addr::new(192, 0, 2, from), 1).into());
    AttemptContext::of(peer)
}

fn answer(text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.to_vec())
}

fn source(number: u8) -> Source {
    Source::V4([192, 0, 2, number])
}

/// Takes every slot.
async fn all_slots(access: &Access) -> Vec<slots::Slot> {
    let mut taken = Vec::new();
    for _ in 0..os_limits::hashing_slots(&Limits::default()) {
        taken.push(access.passwords.slots.take(source(99), 1, &AtomicBool::new(false)).await);
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
async fn keys_of_every_type_are_accepted() {
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQCf2gOKVRjy+y8lHbH2Ozj14WhQujp1c+QdrMoVIZ5aqzXBsZ3WFD\
        tqOVaeGE0SQtvDv9je4k7YHZ9EAbD13DpB++2xo+fC1t6YpLIiYhGSuAGv4NaItxKstqKy/njL8pb2oPLWXybeuCL2\
        9peWmM+TxvIXul7MYH82G6r7mZf1NkHsNhwT5TzwYEOymMFVg6Pjs/23IsxXKpgqWnlrQzf6Djy+6ffninPO96kyOy\
        4WAZl6bJtpPVZc4XpMsHjHhl47UCOv5nONGjd6KIclRsFlBuNZuXDRITyMzwJ9z4zncBNwlHCkPiVnU2BPJeopXth6\
        oM6dOqfHGMEjaR1hiC/7ToEFt55xXpDXJjb8k18Q6DCA8UQWzG18glCMNmV0RUze23xqxYmlOzxDlov4i75qnTXB/U\
        Kj3SjLr9sf6BuaDcsGF+nwyzMr2CdLoXxCMnYPZYuUdIhqf5MyzaBkXU4l0SchA87vEnRWPOTQyAg97IERjuZ/X/ry\
        4XrgFhHkt2s=";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMw3afI6jmatF0rCFU\
        C/nAS0LFqFInqKvuVNi29xNH6HN7VY+bkNYbf64vNVDOTRsA3Lm0QwiyOK7jHJoFGfdoo=";
    let access = access([("alice", user(None, &[RSA, ECDSA]))]);
    for shown in [key(RSA), key(ECDSA)] {
        for credential in [Credential::KeyOffered(&shown), Credential::KeyProven(&shown)] {
            let identity = try_in(&access, b"alice", credential).await.unwrap();
            assert_eq!((identity.method, identity.fingerprint), ("publickey", Some(shown.fingerprint())));
        }
    }
    assert!(try_in(&access, b"alice", Credential::KeyProven(&key(KEY))).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn every_user_is_asked_the_same_and_the_answer_is_the_password() {
    let access = two_users();
    let ask = Decision::Challenge(Challenge::secret("Password: "));
    for user in [&b"alice"[..], b"bob", b"mallory", b"\xff", b""] {
        let started = Instant::now();
        assert_eq!(decide(&access, 1, user, Credential::Interactive).await, ask);
        assert!((Duration::from_millis(5)..Duration::from_millis(11)).contains(&started.elapsed()));
    }
    let (right, wrong) = ([answer(b"right")], [answer(b"wrong")]);
    let identity = try_in(&access, b"alice", Credential::Answers(&right)).await.unwrap();
    assert_eq!((identity.user.as_str(), identity.method), ("alice", "keyboard-interactive"));
    assert!(try_in(&access, b"alice", Credential::Answers(&wrong)).await.is_none());
    for user in [&b"bob"[..], b"mallory"] {
        assert!(try_in(&access, user, Credential::Answers(&right)).await.is_none());
    }
    assert!(try_in(&access, b"guest", Credential::Interactive).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_password_is_refused_for_every_user() {
    let access = two_users();
    let change = Credential::NewPassword { old: b"right", new: b"new" };
    for user in [&b"alice"[..], b"bob", b"mallory"] {
        assert!(try_in(&access, user, change).await.is_none());
    }
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
        let wrong = [answer(b"wrong")];
        let (wrong_password, wrong_answer) = (Credential::Password(b"wrong"), Credential::Answers(&wrong));
        for credential in [Credential::None, wrong_password, wrong_answer, bobs, nobodys] {
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
        member(Authentication::Required {
            password: Some(PasswordHash::parse(hash).unwrap()),
            keys: Vec::new(),
            key_files: Vec::new(),
        })
    };
    let access = access([("alice", with(&cheap)), ("bob", with(&dear))]);
    let chosen = |name: &str| {
        let decoy = access.passwords.decoy(name.as_bytes()).unwrap();
        access.passwords.decoys.iter().position(|hash| Arc::ptr_eq(hash, decoy)).unwrap()
    };
    let counts = (0..1000).map(|number| chosen(&format!("user{number}"))).sum::<usize>();
    assert!((400..600).contains(&counts), "{counts}");
    assert_eq!(chosen("mallory"), chosen("mallory"));
}

#[tokio::test(start_paused = true)]
async fn only_a_proven_credential_makes_a_source_known() {
    let access = two_users();
    let key = key(KEY);
    let proven = Credential::KeyProven(&key);
    let (wrong, right) = ([answer(b"wrong")], [answer(b"right")]);
    let tries: [(u8, &[u8], Credential<'_>); 9] = [
        (1, b"guest", Credential::Password(b"any")),
        (2, b"alice", Credential::Password(b"wrong")),
        (3, b"alice", Credential::KeyOffered(&key)),
        (4, b"guest", proven),
        (5, b"alice", proven),
        (6, b"alice", Credential::Password(b"right")),
        (7, b"alice", Credential::Answers(&right)),
        (8, b"alice", Credential::Answers(&wrong)),
        (9, b"guest", Credential::Answers(&right)),
    ];
    for (from, user, credential) in tries {
        decide(&access, from, user, credential).await;
    }
    let known = (1..=9).filter(|number| access.passwords.slots.knows(source(*number)));
    assert_eq!(known.collect::<Vec<_>>(), [5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn in_the_demonstration_anybody_logs_in_and_the_name_selects_the_plugin() {
    let access = access_of(&config(LoginPolicy::Demonstration, Limits::default()));
    let (key, other) = (key(KEY), key(OTHER_KEY));
    let (key, other) = (Credential::KeyOffered(&key), Credential::KeyOffered(&other));
    for credential in [Credential::None, Credential::Password(b""), key, other, Credential::Unusable] {
        let identity = try_in(&access, b"echo", credential).await.unwrap();
        assert_eq!((&*identity.user, &*identity.tenant, &*identity.plugin), ("echo", "echo", "echo"));
        assert_eq!((identity.method, identity.fingerprint), ("none", None));
    }
    assert!(try_in(&access, b"\xff", Credential::None).await.is_none());
    assert!(try_in(&access, b"a\nb", Credential::None).await.is_none());
    assert_eq!(access.methods(), MethodSet::ALL);
}
