//! K: the shares and signatures of a key exchange.

use std::collections::HashSet;

use whelk_ssh::crypto::agreement::{ALL, Agreement};
use whelk_ssh::error::{Reason, Violation};
use whelk_ssh::message::kex::KexMessage;

use crate::kex::{met, unexpected};
use crate::pair::{Setup, twice};
use crate::raw::{Raw, encode};

/// Points with predictable multiples: D. J. Bernstein, "Curve25519: how do I validate Curve25519 public keys?".
const SMALL: [&str; 12] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn small_points() -> impl Iterator<Item = Vec<u8>> {
    let byte = |point: &str, at| u8::from_str_radix(&point[at..at + 2], 16).expect("two digits");
    SMALL.into_iter().map(move |point| (0..point.len()).step_by(2).map(|at| byte(point, at)).collect())
}

/// Every agreement.
fn agreements() -> impl Iterator<Item = Agreement> {
    ALL.iter().map(|(_, agreement)| *agreement)
}

fn every_name() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// Invalid client shares of this agreement.
fn bad_shares(agreement: Agreement) -> Vec<Vec<u8>> {
    let (_, good) = agreement.initiate().expect("randomness");
    if matches!(agreement, Agreement::Nist(_)) {
        let lengths = [0, 1, 2, 32, 33, 49, 64, 65, 66, 67, 96, 97, 98, 132, 133, 134, 34_000];
        let of_length = lengths.into_iter().filter(|length| *length != good.len());
        let mut bad: Vec<Vec<u8>> =
            of_length.map(|length| good.iter().copied().cycle().take(length).collect()).collect();
        let changed = |at: usize, to: u8| good.iter().enumerate().map(|(i, b)| if i == at { to } else { *b }).collect();
        bad.extend([0, 2, 3, 6, 7, 0xff].map(|first| changed(0, first)));
        bad.push(changed(good.len() - 1, good[good.len() - 1] ^ 1));
        bad.push(vec![0; good.len()]);
        return bad;
    }
    if matches!(agreement, Agreement::ModP(_)) {
        // Too small, too large, negative, not the one form of an `mpint`.
        let zeros = vec![0; good.len()];
        let negative = [&[0x80], &good[1..]].concat();
        let larger = [&[1], &vec![0xff; 512][..]].concat();
        return vec![vec![], vec![0], vec![1], zeros, negative, larger, [&[0], &good[..]].concat(), vec![2; 34_000]];
    }
    let (rest, point) = good.split_at(good.len() - 32);
    let lengths = [0, 1, 31, 32, 33, 64, 1088, 1158, 1184, 1189, 1190, 1191, 1215, 1216, 1217, 1248, 34_000];
    let of_length = lengths.into_iter().filter(|length| *length != good.len());
    let mut bad: Vec<Vec<u8>> = of_length.map(|length| good.iter().copied().cycle().take(length).collect()).collect();
    bad.extend(small_points().map(|small| [rest, &small].concat()));
    if agreement == Agreement::MlKem768X25519 {
        bad.push([point, rest].concat());
        bad.push([&[0xff; 1184], point].concat());
    }
    bad
}

/// K25, K26, K30: nothing is signed for such a share, and the answer only says that the exchange failed.
#[test]
fn invalid_shares_are_refused_before_anything_is_signed() {
    let setup = Setup::new(usize::MAX);
    for agreement in agreements() {
        for share in bad_shares(agreement) {
            let mut setup = setup.clone();
            setup.server.preferences = setup.server.preferences.with_kex(&every_name()).expect("names of ours");
            let mut raw = met(&setup);
            raw.agreement = agreement;
            raw.init(&raw.offer());
            raw.send(&encode(&KexMessage::EcdhInit { share: &share }));
            assert_eq!(raw.violation(), Some(Violation::KexShare), "{agreement:?} {} bytes", share.len());
            let reply = raw.reply();
            assert_eq!(reply, [&b"\x01\0\0\0\x03\0\0\0\x0eprotocol error"[..], &[0; 4]].concat());
        }
    }
}

/// K25, K26, K30 from a hostile server.
#[test]
fn a_client_refuses_invalid_shares() {
    let setup = Setup::new(usize::MAX);
    for agreement in [Agreement::Curve25519, Agreement::MlKem768X25519] {
        let answered = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut raw = Raw::server(&setup);
            raw.agreement = agreement;
            raw.identify();
            raw.replies();
            raw.init(&raw.offer());
            let share = raw.reply()[5..].to_vec();
            let reply = raw.ecdh_reply(&share);
            let Ok(KexMessage::EcdhReply { host_key, share, signature }) = KexMessage::decode(&reply) else { panic!() };
            let mut share = share.to_vec();
            change(&mut share);
            raw.send(&encode(&KexMessage::EcdhReply { host_key, share: &share, signature }));
            raw
        };
        for small in small_points() {
            let raw = answered(&|share| {
                let at = share.len() - 32;
                share[at..].copy_from_slice(&small);
            });
            assert_eq!(raw.violation(), Some(Violation::KexShare));
        }
        for length in [0, 31, 33, 1087, 1088, 1119, 1121, 34_000] {
            let raw = answered(&|share| *share = share.iter().copied().cycle().take(length).collect());
            assert_eq!(raw.violation(), Some(Violation::KexShare), "{length}");
        }
        // Another share than the one that was signed, even a valid one.
        let mut raw = answered(&|share| share[0] ^= 1);
        assert_eq!(raw.violation(), Some(Violation::HostKeySignature));
        assert_eq!(raw.disconnect_reason(), Some(Reason::KeyExchangeFailed as u32));
        if agreement == Agreement::MlKem768X25519 {
            let raw = answered(&|share| share.rotate_left(1088));
            assert!(matches!(raw.violation(), Some(Violation::HostKeySignature | Violation::KexShare)));
        }
    }
}

/// A client refuses what only a client may send.
#[test]
fn a_client_refuses_a_reply_without_a_request() {
    twice(|setup| {
        let (mut raw, share) = Raw::awaiting_reply(&setup);
        let reply = raw.ecdh_reply(&share);
        for early in [&[21][..], &[20], &[30, 0, 0, 0, 0], &[7, 0, 0, 0, 0], &[6], &[52]] {
            let (mut raw, _) = Raw::awaiting_reply(&setup);
            raw.send(early);
            assert!(raw.violation().is_some(), "{early:?}");
        }
        let mut raw = Raw::serving(&setup);
        raw.send(&reply);
        assert_eq!(raw.violation(), unexpected(31));
    });
}

/// K31: among this many secrets some begin with a zero and half have their first bit set; both sides hash the same
/// bytes each time.
#[test]
fn both_sides_agree_whatever_the_secret_begins_with() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    for round in 0..600u64 {
        raw.exchange();
        assert_eq!((raw.side.exchanges(), &raw.error), (round + 2, &None));
    }
    // The exchange hash went into the keys of both sides, so the next packet proves that they agree.
    raw.open(0);
}

/// K38.
#[test]
fn cookies_and_shares_never_repeat() {
    let setup = Setup::new(usize::MAX);
    let mut seen = HashSet::new();
    let mut sessions = HashSet::new();
    let mut raw = Raw::entered(&setup);
    for _ in 0..200 {
        for payload in raw.exchange() {
            match KexMessage::decode(&payload) {
                Ok(KexMessage::KexInit { cookie, .. }) => assert!(seen.insert(cookie.to_vec())),
                Ok(KexMessage::EcdhReply { share, signature, .. }) => {
                    assert!(seen.insert(share.to_vec()) && seen.insert(signature.to_vec()));
                }
                Ok(KexMessage::NewKeys {} | KexMessage::EcdhInit { .. }) | Err(_) => {}
            }
        }
    }
    assert_eq!(seen.len(), 600);
    for _ in 0..20 {
        let raw = Raw::keyed(&setup);
        assert!(sessions.insert(raw.side.session_id().unwrap().as_ref().to_vec()));
    }
}
