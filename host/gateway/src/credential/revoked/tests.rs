//! Lists that `ssh-keygen -k` made, and texts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Serials 42, 100 to 200 and some from 1000 on, the id `mallory`, and four keys in the four ways of naming them.
const LIST: &[u8] = include_bytes!("fixtures/list.krl");
/// The authority itself.
const AUTHORITY: &[u8] = include_bytes!("fixtures/ca.krl");
/// The four keys, and one that is not revoked.
const KEYS: &str = include_str!("fixtures/keys.pub");
const GOOD: &str = include_str!("fixtures/good-cert.pub");

fn certificate(line: &str) -> Certificate {
    let line = ssh_key::Certificate::from_openssh(line).unwrap();
    Certificate::from_blob(&line.to_bytes().unwrap()).unwrap()
}

fn keys() -> Vec<PublicKey> {
    KEYS.lines().map(|line| PublicKey::from_openssh(line).unwrap()).collect()
}

#[test]
fn lists_of_ssh_keygen_are_understood() {
    let list = RevokedList::parse(LIST).unwrap();
    for line in [
        include_str!("fixtures/by_serial-cert.pub"),
        include_str!("fixtures/by_range-cert.pub"),
        include_str!("fixtures/by_bitmap-cert.pub"),
        include_str!("fixtures/by_id-cert.pub"),
    ] {
        assert_eq!(list.revokes(&certificate(line)), Some("it is revoked"), "{line}");
    }
    assert_eq!(list.revokes(&certificate(GOOD)), None);
    let revoked: Vec<bool> = keys().iter().map(|key| list.has_key(key)).collect();
    assert_eq!(revoked, [true, true, true, true, false]);
    let list = RevokedList::parse(AUTHORITY).unwrap();
    assert_eq!(list.revokes(&certificate(GOOD)), Some("its authority is revoked"));
    for end in MAGIC.len()..LIST.len() {
        // A list may end behind any of its sections.
        if let Ok(RevokedList::Keys(_)) = RevokedList::parse(&LIST[..end]) {
            panic!("{end}: a list is no text");
        }
    }
}

#[test]
fn a_text_has_a_key_a_line_and_nothing_else() {
    let list = RevokedList::parse(format!("# gone\r\n\n{}", KEYS.lines().next().unwrap()).as_bytes()).unwrap();
    let revoked: Vec<bool> = keys().iter().map(|key| list.has_key(key)).collect();
    assert_eq!(revoked, [true, false, false, false, false]);
    // The key of a certificate, and that of its authority.
    let good = certificate(GOOD);
    for (key, why) in [(good.key(), "its key is revoked"), (good.authority(), "its authority is revoked")] {
        let text = crate::credential::public_line(key.blob());
        assert_eq!(RevokedList::parse(text.as_bytes()).unwrap().revokes(&good), Some(why));
    }
    for (text, why) in [
        ("nonsense\n", ":1: does not begin with a type of key"),
        ("\n\nssh-ed25519 AAAA\n", ":3: has a key that cannot be read"),
        (&format!("no-pty {KEYS}"), ":1: has options"),
        (GOOD, ":1: "),
    ] {
        let error = RevokedList::parse(text.as_bytes()).unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
    assert!(matches!(RevokedList::parse(b""), Ok(RevokedList::Keys(keys)) if keys.is_empty()));
}

#[test]
fn a_file_is_read_again_when_it_has_changed_and_an_unusable_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    let revoked = RevokedKeys::new(&path);
    let current = || revoked.current(Instant::now()).map(|(list, _)| list);
    assert!(current().unwrap_err().contains("cannot be read"));
    fs::write(&path, AUTHORITY).unwrap();
    assert_eq!(current().unwrap().revokes(&certificate(GOOD)), Some("its authority is revoked"));
    fs::write(&path, LIST).unwrap();
    assert_eq!(current().unwrap().revokes(&certificate(GOOD)), None);
    fs::write(&path, &LIST[..LIST.len() - 1]).unwrap();
    let error = current().unwrap_err();
    assert!(error.ends_with("/revoked is a truncated KRL"), "{error}");
    assert_eq!(check_revoked_keys(&path), Err(error));
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(current().unwrap_err().contains("others may write"));
}

#[test]
fn a_file_that_has_just_changed_is_read_once_by_those_who_ask_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked");
    fs::write(&path, AUTHORITY).unwrap();
    let revoked = RevokedKeys::new(&path);
    let before = Instant::now();
    let (first, _) = revoked.current(before).unwrap();
    assert!(Arc::ptr_eq(&first, &revoked.current(before).unwrap().0));
    assert!(!Arc::ptr_eq(&first, &revoked.current(Instant::now()).unwrap().0));
}
