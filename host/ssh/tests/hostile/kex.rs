//! K: key exchange, first and later ones.

use std::collections::HashSet;
use std::time::Duration;

use whelk_ssh::auth::server;
use whelk_ssh::crypto::agreement::Agreement;
use whelk_ssh::crypto::cipher::Cipher;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::error::{Error, Reason, Stage, Violation};
use whelk_ssh::message::kex::KexMessage;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::wire::Malformed;

use crate::memory::held;
use crate::pair::{Setup, twice};
use crate::raw::{LAX, Lists, Raw, STRICT, data, encode, none, on_channel, open};

const FIRST: ChannelId = ChannelId(0);

/// A victim that has our identification.
fn met(setup: &Setup) -> Raw<server::Server> {
    let mut raw = Raw::client(setup);
    raw.identify();
    raw.replies();
    raw
}

/// A victim that has our KEXINIT too.
fn begun(setup: &Setup) -> Raw<server::Server> {
    let mut raw = met(setup);
    raw.init(&raw.offer());
    raw
}

fn unexpected(number: u8) -> Option<Violation> {
    Some(Violation::Unexpected { number })
}

/// The list of key exchanges in a KEXINIT.
fn kex_names(init: &[u8]) -> String {
    let Ok(KexMessage::KexInit { kex, .. }) = KexMessage::decode(init) else { panic!("{init:02x?}") };
    kex.as_str().to_owned()
}

/// K1.
#[test]
fn the_promise_of_strictness_stands_in_the_first_kexinit_and_in_no_other() {
    twice(|setup| {
        let mut raw = Raw::client(&setup);
        raw.identify();
        assert!(kex_names(&raw.reply()).ends_with(",kex-strict-s-v00@openssh.com"));
        let mut raw = Raw::entered(&setup);
        raw.side.rekey(raw.now);
        raw.flush();
        assert!(!kex_names(&raw.reply()).contains("strict"));

        let mut raw = Raw::server(&setup);
        raw.identify();
        assert!(kex_names(&raw.reply()).ends_with(",ext-info-c,kex-strict-c-v00@openssh.com"));
        let mut raw = Raw::let_in(&setup);
        raw.side.rekey(raw.now);
        raw.flush();
        let names = kex_names(&raw.reply());
        assert!(!names.contains("strict") && !names.contains("ext-info"), "{names}");
    });
}

/// K2.
#[test]
fn a_strict_clients_kexinit_is_its_first_packet() {
    twice(|setup| {
        for before in [&b"\x02\0\0\0\0"[..], b"\x03\0\0\0\0", b"\x04\0\0\0\0\0\0\0\0\0"] {
            let mut raw = met(&setup);
            raw.send(before);
            raw.init(&raw.offer());
            assert_eq!(raw.violation(), Some(Violation::StrictKex));
            assert_eq!(raw.farewell(), Some(2));
        }
    });
}

/// What does not belong into a strict key exchange, one of each.
fn strangers() -> Vec<Vec<u8>> {
    vec![
        b"\x02\0\0\0\0".to_vec(),
        b"\x03\0\0\0\0".to_vec(),
        b"\x04\0\0\0\0\0\0\0\0\0".to_vec(),
        b"\x07\0\0\0\0".to_vec(),
        crate::raw::SERVICE.to_vec(),
        none(b"alice"),
        b"\x50\0\0\0\x01x\x01".to_vec(),
        open(0, 1, 1),
        b"\xc0\0\0\0\x01x".to_vec(),
    ]
}

/// K3.
#[test]
fn nothing_optional_stands_between_a_strict_clients_kexinit_and_its_share() {
    twice(|setup| {
        for stranger in
            strangers().into_iter().chain([Lists::honest(Agreement::Curve25519, Cipher::ALL[0], LAX).payload()])
        {
            let mut raw = begun(&setup);
            raw.send(&stranger);
            assert_eq!(raw.violation(), unexpected(stranger[0]));
            assert_eq!(raw.farewell(), Some(2));
        }
    });
}

/// K4.
#[test]
fn nothing_optional_stands_between_the_reply_and_a_strict_clients_newkeys() {
    twice(|setup| {
        for stranger in strangers().into_iter().chain([vec![20], b"\x1e\0\0\0\0".to_vec()]) {
            let mut raw = begun(&setup);
            let share = raw.share();
            raw.send(&share);
            raw.replies();
            raw.send(&stranger);
            assert_eq!(raw.violation(), unexpected(stranger[0]));
            // The victim's keys have changed already.
            assert_eq!(raw.farewell(), Some(2));
        }
    });
}

/// K5.
#[test]
fn sequence_numbers_start_anew_with_every_newkeys_of_a_strict_connection() {
    twice(|setup| {
        for cipher in Cipher::ALL {
            let mut raw = Raw::client(&setup);
            raw.cipher = cipher;
            let mut raw = raw.key().service().enter();
            raw.open(0);
            for round in 1..=3u8 {
                raw.exchange();
                raw.send(&data(&[round]));
                assert_eq!((raw.side.exchanges(), &raw.error), (u64::from(round) + 1, &None));
            }
            assert_eq!(raw.application.received(FIRST), [1, 2, 3]);
        }
        // Only where the number is the nonce does it show that one side has not started anew.
        let mut raw = Raw::entered(&setup);
        raw.strict = false;
        raw.exchange();
        raw.send(b"\x02\0\0\0\0");
        assert_eq!(raw.error, Some(Error::Integrity));
    });
}

/// K6.
#[test]
fn markers_are_no_key_exchange() {
    twice(|setup| {
        for kex in [
            "kex-strict-s-v00@openssh.com",
            "kex-strict-c-v00@openssh.com",
            "ext-info-s",
            "ext-info-c",
            "ext-info-c,kex-strict-c-v00@openssh.com",
            "",
        ] {
            let mut raw = met(&setup);
            raw.init(&Lists { kex: kex.into(), ..raw.offer() });
            assert!(matches!(raw.error, Some(Error::Incompatible { kind: "key exchange", .. })), "{:?}", raw.error);
            assert_eq!(raw.farewell(), Some(3));
        }
    });
}

/// K7.
#[test]
fn a_later_kexinit_neither_makes_strict_nor_unmakes_it() {
    twice(|setup| {
        for (first, later) in [(true, LAX), (false, STRICT)] {
            let mut raw = Raw::client(&setup);
            raw.strict = first;
            let mut raw = raw.key().service().enter();
            raw.open(0);
            for _ in 0..2 {
                let lists = Lists::honest(raw.agreement, raw.cipher, later);
                raw.init(&lists);
                raw.agree();
                raw.send(&data(b"x"));
            }
            assert_eq!((raw.application.received(FIRST), &raw.error), (&b"xx"[..], &None));
            // Nor does it bring the extensions again.
            assert!(raw.replies().iter().all(|reply| reply[0] != 7));
        }
    });
}

/// K8.
#[test]
fn a_client_that_is_not_strict_may_ignore_and_debug_in_between() {
    twice(|setup| {
        for cipher in Cipher::ALL {
            let mut raw = Raw::client(&setup);
            (raw.strict, raw.cipher) = (false, cipher);
            raw.identify();
            raw.send(b"\x02\0\0\0\x01x");
            raw.init(&raw.offer());
            raw.send(b"\x04\x01\0\0\0\x01x\0\0\0\0");
            let share = raw.share();
            raw.send(&share);
            raw.replies();
            raw.send(b"\x03\0\0\0\0");
            raw.new_keys();
            let mut raw = raw.service().enter();
            raw.open(0);
            assert_eq!(raw.error, None);
        }
    });
}

/// K10.
#[test]
fn ext_info_comes_right_behind_the_first_newkeys_or_not_at_all() {
    twice(|setup| {
        let some = b"\x07\0\0\0\x01\0\0\0\x01x\0\0\0\x01y";
        let none_of_them = b"\x07\0\0\0\0";
        // In its place.
        let mut raw = Raw::keyed(&setup);
        raw.send(some);
        let mut raw = raw.service().enter();
        assert_eq!(raw.error, None);
        raw.send(some);
        assert_eq!(raw.violation(), unexpected(7), "after success");
        // Twice, behind something else, during authentication.
        for first in [&none_of_them[..], b"\x02\0\0\0\0", b"\x03\0\0\0\0", b"\x04\0\0\0\0\0\0\0\0\0"] {
            let mut raw = Raw::keyed(&setup);
            raw.send(first);
            raw.send(none_of_them);
            assert_eq!(raw.violation(), unexpected(7), "{}", first[0]);
            assert_eq!(raw.farewell(), Some(2));
        }
        let mut raw = Raw::serviced(&setup);
        raw.send(none_of_them);
        assert_eq!(raw.violation(), unexpected(7));
        // Before the keys.
        let mut raw = met(&setup);
        raw.send(none_of_them);
        assert_eq!(raw.violation(), unexpected(7));
    });
}

/// K10: a second key exchange right behind the first does not give the moment back.
#[test]
fn a_rekey_before_ext_info_is_the_end_of_its_moment() {
    twice(|setup| {
        let mut raw = Raw::keyed(&setup);
        raw.exchange();
        assert_eq!((raw.side.exchanges(), &raw.error), (2, &None));
        raw.send(b"\x07\0\0\0\0");
        assert_eq!(raw.violation(), unexpected(7));
    });
}

/// K11.
#[test]
fn ext_info_counts_what_is_there() {
    twice(|setup| {
        let wrong = [
            (&b"\x07\xff\xff\xff\xff"[..], Malformed::Truncated),
            (b"\x07\0\0\0\x01", Malformed::Truncated),
            (b"\x07\0\0\0\x02\0\0\0\x01x\0\0\0\0", Malformed::Truncated),
            (b"\x07\0\0\0\x01\0\0\0\x01x\xff\xff\xff\xff", Malformed::Truncated),
            (b"\x07\0\0\0\x01\0\0\0\x01x\0\0\0\0\0", Malformed::Trailing),
            (b"\x07\0\0\0\0x", Malformed::Trailing),
        ];
        for (payload, what) in wrong {
            let mut raw = Raw::keyed(&setup);
            raw.send(payload);
            assert_eq!(raw.violation(), Some(Violation::Malformed { number: 7, what }));
        }
    });
}

/// K13.
#[test]
fn nothing_but_key_exchange_follows_the_clients_own_kexinit() {
    twice(|setup| {
        let strangers = [data(b"x"), on_channel(93, 0, &[0; 4]), on_channel(96, 0, b""), open(1, 1, 1), none(b"alice")];
        for stranger in
            strangers.iter().map(Vec::as_slice).chain([&b"\x50\0\0\0\x01x\x01"[..], b"\xc0", b"\x05", b"\x07"])
        {
            // Before our share, and between the reply and our NEWKEYS.
            for share in [false, true] {
                let mut raw = Raw::opened(&setup);
                raw.init(&raw.offer());
                if share {
                    let share = raw.share();
                    raw.send(&share);
                    raw.replies();
                }
                raw.send(stranger);
                assert_eq!(raw.violation(), unexpected(stranger[0]));
                assert!(raw.application.received(FIRST).is_empty());
            }
        }
    });
}

/// K13: what RFC 4253 §7.1 lets pass at any time passes in a later exchange of a strict connection too, as with OpenSSH.
#[test]
fn a_later_exchange_lets_ignore_debug_and_unimplemented_pass() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.init(&raw.offer());
        raw.send(b"\x02\0\0\0\0");
        let share = raw.share();
        raw.send(&share);
        raw.replies();
        raw.send(b"\x04\x01\0\0\0\x04note\0\0\0\0");
        raw.send(b"\x03\0\0\0\x09");
        raw.new_keys();
        raw.send(&data(b"x"));
        assert_eq!((raw.application.received(FIRST), &raw.error), (&b"x"[..], &None));
        assert!(raw.application.saw("debug note"));
    });
}

/// K14.
#[test]
fn a_window_of_data_may_be_under_way_when_the_server_starts_a_rekey() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        let sent: Vec<u8> = (0..64 << 10).map(|index| (index / 7) as u8).collect();
        raw.side.rekey(raw.now);
        raw.flush();
        assert_eq!(raw.reply()[0], 20);
        for piece in sent.chunks(5000) {
            raw.send(&data(piece));
        }
        raw.send(&crate::raw::request(b"exec", true, b"\0\0\0\x01x"));
        raw.send(b"\xc8");
        let sequence = raw.sequence - 1;
        // Nothing but UNIMPLEMENTED may leave before the exchange is over.
        assert_eq!(raw.reply(), [&[3], &sequence.to_be_bytes()[..]].concat());
        raw.init(&raw.offer());
        let replies = raw.agree();
        assert_eq!(replies.iter().map(|reply| reply[0]).collect::<Vec<_>>()[..2], [31, 21]);
        raw.flush();
        let rest: Vec<u8> =
            replies[2..].iter().map(|reply| reply[0]).chain(raw.replies().iter().map(|r| r[0])).collect();
        assert_eq!(rest, [99, 93], "what was owed comes after it");
        assert_eq!((raw.application.received(FIRST), &raw.error), (&sent[..], &None));
    });
}

/// K15.
#[test]
fn a_client_that_never_answers_a_rekey_is_waited_for_a_minute() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.side.rekey(raw.now);
        raw.flush();
        for second in 0..60 {
            raw.send(&data(b"still here"));
            assert_eq!(raw.side.handle_timeout(raw.now + Duration::from_secs(second)), Ok(()));
        }
        let due = raw.now + Duration::from_secs(60);
        assert_eq!(raw.side.deadline(), Some(due));
        assert_eq!(raw.side.handle_timeout(due), Err(Error::TimedOut(Stage::Kex)));
    });
}

/// K15: what can be owed meanwhile has an end.
#[test]
fn a_client_that_never_answers_a_rekey_cannot_pile_up_answers() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.side.rekey(raw.now);
    raw.flush();
    let before = held();
    let mut sent = 0;
    while raw.error.is_none() {
        raw.send(b"\x50\0\0\0\x01x\x01");
        sent += 1;
    }
    assert_eq!((raw.violation(), sent), (Some(Violation::TooManyRequests), 1025));
    assert!(held() - before < 50_000);
    // And of packets that are answered at once only so many are read as the output has room for.
    let mut raw = Raw::opened(&setup);
    raw.side.rekey(raw.now);
    raw.reads = false;
    for _ in 0..60_000 {
        raw.send(b"\xc8");
    }
    assert!(raw.unwanted() > 100_000);
    assert!(raw.side.output().len() < 600 << 10);
}

/// K17.
#[test]
fn a_second_kexinit_ends_the_connection() {
    twice(|setup| {
        for strict in [true, false] {
            let mut raw = met(&setup);
            raw.strict = strict;
            raw.init(&raw.offer());
            raw.init(&raw.offer());
            assert_eq!(raw.violation(), unexpected(20));
        }
        // In a later exchange, and in the place of a guess that missed.
        let mut raw = Raw::entered(&setup);
        raw.init(&raw.offer());
        raw.init(&raw.offer());
        assert_eq!(raw.violation(), unexpected(20));
        let mut raw = met(&setup);
        raw.strict = false;
        raw.init(&Lists { follows: true, ..raw.offer() });
        raw.init(&raw.offer());
        assert_eq!(raw.violation(), unexpected(20), "a guess is a message of key exchange methods: 30 to 49");
    });
}

/// K18, K19.
#[test]
fn lists_without_measure_or_with_holes_are_refused() {
    twice(|setup| {
        let many = vec!["x"; 4000].join(",");
        let lists: Vec<Vec<u8>> = vec![
            many.into_bytes(),
            vec!["curve25519-sha256"; 257].join(",").into_bytes(),
            vec![b'n'; 65],
            vec![b'n'; 30_000],
            vec![b','; 30_000],
            b",".to_vec(),
            b",curve25519-sha256".to_vec(),
            b"curve25519-sha256,".to_vec(),
            b"curve25519-sha256,,x".to_vec(),
            b"curve25519-sha256,\xff\xfe".to_vec(),
            b"curve25519-sha256, x".to_vec(),
            b"curve25519-sha256\0".to_vec(),
            b"curve25519-sha256,\x1b[31m".to_vec(),
        ];
        for list in lists {
            for languages in [false, true] {
                let mut raw = met(&setup);
                let mut lists = raw.offer();
                *(if languages { &mut lists.languages } else { &mut lists.kex }) = list.clone();
                raw.init(&lists);
                let wrong = Violation::Malformed { number: 20, what: Malformed::NameList };
                assert_eq!(raw.violation(), Some(wrong), "{}", list[..list.len().min(40)].escape_ascii());
                assert_eq!(raw.farewell(), Some(2));
            }
        }
        // As many and as long as may be.
        let mut raw = met(&setup);
        let longest =
            format!("curve25519-sha256,{},kex-strict-c-v00@openssh.com", vec![&*"n".repeat(64); 100].join(","));
        raw.init(&Lists { kex: longest.into(), ..raw.offer() });
        raw.agree();
        assert_eq!(raw.error, None);
    });
}

/// K20: as OpenSSH and AsyncSSH do.
#[test]
fn the_reserved_number_of_a_kexinit_is_read_over() {
    twice(|setup| {
        let mut raw = met(&setup);
        raw.init(&Lists { reserved: 7, ..raw.offer() });
        raw.agree();
        assert_eq!((raw.side.exchanges(), &raw.error), (1, &None));
    });
}

/// K21, K22.
#[test]
fn a_guess_that_missed_is_dropped_once_and_a_right_one_is_used() {
    twice(|setup| {
        for later in [false, true] {
            let begin = || if later { Raw::entered(&setup) } else { met(&setup) };
            let kex = |names: &str| format!("{names}{}", if later { "" } else { STRICT }).into_bytes();
            // The first names differ, or the host keys' do.
            let lists = begin().offer();
            let missed = [
                Lists { kex: kex("bogus@x,curve25519-sha256"), follows: true, ..lists.clone() },
                Lists { kex: kex("curve25519-sha256"), follows: true, ..lists.clone() },
                Lists {
                    host_keys: b"ssh-rsa,ssh-ed25519".to_vec(),
                    kex: kex("mlkem768x25519-sha256"),
                    follows: true,
                    ..lists.clone()
                },
            ];
            for lists in missed {
                for junk in [&b"\x1e\0\0\0\x04junk"[..], b"\x22\0\0\0\0", b"\x1e"] {
                    let mut raw = begin();
                    if lists.kex.starts_with(b"mlkem") {
                        raw.agreement = Agreement::MlKem768X25519;
                    }
                    raw.init(&lists);
                    raw.send(junk);
                    raw.agree();
                    assert_eq!((raw.side.exchanges(), &raw.error), (1 + u64::from(later), &None));
                    // Only one is dropped.
                    let mut raw = begin();
                    raw.init(&lists);
                    raw.send(junk);
                    raw.send(b"\x1e\0\0\0\x04junk");
                    assert_eq!(raw.violation(), Some(Violation::KexShare));
                }
            }
            let mut raw = begin();
            raw.agreement = Agreement::MlKem768X25519;
            raw.init(&Lists { kex: kex("mlkem768x25519-sha256"), follows: true, ..lists });
            raw.agree();
            assert_eq!((raw.side.exchanges(), &raw.error), (1 + u64::from(later), &None));
        }
    });
}

/// K23.
#[test]
fn newkeys_before_its_time_ends_the_connection() {
    twice(|setup| {
        for strict in [true, false] {
            let mut raw = met(&setup);
            raw.send(&[21]);
            assert_eq!(raw.violation(), unexpected(21), "before 20");
            let mut raw = met(&setup);
            raw.strict = strict;
            raw.init(&raw.offer());
            raw.send(&[21]);
            assert_eq!(raw.violation(), unexpected(21), "before 30");
            let mut raw = met(&setup);
            raw.strict = strict;
            raw.init(&Lists { follows: true, ..raw.offer() });
            raw.send(&[21]);
            assert_eq!(raw.violation(), unexpected(21), "in the place of a guess that missed");
        }
        for before in [Raw::keyed, Raw::serviced, Raw::entered] {
            let mut raw = before(&setup);
            raw.send(&[21]);
            assert_eq!(raw.violation(), unexpected(21));
        }
        // And in a later exchange.
        let mut raw = Raw::entered(&setup);
        raw.init(&raw.offer());
        raw.send(&[21]);
        assert_eq!(raw.violation(), unexpected(21));
    });
}

/// K12, K24: a client in a hurry.
#[test]
fn nothing_above_key_exchange_is_heard_before_it() {
    twice(|setup| {
        for payload in
            [crate::raw::SERVICE.to_vec(), none(b"alice"), open(0, 1, 1), crate::raw::request(b"exec", true, b"")]
        {
            let mut raw = Raw::client(&setup);
            raw.strict = false;
            let number = payload[0];
            let packets = [raw.packet(&payload), raw.packet(&payload)].concat();
            raw.bytes(&[crate::raw::HELLO, b"\r\n", &packets].concat());
            assert_eq!(raw.violation(), unexpected(number));
            assert!(raw.application.events.is_empty());
        }
        let mut raw = Raw::keyed(&setup);
        raw.send(&none(b"alice"));
        assert_eq!(raw.violation(), unexpected(50), "before the service");
    });
}

/// Points whose multiples are guessable: D. J. Bernstein, "Curve25519: how do I validate Curve25519 public keys?".
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

/// Shares that no honest client sends for this agreement.
fn bad_shares(agreement: Agreement) -> Vec<Vec<u8>> {
    let (_, good) = agreement.initiate().expect("randomness");
    let (rest, point) = good.split_at(good.len() - 32);
    let lengths = [0, 1, 31, 32, 33, 64, 1088, 1184, 1215, 1216, 1217, 1248, 34_000];
    let of_length = lengths.into_iter().filter(|length| *length != good.len());
    let mut bad: Vec<Vec<u8>> = of_length.map(|length| good.iter().copied().cycle().take(length).collect()).collect();
    bad.extend(small_points().map(|small| [rest, &small].concat()));
    if agreement == Agreement::MlKem768X25519 {
        bad.push([point, rest].concat());
        bad.push([&[0xff; 1184], point].concat());
    }
    bad
}

/// K25, K26, K30: nothing is signed for such a share, and the answer says no more than that it failed.
#[test]
fn shares_that_cannot_be_agreed_with_are_refused_before_anything_is_signed() {
    let setup = Setup::new(usize::MAX);
    for agreement in [Agreement::Curve25519, Agreement::MlKem768X25519] {
        for share in bad_shares(agreement) {
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

/// K25, K26, K30 as a hostile server would have them.
#[test]
fn a_client_refuses_shares_that_cannot_be_agreed_with() {
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
        // Another share than the one that was signed, be it a right one.
        let mut raw = answered(&|share| share[0] ^= 1);
        assert_eq!(raw.violation(), Some(Violation::HostKeySignature));
        assert_eq!(raw.farewell(), Some(Reason::KeyExchangeFailed as u32));
        if agreement == Agreement::MlKem768X25519 {
            let raw = answered(&|share| share.rotate_left(1088));
            assert!(matches!(raw.violation(), Some(Violation::HostKeySignature | Violation::KexShare)));
        }
    }
}

/// An exchange that has failed does not free what it held back.
#[test]
fn nothing_but_a_goodbye_leaves_after_a_key_exchange_has_failed() {
    twice(|setup| {
        let (mut raw, _) = Raw::awaiting_reply(&setup);
        raw.send(&encode(&KexMessage::EcdhReply { host_key: b"", share: b"", signature: b"" }));
        assert_eq!(raw.farewell(), Some(Reason::KeyExchangeFailed as u32));
        assert_eq!(raw.side.settle(raw.now), Ok(()));
        assert!(raw.side.output().is_empty());
        // Nor in a later one, where keys would be there.
        for untrusted in [false, true] {
            let mut raw = Raw::opened(&setup);
            raw.init(&raw.offer());
            raw.replies();
            raw.send(if untrusted { &[30, 0, 0, 0, 0] } else { &[30] });
            assert_eq!(raw.farewell(), Some(if untrusted { 3 } else { 2 }));
            assert_eq!(raw.side.write(FIRST, None, b"still here?"), 0);
            raw.side.exit(FIRST, whelk_ssh::mux::Exit::Status(0));
            assert_eq!(raw.side.settle(raw.now), Ok(()));
            assert!(raw.side.output().is_empty());
            assert!(raw.side.receive(raw.now, |_| panic!("an event after the end")).is_ok());
        }
    });
}

/// The server that a connection was made to is the server that it stays with.
#[test]
fn a_client_refuses_another_host_key_in_a_later_exchange() {
    twice(|setup| {
        let mut raw = Raw::let_in(&setup);
        raw.host_key = HostKey::generate().unwrap();
        raw.init(&raw.offer());
        let replies = raw.replies();
        let reply = raw.ecdh_reply(&replies[1][5..]);
        raw.send(&reply);
        assert_eq!(raw.violation(), Some(Violation::HostKeySignature));
    });
}

/// A server cannot tell a client what only it has to say.
#[test]
fn a_client_refuses_a_reply_that_nobody_asked_for() {
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

/// K31: among so many secrets some begin with a zero and half have their first bit set; what both sides hash is the same each time.
#[test]
fn both_sides_agree_whatever_the_secret_begins_with() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    for round in 0..600u64 {
        raw.exchange();
        assert_eq!((raw.side.exchanges(), &raw.error), (round + 2, &None));
    }
    // Each exchange hash went into the keys of both sides, so the next packet says that all was well.
    raw.open(0);
}

/// K38.
#[test]
fn cookies_and_shares_never_come_twice() {
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

/// The deadline of a changed key does not come round before anybody has entered.
#[test]
fn a_short_life_of_keys_does_not_make_a_stranger_busy() {
    twice(|setup| {
        let mut setup = setup.clone();
        setup.server.rekey.time = Duration::from_secs(1);
        let mut raw = Raw::serviced(&setup);
        raw.now += Duration::from_secs(5);
        raw.flush();
        assert!(raw.side.deadline().unwrap() > raw.now, "a timer that is always due keeps a processor busy");
        raw.send(&none(b"alice"));
        let replies = raw.replies();
        assert_eq!(replies.iter().map(|reply| reply[0]).collect::<Vec<_>>(), [52, 20], "the keys are old");
        raw.init(&raw.offer());
        raw.agree();
        assert_eq!(raw.side.deadline(), Some(raw.now + Duration::from_secs(1)));
    });
}

/// Who never wants to change keys by the clock says so with the longest time that there is.
#[test]
fn the_longest_time_that_there_is_is_never_over() {
    let mut setup = Setup::new(usize::MAX);
    setup.server.rekey.time = Duration::MAX;
    let mut raw = Raw::opened(&setup);
    raw.now += Duration::from_secs(1 << 30);
    raw.flush();
    assert_eq!((raw.side.deadline(), &raw.error), (None, &None));
    assert!(raw.replies().is_empty());
}

/// An exchange of ours before anybody has entered would hold back the answer that the client waits for.
#[test]
fn a_rekey_that_is_wanted_before_authentication_waits_for_its_end() {
    twice(|setup| {
        let mut raw = Raw::serviced(&setup);
        raw.side.rekey(raw.now);
        raw.flush();
        let raw = raw.enter();
        assert_eq!(raw.error, None);
    });
}
