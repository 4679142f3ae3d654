//! Requests with certificates: what is asked, what is verified, and what is refused without a question. Rows U9, U16.
//! And what is remembered of refused keys.

use ssh_key::Certificate as Line;
use whelk_ssh::auth::server::Verdict;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::auth::Method;
use whelk_ssh::wire::Wire;

use crate::door::{self, Covered, Door, FAILURE, SUCCESS, honest, key, none};

const NAME: &[u8] = b"ssh-ed25519-cert-v01@openssh.com";

/// A certificate of this key by this authority, valid for ever.
fn certificate(key: &HostKey, authority: &[u8], signer: &HostKey) -> Vec<u8> {
    let mut blob = Vec::new();
    NAME.write(&mut blob);
    b"nonce".as_slice().write(&mut blob);
    // Behind the name of the algorithm.
    blob.extend(&key.public().blob()[15..]);
    blob.extend(7_u64.to_be_bytes());
    1_u32.write(&mut blob);
    b"alice's laptop".as_slice().write(&mut blob);
    b"\0\0\0\x05alice".as_slice().write(&mut blob);
    blob.extend(0_u64.to_be_bytes());
    blob.extend(u64::MAX.to_be_bytes());
    for empty in [&b""[..]; 3] {
        empty.write(&mut blob);
    }
    authority.write(&mut blob);
    let signature = signer.sign(&blob);
    signature.as_slice().write(&mut blob);
    blob
}

fn request(algorithm: &[u8], blob: &[u8], signature: Option<&[u8]>) -> Vec<u8> {
    honest(b"alice", Method::PublicKey { algorithm, key: blob, signature })
}

/// A request signed by this key.
fn signed(algorithm: &[u8], blob: &[u8], signer: &HostKey) -> Vec<u8> {
    let covered = Covered { algorithm, ..Covered::right(b"alice", blob) }.bytes();
    request(algorithm, blob, Some(&signer.sign(&covered)))
}

#[test]
fn a_certificate_is_asked_about_and_proven_by_its_key() {
    let (key, authority) = (key(), key());
    let blob = certificate(&key, authority.public().blob(), &authority);
    let fingerprint = key.public().fingerprint();
    let mut door = Door::open();
    let query = request(NAME, &blob, None);
    assert_eq!(door.question(&query), format!("alice offers a certificate of {fingerprint}"));
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    let mut accepted = vec![60];
    NAME.write(&mut accepted);
    blob.as_slice().write(&mut accepted);
    assert_eq!(door.answers(), [accepted]);
    assert_eq!(door.question(&signed(NAME, &blob, &key)), format!("alice proves a certificate of {fingerprint}"));
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert_eq!(door.answers(), [SUCCESS]);
}

#[test]
fn u6_u9_a_certificate_is_proven_by_nobody_else_and_by_no_other_name() {
    let (key, authority) = (key(), key());
    let blob = certificate(&key, authority.public().blob(), &authority);
    let mut door = Door::open();
    door.refuses(&signed(NAME, &blob, &authority));
    door.refuses(&signed(b"ssh-ed25519", &blob, &key));
    door.refuses(&signed(NAME, key.public().blob(), &key));
    door.refuses(&signed(b"ecdsa-sha2-nistp256-cert-v01@openssh.com", &blob, &key));
    // Signed over the plain name or the plain key.
    let mut door = Door::open();
    for covered in [Covered::right(b"alice", &blob), Covered::right(b"alice", key.public().blob())] {
        door.refuses(&request(NAME, &blob, Some(&key.sign(&covered.bytes()))));
    }
}

#[test]
fn u16_a_certificate_that_its_authority_has_not_signed_or_that_is_nested_is_refused_unasked() {
    let (key, authority) = (key(), key());
    let good = certificate(&key, authority.public().blob(), &authority);
    for blob in [
        certificate(&key, authority.public().blob(), &key),
        certificate(&key, &good, &authority),
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
    ] {
        let mut door = Door::open();
        door.refuses(&request(NAME, &blob, None));
        door.refuses(&signed(NAME, &blob, &key));
    }
}

#[test]
fn u10_a_certificate_of_an_rsa_key_is_used_with_sha_2_only() {
    let line = include_str!("../../src/crypto/key/certificate/fixtures/rsa-cert.pub");
    let blob = Line::from_openssh(line).unwrap().to_bytes().unwrap();
    for algorithm in [&b"rsa-sha2-512-cert-v01@openssh.com"[..], b"rsa-sha2-256-cert-v01@openssh.com"] {
        let mut door = Door::open();
        assert!(door.question(&request(algorithm, &blob, None)).contains("offers a certificate"));
    }
    for algorithm in [&b"ssh-rsa-cert-v01@openssh.com"[..], b"ssh-rsa", b"rsa-sha2-512"] {
        Door::open().refuses(&request(algorithm, &blob, None));
    }
}

#[test]
fn a_refused_certificate_is_remembered_with_what_it_says() {
    let (key, authority) = (key(), key());
    let blob = certificate(&key, authority.public().blob(), &authority);
    let mut door = Door::open();
    assert_eq!(door.reply(&signed(NAME, &blob, &key), Verdict::Reject), Ok(FAILURE.to_vec()));
    door.question(&signed(NAME, &blob, &key));
    assert_eq!(door.refuse_key("it has expired"), Ok(()));
    let [one, two] = door.server.refused().keys() else { panic!("two were refused") };
    assert_eq!((&*one.reason, one.is_known), ("its authority is not trusted for this user", false));
    assert_eq!((&*two.reason, two.is_known), ("it has expired", true));
    let shown = two.certificate.as_ref().unwrap();
    assert_eq!((&*shown.key_id, shown.serial), (&b"alice's laptop"[..], 7));
    assert_eq!((&shown.authority, &two.fingerprint), (&authority.public().fingerprint(), &key.public().fingerprint()));
}

#[test]
fn a_certificate_that_was_refused_unasked_is_remembered_with_what_it_says_and_why() {
    let (key, authority) = (key(), key());
    let blob = |signer| certificate(&key, authority.public().blob(), signer);
    let unsigned = "its certificate is refused: the signature of its authority does not verify, or uses SHA-1";
    for (request, reason) in [
        (request(NAME, &blob(&key), None), unsigned),
        (signed(NAME, &blob(&key), &key), unsigned),
        (signed(NAME, &blob(&authority), &authority), "its signature is wrong"),
    ] {
        let mut door = Door::open();
        door.refuses(&request);
        let [refused] = door.server.refused().keys() else { panic!("one was refused") };
        assert_eq!((&*refused.reason, refused.is_known), (reason, false));
        let shown = refused.certificate.as_ref().unwrap();
        assert_eq!((&*shown.key_id, shown.serial), (&b"alice's laptop"[..], 7));
        let fingerprints = (&shown.authority, &refused.fingerprint);
        assert_eq!(fingerprints, (&authority.public().fingerprint(), &key.public().fingerprint()));
    }
}

#[test]
fn a_key_that_a_user_may_not_use_now_is_refused_like_any_other_and_remembered_with_the_reason() {
    let (mut door, key) = (Door::open(), key());
    door.question(&door::signed(b"alice", &key));
    assert_eq!(door.refuse_key("it has expired"), Ok(()));
    assert_eq!(door.answers(), [FAILURE]);
    let [refused] = door.server.refused().keys() else { panic!("one key was refused") };
    assert_eq!((&*refused.reason, refused.is_known), ("it has expired", true));
    assert_eq!(refused.fingerprint, key.public().fingerprint());
    // For a credential that is no key it is an ordinary rejection.
    door.question(&none(b"alice"));
    assert_eq!(door.refuse_key("it has expired"), Ok(()));
    assert_eq!(door.answers(), [FAILURE]);
    assert_eq!(door.server.refused().nones, 1);
}
