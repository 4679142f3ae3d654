//! Keys in lists and files, and what their options say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use whelk_ssh::crypto::key::{Presence, PublicKey};

use super::*;
use crate::credential::{KeyOptions, parse_key};
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
    let user = UserKeys { file: Some(path.as_path().into()), ..UserKeys::default() };
    (folder, path, user)
}

fn access(user: &UserKeys, revoked: Option<PathBuf>) -> KeyAccess {
    KeyAccess::new(([user].into_iter(), std::iter::empty()), Arc::default(), revoked, GRACE, TimingSecret::new([7; 32]))
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
    assert_eq!(access.decoy(&access.key_files, b"mallory"), user.file.as_deref());
    assert_eq!(judge(&access, None, KEY).await, Err(KeyRefusal::Unknown));
    assert_eq!(judge(&access, Some(&UserKeys::default()), KEY).await, Err(KeyRefusal::Unknown));
    let listed = UserKeys { listed: [parse_key(OTHER).unwrap()].into(), ..UserKeys::default() };
    assert!(judge(&access, Some(&listed), OTHER).await.is_ok());
    assert_eq!(judge(&access, Some(&listed), KEY).await, Err(KeyRefusal::Unknown));
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
