//! Which methods a user must succeed in, and in what order.

use whelk_ssh::auth::method::AuthMethod::{KeyboardInteractive, Password as PasswordMethod, PublicKey as KeyMethod};

use super::*;

#[test]
fn the_methods_are_those_of_any_user() {
    assert_eq!(two_users().methods(), MethodSet::ALL);
    let keys_only = access([("bob", user(None, &[KEY]))]);
    assert_eq!(keys_only.methods(), MethodSet::NONE.with(AuthMethod::PublicKey));
    // Clients that never try `none` must find a method to try.
    let guest_only = access([("guest", member(Authentication::NotRequired))]);
    assert_eq!(guest_only.methods(), MethodSet::ALL);
}

/// A user who must succeed in these lists of methods.
fn requiring(lists: &[&[AuthMethod]], user: User) -> User {
    User { methods: RequiredMethods::one_of(lists.iter().map(|list| list.to_vec()).collect()), ..user }
}

/// One connection: each credential in turn, and what each led to.
async fn connection(access: &Access, user: &[u8], credentials: &[Credential<'_>]) -> Vec<String> {
    let (mut progress, mut told) = (AuthProgress::default(), Vec::new());
    for credential in credentials {
        let attempt = Attempt { user, credential: *credential };
        told.push(match access.decide(attempt, &context(1), &progress, &AtomicBool::new(false)).await {
            Decision::Accept(identity) => format!("in by {}", identity.method),
            Decision::Partial(partial) => {
                let next = partial.next.list();
                progress.add(partial);
                next
            }
            Decision::Reject | Decision::RejectKey(_) => "no".to_owned(),
            Decision::Challenge(_) => "asked".to_owned(),
            Decision::ChangePassword(prompt) => prompt,
            Decision::Undecided(overload) => panic!("undecided: {overload:?}"),
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn several_methods_succeed_one_after_the_other() {
    let lists: [&[AuthMethod]; 2] = [&[KeyMethod, PasswordMethod], &[KeyMethod, KeyboardInteractive]];
    let access = access([("alice", requiring(&lists, user(Some("right"), &[KEY])))]);
    assert_eq!(access.methods().list(), "publickey");
    let own = key(KEY);
    let (offered, proven) = (Credential::KeyOffered(&own), Credential::KeyProven(&own));
    let (right, wrong) = (Credential::Password(b"right"), Credential::Password(b"wrong"));
    let answers = [answer(b"right")];
    let answered = Credential::Answers(&answers);
    let then = "password,keyboard-interactive";
    for (credentials, expected) in [
        // An offer is no proof.
        (&[offered, offered, proven, right][..], &["in by publickey", "in by publickey", then, "in by password"][..]),
        (&[proven, wrong, right], &[then, "no", "in by password"]),
        (&[proven, Credential::Interactive, answered], &[then, "asked", "in by keyboard-interactive"]),
        // Out of turn, and the same again.
        (&[right, answered, proven, proven, offered], &["no", "no", then, "no", "no"]),
        (&[offered, right], &["in by publickey", "no"]),
    ] {
        assert_eq!(connection(&access, b"alice", credentials).await, expected);
        // Nobody else gets a step further.
        let strangers = connection(&access, b"mallory", credentials).await;
        assert!(strangers.iter().all(|told| told == "no" || told == "asked"), "{strangers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_keys_must_be_two() {
    let both = requiring(&[&[KeyMethod, KeyMethod]], user(None, &[KEY, OTHER_KEY]));
    let access = access([("alice", both)]);
    let (one, other) = (key(KEY), key(OTHER_KEY));
    let (one, other) = (Credential::KeyProven(&one), Credential::KeyProven(&other));
    assert_eq!(connection(&access, b"alice", &[one, one, other]).await, ["publickey", "no", "in by publickey"]);
    assert_eq!(connection(&access, b"alice", &[other, other, one]).await, ["publickey", "no", "in by publickey"]);
}

/// U21: what was proven belongs to the connection.
#[tokio::test(start_paused = true)]
async fn the_key_of_the_first_step_is_known_after_the_last() {
    let access = access([("alice", requiring(&[&[KeyMethod, PasswordMethod]], user(Some("right"), &[KEY])))]);
    let own = key(KEY);
    let mut progress = AuthProgress::default();
    let attempt = |credential| Attempt { user: b"alice", credential };
    let queued = AtomicBool::new(false);
    let first = access.decide(attempt(Credential::KeyProven(&own)), &context(1), &progress, &queued).await;
    let Decision::Partial(partial) = first else { panic!("{first:?}") };
    progress.add(partial);
    let last = access.decide(attempt(Credential::Password(b"right")), &context(1), &progress, &queued).await;
    let Decision::Accept(identity) = last else { panic!("{last:?}") };
    assert_eq!((identity.method, identity.fingerprint), ("password", Some(own.fingerprint())));
    // Another connection begins anew.
    assert!(try_in(&access, b"alice", Credential::Password(b"right")).await.is_none());
}

/// U30: a right password out of its turn takes as long as a wrong one, of a known user or not.
#[tokio::test(start_paused = true)]
async fn what_comes_out_of_turn_takes_as_long_as_what_is_wrong() {
    let access = access([("alice", requiring(&[&[KeyMethod, PasswordMethod]], user(Some("right"), &[KEY])))]);
    let own = key(KEY);
    let after_key = {
        let mut progress = AuthProgress::default();
        let attempt = Attempt { user: b"alice", credential: Credential::KeyProven(&own) };
        let first = access.decide(attempt, &context(1), &progress, &AtomicBool::new(false)).await;
        let Decision::Partial(partial) = first else { panic!("{first:?}") };
        progress.add(partial);
        progress
    };
    let begun = AuthProgress::default();
    let mut times = Vec::new();
    for (progress, credential) in [
        (&begun, Credential::Password(b"right")),
        (&begun, Credential::Password(b"wrong")),
        (&after_key, Credential::Password(b"wrong")),
        (&after_key, Credential::KeyProven(&own)),
        (&begun, Credential::None),
    ] {
        let started = Instant::now();
        let attempt = Attempt { user: b"alice", credential };
        let decision = access.decide(attempt, &context(1), progress, &AtomicBool::new(false)).await;
        assert_eq!(decision, Decision::Reject);
        times.push(started.elapsed());
    }
    assert!(times.windows(2).all(|pair| pair[0] == pair[1]), "{times:?}");
}

#[test]
fn the_first_methods_are_those_with_which_any_user_can_begin() {
    let alice = requiring(&[&[KeyMethod, PasswordMethod]], user(Some("right"), &[KEY]));
    let bob = requiring(&[&[PasswordMethod, KeyMethod], &[KeyMethod, KeyMethod]], user(Some("right"), &[]));
    assert_eq!(access([("alice", alice.clone())]).methods().list(), "publickey");
    assert_eq!(access([("bob", bob.clone())]).methods().list(), "password");
    assert_eq!(access([("alice", alice), ("bob", bob)]).methods().list(), "publickey,password");
}
