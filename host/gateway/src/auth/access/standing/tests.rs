//! Logins that were accepted, and what the configuration says of them later.

use std::fs;
use std::path::Path;

use whelk_ssh::auth::server::Credential;

use super::super::tests::{KEY, OTHER_KEY, access, access_of, config, key, member, try_in, user};
use super::super::*;
use super::*;
use crate::config::{Limits, RevocationConfig};

/// Alice's login by this credential.
async fn login(access: &Access, credential: Credential<'_>) -> AcceptedLogin {
    let identity = try_in(access, b"alice", credential).await.unwrap();
    AcceptedLogin::of(&identity, Peer::Unknown)
}

async fn judged(access: &Access, login: &AcceptedLogin) -> Standing {
    access.rejudge(login, std::time::Instant::now()).await
}

async fn is_valid(access: &Access, login: &AcceptedLogin) -> bool {
    matches!(judged(access, login).await, Standing::Valid(_))
}

/// Why it is judged a second time.
async fn doubt(access: &Access, login: &AcceptedLogin) -> String {
    match judged(access, login).await {
        Standing::Doubtful(Revocation { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// What the client is told, and the reason, of a login that is no longer valid.
async fn revoked(access: &Access, login: &AcceptedLogin) -> (&'static str, String) {
    match judged(access, login).await {
        Standing::Revoked(Revocation { told, reason }) => (told, reason),
        other => panic!("{other:?}"),
    }
}

fn key_files(files: Vec<KeyFileSetting>) -> User {
    member(Authentication::Required { password: None, keys: Vec::new(), key_files: files })
}

#[tokio::test]
async fn a_user_who_was_removed_or_moved_or_now_needs_credentials_is_out() {
    let open = access([("alice", member(Authentication::NotRequired))]);
    let login = login(&open, Credential::None).await;
    assert!(is_valid(&open, &login).await);
    let gone = access([("bob", user(Some("right"), &[]))]);
    assert_eq!(revoked(&gone, &login).await.1, "the user was removed");
    let closed = access([("alice", user(Some("right"), &[]))]);
    assert_eq!(revoked(&closed, &login).await.1, "the user now needs credentials");
    let moved = access([("alice", User { tenant: "other".to_owned(), ..member(Authentication::NotRequired) })]);
    let (told, reason) = revoked(&moved, &login).await;
    assert_eq!((told, reason.as_str()), ("this account may no longer log in", "the user is of another tenant now"));
}

#[tokio::test]
async fn a_password_counts_for_as_long_as_its_hash_stands_in_the_configuration() {
    let alice = user(Some("right"), &[]);
    let before = access([("alice", alice.clone())]);
    let login = login(&before, Credential::Password(b"right")).await;
    assert!(is_valid(&before, &login).await);
    // Other methods and another plugin are for the next login.
    let methods = RequiredMethods::one_of(vec![vec![AuthMethod::PublicKey]]);
    let other = User { plugin: "probe".to_owned(), methods, ..alice };
    assert!(is_valid(&access([("alice", other)]), &login).await);
    // Whoever needs no credentials any more needs not that one either.
    assert!(is_valid(&access([("alice", member(Authentication::NotRequired))]), &login).await);
    let changed = access([("alice", user(Some("right"), &[]))]);
    assert_eq!(revoked(&changed, &login).await.1, "the password was changed");
    let removed = access([("alice", user(None, &[KEY]))]);
    let (told, reason) = revoked(&removed, &login).await;
    assert_eq!((told, reason.as_str()), ("the password of this login is no longer valid", "the password was removed"));
}

#[tokio::test]
async fn a_listed_key_counts_until_it_is_removed_and_not_until_its_time_is_over() {
    let before = access([("alice", user(None, &[KEY, OTHER_KEY]))]);
    let login = login(&before, Credential::KeyProven(&key(KEY))).await;
    assert!(is_valid(&before, &login).await);
    let removed = access([("alice", user(None, &[OTHER_KEY]))]);
    let (told, reason) = revoked(&removed, &login).await;
    assert_eq!(
        (told, reason.as_str()),
        ("the key of this login may no longer be used", "the user no longer has the key")
    );
    // Options are for the next login, except that the key may not be used at all.
    let restricted = access([("alice", user(None, &[&format!("command=\"ls\",no-pty {KEY}")]))]);
    assert!(is_valid(&restricted, &login).await);
    let elsewhere = access([("alice", user(None, &[&format!("from=\"192.0.2.1\" {KEY}")]))]);
    assert!(revoked(&elsewhere, &login).await.1.contains("from="));
    let expires = access([("alice", user(None, &[&format!("expiry-time=\"20010101Z\" {KEY}")]))]);
    assert!(revoked(&expires, &login).await.1.contains("expiry-time"));
    let then = AcceptedLogin { at: 900_000_000, ..login };
    assert!(is_valid(&expires, &then).await);
}

#[tokio::test]
async fn a_key_of_a_file_counts_until_its_line_is_gone_and_a_missing_file_is_doubtful() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, format!("{KEY}\n")).unwrap();
    let one = access([("alice", key_files(vec![KeyFileSetting::Named(path.clone())]))]);
    let login = login(&one, Credential::KeyProven(&key(KEY))).await;
    let seen: Vec<_> = login.files().cloned().collect();
    assert_eq!(seen, [(KeyPath::named(&path), KeyPath::named(&path).stamp().ok())]);
    assert!(is_valid(&one, &login).await);
    fs::write(&path, format!("# {KEY}\n{OTHER_KEY}\n")).unwrap();
    assert_eq!(doubt(&one, &login).await, "the user no longer has the key");
    // What forbids the key now may be lifted in the file that cannot be used now.
    let second = folder.path().join("second");
    fs::write(&second, format!("from=\"192.0.2.1\" {KEY}\n")).unwrap();
    let files = [&path, &second].map(|path| KeyFileSetting::Named(path.clone()));
    let both = access([("alice", key_files(files.into()))]);
    assert!(revoked(&both, &login).await.1.contains("from="));
    fs::remove_file(&path).unwrap();
    for access in [&one, &both] {
        assert!(doubt(access, &login).await.contains("cannot be read"));
    }
}

#[tokio::test]
async fn a_revoked_key_is_out_and_without_the_list_the_connection_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("revoked");
    fs::write(&list, "").unwrap();
    let users = [("alice".to_owned(), user(None, &[KEY]))].into();
    let revoked_keys = RevocationConfig { keys: Some(list.clone()), ends: true };
    let config = Config { revoked: revoked_keys, ..config(LoginPolicy::Users(users), Limits::default()) };
    let access = access_of(&config);
    let login = login(&access, Credential::KeyProven(&key(KEY))).await;
    assert_eq!(login.files().count(), 1);
    assert!(is_valid(&access, &login).await);
    fs::write(&list, KEY).unwrap();
    assert_eq!(revoked(&access, &login).await.1, "it is revoked");
    for unusable in ["nonsense\n", ""] {
        fs::write(&list, unusable).unwrap();
        if unusable.is_empty() {
            fs::remove_file(&list).unwrap();
        }
        let standing = judged(&access, &login).await;
        assert!(matches!(&standing, Standing::Unknown(why) if why.contains("/revoked")), "{standing:?}");
    }
    // A key that is gone anyway needs no list.
    let users = [("alice".to_owned(), user(None, &[OTHER_KEY]))].into();
    let without = Config { login_policy: LoginPolicy::Users(users), ..config };
    assert_eq!(revoked(&access_of(&without), &login).await.1, "the user no longer has the key");
}

#[tokio::test]
async fn a_file_in_the_home_counts_too() {
    let folder = tempfile::tempdir().unwrap();
    let home: Arc<Path> = folder.path().into();
    fs::write(folder.path().join("keys"), KEY).unwrap();
    let mut access = access([("alice", key_files(vec![KeyFileSetting::InHome("keys".into())]))]);
    // The tenant has no directory in this configuration.
    assert_eq!(try_in(&access, b"alice", Credential::KeyProven(&key(KEY))).await, None);
    let alice = key_files(vec![KeyFileSetting::InHome("keys".into())]);
    let member = Member::of(&alice, Arc::default(), Some(&home));
    access.login_policy = Users::Known([("alice".to_owned(), member)].into());
    let login = login(&access, Credential::KeyProven(&key(KEY))).await;
    assert!(is_valid(&access, &login).await);
    fs::write(folder.path().join("keys"), OTHER_KEY).unwrap();
    assert_eq!(doubt(&access, &login).await, "the user no longer has the key");
    // Editors remove a file and make it anew.
    fs::remove_file(folder.path().join("keys")).unwrap();
    assert!(matches!(judged(&access, &login).await, Standing::Doubtful(_)));
}

#[tokio::test]
async fn each_of_several_proofs_must_stand() {
    let methods = RequiredMethods::one_of(vec![vec![AuthMethod::PublicKey, AuthMethod::Password]]);
    let both = User { methods, ..user(Some("right"), &[KEY]) };
    let Authentication::Required { password, .. } = &both.authentication else { panic!("there are credentials") };
    let without_key = Authentication::Required { password: password.clone(), keys: Vec::new(), key_files: Vec::new() };
    let (key, password) = (key(KEY), password.clone().unwrap());
    let shown = Arc::new(ShownCredential::Key(key));
    let proofs = vec![Proof::Key(KeyProof { shown, files: Vec::new() }), Proof::Password(Arc::new(password))];
    let before = access([("alice", both.clone())]);
    let guest = access([("alice", member(Authentication::NotRequired))]);
    let login = login(&guest, Credential::None).await;
    let evidence = Arc::new(Evidence { authenticator: None, proofs });
    let login = AcceptedLogin { evidence, ..login };
    assert!(is_valid(&before, &login).await);
    let after = access([("alice", User { authentication: without_key, ..both })]);
    assert_eq!(revoked(&after, &login).await.1, "the user no longer has the key");
}

#[tokio::test]
async fn a_login_in_progress_is_accepted_only_by_the_newest_methods_and_restrictions() {
    let alice = user(None, &[KEY]);
    let before = access([("alice", alice.clone())]);
    let identity = try_in(&before, b"alice", Credential::KeyProven(&key(KEY))).await.unwrap();
    let accepts = async |user: User| {
        access([("alice", user)]).still_accepts(&identity, &AuthProgress::default(), Peer::Unknown).await
    };
    assert!(accepts(alice.clone()).await);
    assert!(accepts(member(Authentication::NotRequired)).await);
    let methods = RequiredMethods::one_of(vec![vec![AuthMethod::PublicKey, AuthMethod::Password]]);
    assert!(!accepts(User { methods, ..alice }).await);
    assert!(!accepts(user(None, &[&format!("no-pty {KEY}")])).await);
    assert!(!accepts(user(None, &[&format!("command=\"ls\" {KEY}")])).await);
    assert!(!accepts(user(None, &[OTHER_KEY])).await);
}

#[tokio::test]
async fn a_key_that_is_gone_before_the_last_method_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, format!("no-pty {KEY}\n")).unwrap();
    let Authentication::Required { password, .. } = user(Some("right"), &[]).authentication else {
        panic!("there is a password")
    };
    let key_files = vec![KeyFileSetting::Named(path.clone())];
    let methods = RequiredMethods::one_of(vec![vec![AuthMethod::PublicKey, AuthMethod::Password]]);
    let alice = member(Authentication::Required { password, keys: Vec::new(), key_files });
    let access = access([("alice", User { methods, ..alice })]);
    let (context, queued) = (crate::auth::attempt::AttemptContext::of(Peer::Unknown), AtomicBool::new(false));
    let (first, mut progress) = (key(KEY), AuthProgress::default());
    let attempt = |credential| Attempt { user: b"alice", credential };
    let proven = access.decide(attempt(Credential::KeyProven(&first)), &context, &progress, &queued).await;
    let Decision::Partial(partial) = proven else { panic!("{proven:?}") };
    progress.add(partial);
    let decided = access.decide(attempt(Credential::Password(b"right")), &context, &progress, &queued).await;
    let Decision::Accept(identity) = decided else { panic!("{decided:?}") };
    assert!(access.still_accepts(&identity, &progress, Peer::Unknown).await);
    fs::write(&path, format!("{OTHER_KEY}\n")).unwrap();
    assert!(!access.still_accepts(&identity, &progress, Peer::Unknown).await);
}
