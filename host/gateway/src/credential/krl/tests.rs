//! Lists built by hand, good and malformed. Those of `ssh-keygen` are read in `revoked/tests.rs`.

use super::*;

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A list with these sections, each a type and its contents.
fn list(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = [MAGIC, &1_u32.to_be_bytes(), &[0; 24], &string(b""), &string(b"a comment")].concat();
    for (kind, contents) in sections {
        bytes.push(*kind);
        bytes.extend(string(contents));
    }
    bytes
}

/// A section of certificates of this authority.
fn certificates(authority: &[u8], parts: &[(u8, Vec<u8>)]) -> (u8, Vec<u8>) {
    let mut contents = [string(authority), string(b"")].concat();
    for (kind, part) in parts {
        contents.push(*kind);
        contents.extend(string(part));
    }
    (CERTIFICATES, contents)
}

fn numbers(serials: &[u64]) -> Vec<u8> {
    serials.iter().flat_map(|serial| serial.to_be_bytes()).collect()
}

fn extension(is_critical: u8) -> Vec<u8> {
    [string(b"name@example.org"), vec![is_critical], string(b"value")].concat()
}

fn certificate(serial: u64, key_id: &'static [u8]) -> RevocableCertificate<'static> {
    RevocableCertificate { authority: b"ca", serial, key_id }
}

#[test]
fn certificates_are_revoked_by_number_range_bitmap_and_id() {
    let bitmap = [numbers(&[1000]), string(&[0b1000_0001, 0b0000_0001])].concat();
    let parts = [
        (SERIAL_LIST, numbers(&[0, 5, 7])),
        (SERIAL_RANGE, numbers(&[10, 12])),
        (SERIAL_RANGE, numbers(&[u64::MAX, u64::MAX])),
        (SERIAL_BITMAP, bitmap),
        (KEY_ID, [string(b"mallory"), string(b"\xff")].concat()),
        (CERTIFICATE_EXTENSION, extension(0)),
    ];
    let bytes = list(&[certificates(b"ca", &parts), certificates(b"", &[(SERIAL_LIST, numbers(&[99]))])]);
    let krl = Krl::parse(&bytes).unwrap();
    let revoked = |serial| krl.has_certificate(&certificate(serial, b"alice"));
    for serial in [5, 7, 10, 11, 12, u64::MAX, 1000, 1008, 1015, 99] {
        assert!(revoked(serial), "{serial}");
    }
    // 0 is no number.
    for serial in [0, 1, 6, 9, 13, 999, 1001, 1007, 1009, 1014, 1016, u64::MAX - 1] {
        assert!(!revoked(serial), "{serial}");
    }
    assert!(krl.has_certificate(&certificate(1, b"mallory")) && krl.has_certificate(&certificate(0, b"\xff")));
    let other = |serial, key_id| RevocableCertificate { authority: b"other", serial, key_id };
    assert!(!krl.has_certificate(&other(5, b"mallory")) && krl.has_certificate(&other(99, b"alice")));
}

#[test]
fn keys_are_revoked_whole_and_by_fingerprint() {
    let bytes = list(&[
        (EXPLICIT_KEY, [string(b"one"), string(b"two")].concat()),
        (FINGERPRINT_SHA1, string(&[1; 20])),
        (FINGERPRINT_SHA256, [string(&[2; 32]), string(&[3; 32])].concat()),
        (EXTENSION, extension(0)),
    ]);
    let krl = Krl::parse(&bytes).unwrap();
    let revoked =
        |blob: &[u8], sha1, sha256| krl.has_key(&RevocableKey { blob, sha1: [sha1; 20], sha256: [sha256; 32] });
    assert!(revoked(b"two", 0, 0) && revoked(b"x", 1, 0) && revoked(b"x", 0, 3));
    assert!(!revoked(b"three", 2, 1));
    let signed = [&bytes[..], &[SIGNATURE], &string(b"key"), &string(b"signature")].concat();
    assert_eq!(Krl::parse(&signed), Ok(krl));
}

#[test]
fn whatever_is_not_understood_makes_the_list_unusable() {
    let good = list(&[certificates(b"ca", &[(SERIAL_RANGE, numbers(&[1, 2]))]), (EXPLICIT_KEY, string(b"key"))]);
    assert!(Krl::parse(&good).is_ok());
    let empty = list(&[]).len();
    for end in (0..good.len()).filter(|end| *end != empty && *end != good.len() - 12) {
        assert!(Krl::parse(&good[..end]).is_err(), "{end}");
    }
    let part = |kind, contents| list(&[certificates(b"ca", &[(kind, contents)])]);
    let signature = [vec![SIGNATURE], string(b""), string(b""), vec![EXPLICIT_KEY], string(b"")].concat();
    for (bytes, why) in [
        (b"ssh-ed25519 AAAA".to_vec(), "no KRL"),
        ([MAGIC, &[0, 0, 0, 2], &[0; 32]].concat(), "another format"),
        (list(&[(6, Vec::new())]), "unknown type 6"),
        (list(&[(0, Vec::new())]), "unknown type 0"),
        (list(&[(EXTENSION, extension(1))]), "critical extension \"name@example.org\""),
        (list(&[(EXTENSION, [extension(0), vec![0]].concat())]), "bytes after"),
        (list(&[(FINGERPRINT_SHA1, string(&[1; 32]))]), "another length"),
        (list(&[(FINGERPRINT_SHA256, string(&[1; 20]))]), "another length"),
        (list(&[(EXPLICIT_KEY, vec![0xff; 4])]), "truncated"),
        (part(0x24, Vec::new()), "unknown type 36"),
        (part(CERTIFICATE_EXTENSION, extension(1)), "critical extension"),
        (part(SERIAL_LIST, vec![0; 7]), "truncated"),
        (part(SERIAL_RANGE, numbers(&[2, 1])), "ends before it begins"),
        (part(SERIAL_RANGE, numbers(&[1, 2, 3])), "bytes after"),
        (part(SERIAL_BITMAP, numbers(&[1])), "truncated"),
        (part(KEY_ID, vec![0xff; 4]), "truncated"),
        ([list(&[]), signature].concat(), "after its signature"),
    ] {
        let error = Krl::parse(&bytes).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
}
