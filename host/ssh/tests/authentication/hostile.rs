//! Requests that try to log in without permission, by row.

use whelk_ssh::auth::method::{AuthMethod, MethodSet};
use whelk_ssh::auth::server::{Settings, Verdict};
use whelk_ssh::auth::{AuthStage, Machine, Step};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::auth::Method;
use whelk_ssh::wire::{Malformed, Wire};

use crate::door::{
    Covered, Door, FAILURE, SESSION, SUCCESS, key, none, password, query, request, service, signed, signed_over,
};

fn unexpected(number: u8) -> Result<Step<'static>, Error> {
    Err(Error::Peer(Violation::Unexpected { number }))
}

#[test]
fn u1_a_client_that_sends_success_is_disconnected() {
    let mut door = Door::open();
    assert_eq!(door.give(SUCCESS), unexpected(52));
    assert_eq!(door.server.stage(), AuthStage::Auth);
    assert_eq!(door.server.user(), None);
    assert!(door.answers().is_empty());
}

#[test]
fn u2_u3_every_other_message_number_is_refused_in_each_phase() {
    let bad = key();
    let before = || Door::new(Settings::default());
    for number in 0..=255 {
        if number != 5 {
            assert_eq!(before().give(&[number, 0, 0, 0, 0]), unexpected(number), "{number} before the service");
        }
        if ![5, 50].contains(&number) {
            // 61 too: nobody was asked.
            assert_eq!(Door::open().give(&[number, 0, 0, 0, 0]), unexpected(number), "{number} while authenticating");
        }
        if number != 50 {
            assert_eq!(entered().give(&[number, 0, 0, 0, 0]), unexpected(number), "{number} after success");
        }
    }
    // Between a query and its signature, and after a failure.
    for number in [5, 50] {
        let mut door = Door::open();
        door.question(&query(b"alice", &bad));
        assert_eq!(door.give(&[number]), unexpected(number), "a waiting machine is not to be given more");
    }
    let mut door = Door::open();
    assert_eq!(door.reply(&none(b"alice"), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.give(&[90]), unexpected(90));
}

fn entered() -> Door {
    let mut door = Door::open();
    assert_eq!(door.reply(&none(b"alice"), Verdict::Accept), Ok(SUCCESS.to_vec()));
    assert_eq!(door.server.stage(), AuthStage::Open);
    door
}

#[test]
fn u4_nothing_behind_a_request_is_read_before_success_was_sent() {
    let mut door = Door::open();
    door.out.room = 0;
    door.question(&signed(b"alice", &key()));
    assert!(door.server.has_open_question());
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert!(door.server.has_open_question() && door.server.owes());
    assert_eq!(door.server.stage(), AuthStage::Auth);
    door.out.room = 1;
    door.server.write_owed(&mut door.out);
    assert_eq!(door.answers(), [SUCCESS]);
    assert!(!door.server.has_open_question() && !door.server.owes());
    assert_eq!(door.server.stage(), AuthStage::Open);
}

#[test]
fn u5_a_key_that_was_offered_is_not_a_key_that_was_proven() {
    let (good, bad) = (key(), key());
    let mut door = Door::open();
    let offered = door.question(&query(b"alice", &good));
    assert_eq!(offered, format!("alice offers {}", good.public().fingerprint()));
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert_eq!(door.answers().len(), 1);
    assert_eq!(door.server.stage(), AuthStage::Auth);
    assert_eq!(door.server.user(), None);
    // The other key proves itself, and the question is about that key.
    assert_eq!(door.question(&signed(b"alice", &bad)), format!("alice proves {}", bad.public().fingerprint()));
    assert_eq!(door.decide(Verdict::Reject), Ok(()));
    assert_eq!(door.answers(), [FAILURE]);
    // The other key is queried last, the good one signs.
    door.question(&query(b"alice", &bad));
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert_eq!(door.question(&signed(b"alice", &good)), format!("alice proves {}", good.public().fingerprint()));
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert_eq!(door.server.user(), Some(&b"alice"[..]));
}

#[test]
fn u5_partial_success_for_an_offered_key_only_permits_signing() {
    let good = key();
    let mut door = Door::open();
    let methods = MethodSet::NONE.with(AuthMethod::Password);
    let reply = door.reply(&query(b"alice", &good), Verdict::Partial(methods));
    assert_eq!(reply.map(|reply| reply.first().copied()), Ok(Some(60)));
    let reply = door.reply(&signed(b"alice", &good), Verdict::Partial(methods));
    assert_eq!(reply, Ok(b"\x33\0\0\0\x08password\x01".to_vec()));
}

#[test]
fn u6_a_signature_by_another_key_is_refused_without_a_question() {
    let (good, bad) = (key(), key());
    let right = Covered::right(b"alice", good.public().blob()).bytes();
    Door::open().refuses(&signed_over(b"alice", &good, &bad, &right));
}

#[test]
fn u7_a_signature_of_another_connection_is_refused_without_a_question() {
    let good = key();
    for session in [&[0; 32][..], &[8; 32], b"", &SESSION[..31]] {
        let public = good.public();
        let covered = Covered { session, ..Covered::right(b"alice", public.blob()) }.bytes();
        Door::open().refuses(&signed_over(b"alice", &good, &good, &covered));
    }
}

#[test]
fn u8_a_signature_covers_each_field() {
    let (good, other) = (key(), key());
    let (public, other) = (good.public(), other.public());
    let right = || Covered::right(b"alice", public.blob());
    let mut host_key = Vec::new();
    other.blob().write(&mut host_key);
    let wrong = [
        Covered { number: 51, ..right() },
        Covered { user: b"bob", ..right() },
        Covered { service: b"ssh-userauth", ..right() },
        Covered { method: b"hostbased", ..right() },
        Covered { method: b"publickey-hostbound-v00@openssh.com", tail: &host_key, ..right() },
        Covered { signed: false, ..right() },
        Covered { algorithm: b"rsa-sha2-512", ..right() },
        Covered { blob: other.blob(), ..right() },
        Covered { tail: b"\0", ..right() },
    ];
    for covered in wrong {
        Door::open().refuses(&signed_over(b"alice", &good, &good, &covered.bytes()));
    }
    let right = right().bytes();
    Door::open().question(&signed_over(b"alice", &good, &good, &right));
}

#[test]
fn u9_u10_the_algorithm_outside_the_blob_must_be_the_keys() {
    let good = key();
    let public = good.public();
    let inner = |name: &[u8]| {
        let signature = good.sign(&Covered::right(b"alice", public.blob()).bytes());
        let mut renamed = Vec::new();
        name.write(&mut renamed);
        renamed.extend_from_slice(signature.get(15..).expect("a signature blob opens with `string` ssh-ed25519"));
        renamed
    };
    for algorithm in
        [&b"ssh-rsa"[..], b"rsa-sha2-256", b"rsa-sha2-512", b"ssh-ed25519-cert-v01@openssh.com", b"", b"ssh-ed25519\0"]
    {
        let signature = inner(algorithm);
        for signature in [None, Some(&signature[..])] {
            let method = Method::PublicKey { algorithm, key: public.blob(), signature };
            Door::open().refuses(&crate::door::honest(b"alice", method));
        }
        // And the algorithm inside the blob instead of the one outside.
        let method = Method::PublicKey { algorithm: b"ssh-ed25519", key: public.blob(), signature: Some(&signature) };
        Door::open().refuses(&crate::door::honest(b"alice", method));
    }
    let right = inner(b"ssh-ed25519");
    let method = Method::PublicKey { algorithm: b"ssh-ed25519", key: public.blob(), signature: Some(&right) };
    Door::open().question(&crate::door::honest(b"alice", method));
}

#[test]
fn u15_u16_malformed_or_unknown_keys_are_refused_and_the_connection_goes_on() {
    let good = key();
    let blob = good.public().blob().to_vec();
    let mut keys = vec![(b"ssh-ed25519".to_vec(), Vec::new()), (b"ssh-ed25519".to_vec(), vec![0xff; 200])];
    for length in 0..blob.len() {
        keys.push((b"ssh-ed25519".to_vec(), blob[..length].to_vec()));
    }
    keys.push((b"ssh-ed25519".to_vec(), [&blob[..], b"\0"].concat()));
    for name in ["rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"] {
        let mut blob = Vec::new();
        name.as_bytes().write(&mut blob);
        blob.extend_from_slice(&[0xff; 64]);
        keys.push((name.as_bytes().to_vec(), blob));
    }
    for (algorithm, blob) in keys {
        for signature in [None, Some(&[0xff; 83][..])] {
            let method = Method::PublicKey { algorithm: &algorithm, key: &blob, signature };
            Door::open().refuses(&crate::door::honest(b"alice", method));
        }
    }
}

/// A user who needs no credentials is accepted with any key, at the query already. For all others it is the same as a
/// wrong key.
#[test]
fn u16_the_application_decides_on_keys_that_cannot_be_verified() {
    for name in [
        "ssh-rsa",
        "ssh-dss",
        "ecdsa-sha2-nistp224",
        "ssh-dss-cert-v01@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "\u{ff}",
        "",
    ] {
        let mut blob = Vec::new();
        name.as_bytes().write(&mut blob);
        blob.extend_from_slice(&[0xff; 64]);
        for signature in [None, Some(&[0xff; 83][..])] {
            let method = Method::PublicKey { algorithm: name.as_bytes(), key: &blob, signature };
            Door::is_unusable(&crate::door::honest(b"alice", method));
        }
    }
}

/// A key and a request of it: the algorithm outside, the blob, and the signature blob.
fn with_key(algorithm: &[u8], blob: &[u8], signature: Option<&[u8]>) -> Vec<u8> {
    crate::door::honest(b"alice", Method::PublicKey { algorithm, key: blob, signature })
}

/// A key file of the fixtures.
fn fixture(text: &str) -> HostKey {
    HostKey::from_file(text).expect("a file of our own")
}

/// A signature of `key` by `algorithm` over the request in which it stands.
fn signed_by(key: &HostKey, algorithm: &'static str) -> Vec<u8> {
    let blob = key.public().blob();
    let covered = Covered { algorithm: algorithm.as_bytes(), ..Covered::right(b"alice", blob) }.bytes();
    let signature = key.sign_with(algorithm, &covered).expect("one that it makes");
    with_key(algorithm.as_bytes(), blob, Some(&signature))
}

/// PK_OK repeats the algorithm of the query (RFC 4252 §7): with RSA it is not that of the key.
#[test]
fn a_query_is_answered_with_its_own_algorithm() {
    for (text, algorithms) in [
        (include_str!("../../src/crypto/key/host/fixtures/rsa_3072.key"), &["rsa-sha2-512", "rsa-sha2-256"][..]),
        (include_str!("../../src/crypto/key/host/fixtures/ecdsa.key"), &["ecdsa-sha2-nistp256"]),
        (include_str!("../../src/crypto/key/host/fixtures/ecdsa384.key"), &["ecdsa-sha2-nistp384"]),
    ] {
        let key = fixture(text);
        for algorithm in algorithms {
            let mut expected = vec![60];
            algorithm.as_bytes().write(&mut expected);
            key.public().blob().write(&mut expected);
            let mut door = Door::open();
            let query = with_key(algorithm.as_bytes(), key.public().blob(), None);
            assert_eq!(door.reply(&query, Verdict::Accept), Ok(expected));
            assert_eq!(door.reply(&signed_by(&key, algorithm), Verdict::Accept), Ok(SUCCESS.to_vec()));
        }
    }
}

/// The algorithm in the request, in the signed bytes and in the signature must be one.
#[test]
fn u9_an_rsa_signature_counts_for_the_algorithm_that_was_asked_for() {
    let key = fixture(include_str!("../../src/crypto/key/host/fixtures/rsa_3072.key"));
    let blob = key.public().blob();
    let names = ["rsa-sha2-512", "rsa-sha2-256"];
    for outer in names {
        for covered in names {
            for made in names {
                let bytes = Covered { algorithm: covered.as_bytes(), ..Covered::right(b"alice", blob) }.bytes();
                let signature = key.sign_with(made, &bytes).expect("one that it makes");
                let request = with_key(outer.as_bytes(), blob, Some(&signature));
                if outer == covered && covered == made {
                    Door::open().question(&request);
                } else {
                    Door::open().refuses(&request);
                }
            }
        }
        // An algorithm of another type of key.
        for other in ["ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "rsa-sha2-384", ""] {
            Door::open().refuses(&with_key(other.as_bytes(), blob, None));
        }
    }
}

/// SHA-1 and wrong sizes are nobody's credential. A user who needs none enters all the same.
#[test]
fn u10_u11_rsa_with_sha_1_or_of_a_wrong_size_is_left_to_the_application() {
    let key = fixture(include_str!("../../src/crypto/key/host/fixtures/rsa_3072.key"));
    Door::is_unusable(&with_key(b"ssh-rsa", key.public().blob(), None));
    Door::is_unusable(&with_key(b"ssh-rsa", key.public().blob(), Some(&[7; 400])));
    for bytes in [1, 64, 128, 255, 1025, 2048, 4096, 30_000] {
        let mut blob = Vec::new();
        b"ssh-rsa".as_slice().write(&mut blob);
        [1, 0, 1].as_slice().write(&mut blob);
        [&[0][..], &vec![0xff; bytes]].concat().as_slice().write(&mut blob);
        Door::is_unusable(&with_key(b"rsa-sha2-512", &blob, None));
        Door::is_unusable(&with_key(b"rsa-sha2-512", &blob, Some(&[7; 400])));
    }
}

/// A security key's request: Ed25519 with these flags.
fn security_key(flags: u8) -> Vec<u8> {
    use ed25519_dalek::{Signer, SigningKey};
    use sha2::{Digest, Sha256};
    let secret = SigningKey::from_bytes(&[9; 32]);
    let name = b"sk-ssh-ed25519@openssh.com".as_slice();
    let mut blob = Vec::new();
    name.write(&mut blob);
    secret.verifying_key().as_bytes().as_slice().write(&mut blob);
    b"ssh:".as_slice().write(&mut blob);
    let covered = Covered { algorithm: name, ..Covered::right(b"alice", &blob) }.bytes();
    let said = [flags, 0, 0, 0, 9];
    let signed = [&Sha256::digest(b"ssh:")[..], &said, &Sha256::digest(covered)].concat();
    let mut signature = Vec::new();
    name.write(&mut signature);
    secret.sign(&signed).to_bytes().as_slice().write(&mut signature);
    signature.extend_from_slice(&said);
    with_key(name, &blob, Some(&signature))
}

#[test]
fn u14_a_security_key_that_nobody_touched_is_refused_unless_the_application_judges_it() {
    for flags in [0, 2, 4, 0xfe] {
        Door::open().refuses(&security_key(flags));
    }
    for flags in [1, 5, 0xff] {
        let mut door = Door::open();
        door.question(&security_key(flags));
        let presence = door.server.presence().expect("it is a security key");
        assert_eq!((presence.touched, presence.verified, presence.counter), (true, flags & 4 != 0, 9));
        assert_eq!(door.decide(Verdict::Accept), Ok(()));
        assert_eq!(door.server.presence(), None);
        assert_eq!(door.answers(), [SUCCESS]);
    }
    let mut door = Door::open();
    door.server.judge_touch();
    door.question(&security_key(0));
    assert!(!door.server.presence().expect("it is a security key").touched);
    assert_eq!(door.decide(Verdict::Reject), Ok(()));
    assert_eq!(door.answers(), [FAILURE]);
}

#[test]
fn only_a_security_key_says_anything_of_its_user() {
    let mut door = Door::open();
    door.question(&signed(b"alice", &key()));
    assert_eq!(door.server.presence(), None);
}

#[test]
fn u18_none_is_a_question_like_any_other() {
    let mut door = Door::open();
    assert_eq!(door.question(&none(b"alice")), "alice none");
    assert_eq!(door.decide(Verdict::Reject), Ok(()));
    assert_eq!(door.answers(), [FAILURE]);
    assert_eq!(door.server.user(), None);
}

#[test]
fn u19_the_only_service_is_authentication() {
    let long = vec![b'x'; 65_536];
    for name in [&b"ssh-connection"[..], b"", b"ssh-userauth\0", b"ssh-user", &long] {
        let mut door = Door::new(Settings::default());
        let error = Error::Peer(Violation::Service);
        assert_eq!(error.reason(), Some(whelk_ssh::error::Reason::ServiceNotAvailable as u32));
        assert_eq!(door.give(&service(name)), Err(error));
        assert!(door.answers().is_empty());
        assert_eq!(door.server.stage(), AuthStage::Auth);
        assert_eq!(door.give(&service(b"ssh-userauth")), unexpected(5), "nothing works after the end");
    }
}

#[test]
fn u20_a_request_for_another_service_authenticates_nobody() {
    let good = key();
    for name in [&b"evil"[..], b"ssh-userauth", b""] {
        let public = good.public();
        let covered = Covered { service: name, ..Covered::right(b"alice", public.blob()) }.bytes();
        let signature = good.sign(&covered);
        let mut body = Vec::new();
        Method::PublicKey { algorithm: b"ssh-ed25519", key: public.blob(), signature: Some(&signature) }
            .encode(&mut body);
        let mut door = Door::open();
        assert_eq!(door.give(&request(b"alice", name, b"publickey", &body)), Err(Error::Peer(Violation::Service)));
        assert!(door.server.attempt().is_none());
    }
}

#[test]
fn u21_the_user_cannot_change_between_attempts() {
    let good = key();
    let mut door = Door::open();
    assert_eq!(door.reply(&password(b"mallory", b"x"), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.give(&signed(b"alice", &good)), Err(Error::Peer(Violation::UserChanged)));
    assert!(door.server.attempt().is_none());

    let mut door = Door::open();
    let verdict = Verdict::Partial(MethodSet::NONE.with(AuthMethod::Password));
    assert!(door.reply(&signed(b"alice", &good), verdict).is_ok());
    assert_eq!(door.give(&password(b"bob", b"x")), Err(Error::Peer(Violation::UserChanged)));
    assert!(door.server.attempt().is_none());

    // A name too long to be kept whole never matches a shorter one.
    let long = [b'a'; 300];
    let mut door = Door::open();
    assert_eq!(door.reply(&none(&long), Verdict::Accept), Ok(FAILURE.to_vec()));
    assert_eq!(door.give(&none(&long[..255])), Err(Error::Peer(Violation::UserChanged)));
}

#[test]
fn u22_requests_after_success_are_ignored() {
    let mut door = entered();
    for payload in [none(b"bob"), signed(b"bob", &key()), vec![50]] {
        assert_eq!(door.give(&payload), Ok(Step::Nothing));
        assert!(door.server.attempt().is_none());
        assert!(door.answers().is_empty());
        assert_eq!(door.server.user(), Some(&b"alice"[..]));
    }
}

#[test]
fn u23_the_service_can_be_requested_again_before_success_and_not_after() {
    let mut door = Door::open();
    assert_eq!(door.reply(&none(b"alice"), Verdict::Reject), Ok(FAILURE.to_vec()));
    // paramiko asks before each attempt. The user stays fixed.
    let accept = b"\x06\0\0\0\x0cssh-userauth".to_vec();
    assert_eq!(door.reply(&service(b"ssh-userauth"), Verdict::Accept), Ok(accept));
    assert_eq!(door.give(&none(b"bob")), Err(Error::Peer(Violation::UserChanged)));

    let mut door = entered();
    assert_eq!(door.give(&service(b"ssh-userauth")), unexpected(5));
    assert_eq!(entered().give(&service(b"ssh-connection")), unexpected(5));
}

#[test]
fn u31_malformed_requests_end_the_connection_for_every_user() {
    let whole = [
        signed(b"alice", &key()),
        query(b"alice", &key()),
        password(b"alice", b"secret"),
        none(b"alice"),
        crate::door::honest(b"alice", Method::Password { password: b"old", new: Some(b"new") }),
    ];
    for payload in whole {
        for length in 1..payload.len() {
            let mut door = Door::open();
            let error = Violation::Malformed { number: 50, what: Malformed::Truncated };
            assert_eq!(door.give(&payload[..length]), Err(Error::Peer(error)), "{length} bytes of {payload:02x?}");
            assert!(door.answers().is_empty());
        }
        let mut door = Door::open();
        let error = Violation::Malformed { number: 50, what: Malformed::Trailing };
        assert_eq!(door.give(&[&payload[..], b"\0"].concat()), Err(Error::Peer(error)));
    }
}

#[test]
fn u32_another_users_key_and_a_malformed_key_get_the_same_answer() {
    let mut door = Door::open();
    let of_somebody = door.reply(&query(b"alice", &key()), Verdict::Reject);
    let method = Method::PublicKey { algorithm: b"ssh-ed25519", key: b"rubbish", signature: None };
    let of_nobody = door.reply(&crate::door::honest(b"alice", method), Verdict::Accept);
    assert_eq!(of_somebody, of_nobody);
}

#[test]
fn u33_u34_the_application_gets_any_user_name_unchanged() {
    let longest = [b'a'; 255];
    let names: [&[u8]; 8] = [
        b"\xff\xfe\x1b[31m",
        b"",
        b"a\0b",
        b"a/../b",
        b"../../other-tenant/plugin",
        b"%n%s",
        "\u{202e}".as_bytes(),
        &longest,
    ];
    for name in names {
        let mut door = Door::open();
        assert_eq!(door.give(&none(name)), Ok(Step::Attempt));
        assert_eq!(door.server.attempt().map(|attempt| attempt.user), Some(name));
        assert_eq!(door.decide(Verdict::Reject), Ok(()));
        assert_eq!(door.answers(), [FAILURE]);
    }
}

#[test]
fn u33_overlong_names_fail_without_a_question_and_with_the_same_answer() {
    for length in [256, 257, 65_536] {
        let name = vec![b'a'; length];
        let mut door = Door::open();
        door.refuses(&none(&name));
        door.refuses(&password(&name, b"x"));
        door.refuses(&signed(&name, &key()));
    }
}

#[test]
fn u36_an_answer_without_a_question_is_ignored() {
    let mut door = Door::new(Settings::default());
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert_eq!(door.server.stage(), AuthStage::Service);
    let mut door = Door::open();
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert_eq!(door.reply(&none(b"alice"), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert!(door.answers().is_empty());
    assert_eq!(door.server.stage(), AuthStage::Auth);
    let mut door = entered();
    assert_eq!(door.decide(Verdict::Reject), Ok(()));
    assert_eq!(door.server.user(), Some(&b"alice"[..]));
}

#[test]
fn u39_u40_unknown_methods_are_refused_unread() {
    for method in [&b"gssapi-with-mic"[..], b"hostbased", b"", b"\xff", b"NONE"] {
        for body in [&b""[..], b"\xff\xff\xff\xff", &[0; 20_000]] {
            Door::open().refuses(&request(b"alice", b"ssh-connection", method, body));
        }
    }
}

#[test]
fn methods_that_are_not_offered_are_refused_without_a_question() {
    let settings =
        |methods: &[AuthMethod]| Settings { methods: methods.iter().copied().collect(), ..Settings::default() };
    let (public_key, password_only) = (&[AuthMethod::PublicKey][..], &[AuthMethod::Password][..]);
    let refused = |settings, payload: &[u8]| {
        let mut door = Door::with(settings);
        assert_eq!(door.give(payload), Ok(Step::Nothing));
        door.answers()
    };
    assert_eq!(refused(settings(public_key), &password(b"alice", b"x")), [b"\x33\0\0\0\x09publickey\0"]);
    assert_eq!(refused(settings(password_only), &query(b"alice", &key())), [b"\x33\0\0\0\x08password\0"]);
    assert_eq!(refused(settings(&[]), &signed(b"alice", &key())), [b"\x33\0\0\0\0\0"]);
}
