//! Host key files: those that `ssh-keygen` writes, those that we write, and those that are refused.

use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
use ssh_key::public::Ed25519PublicKey;

use super::*;

const PLAIN: &str = include_str!("fixtures/plain.key");

fn refusal(pem: &str) -> KeyError {
    HostKey::from_openssh(pem).unwrap_err()
}

#[test]
fn the_key_that_ssh_keygen_writes_is_read() {
    let key = HostKey::from_openssh(PLAIN).unwrap();
    assert_eq!(key.public().fingerprint(), "SHA256://bkYkt9JxiE2RsrxRQ0aJzJSFAHMuz4upg2UypsFws");
}

#[test]
fn a_key_is_read_as_it_was_written() {
    let key = HostKey::generate().unwrap();
    let pem = key.to_openssh();
    assert!(pem.starts_with(BEGIN) && pem.ends_with(&format!("{END}\n")));
    let again = HostKey::from_openssh(&pem).unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(again.sign(b"data"), key.sign(b"data"));
    assert_eq!(*again.to_openssh(), *pem);
}

#[test]
fn a_signature_is_the_blob_that_the_public_half_verifies() {
    let key = HostKey::from_openssh(PLAIN).unwrap();
    let signature = key.sign(b"exchange hash");
    assert_eq!(signature[..19], *b"\0\0\0\x0bssh-ed25519\0\0\0\x40");
    assert_eq!(signature.len(), 19 + 64);
    assert_eq!(key.public().verify(b"ssh-ed25519", b"exchange hash", &signature), Ok(()));
}

#[test]
fn one_key_serves_all_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<HostKey>();
    shared::<PublicKey>();
}

#[test]
fn two_generated_keys_differ() {
    assert_ne!(HostKey::generate().unwrap().public(), HostKey::generate().unwrap().public());
}

#[test]
fn an_empty_file_is_named_empty() {
    assert_eq!(refusal(""), KeyError::Empty);
    assert_eq!(refusal(" \n\r\n\t"), KeyError::Empty);
}

#[test]
fn a_truncated_file_is_named_truncated_wherever_it_ends() {
    let text = PLAIN.trim_end();
    for end in 1..text.len() {
        assert_eq!(refusal(&text[..end]), KeyError::Truncated, "after {end} bytes");
    }
}

#[test]
fn a_file_with_lines_missing_is_named_damaged() {
    let kept: Vec<&str> = PLAIN.lines().enumerate().filter(|(number, _)| *number != 3).map(|(_, line)| line).collect();
    assert!(matches!(refusal(&kept.join("\n")), KeyError::Malformed(_)));
    assert!(matches!(refusal(&format!("{BEGIN}\n{END}\n")), KeyError::Malformed(_)));
    assert!(matches!(refusal(&format!("{BEGIN}\n!!!!\n{END}\n")), KeyError::Malformed(_)));
}

#[test]
fn a_key_with_a_passphrase_is_named_encrypted() {
    assert_eq!(refusal(include_str!("fixtures/encrypted.key")), KeyError::Encrypted);
}

#[test]
fn a_key_that_is_not_taken_is_named_by_its_kind_or_size() {
    assert_eq!(refusal(include_str!("fixtures/rsa.key")), KeyError::RsaSize(1024));
    let security_key = ssh_key::private::SkEd25519::new(
        ssh_key::public::SkEd25519::new(Ed25519PublicKey([1; 32]), "ssh:"),
        0,
        [7; 32],
    )
    .unwrap();
    let key = ssh_key::PrivateKey::new(KeypairData::SkEd25519(security_key), "").unwrap();
    let kind = KeyError::Unsupported("sk-ssh-ed25519@openssh.com".into());
    assert_eq!(refusal(&key.to_openssh(LineEnding::LF).unwrap()), kind);
}

#[test]
fn a_key_in_another_programs_format_is_named_by_it() {
    assert_eq!(refusal(include_str!("fixtures/pem.key")), KeyError::Foreign("RSA PRIVATE KEY".into()));
    assert_eq!(refusal(include_str!("fixtures/pkcs8.key")), KeyError::Foreign("PRIVATE KEY".into()));
    assert_eq!(refusal("PuTTY-User-Key-File-3: ssh-ed25519\n"), KeyError::Foreign("PuTTY".into()));
}

#[test]
fn a_public_key_is_not_taken_for_a_private_one() {
    assert_eq!(refusal("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHPvNXhVQvOUlqn0VV7 x"), KeyError::PublicOnly);
    assert_eq!(refusal("---- BEGIN SSH2 PUBLIC KEY ----"), KeyError::NotAKey);
    assert_eq!(refusal("-----BEGIN PUBLIC KEY-----\n"), KeyError::PublicOnly);
}

#[test]
fn crlf_line_ends_are_named() {
    assert_eq!(refusal(&PLAIN.replace('\n', "\r\n")), KeyError::CarriageReturn);
}

#[test]
fn a_text_that_is_not_a_key_is_refused_as_such() {
    assert_eq!(refusal("root:x:0:0:root:/root:/bin/sh\n"), KeyError::NotAKey);
    assert_eq!(refusal("\u{0}\u{1}"), KeyError::NotAKey);
}

#[test]
fn mismatched_halves_are_refused_as_such() {
    let mut public = Ed25519PublicKey([0; 32]);
    public.0.copy_from_slice(&HostKey::generate().unwrap().public().blob()[19..]);
    let pair = Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(&[7; 32]) };
    let key = ssh_key::PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap();
    assert_eq!(refusal(&key.to_openssh(LineEnding::LF).unwrap()), KeyError::Mismatched);
}

#[test]
fn debug_output_shows_the_fingerprint_and_no_secret() {
    let shown = format!("{:?}", HostKey::from_openssh(PLAIN).unwrap());
    assert_eq!(
        shown,
        "HostKey { algorithm: \"ssh-ed25519\", fingerprint: \"SHA256://bkYkt9JxiE2RsrxRQ0aJzJSFAHMuz4upg2UypsFws\", .. }"
    );
}

#[test]
fn every_refusal_reads_as_a_sentence_about_the_file() {
    for pem in ["", "x", BEGIN, "-----BEGIN RSA PRIVATE KEY-----", "ssh-rsa A", include_str!("fixtures/encrypted.key")]
    {
        let text = refusal(pem).to_string();
        assert!(text.starts_with("it is "), "{text}");
    }
}
