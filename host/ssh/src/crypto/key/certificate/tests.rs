//! Certificates that `ssh-keygen` made, and what is no certificate.

use ed25519_dalek::{Signer, SigningKey};
use ssh_key::Certificate as Line;

use super::*;

/// Certificates of every kind of key, by authorities of every kind; the last is of an RSA key without principals.
const LINES: [&str; 5] = [
    include_str!("fixtures/ed25519-cert.pub"),
    include_str!("fixtures/ecdsa256-cert.pub"),
    include_str!("fixtures/ecdsa384-cert.pub"),
    include_str!("fixtures/ecdsa521-cert.pub"),
    include_str!("fixtures/rsa-cert.pub"),
];
const HOST: &str = include_str!("fixtures/host-cert.pub");
/// Signed by an RSA key with SHA-1.
const SHA_1: &str = include_str!("fixtures/sha1-cert.pub");

fn blob(line: &str) -> Vec<u8> {
    Line::from_openssh(line).unwrap().to_bytes().unwrap()
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut blob = Vec::new();
    parts.iter().for_each(|part| string::put(&mut blob, part));
    blob
}

/// A certificate of a security key, with these lists, signed by an Ed25519 authority.
fn built(principals: &[u8], critical: &[u8], kind: u32, authority: Option<&[u8]>) -> Vec<u8> {
    let secret = SigningKey::from_bytes(&[3; 32]);
    let point = *secret.verifying_key().as_bytes();
    let own = strings(&[b"ssh-ed25519", &point]);
    let mut blob = strings(&[b"sk-ssh-ed25519-cert-v01@openssh.com", b"nonce", &point, b"ssh:"]);
    blob.extend(7_u64.to_be_bytes());
    blob.extend(kind.to_be_bytes());
    blob.extend(strings(&[b"id", principals]));
    blob.extend(0_u64.to_be_bytes());
    blob.extend(u64::MAX.to_be_bytes());
    blob.extend(strings(&[critical, b"", b"", authority.unwrap_or(&own)]));
    let signature = strings(&[b"ssh-ed25519", &secret.sign(&blob).to_bytes()]);
    string::put(&mut blob, &signature);
    blob
}

#[test]
fn certificates_of_every_kind_of_key_are_read() {
    let types: Vec<(&str, Vec<(&str, &str)>)> = LINES
        .iter()
        .filter_map(|line| Certificate::from_blob(&blob(line)).ok())
        .map(|certificate| (certificate.key().algorithm(), certificate.signatures().collect()))
        .collect();
    let ecdsa = |name: &'static str, signature: &'static str| (signature, vec![(name, signature)]);
    let rsa = ["rsa-sha2-512", "rsa-sha2-256"];
    let rsa_names = ["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"];
    let mut expected = vec![
        ("ssh-ed25519", vec![("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519")]),
        ecdsa("ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256"),
        ecdsa("ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384"),
        ecdsa("ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521"),
        ("ssh-rsa", rsa_names.into_iter().zip(rsa).collect()),
    ];
    if !cfg!(feature = "aws-lc-rs") {
        expected.remove(3);
    }
    assert_eq!(types, expected);
}

#[test]
fn every_field_is_what_ssh_keygen_was_told() {
    let certificate = Certificate::from_blob(&blob(LINES[0])).unwrap();
    assert_eq!((certificate.kind(), certificate.serial()), (CertificateKind::User, 42));
    assert_eq!(certificate.key_id(), b"alice's laptop");
    assert_eq!(certificate.principals().collect::<Vec<_>>(), [&b"alice"[..], b"admin"]);
    assert_eq!((certificate.valid_after(), certificate.valid_before()), (1_767_225_600, 2_082_758_400));
    assert_eq!(certificate.key().fingerprint(), "SHA256:XgGhtvccJNf4YMlsfgNoUCi/wDwhruUmxPyFwmXNN7I");
    assert_eq!(certificate.authority().fingerprint(), "SHA256:uYeZ7olPRaQYQssa1xOM5AsI+8OzUkXTQdo1Peeyn5o");
    let critical: Vec<_> = certificate.critical_options().map(|(name, value)| (name, option_text(value))).collect();
    let (command, address) = (&b"id -u"[..], &b"192.0.2.0/24,2001:db8::/32"[..]);
    assert_eq!(critical, [(&b"force-command"[..], Some(command)), (b"source-address", Some(address))]);
    let extensions: Vec<_> = certificate.extensions().map(|(name, _)| name).collect();
    assert!(extensions.contains(&&b"permit-user-rc"[..]) && !extensions.contains(&&b"permit-pty"[..]));
    assert_eq!(certificate.blob(), blob(LINES[0]));
    assert_eq!(Certificate::from_blob(&blob(HOST)).unwrap().kind(), CertificateKind::Host);
    assert_eq!(Certificate::from_blob(&blob(LINES[4])).unwrap().principals().count(), 0);
}

#[test]
fn a_certificate_of_a_security_key_is_read() {
    let certificate = Certificate::from_blob(&built(&strings(&[b"alice"]), b"", 1, None)).unwrap();
    assert_eq!((certificate.serial(), certificate.key_id()), (7, &b"id"[..]));
    let names = ("sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com");
    assert_eq!(certificate.signatures().collect::<Vec<_>>(), [names]);
}

/// U10.
#[test]
fn a_signature_with_sha_1_is_refused() {
    assert_eq!(Certificate::from_blob(&blob(SHA_1)), Err(BadCertificate::Signature));
}

/// U16.
#[test]
fn a_certificate_whose_authority_is_a_certificate_is_refused_at_any_depth() {
    let mut authority = blob(LINES[0]);
    for _ in 0..50 {
        authority = built(b"", b"", 1, Some(&authority));
        let error = Certificate::from_blob(&authority).unwrap_err();
        assert!(matches!(error, BadCertificate::Authority(KeyError::Unsupported(_))), "{error}");
    }
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    let good = blob(LINES[0]);
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(Certificate::from_blob(&changed).is_err(), "{at}");
    }
    for end in 0..good.len() {
        assert!(Certificate::from_blob(&good[..end]).is_err(), "{end}");
    }
    assert_eq!(Certificate::from_blob(&[&good[..], &[0]].concat()), Err(BadCertificate::Malformed));
}

#[test]
fn malformed_lists_and_unknown_kinds_are_refused() {
    let many = |count: usize| strings(&vec![&b"a"[..]; count]);
    for (principals, critical, kind) in [
        (&b"\0\0\0\x05a"[..], &b""[..], 1),
        (b"a", b"", 1),
        (&many(257), b"", 1),
        (b"", &strings(&[b"name without a value"]), 1),
        (b"", b"\xff\xff\xff\xff", 1),
        (b"", b"", 0),
        (b"", b"", 3),
    ] {
        let refused = Certificate::from_blob(&built(principals, critical, kind, None));
        assert_eq!(refused, Err(BadCertificate::Malformed), "{} {kind}", principals.len());
    }
    assert!(Certificate::from_blob(&built(&many(256), &strings(&[b"a", b"b"]), 1, None)).is_ok());
}

#[test]
fn a_key_or_an_authority_that_is_not_supported_is_named() {
    let short = strings(&[b"ssh-rsa", &[1, 0, 1], &[0x7f; 128]]);
    let error = Certificate::from_blob(&built(b"", b"", 1, Some(&short))).unwrap_err();
    assert_eq!(error, BadCertificate::Authority(KeyError::RsaSize(1023)));
    assert!(!Certificate::is_certificate(&short) && Certificate::is_certificate(&blob(SHA_1)));
    assert!(!Certificate::is_certificate(b"") && !Certificate::is_certificate(b"\0\0\0\xffssh-rsa-cert"));
}

#[test]
fn the_text_of_an_option_is_one_string_and_nothing_else() {
    assert_eq!(option_text(&strings(&[b"id"])), Some(&b"id"[..]));
    for value in [&b""[..], b"id", b"\0\0\0\x03id", b"\0\0\0\x02id\0"] {
        assert_eq!(option_text(value), None);
    }
}
