//! P: identification and packets.

use whelk_ssh::algorithm::Preferences;
use whelk_ssh::crypto::cipher::Suite;
use whelk_ssh::error::{Error, Stage, Violation};

use crate::memory::{held, peak};
use crate::pair::{Pair, Setup, twice};
use crate::raw::{HELLO, LAX, Lists, Raw, data, frame, none};

/// A side that was given these bytes and nothing else.
fn told(setup: &Setup, bytes: &[u8]) -> Raw<whelk_ssh::auth::server::ServerAuth> {
    let mut raw = Raw::client(setup);
    raw.bytes(bytes);
    raw
}

/// The side has closed silently after its own KEXINIT.
fn hung_up(setup: &Setup, bytes: &[u8], why: Violation) {
    let mut raw = told(setup, bytes);
    assert_eq!(raw.violation(), Some(why), "{}", bytes.get(..40).unwrap_or(bytes).escape_ascii());
    assert_eq!(raw.reply()[0], 20, "nothing but its own KEXINIT has left");
}

/// P1, P2, P5.
#[test]
fn another_protocol_is_disconnected_at_its_first_line() {
    twice(|setup| {
        for foreign in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
            b"SSH-1.5-x\r\n",
            b"SSH-2.1-x\r\n",
            b"SSH-\r\n",
            b"\r\n",
            b"\n",
            b"SSH-2.0-a\0b\r\n",
        ] {
            hung_up(&setup, foreign, Violation::Identification);
        }
    });
}

/// P2: a peer that supports both versions is a peer of version 2.
#[test]
fn a_client_of_version_1_99_is_accepted() {
    twice(|setup| {
        let mut raw = told(&setup, b"SSH-1.99-both\r\n");
        assert_eq!(raw.side.peer_identification(), Some(&b"SSH-1.99-both"[..]));
        assert_eq!((raw.reply()[0], raw.violation()), (20, None));
    });
}

/// P3.
#[test]
fn an_identification_without_end_is_read_no_further_than_255_bytes() {
    twice(|setup| {
        hung_up(&setup, &[b"SSH-2.0-", &[b'A'; 300][..], b"\r\n"].concat(), Violation::IdentificationTooLong);
        let mut raw = Raw::client(&setup);
        let before = held();
        for sent in 1.. {
            raw.bytes(b"SSH-2.0-A".get((sent - 1).min(8)..=(sent - 1).min(8)).unwrap());
            if raw.error.is_some() {
                assert_eq!(sent, 255);
                break;
            }
        }
        assert!(held() - before < 20_000, "{} bytes for 255", held() - before);
    });
}

/// P4: only servers may send lines before.
#[test]
fn a_client_that_sends_lines_before_its_identification_is_disconnected() {
    twice(|setup| hung_up(&setup, &b"hello\r\n".repeat(10_000), Violation::Identification));
}

/// P5: control characters are passed on unchanged, for the application to escape.
#[test]
fn control_bytes_of_an_identification_are_kept_as_data() {
    twice(|setup| {
        let raw = told(&setup, b"SSH-2.0-\x1b]0;x\x07\r\n");
        assert_eq!(raw.violation(), None);
        assert_eq!(raw.side.peer_identification(), Some(&b"SSH-2.0-\x1b]0;x\x07"[..]));
    });
}

/// P6.
#[test]
fn the_first_bytes_may_come_in_any_pieces_and_end_in_a_bare_line_feed() {
    twice(|setup| {
        for end in ["\n", "\r\n"] {
            let mut raw = Raw::client(&setup);
            let payload = raw.offer().payload();
            let init = raw.packet(&payload);
            raw.bytes(&[HELLO, end.as_bytes(), &init].concat());
            assert_eq!(raw.error, None);
            assert_eq!(raw.side.peer_identification(), Some(HELLO));
        }
    });
}

/// A frame in clear as the first packet.
fn first(setup: &Setup, frame: &[u8]) -> Raw<whelk_ssh::auth::server::ServerAuth> {
    told(setup, &[HELLO, b"\r\n", frame].concat())
}

/// P9.
#[test]
fn a_huge_length_in_clear_is_refused_before_anything_is_allocated() {
    twice(|setup| {
        for length in [0xffff_fff0u32, 0xffff_ffff, 0x8000_0004, 0x1000_0004, 35_004] {
            let mut raw = first(&setup, b"");
            let most = peak(|| raw.bytes(&length.to_be_bytes()));
            assert_eq!(raw.violation(), Some(Violation::PacketLength));
            assert!(most < 10_000, "{most} bytes for a length");
            assert_eq!(raw.disconnect_reason(), Some(2));
        }
    });
}

/// P11.
#[test]
fn a_length_of_zero_or_half_a_block_is_refused() {
    twice(|setup| {
        for length in [0, 1, 3, 4, 5, 11, 13, 15, 19] {
            let mut raw = first(&setup, &frame(length, 4, b"\x02", 40));
            assert_eq!(raw.violation(), Some(Violation::PacketLength), "{length}");
            assert_eq!(raw.disconnect_reason(), Some(2));
        }
    });
}

/// P12, P13, P14.
#[test]
fn padding_has_at_least_four_bytes_and_leaves_a_payload() {
    twice(|setup| {
        let short = |padding| first(&setup, &frame(12, padding, b"\x02", 10)).violation();
        for padding in (0..4).chain(12..=255) {
            assert_eq!(short(padding), Some(Violation::Padding), "{padding}");
        }
        assert_eq!(short(11), Some(Violation::EmptyPayload));
        for padding in 4..11 {
            assert_eq!(short(padding), None, "{padding}");
        }
        // As much padding as possible.
        assert_eq!(first(&setup, &frame(508, 255, b"\x02\0\0\0\0", 502)).violation(), None);
    });
}

/// P10, P11, P12, P13, P14: the same under keys, where only the holder of the key can send it.
#[test]
fn malformed_frames_are_refused_under_each_cipher() {
    let setup = Setup::new(usize::MAX);
    for suite in Suite::all() {
        let sent = |frame: Vec<u8>| {
            let mut raw = Raw::client(&setup);
            raw.suite = suite;
            let mut raw = raw.key();
            let packet = raw.seal(frame);
            raw.bytes(&packet);
            raw
        };
        let given = |frame| sent(frame).error;
        // Lengths that no packet has: the whole multiples are of 16, with or without the length itself.
        let in_clear = !hides_length(suite);
        let lengths = [0, 1, 4, 15, 17, 35_008, 0x1000_0000, 0xffff_fff0].into_iter();
        for length in lengths.chain(if in_clear { [20, 28] } else { [16, 32] }) {
            let mut raw = sent(frame(length, 4, b"\x02", 40));
            raw.after_forgery();
            assert_eq!(raw.error, Some(Error::Integrity), "{suite:?} {length}");
        }
        let padding = Some(Error::Peer(Violation::Padding));
        // The least length of a packet, its padding and a larger one.
        let (least, larger) = if in_clear { (16, 512) } else { (28, 508) };
        for wrong in [0, 1, 2, 3, least, 200, 255] {
            assert_eq!(given(frame(least, wrong, b"\x02", least - 2)), padding, "{suite:?} {wrong}");
        }
        assert_eq!(given(frame(least, least - 1, b"", least - 1)), Some(Error::Peer(Violation::EmptyPayload)));
        assert_eq!(given(frame(larger, 255, b"\x02\0\0\0\0", larger - 6)), None, "{suite:?}");
        assert_eq!(given(frame(least, least - 6, b"\x02\0\0\0\0", least - 6)), None, "{suite:?}");
    }
}

/// P10, P15: forged bytes and forged lengths get the same answer.
#[test]
fn a_forged_packet_and_a_forged_length_get_the_same_answer() {
    twice(|setup| {
        for suite in Suite::all() {
            let victim = || {
                let mut raw = Raw::client(&setup);
                raw.suite = suite;
                raw.key().service().log_in()
            };
            let mut answers = Vec::new();
            let length = victim().packet(&[80; 300]).len();
            for at in [4, 5, 100, length - 17, length - 16, length - 1] {
                let mut raw = victim();
                let mut packet = raw.packet(&[80; 300]);
                packet[at] ^= 1;
                raw.bytes(&packet);
                raw.after_forgery();
                assert_eq!(raw.error, Some(Error::Integrity), "{suite:?} {at}");
                answers.push(raw.replies());
            }
            let mut raw = victim();
            let packet = raw.seal(frame(0x1000_0000, 4, b"\x02", 40));
            raw.bytes(&packet[..4]);
            raw.after_forgery();
            assert_eq!(raw.error, Some(Error::Integrity));
            answers.push(raw.replies());
            assert!(answers.iter().all(|answer| *answer == answers[0] && answer.len() == 1), "{answers:02x?}");
            assert_eq!(answers[0][0][..5], [1, 0, 0, 0, 5]);
        }
    });
}

/// Whether the length is encrypted with the rest, so that errors must not tell it.
fn hides_length(suite: Suite) -> bool {
    suite.mac().is_some_and(|mac| !mac.encrypts_first())
}

/// P10: where the length is encrypted with the rest, the error of a forged packet comes after the same number of bytes,
/// whatever its length has become, and whether the length or the tag is wrong.
#[test]
fn the_moment_of_an_error_does_not_tell_an_encrypted_length() {
    for suite in Suite::all().filter(|suite| hides_length(*suite)) {
        let tag = suite.mac().expect("it hides a length").tag_len();
        // Which byte of the packet is changed, and how: bits of the length, padding, payload, tag.
        let changes = (0..32).map(|bit| (bit / 8, 1 << (bit % 8))).chain([(4, 1), (5, 0x80), (100, 1), (340, 1)]);
        for (at, change) in changes {
            let mut raw = Raw::client(&Setup::new(usize::MAX));
            raw.suite = suite;
            let mut raw = raw.key().service();
            let mut packet = raw.packet(&[80; 300]);
            packet[at] ^= change;
            let last = 4 + 35_000 + tag - 1;
            packet.resize(last, 0x55);
            raw.bytes(&packet);
            assert_eq!(raw.error, None, "{suite:?} byte {at}, change {change:#x}");
            raw.bytes(&[0x55]);
            assert_eq!(raw.error, Some(Error::Integrity), "{suite:?} byte {at}, change {change:#x}");
        }
    }
}

/// P15: a packet that is not authentic is not delivered and not counted.
#[test]
fn a_replayed_or_dropped_packet_is_a_forged_one() {
    twice(|setup| {
        for suite in Suite::all() {
            let victim = || {
                let mut raw = Raw::client(&setup);
                raw.suite = suite;
                let mut raw = raw.key().service().log_in();
                raw.open(0);
                raw
            };
            let mut raw = victim();
            let packet = raw.packet(&data(b"once"));
            raw.bytes(&[&packet[..], &packet[..]].concat());
            raw.after_forgery();
            assert_eq!(raw.error, Some(Error::Integrity));
            assert_eq!(raw.application.received(whelk_ssh::message::mux::ChannelId(0)), b"once");
            let mut raw = victim();
            raw.packet(&data(b"lost"));
            let next = raw.packet(&data(b"next"));
            raw.bytes(&next);
            raw.after_forgery();
            assert_eq!(raw.error, Some(Error::Integrity));
        }
    });
}

/// P17: RFC 4253 §6.1 requires 35,000; longer packets need authentication, and then 256 KiB is the limit, as in
/// OpenSSH.
#[test]
fn packets_are_taken_up_to_the_limit_and_not_one_block_further() {
    let setup = Setup::new(usize::MAX);
    let ignore = |length| frame(length, 4, b"\x02", length - 2);
    let limit = |before: fn(&Setup) -> Raw<whelk_ssh::auth::server::ServerAuth>, length| {
        let mut raw = before(&setup);
        let packet = raw.seal(ignore(length));
        raw.bytes(&packet);
        raw.error
    };
    let clear = |setup: &Setup| first(setup, b"");
    assert_eq!(limit(clear, 34_996), None);
    assert_eq!(limit(clear, 35_004), Some(Error::Peer(Violation::PacketLength)));
    for before in [Raw::keyed, Raw::serviced] {
        assert_eq!(limit(before, 35_000), None);
        assert_eq!(limit(before, 35_008), Some(Error::Integrity));
    }
    assert_eq!(limit(Raw::entered, 256 << 10), None);
    assert_eq!(limit(Raw::entered, (256 << 10) + 8), Some(Error::Integrity));
    // The largest data message of any peer.
    let mut raw = Raw::opened(&setup);
    raw.send(&data(&[7; 32_768]));
    assert_eq!(raw.error, None);
}

/// P17: the larger limit holds from the first packet behind SUCCESS.
#[test]
fn a_large_packet_right_behind_the_last_request_is_taken() {
    twice(|setup| {
        let mut raw = Raw::serviced(&setup);
        let mut packets = raw.packet(&none(b"alice"));
        let large = raw.seal(frame(256 << 10, 4, b"\x02", (256 << 10) - 2));
        packets.extend_from_slice(&large);
        raw.bytes(&packets);
        assert_eq!(raw.error, None);
    });
}

/// P20: nothing is offered without the operator's setting, and what begins before login never.
#[test]
fn a_client_that_requires_compression_fails_with_that_reason() {
    twice(|setup| {
        for compression in ["zlib", "zlib@openssh.com", "zlib@openssh.com,zlib"] {
            let mut raw = Raw::client(&setup);
            raw.identify();
            raw.init(&Lists { compression: compression.into(), ..raw.offer() });
            assert!(matches!(raw.error, Some(Error::Incompatible { kind: "compression to server", .. })));
            assert_eq!(raw.disconnect_reason(), Some(3));
        }
    });
}

/// P21: each such packet counts for the keys like any other.
#[test]
fn a_flood_of_ignored_packets_only_brings_the_next_rekey_closer() {
    let mut setup = Setup::new(usize::MAX);
    setup.server.rekey.bytes = 20 << 20;
    let mut raw = Raw::entered(&setup);
    raw.application.forgets = true;
    let large = [&[2, 0, 0, 0x80, 0][..], &[0; 32 << 10]].concat();
    raw.send(&large);
    let before = held();
    for _ in 0..600 {
        raw.send(&large);
    }
    for _ in 0..5000 {
        raw.send(b"\x04\0\0\0\0\0\0\0\0\0");
    }
    assert!(held() - before < 100_000, "{} bytes more", held() - before);
    assert_eq!(raw.error, None);
    assert_eq!(raw.replies(), Vec::<Vec<u8>>::new());
    for _ in 0..60 {
        raw.send(&large);
    }
    assert_eq!(raw.reply()[0], 20, "the keys are worn");
    assert_eq!(raw.error, None);
}

/// P7, P21: a deadline applies even to a peer that never pauses.
#[test]
fn a_flood_does_not_move_a_deadline() {
    twice(|setup| {
        let mut raw = Raw::serviced(&setup);
        for second in 0..130 {
            raw.now += std::time::Duration::from_secs(1);
            raw.send(b"\x02\0\0\0\0");
            assert_eq!(raw.error.is_some(), second >= 119, "{second}");
        }
        assert_eq!(raw.error, Some(Error::TimedOut(Stage::Auth)));
    });
}

/// P22.
#[test]
fn unimplemented_is_never_answered() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    for sequence in 0..5000u32 {
        raw.send(&[&[3], &sequence.to_be_bytes()[..]].concat());
    }
    assert_eq!((raw.replies(), &raw.error), (Vec::new(), &None));
}

/// P23, P25.
#[test]
fn unknown_numbers_before_authentication_end_the_connection() {
    twice(|setup| {
        for victim in [Raw::keyed, Raw::serviced] {
            for number in [0, 128, 191, 192, 200, 255] {
                let mut raw = victim(&setup);
                raw.send(&[number, 0, 0, 0, 1, b'x']);
                assert_eq!(raw.violation(), Some(Violation::Unexpected { number }));
                assert_eq!(raw.disconnect_reason(), Some(2));
            }
        }
        let mut raw = Raw::client(&setup);
        raw.identify();
        raw.init(&raw.offer());
        raw.replies();
        raw.send(b"\xc0\0\0\0\x01x");
        assert_eq!(raw.violation(), Some(Violation::Unexpected { number: 192 }));
    });
}

/// P24.
#[test]
fn unknown_numbers_after_authentication_are_answered_with_their_sequence_number() {
    twice(|setup| {
        for strict in [true, false] {
            let mut raw = Raw::client(&setup);
            raw.strict = strict;
            let mut raw = raw.key().service().log_in();
            for round in 0..3 {
                for number in [8, 19, 83, 89, 101, 127, 128, 191, 194, 200, 255] {
                    let sequence = raw.sequence;
                    raw.send(&[number]);
                    assert_eq!(raw.reply(), [&[3], &sequence.to_be_bytes()[..]].concat(), "{strict} {round} {number}");
                }
                raw.exchange();
                raw.replies();
            }
        }
    });
}

/// P26.
#[test]
fn a_peer_that_does_not_read_its_answers_is_not_read() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    raw.reads = false;
    let before = held();
    let ping = [&[192, 0, 0, 0x80, 0][..], &[0; 32 << 10]].concat();
    let small = [200; 1];
    let mut sent = 0_usize;
    while raw.unwanted() < 1 << 20 {
        raw.send(if sent.is_multiple_of(1000) { &ping } else { &small });
        sent += 1;
        assert!(sent < 200_000, "the victim reads for ever");
    }
    // One more answer may begin while the output is below the limit.
    let limit = setup.server.output_mark * 2 + (32 << 10);
    assert!(raw.side.output().len() <= limit + 100, "{} bytes of output", raw.side.output().len());
    let held_by_victim = held() - before - (raw.unwanted() as isize) * 3;
    assert!(held_by_victim < 2 << 20, "{held_by_victim} bytes held");
    assert!(!raw.side.wants_input());
    // And when it reads again it gets the answers.
    raw.reads = true;
    raw.flush();
    assert_eq!((raw.unwanted(), &raw.error), (0, &None));
    let replies = raw.replies();
    let pongs = replies.iter().filter(|reply| reply[0] == 193 && reply.len() == ping.len()).count();
    assert_eq!((replies.len(), pongs), (sent, sent.div_ceil(1000)));
}

/// P26: a PING is answered with its data, but not while our own key exchange holds all answers back.
#[test]
fn a_ping_after_login_is_answered_but_not_during_a_key_exchange() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        for text in [&b""[..], b"x", &[7; 4000]] {
            let ping = [&[192], &(text.len() as u32).to_be_bytes()[..], text].concat();
            raw.send(&ping);
            assert_eq!(raw.reply(), [&[193], &ping[1..]].concat());
        }
        // The answer to a question that nobody has asked.
        raw.send(b"\xc1\0\0\0\0");
        assert!(raw.replies().is_empty());
        raw.side.rekey();
        raw.flush();
        assert_eq!(raw.reply()[0], 20);
        raw.send(b"\xc0\0\0\0\x01x");
        assert!(raw.exchange().iter().all(|reply| reply[0] != 193));
        raw.send(b"\xc0\0\0\0\x01y");
        assert_eq!((raw.reply(), &raw.error), (b"\xc1\0\0\0\x01y".to_vec(), &None));
        raw.send(b"\xc0\0\0\0\x02y");
        assert!(matches!(raw.violation(), Some(Violation::Malformed { number: 192, .. })));
    });
}

/// P28: after every byte of a valid connection the side waits for the next one, and nothing of a packet is visible
/// before it is complete. A connection that breaks off there is simply dropped.
#[test]
fn a_connection_can_break_off_after_any_byte() {
    let setup = Setup::new(1);
    let mut raw = Raw::client(&setup);
    let feed = |raw: &mut Raw<whelk_ssh::auth::server::ServerAuth>, bytes: &[u8]| {
        for (index, byte) in bytes.iter().enumerate() {
            let seen = raw.application.events.len();
            raw.bytes(&[*byte]);
            assert_eq!(raw.error, None);
            assert!(raw.side.wants_input(), "byte {index}");
            assert!(raw.side.deadline().is_some() || raw.side.user().is_some());
            let last = index + 1 == bytes.len();
            assert!(last || raw.application.events.len() == seen, "byte {index} of {} showed something", bytes.len());
        }
    };
    feed(&mut raw, &[HELLO, b"\r\n"].concat());
    raw.exchange();
    raw.replies();
    for payload in [
        crate::raw::SERVICE.to_vec(),
        none(b"alice"),
        crate::raw::open(0, 1000, 1000),
        crate::raw::request(b"exec", true, b"\0\0\0\x03cat"),
        data(b"some data"),
        crate::raw::on_channel(96, 0, b""),
        crate::raw::on_channel(97, 0, b""),
        b"\x01\0\0\0\x0b\0\0\0\0\0\0\0\0".to_vec(),
    ] {
        let goodbye = payload[0] == 1;
        let packet = raw.packet(&payload);
        feed(&mut raw, &packet[..packet.len() - 1]);
        raw.bytes(&packet[packet.len() - 1..]);
        assert_eq!(matches!(raw.error, Some(Error::Disconnected { reason: 11, .. })), goodbye, "{:?}", raw.error);
    }
    assert_eq!(raw.application.events, ["open 0", "request 0 exec", "eof 0", "closed 0"]);
}

/// Two sides after their first key exchange, with one byte changed between them.
fn flipped(flip: (Option<usize>, Option<usize>)) -> Pair {
    let mut setup = Setup::new(usize::MAX);
    let few = Preferences::default().with_kex(&["curve25519-sha256"]).expect("a name of ours");
    let few = few.with_ciphers(&["aes128-gcm@openssh.com"]).expect("a name of ours");
    (setup.client.preferences, setup.server.preferences) = (few.clone(), few);
    let mut pair = setup.pair();
    pair.flip = flip;
    while (pair.server.exchanges() == 0 || pair.client.exchanges() == 0) && pair.step() {}
    pair
}

/// Nobody logs in and has a session.
fn leads_nowhere(flip: (Option<usize>, Option<usize>)) {
    let mut pair = flipped(flip);
    pair.drive();
    pair.client_opens();
    pair.drive();
    assert!(!pair.at_client.saw("opened 0"), "{flip:?}");
}

/// P29: the server signs everything that both sides send in clear, so a changed bit is either noticed as malformed or
/// invalidates the signature.
#[test]
fn a_flipped_bit_in_a_clients_clear_text_ends_the_connection() {
    let positions = signed_bytes(&flipped((None, None)).wire.0);
    assert!(positions.len() > 300);
    positions.into_iter().for_each(|at| leads_nowhere((Some(at), None)));
}

/// P29.
#[test]
fn a_flipped_bit_in_a_servers_clear_text_ends_the_connection() {
    let positions = signed_bytes(&flipped((None, None)).wire.1);
    assert!(positions.len() > 500);
    positions.into_iter().for_each(|at| leads_nowhere((None, Some(at))));
}

/// The positions of clear text that may not change: all but padding, which is not hashed.
fn signed_bytes(wire: &[u8]) -> Vec<usize> {
    let mut at = wire.iter().position(|byte| *byte == b'\n').expect("an identification") + 1;
    let mut signed: Vec<usize> = (0..at).collect();
    loop {
        let length = u32::from_be_bytes(*wire[at..].first_chunk().expect("a whole packet")) as usize;
        let padding = usize::from(wire[at + 4]);
        signed.extend(at..at + 4 + length - padding);
        if wire[at + 5] == 21 {
            return signed;
        }
        at += 4 + length;
    }
}

/// K8 with P15: without strict key exchange a clear packet is allowed anywhere before the keys; it is dropped unread.
#[test]
fn a_lax_clients_ignore_may_be_malformed() {
    twice(|setup| {
        let mut raw = Raw::client(&setup);
        raw.strict = false;
        raw.identify();
        raw.send(&[2, 0xff, 0xff, 0xff, 0xff]);
        raw.init(&Lists::honest(raw.agreement, raw.suite, LAX));
        raw.agree();
        assert_eq!((raw.side.exchanges(), &raw.error), (1, &None));
    });
}
