//! K: the order of a key exchange, and its lists.

use whelk_ssh::auth::server;
use whelk_ssh::auth::server::Verdict;
use whelk_ssh::crypto::agreement::Agreement;
use whelk_ssh::crypto::cipher::Suite;
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::kex::KexMessage;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::wire::{Malformed, Wire};

use crate::pair::{Setup, twice};
use crate::raw::{HELLO, LAX, Lists, Raw, SERVICE, STRICT, data, none, open, request};

const FIRST: ChannelId = ChannelId(0);

/// A side that has our identification.
pub(crate) fn met(setup: &Setup) -> Raw<server::ServerAuth> {
    let mut raw = Raw::client(setup);
    raw.identify();
    raw.replies();
    raw
}

/// A side that has our KEXINIT too.
pub(crate) fn begun(setup: &Setup) -> Raw<server::ServerAuth> {
    let mut raw = met(setup);
    raw.init(&raw.offer());
    raw
}

pub(crate) fn unexpected(number: u8) -> Option<Violation> {
    Some(Violation::Unexpected { number })
}

/// The list of key exchanges in a KEXINIT.
fn kex_names(init: &[u8]) -> String {
    let Ok(KexMessage::KexInit { kex, .. }) = KexMessage::decode(init) else { panic!("{init:02x?}") };
    kex.quote()
}

/// K1.
#[test]
fn the_strict_marker_is_in_the_first_kexinit_only() {
    twice(|setup| {
        let mut raw = Raw::client(&setup);
        raw.identify();
        assert!(kex_names(&raw.reply()).ends_with(",kex-strict-s-v00@openssh.com"));
        let mut raw = Raw::entered(&setup);
        raw.side.rekey();
        raw.flush();
        assert!(!kex_names(&raw.reply()).contains("strict"));

        let mut raw = Raw::server(&setup);
        raw.identify();
        assert!(kex_names(&raw.reply()).ends_with(",ext-info-c,kex-strict-c-v00@openssh.com"));
        let mut raw = Raw::let_in(&setup);
        raw.side.rekey();
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
            assert_eq!(raw.disconnect_reason(), Some(2));
        }
    });
}

/// What is not allowed in a strict key exchange, one of each.
fn strangers() -> Vec<Vec<u8>> {
    vec![
        b"\x02\0\0\0\0".to_vec(),
        b"\x03\0\0\0\0".to_vec(),
        b"\x04\0\0\0\0\0\0\0\0\0".to_vec(),
        b"\x07\0\0\0\0".to_vec(),
        SERVICE.to_vec(),
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
        for stranger in strangers().into_iter().chain([Lists::honest(
            Agreement::Curve25519,
            Suite::all().next().expect("there are some"),
            LAX,
        )
        .payload()])
        {
            let mut raw = begun(&setup);
            raw.send(&stranger);
            assert_eq!(raw.violation(), unexpected(stranger[0]));
            assert_eq!(raw.disconnect_reason(), Some(2));
        }
    });
}

/// K3, K4 from the other side: we follow the rule too, whatever the application does.
#[test]
fn we_send_no_debug_message_in_a_strict_key_exchange() {
    twice(|setup| {
        let mut raw = Raw::client(&setup);
        raw.side.debug("early", true);
        raw.identify();
        raw.side.debug("earlier than keys", true);
        raw.init(&raw.offer());
        raw.side.debug("between", true);
        let share = raw.share();
        raw.send(&share);
        raw.side.debug("under keys", true);
        raw.flush();
        let replies = raw.replies();
        assert_eq!(replies.iter().map(|reply| reply[0]).collect::<Vec<_>>(), [20, 31, 21, 7, 4]);
        raw.new_keys();
        assert_eq!(raw.error, None);
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
            // Its keys have changed already.
            assert_eq!(raw.disconnect_reason(), Some(2));
        }
    });
}

/// K5.
#[test]
fn sequence_numbers_restart_at_every_newkeys_of_a_strict_connection() {
    twice(|setup| {
        for suite in Suite::all() {
            let mut raw = Raw::client(&setup);
            raw.suite = suite;
            let mut raw = raw.key().service().log_in();
            raw.open(0);
            for round in 1..=3u8 {
                raw.exchange();
                raw.send(&data(&[round]));
                assert_eq!((raw.side.exchanges(), &raw.error), (u64::from(round) + 1, &None));
            }
            assert_eq!(raw.application.received(FIRST), [1, 2, 3]);
        }
        // Only where the number is the nonce does it show that one side has not restarted.
        let mut raw = Raw::entered(&setup);
        raw.strict = false;
        raw.exchange();
        raw.send(b"\x02\0\0\0\0");
        assert_eq!(raw.error, Some(Error::Integrity));
    });
}

/// K6.
#[test]
fn markers_are_not_negotiated_as_key_exchange_methods() {
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
            assert_eq!(raw.disconnect_reason(), Some(3));
        }
    });
}

/// K8.
#[test]
fn a_client_that_is_not_strict_may_send_ignore_and_debug_in_between() {
    twice(|setup| {
        for suite in Suite::all() {
            let mut raw = Raw::client(&setup);
            (raw.strict, raw.suite) = (false, suite);
            raw.identify();
            raw.send(b"\x02\0\0\0\x01x");
            raw.init(&raw.offer());
            raw.send(b"\x04\x01\0\0\0\x01x\0\0\0\0");
            let share = raw.share();
            raw.send(&share);
            raw.replies();
            raw.send(b"\x03\0\0\0\0");
            raw.new_keys();
            let mut raw = raw.service().log_in();
            raw.open(0);
            assert_eq!(raw.error, None);
        }
    });
}

/// K10: AsyncSSH 2.3 to 2.7 sends it late.
#[test]
fn late_ext_info_has_no_effect() {
    twice(|setup| {
        let some = b"\x07\0\0\0\x01\0\0\0\x01x\0\0\0\x01y";
        let none_of_them = b"\x07\0\0\0\0";
        // In its place.
        let mut raw = Raw::keyed(&setup);
        raw.send(some);
        let mut raw = raw.service().log_in();
        assert_eq!(raw.error, None);
        assert_eq!(unimplemented(&mut raw, some), None, "after success");
        // Twice, behind something else, during authentication.
        for first in [&none_of_them[..], b"\x02\0\0\0\0", b"\x03\0\0\0\0", b"\x04\0\0\0\0\0\0\0\0\0"] {
            let mut raw = Raw::keyed(&setup);
            raw.send(first);
            assert_eq!(unimplemented(&mut raw, none_of_them), None, "{}", first[0]);
            raw.service().log_in();
        }
        let mut raw = Raw::serviced(&setup);
        assert_eq!(unimplemented(&mut raw, none_of_them), None);
        raw.log_in();
        // Before the keys, and inside a later exchange.
        let mut raw = met(&setup);
        raw.send(none_of_them);
        assert_eq!(raw.violation(), unexpected(7));
        let mut raw = Raw::entered(&setup);
        raw.init(&raw.offer());
        raw.send(none_of_them);
        assert_eq!(raw.violation(), unexpected(7));
    });
}

/// Sends a message that must be answered by UNIMPLEMENTED; returns what is wrong.
pub(crate) fn unimplemented(raw: &mut Raw<server::ServerAuth>, payload: &[u8]) -> Option<String> {
    let sequence = raw.sequence;
    raw.send(payload);
    let (replies, expected) = (raw.replies(), [&[3], &sequence.to_be_bytes()[..]].concat());
    (replies != [expected] || raw.error.is_some()).then(|| format!("{replies:02x?} {:?}", raw.error))
}

/// Messages before login are answered for a peer that reads the answers.
#[test]
fn repeated_ext_info_from_a_peer_that_never_reads_fills_no_memory() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::keyed(&setup);
    raw.reads = false;
    for _ in 0..2000 {
        raw.send(b"\x07\0\0\0\0");
    }
    assert!(raw.side.output().len() < 20 << 10 && raw.unwanted() > 10_000);
    raw.reads = true;
    raw.flush();
    assert_eq!((raw.unwanted(), raw.replies().len(), &raw.error), (0, 1999, &None));
    raw.service().log_in();
}

/// K10: the signature algorithms are repeated once for a client that asks, before its first answer.
#[test]
fn ext_info_is_repeated_in_authentication_for_a_client_that_asks() {
    let says = |name: &[u8], value: &[u8]| {
        let mut payload = b"\x07\0\0\0\x01".to_vec();
        name.write(&mut payload);
        value.write(&mut payload);
        payload
    };
    twice(|setup| {
        for (name, value, asks) in [
            (&b"ext-info-in-auth@openssh.com"[..], &b"0"[..], true),
            (b"ext-info-in-auth@openssh.com", b"1", false),
            (b"ext-info-in-auth", b"0", false),
        ] {
            let mut raw = Raw::client(&setup);
            raw.identify();
            // Before any question, because the client has named `ext-info-c`.
            let first = raw.exchange().pop().expect("EXT_INFO");
            let contains = |payload: &[u8], name: &[u8]| payload.windows(name.len()).any(|window| window == name);
            assert_eq!(first[..5], [7, 0, 0, 0, 3]);
            for name in
                [&b"server-sig-algs"[..], b"rsa-sha2-512", b"ping@openssh.com", b"publickey-hostbound@openssh.com"]
            {
                assert!(contains(&first, name), "{}", name.escape_ascii());
            }
            raw.send(&says(name, value));
            let mut raw = raw.service();
            raw.application.verdict = Verdict::Reject;
            raw.send(&none(b"alice"));
            let replies = raw.replies();
            let numbers: Vec<u8> = replies.iter().map(|reply| reply[0]).collect();
            assert_eq!(numbers, if asks { vec![7, 51] } else { vec![51] });
            assert!(!asks || contains(&replies[0], b"server-sig-algs"));
            // Once.
            raw.send(&none(b"alice"));
            assert_eq!(raw.reply()[0], 51);
        }
    });
}

/// K11.
#[test]
fn ext_info_must_contain_as_many_extensions_as_it_counts() {
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
        // In a later exchange, and in the place of a wrong guess.
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

/// K18, K19: invalid names are skipped, and only the packet bounds a list.
#[test]
fn empty_overlong_and_non_ascii_names_are_skipped() {
    twice(|setup| {
        let odd: [&[u8]; 10] = [
            &vec!["x"; 4000].join(",").into_bytes(),
            &vec!["curve25519-sha256"; 257].join(",").into_bytes(),
            &[b'n'; 65],
            &[b'n'; 30_000],
            &[b','; 30_000],
            b"",
            b"\xff\xfe",
            b" x",
            b"x\0",
            b"\x1b[31m",
        ];
        for odd in odd {
            for (before, after) in [(&b""[..], &b","[..]), (b",", b"")] {
                for languages in [false, true] {
                    let mut raw = met(&setup);
                    let mut lists = raw.offer();
                    let list = if languages { &mut lists.languages } else { &mut lists.kex };
                    *list = if before.is_empty() { [odd, after, list].concat() } else { [list, before, odd].concat() };
                    raw.init(&lists);
                    raw.agree();
                    assert_eq!(raw.error, None, "{}", odd[..odd.len().min(40)].escape_ascii());
                }
            }
        }
    });
}

/// K18: a list without a common name fails, and the log has little of it.
#[test]
fn a_long_list_without_a_common_name_makes_a_short_log_line() {
    twice(|setup| {
        for list in [vec![b'n'; 30_000], vec![b','; 30_000], vec![0xff; 30_000]] {
            let mut raw = met(&setup);
            raw.init(&Lists { kex: list, ..raw.offer() });
            let Some(error @ Error::Incompatible { kind: "key exchange", .. }) = raw.error.clone() else {
                panic!("{:?}", raw.error)
            };
            let line = error.to_string();
            assert!(line.len() < 3000 && line.ends_with(" bytes more"), "{line}");
            assert_eq!(raw.disconnect_reason(), Some(3));
        }
    });
}

/// K20: as OpenSSH and AsyncSSH do.
#[test]
fn the_reserved_field_of_a_kexinit_is_ignored() {
    twice(|setup| {
        let mut raw = met(&setup);
        raw.init(&Lists { reserved: 7, ..raw.offer() });
        raw.agree();
        assert_eq!((raw.side.exchanges(), &raw.error), (1, &None));
    });
}

/// K21, K22.
#[test]
fn a_wrong_guess_is_dropped_once_and_a_right_one_is_used() {
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
fn early_newkeys_ends_the_connection() {
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

/// K12, K24: a client that does not wait.
#[test]
fn messages_of_higher_layers_before_key_exchange_end_the_connection() {
    twice(|setup| {
        for payload in [SERVICE.to_vec(), none(b"alice"), open(0, 1, 1), request(b"exec", true, b"")] {
            let mut raw = Raw::client(&setup);
            raw.strict = false;
            let number = payload[0];
            let packets = [raw.packet(&payload), raw.packet(&payload)].concat();
            raw.bytes(&[HELLO, b"\r\n", &packets].concat());
            assert_eq!(raw.violation(), unexpected(number));
            assert!(raw.application.events.is_empty());
        }
        let mut raw = Raw::keyed(&setup);
        raw.send(&none(b"alice"));
        assert_eq!(raw.violation(), unexpected(50), "before the service");
    });
}
