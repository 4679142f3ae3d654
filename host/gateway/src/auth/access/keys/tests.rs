//! Keys in lists and files, and what their options say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use whelk_ssh::crypto::key::{Presence, PublicKey};

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::auth::access::secret::TimingSecret;
use crate::credential::{KeyOptions, KeyPath, parse_key};
use crate::source::Peer;

pub(super) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const GRACE: Duration = Duration::from_secs(60);

fn context() -> AttemptContext {
    AttemptContext::of(Peer::Unknown)
}

/// A folder with a key file, and its user.
fn with_file(text: &str) -> (tempfile::TempDir, PathBuf, UserKeys) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, text).unwrap();
    let user = UserKeys { files: [KeyPath::named(&path)].into(), ..UserKeys::default() };
    (folder, path, user)
}

fn access(user: &UserKeys, revoked: Option<PathBuf>) -> KeyAccess {
    let users = ([user].into_iter(), std::iter::empty());
    KeyAccess::new(KeySources::new(users, Arc::default(), revoked, GRACE, TimingSecret::new([7; 32])))
}

async fn judge(access: &KeyAccess, user: Option<&UserKeys>, key: &str) -> Result<GrantedKey, KeyRefusal> {
    let shown = ShownCredential::Key(PublicKey::from_openssh(key).unwrap());
    access.judge((b"alice", user), shown, true, &context()).await
}

#[tokio::test]
async fn a_file_is_read_at_each_attempt() {
    let (_folder, path, user) = with_file("# none yet\n");
    let access = access(&user, None);
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::Unknown));
    fs::write(&path, format!("no-pty {KEY}\n")).unwrap();
    let granted = judge(&access, Some(&user), KEY).await.unwrap();
    assert_eq!(granted.fingerprint, "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
    assert!(!granted.restrictions.pty);
    // Strict modes are checked each time too.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::Unknown));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(judge(&access, Some(&user), KEY).await.is_ok());
    fs::remove_file(&path).unwrap();
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::Unknown));
}

/// U30, U32.
#[tokio::test]
async fn a_name_without_a_file_costs_a_read_of_another_file_and_gets_none_of_its_keys() {
    let (_folder, _, user) = with_file(&format!("{KEY}\n"));
    let access = access(&user, None);
    assert_eq!(access.0.decoy(&access.0.key_files, b"mallory"), Some(&user.files));
    assert_eq!(judge(&access, None, KEY).await, Err(KeyRefusal::Unknown));
    assert_eq!(judge(&access, Some(&UserKeys::default()), KEY).await, Err(KeyRefusal::Unknown));
    let listed = UserKeys { listed: [parse_key(OTHER).unwrap()].into(), ..UserKeys::default() };
    assert!(judge(&access, Some(&listed), OTHER).await.is_ok());
    assert_eq!(judge(&access, Some(&listed), KEY).await, Err(KeyRefusal::Unknown));
}

/// A home with a list of keys, a file of the operator's with another, and the user of both.
fn with_home(operators: &str, in_home: &str) -> (tempfile::TempDir, UserKeys) {
    let folder = tempfile::tempdir().unwrap();
    let (named, home) = (folder.path().join("keys"), folder.path().join("home"));
    fs::create_dir(&home).unwrap();
    fs::write(&named, operators).unwrap();
    fs::write(home.join("keys"), in_home).unwrap();
    let files = [KeyPath::named(&named), KeyPath::in_home(&home.into(), Path::new("keys"))].into();
    (folder, UserKeys { files, ..UserKeys::default() })
}

#[tokio::test]
async fn a_file_in_the_home_lets_its_user_in_and_lifts_nothing() {
    let (_folder, user) = with_home("# none\n", &format!("environment=\"A=b\",no-pty {KEY}\n"));
    let access = access(&user, None);
    let granted = judge(&access, Some(&user), KEY).await.unwrap();
    assert_eq!((granted.restrictions.environment.len(), granted.restrictions.pty), (0, false));
    assert_eq!(granted.files.len(), 2);
    // Without a file there is none of its keys, and no error.
    fs::remove_file(_folder.path().join("home/keys")).unwrap();
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::Unknown));
    // What the operator says of a key counts alone.
    let late = format!("{}/keys:1: its expiry-time has passed", _folder.path().display());
    fs::write(_folder.path().join("keys"), format!("expiry-time=\"20010101Z\" {KEY}\n")).unwrap();
    fs::write(_folder.path().join("home/keys"), format!("{KEY}\n")).unwrap();
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::NotNow(late)));
}

/// What the operator says of a key must not be lost with the file that says it.
#[tokio::test]
async fn a_home_is_ignored_while_a_file_of_the_operators_cannot_be_used() {
    let (folder, user) = with_home(&format!("command=\"ls\" {KEY}\n"), &format!("{KEY}\n"));
    let (access, path) = (access(&user, None), folder.path().join("keys"));
    let granted = judge(&access, Some(&user), KEY).await.unwrap();
    assert_eq!(granted.restrictions.forced_command.as_deref(), Some("ls"));
    let ignored = async |why: &str| {
        let refused = judge(&access, Some(&user), KEY).await.unwrap_err();
        let reason = "a file of the operator's cannot be used";
        assert!(matches!(&refused, KeyRefusal::NotNow(text) if text.contains(reason)), "{why}: {refused:?}");
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    ignored("others may write to it").await;
    fs::remove_file(&path).unwrap();
    ignored("it is not there").await;
    fs::write(&path, "").unwrap();
    ignored("it is being written").await;
    fs::write(&path, "# none\n").unwrap();
    assert!(judge(&access, Some(&user), KEY).await.is_ok());
}

#[tokio::test]
async fn who_has_a_restricted_key_gets_nothing_from_the_home() {
    let why = "in a home, and another key of the user has options";
    for options in ["command=\"ls\"", "no-pty", "from=\"10.0.0.0/8\"", "expiry-time=\"20990101Z\"", "banana"] {
        let (_folder, user) = with_home(&format!("# {KEY}\n{options} {OTHER}\n"), &format!("{KEY}\n"));
        let files = access(&user, None);
        let refused = judge(&files, Some(&user), KEY).await.unwrap_err();
        assert!(matches!(&refused, KeyRefusal::NotNow(reason) if reason.contains(why)), "{options}: {refused:?}");
        if options != "banana" {
            let (_folder, user) = with_home("# none\n", &format!("{KEY}\n"));
            let listed = [parse_key(&format!("{options} {OTHER}")).unwrap()].into();
            let user = UserKeys { listed, ..user };
            let refused = judge(&access(&user, None), Some(&user), KEY).await.unwrap_err();
            assert!(matches!(&refused, KeyRefusal::NotNow(reason) if reason.contains(why)), "{options}: {refused:?}");
        }
    }
    for options in ["no-touch-required", "cert-authority"] {
        let (_folder, user) = with_home(&format!("{options} {OTHER}\n"), &format!("{KEY}\n"));
        assert!(judge(&access(&user, None), Some(&user), KEY).await.is_ok(), "{options}");
    }
}

/// U30: the medians of 200 attempts each, in turns, so that a busy machine slows all of them alike. What is left of a
/// difference is hidden by the failure delay.
#[tokio::test]
async fn a_key_of_a_user_of_one_without_a_file_and_of_nobody_takes_the_same_work() {
    let (_folder, user) = with_home(&format!("{OTHER}\n").repeat(200), &format!("{OTHER}\n").repeat(200));
    let (access, fileless) = (access(&user, None), UserKeys::default());
    let asked = [Some(&user), Some(&fileless), None];
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..200 {
        for (user, times) in asked.iter().zip(&mut times) {
            let began = Instant::now();
            assert_eq!(judge(&access, *user, KEY).await, Err(KeyRefusal::Unknown));
            times.push(began.elapsed());
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[100]
    });
    println!("figure: a refused key of a user, of one without a file, of nobody: {medians:?}");
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    assert!(*most < *least * 2, "{medians:?}");
}

#[tokio::test]
async fn of_several_lines_with_one_key_the_first_that_may_be_used_counts() {
    let (_folder, path, user) = with_file(&format!("banana {KEY}\nexpiry-time=\"20010101Z\" {KEY}\n"));
    let access = access(&user, None);
    let file = path.display();
    let reason = format!("{file}:2: its expiry-time has passed");
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::NotNow(reason)));
    fs::write(&path, format!("from=\"10.0.0.1\" {KEY}\ncommand=\"a\" {KEY}\ncommand=\"b\" {KEY}\n")).unwrap();
    let granted = judge(&access, Some(&user), KEY).await.unwrap();
    assert_eq!(granted.restrictions.forced_command.as_deref(), Some("a"));
    fs::write(&path, format!("banana {KEY}\n")).unwrap();
    let reason = format!("{file}:1: has the option `banana`, which is not known");
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::NotNow(reason)));
}

#[tokio::test]
async fn a_revoked_key_lets_nobody_in_and_neither_does_any_without_the_list() {
    let (folder, path, user) = with_file(&format!("{KEY}\n{OTHER}\n"));
    let list = folder.path().join("revoked");
    let access = access(&user, Some(list.clone()));
    let unusable = || Err(KeyRefusal::NotNow("the file of revoked keys cannot be used".to_owned()));
    assert_eq!(judge(&access, Some(&user), KEY).await, unusable());
    fs::write(&list, format!("{KEY}\n")).unwrap();
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::NotNow("it is revoked".to_owned())));
    assert!(judge(&access, Some(&user), OTHER).await.is_ok());
    // Of a key that is nobody's nothing more is said.
    assert_eq!(judge(&access, None, KEY).await, Err(KeyRefusal::Unknown));
    fs::write(&path, "").unwrap();
    assert_eq!(judge(&access, Some(&user), KEY).await, Err(KeyRefusal::Unknown));
    fs::write(&path, format!("{OTHER}\n")).unwrap();
    fs::write(&list, "nonsense\n").unwrap();
    assert_eq!(judge(&access, Some(&user), OTHER).await, unusable());
}

pub(super) fn shown(credential: ShownCredential, address: Option<&str>, now: u64) -> ShownKey {
    let address = address.map(|address| address.parse().unwrap());
    ShownKey { user: b"alice".to_vec(), credential, proven: Some(None), address, now }
}

#[test]
fn a_key_is_refused_at_the_wrong_time_and_from_the_wrong_address() {
    let check = |options: &str, address: Option<&str>, now: u64| {
        let key = parse_key(&format!("{options} {KEY}")).unwrap();
        let shown = shown(ShownCredential::Key(PublicKey::from_openssh(KEY).unwrap()), address, now);
        shown.check(&key).map(|_| ()).map_err(|reason| reason.split(' ').take(3).collect::<Vec<_>>().join(" "))
    };
    let late = "expiry-time=\"20261129Z\"";
    assert_eq!(check(late, None, 1_795_910_400), Ok(()));
    assert_eq!(check(late, None, 1_795_910_401), Err("its expiry-time has".to_owned()));
    let near = "from=\"192.0.2.0/24,!192.0.2.7\"";
    assert_eq!(check(near, Some("192.0.2.8"), 0), Ok(()));
    for far in [Some("192.0.2.7"), Some("203.0.113.1"), Some("2001:db8::1"), None] {
        assert_eq!(check(near, far, 0), Err("it may not".to_owned()), "{far:?}");
    }
    assert_eq!(check("cert-authority", None, 0), Err("it is an".to_owned()));
}

/// U14.
#[test]
fn a_security_key_has_to_be_touched_and_may_have_to_verify_its_user() {
    let check = |options: &str, presence: Option<Presence>| {
        let key = parse_key(&format!("{options} {KEY}")).unwrap();
        let shown = shown(ShownCredential::Key(PublicKey::from_openssh(KEY).unwrap()), None, 0);
        ShownKey { proven: Some(presence), ..shown }.check(&key).is_ok()
    };
    let says = |touched, verified| Some(Presence { touched, verified, counter: 1 });
    for (options, untouched, touched, verified) in [
        ("touch-required", false, true, true),
        ("no-touch-required", true, true, true),
        ("verify-required", false, false, true),
        ("no-touch-required,verify-required", false, false, true),
    ] {
        assert_eq!(check(options, says(false, false)), untouched, "{options}");
        assert_eq!(check(options, says(true, false)), touched, "{options}");
        assert_eq!(check(options, says(true, true)), verified, "{options}");
    }
    assert!(!check("verify-required", says(false, true)));
    // Another key says nothing of its user.
    assert!(check("verify-required", None));
    assert!(KeyOptions::default().touch_required);
}
