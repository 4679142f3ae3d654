//! Limits of counts, times and sizes.

use whelk_ssh::auth::method::MethodSet;
use whelk_ssh::auth::server::{Banner, Settings, Verdict};
use whelk_ssh::auth::{Machine, Step};
use whelk_ssh::error::{Error, Reason};
use whelk_ssh::message::auth::Method;

use crate::door::{Door, FAILURE, SUCCESS, honest, key, none, password, query, service, signed};

/// How many replies a client gets that repeats `payload`, with `verdict` for each attempt.
fn replies(door: &mut Door, payload: &[u8], verdict: Verdict) -> usize {
    for count in 0..2000 {
        match door.reply(payload, verdict.clone()) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, Error::TooManyAttempts);
                assert_eq!(error.reason(), Some(Reason::ProtocolError as u32));
                assert!(door.server.attempt().is_none());
                assert!(door.give(payload).is_err(), "nobody is let in after the end");
                return count;
            }
        }
    }
    panic!("the client may go on for ever")
}

#[test]
fn u24_the_sixth_failure_ends_the_connection() {
    let attempts =
        [query(b"alice", &key()), signed(b"alice", &key()), password(b"alice", b"x"), password(b"alice", &[0; 2000])];
    for payload in attempts {
        assert_eq!(replies(&mut Door::open(), &payload, Verdict::Reject), 5);
    }
    let unknown = honest(b"alice", Method::PublicKey { algorithm: b"ssh-dss", key: b"", signature: None });
    assert_eq!(replies(&mut Door::open(), &unknown, Verdict::Reject), 5);
    // It does not matter whether the application was asked.
    let rubbish = honest(b"alice", Method::PublicKey { algorithm: b"ssh-ed25519", key: b"", signature: None });
    assert_eq!(replies(&mut Door::open(), &rubbish, Verdict::Accept), 5);
}

#[test]
fn u24_the_first_none_is_free_and_the_next_is_not() {
    assert_eq!(replies(&mut Door::open(), &none(b"alice"), Verdict::Reject), 6);
    let mut door = Door::open();
    assert_eq!(door.reply(&none(b"alice"), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(replies(&mut door, &password(b"alice", b"x"), Verdict::Reject), 5);
    // The same for a name that is never asked about.
    assert_eq!(replies(&mut Door::open(), &none(&[b'a'; 300]), Verdict::Reject), 6);
}

#[test]
fn u24_the_fifth_failure_can_be_followed_by_the_right_password() {
    let mut door = Door::open();
    for _ in 0..5 {
        assert_eq!(door.reply(&password(b"alice", b"wrong"), Verdict::Reject), Ok(FAILURE.to_vec()));
    }
    assert_eq!(door.reply(&password(b"alice", b"right"), Verdict::Accept), Ok(SUCCESS.to_vec()));
}

#[test]
fn refused_attempts_are_kept_for_the_log_until_they_are_taken() {
    let mut door = Door::open();
    let (one, other) = (key(), key());
    assert!(!door.server.refused().any());
    door.reply(&none(b"alice"), Verdict::Reject).unwrap();
    door.reply(&query(b"alice", &one), Verdict::Reject).unwrap();
    door.reply(&password(b"alice", b"x"), Verdict::Reject).unwrap();
    let dsa = honest(b"alice", Method::PublicKey { algorithm: b"ssh-dss", key: b"blob", signature: None });
    door.reply(&dsa, Verdict::Reject).unwrap();
    let refused = door.server.refused();
    assert_eq!((refused.key_count, refused.passwords, refused.nones), (2, 1, 1));
    let told: Vec<_> = refused.keys().iter().map(|key| (key.fingerprint.clone(), key.reason.clone())).collect();
    assert_eq!(told[0], (one.public().fingerprint(), "it is not a key of this user".into()));
    assert!(told[1].1.contains("not supported"), "{told:?}");
    assert_eq!(refused.keys()[1].algorithm, b"ssh-dss");
    assert_eq!(door.server.asking(), Some(&b"alice"[..]));
    door.reply(&signed(b"alice", &other), Verdict::Accept).unwrap();
    assert_eq!(door.server.take_refused().key_count, 2);
    assert!(!door.server.refused().any());
}

#[test]
fn u25_messages_that_do_not_fail_are_counted_too() {
    let methods = MethodSet::ALL;
    // The service request was the first of the 64.
    assert_eq!(replies(&mut Door::open(), &query(b"alice", &key()), Verdict::Accept), 63);
    assert_eq!(replies(&mut Door::open(), &password(b"alice", b"x"), Verdict::Partial(methods)), 63);
    assert_eq!(replies(&mut Door::open(), &none(b"alice"), Verdict::Partial(methods)), 63);
    assert_eq!(replies(&mut Door::open(), &service(b"ssh-userauth"), Verdict::Reject), 63);
}

#[test]
fn u29_long_passwords_are_not_kept() {
    Door::is_unusable(&password(b"alice", &[b'x'; 1025]));
    Door::is_unusable(&password(b"alice", &vec![b'x'; 1 << 20]));
    let long: &[u8] = &[b'x'; 1025];
    for (password, new) in [(long, &b"new"[..]), (b"old", long), (long, long)] {
        Door::is_unusable(&honest(b"alice", Method::Password { password, new: Some(new) }));
    }
    let mut door = Door::open();
    let longest = [b'x'; 1024];
    assert_eq!(door.question(&password(b"alice", &longest)), format!("alice password {}", longest.escape_ascii()));
}

#[test]
fn u29_the_application_gets_a_password_unchanged() {
    for secret in [&b""[..], b"a\0b", b"\xff\xfe", "pässword".as_bytes()] {
        let question = Door::open().question(&password(b"alice", secret));
        assert_eq!(question, format!("alice password {}", secret.escape_ascii()));
    }
}

#[test]
fn u35_the_banner_comes_once_and_before_the_first_answer() {
    let banner = Banner::new("be kind\n\x1b[31m");
    let mut door = Door::with(Settings { banner: Some(banner), ..Settings::default() });
    door.out.room = 0;
    assert_eq!(door.give(&password(b"alice", b"x")), Ok(Step::Attempt));
    assert!(door.server.owes(), "the banner does not wait for the verdict");
    assert_eq!(door.decide(Verdict::Reject), Ok(()));
    assert!(door.answers().is_empty());
    door.out.room = 1;
    door.server.write_owed(&mut door.out);
    assert_eq!(door.answers(), [&b"\x35\0\0\0\x0dbe kind\r\n[31m\0\0\0\0"[..], FAILURE]);
    assert_eq!(door.reply(&password(b"alice", b"x"), Verdict::Reject), Ok(FAILURE.to_vec()));
}

#[test]
fn a_banner_is_shown_while_the_first_attempt_is_being_decided() {
    let mut door = Door::with(Settings { banner: Some(Banner::new("hi")), ..Settings::default() });
    door.question(&none(b"alice"));
    assert_eq!(door.answers(), [b"\x35\0\0\0\x02hi\0\0\0\0"]);
    assert!(door.server.has_open_question() && !door.server.owes());
}

#[test]
fn nothing_is_written_without_room() {
    let mut door = Door::new(Settings::default());
    door.out.room = 0;
    assert_eq!(door.give(&service(b"ssh-userauth")), Ok(Step::Nothing));
    assert!(door.server.owes() && door.server.has_open_question());
    assert!(door.answers().is_empty());
    door.out.room = 1;
    door.server.write_owed(&mut door.out);
    assert_eq!(door.answers().len(), 1);
    door.server.write_owed(&mut door.out);
    assert!(door.answers().is_empty());
}
