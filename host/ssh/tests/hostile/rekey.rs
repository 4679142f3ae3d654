//! K: later key exchanges.

use std::time::Duration;

use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::error::{Error, Reason, Violation};
use whelk_ssh::message::kex::KexMessage;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::mux::Exit;

use crate::channel::open_kind;
use crate::kex::unexpected;
use crate::memory::held;
use crate::pair::{Setup, twice};
use crate::raw::{LAX, Lists, Raw, STRICT, data, encode, none, on_channel, open, request};

const FIRST: ChannelId = ChannelId(0);

/// K7.
#[test]
fn a_later_kexinit_does_not_change_strictness() {
    twice(|setup| {
        for (first, later) in [(true, LAX), (false, STRICT)] {
            let mut raw = Raw::client(&setup);
            raw.strict = first;
            let mut raw = raw.key().service().log_in();
            raw.open(0);
            for _ in 0..2 {
                let lists = Lists::honest(raw.agreement, raw.suite, later);
                raw.init(&lists);
                raw.agree();
                raw.send(&data(b"x"));
            }
            assert_eq!((raw.application.received(FIRST), &raw.error), (&b"xx"[..], &None));
            // Nor does it repeat the extensions.
            assert!(raw.replies().iter().all(|reply| reply[0] != 7));
        }
    });
}

/// K18: after login a packet may have 256 KiB, but a KEXINIT no more than before.
#[test]
fn a_later_kexinit_is_not_larger_than_a_first_one() {
    let setup = Setup::new(usize::MAX);
    for (names, violation) in [(16_000, None), (120_000, Some(Violation::PacketLength))] {
        let mut raw = Raw::opened(&setup);
        let mut lists = raw.offer();
        lists.kex = [b"x,".repeat(names), lists.kex].concat();
        raw.init(&lists);
        assert_eq!(raw.violation(), violation, "{names} names");
    }
}

/// K10: after a second key exchange right behind the first it is too late.
#[test]
fn ext_info_after_a_rekey_is_too_late() {
    twice(|setup| {
        let mut raw = Raw::keyed(&setup);
        raw.exchange();
        raw.replies();
        assert_eq!((raw.side.exchanges(), &raw.error), (2, &None));
        let sequence = raw.sequence;
        raw.send(b"\x07\0\0\0\0");
        assert_eq!((raw.reply(), &raw.error), ([&[3], &sequence.to_be_bytes()[..]].concat(), &None));
    });
}

/// K16: each exchange costs a signature, so a stranger gets few of them.
#[test]
fn a_stranger_may_exchange_keys_ten_times() {
    twice(|setup| {
        for mut raw in [Raw::keyed(&setup), Raw::serviced(&setup)] {
            while raw.side.exchanges() < 10 {
                raw.exchange();
                raw.replies();
            }
            raw.init(&raw.offer());
            let refused = Some(Error::Peer(Violation::ExchangesBeforeLogin));
            assert_eq!((raw.side.exchanges(), raw.error), (10, refused));
        }
        let mut raw = Raw::entered(&setup);
        for _ in 0..30 {
            raw.exchange();
            raw.replies();
        }
        assert_eq!((raw.side.exchanges(), &raw.error), (31, &None));
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

/// K13: what RFC 4253 §7.1 allows at any time is allowed in a later exchange of a strict connection too, as with
/// OpenSSH.
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
        raw.side.rekey();
        raw.flush();
        assert_eq!(raw.reply()[0], 20);
        for piece in sent.chunks(5000) {
            raw.send(&data(piece));
        }
        raw.send(&request(b"exec", true, b"\0\0\0\x01x"));
        raw.send(b"\xc8");
        let sequence = raw.sequence - 1;
        // Only UNIMPLEMENTED may be sent before the exchange is complete.
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

/// K15: the answers owed meanwhile are bounded.
#[test]
fn a_client_that_never_answers_a_rekey_cannot_pile_up_answers() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.side.rekey();
    raw.flush();
    let before = held();
    for _ in 0..20_000 {
        raw.send(b"\x50\0\0\0\x01x\x01");
    }
    assert_eq!(raw.error, None, "answers that are alike cost nothing");
    assert!(held() - before < 5000, "{} bytes more", held() - before);
    let mut sent = 0;
    while raw.error.is_none() {
        raw.send(&open_kind(b"bogus@x", sent));
        sent += 1;
    }
    // The answers to the requests before count as one.
    assert_eq!((raw.violation(), sent), (Some(Violation::TooManyOpens), 1024));
    assert!(held() - before < 100_000, "{} bytes more", held() - before);
    // And of packets that are answered at once only as many are read as the output has room for.
    let mut raw = Raw::opened(&setup);
    raw.side.rekey();
    raw.reads = false;
    for _ in 0..60_000 {
        raw.send(b"\xc8");
    }
    assert!(raw.unwanted() > 100_000);
    assert!(raw.side.output().len() < 600 << 10);
}

/// A failed exchange does not release what it held back.
#[test]
fn only_disconnect_is_sent_after_a_failed_key_exchange() {
    twice(|setup| {
        let (mut raw, _) = Raw::awaiting_reply(&setup);
        raw.send(&encode(&KexMessage::EcdhReply { host_key: b"", share: b"", signature: b"" }));
        assert_eq!(raw.disconnect_reason(), Some(Reason::KeyExchangeFailed as u32));
        assert_eq!(raw.side.write_owed(raw.now), Ok(()));
        assert!(raw.side.output().is_empty());
        // Nor in a later one, where keys exist.
        for untrusted in [false, true] {
            let mut raw = Raw::opened(&setup);
            raw.init(&raw.offer());
            raw.replies();
            raw.send(if untrusted { &[30, 0, 0, 0, 0] } else { &[30] });
            assert_eq!(raw.disconnect_reason(), Some(if untrusted { 3 } else { 2 }));
            assert_eq!(raw.side.write(FIRST, Stream::Data, b"still here?"), 0);
            raw.side.exit(FIRST, Exit::Status(0));
            assert_eq!(raw.side.write_owed(raw.now), Ok(()));
            assert!(raw.side.output().is_empty());
            assert!(raw.side.receive(raw.now, |_| panic!("an event after the end")).is_ok());
        }
    });
}

/// The server's host key must not change during a connection.
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

/// An exchange of ours before login would hold back the answer that the client waits for.
#[test]
fn a_rekey_that_is_wanted_before_authentication_waits_for_its_end() {
    twice(|setup| {
        let mut raw = Raw::serviced(&setup);
        raw.side.rekey();
        raw.flush();
        let raw = raw.log_in();
        assert_eq!(raw.error, None);
    });
}

/// K16: consecutive rekeys leave channels and memory unchanged.
#[test]
fn many_rekeys_leak_no_memory() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.exchange();
    raw.replies();
    let before = held();
    for _ in 0..50 {
        raw.exchange();
        raw.replies();
    }
    assert!(held() - before < 5000, "{} bytes more", held() - before);
    raw.now += Duration::from_secs(1);
    raw.send(&data(b"still there"));
    assert_eq!(raw.application.received(FIRST), b"still there");
}
