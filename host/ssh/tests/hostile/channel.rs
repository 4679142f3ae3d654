//! C: channels and their numbers, opens and answers.

use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::auth::AuthMessage;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Stream};
use whelk_ssh::mux::{Exit, OpenFailure};
use whelk_ssh::wire::Rest;

use crate::memory::held;
use crate::pair::{Setup, twice};
use crate::raw::{Raw, data, encode, on_channel, open, request};

const FIRST: ChannelId = ChannelId(0);

pub(crate) fn numbers(replies: &[Vec<u8>]) -> Vec<u8> {
    replies.iter().map(|reply| reply[0]).collect()
}

/// A channel open of any type.
pub(crate) fn open_kind(kind: &[u8], sender: u32) -> Vec<u8> {
    encode(&MuxMessage::ChannelOpen { kind, sender, window: 1 << 20, max_packet: 1 << 15, body: Rest(b"anything") })
}

pub(crate) fn global(kind: &[u8], want_reply: bool) -> Vec<u8> {
    encode(&MuxMessage::GlobalRequest { kind, want_reply, body: Rest(b"anything") })
}

/// Every message that names a channel, for this one.
pub(crate) fn about(channel: u32) -> Vec<Vec<u8>> {
    let string = [0, 0, 0, 1, b'x'];
    vec![
        on_channel(93, channel, &[0, 0, 0, 1]),
        on_channel(94, channel, &string),
        on_channel(95, channel, &[&[0, 0, 0, 1][..], &string].concat()),
        on_channel(96, channel, b""),
        on_channel(97, channel, b""),
        on_channel(98, channel, &[&string[..], b"\x01"].concat()),
        on_channel(99, channel, b""),
        on_channel(100, channel, b""),
    ]
}

/// C1. A window adjustment is no exception, though OpenSSH ignores it: its sender believes in a channel that never
/// existed.
#[test]
fn a_message_for_a_channel_that_never_existed_ends_the_connection() {
    let setup = Setup::new(usize::MAX);
    for channel in [1, 63, 64, 777, 0x8000_0000, u32::MAX] {
        for payload in about(channel) {
            let mut raw = Raw::opened(&setup);
            raw.send(&payload);
            assert_eq!(raw.violation(), Some(Violation::NoSuchChannel), "{channel} {}", payload[0]);
            assert_eq!(raw.disconnect_reason(), Some(2));
        }
    }
}

/// C2.
#[test]
fn a_message_for_a_channel_that_is_not_confirmed_ends_the_connection() {
    twice(|setup| {
        for payload in about(0) {
            let mut raw = Raw::entered(&setup);
            raw.application.answers = false;
            raw.send(&open(0, 1, 1));
            raw.send(&payload);
            assert_eq!(raw.violation(), Some(Violation::NoSuchChannel), "{}", payload[0]);
            assert_eq!(raw.application.events, ["open 0"]);
        }
    });
}

/// C3.
#[test]
fn answers_without_an_open_end_the_connection() {
    twice(|setup| {
        for channel in [0, 1, 5, u32::MAX] {
            for payload in
                [on_channel(91, channel, &[0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0]), on_channel(92, channel, &[0; 12])]
            {
                let mut raw = Raw::opened(&setup);
                raw.send(&payload);
                assert_eq!(raw.violation(), Some(Violation::Unsolicited));
                assert_eq!(raw.disconnect_reason(), Some(2));
            }
        }
    });
}

/// C4: messages after CLOSE affect no other channel. Channel 1 is the witness.
#[test]
fn messages_after_close_are_ignored() {
    twice(|setup| {
        for close_is_answered in [true, false] {
            for payload in about(0) {
                let mut raw = Raw::opened(&setup);
                raw.open(1);
                let packets = [raw.packet(&on_channel(97, 0, b"")), raw.packet(&payload)];
                if close_is_answered {
                    raw.bytes(&packets[0]);
                    raw.bytes(&packets[1]);
                } else {
                    raw.bytes(&packets.concat());
                }
                assert_eq!((numbers(&raw.replies()), &raw.error), (vec![97], &None), "{}", payload[0]);
                raw.send(&on_channel(94, 1, b"\0\0\0\x02ok"));
                assert_eq!(raw.application.received(ChannelId(1)), b"ok");
                let expected = ["open 0", "open 1", "closed 0"];
                assert_eq!(raw.application.events, expected, "one close and nothing after it");
            }
        }
    });
}

/// C4: a client may close without reading: node ssh2 sends an adjustment after its CLOSE, others EOF.
#[test]
fn a_client_that_closes_early_ten_times_keeps_its_other_session() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        for number in 1..=10 {
            raw.open(number);
            raw.send(&on_channel(98, number, b"\0\0\0\x05shell\x01"));
            for late in [97, 93, 96, 97, 94, 98] {
                raw.send(about(number).iter().find(|payload| payload[0] == late).unwrap());
            }
            assert_eq!((numbers(&raw.replies()), &raw.error), (vec![99, 97], &None));
        }
        raw.send(&data(b"still here"));
        assert_eq!(raw.application.received(FIRST), b"still here");
        assert_eq!(raw.side.write(FIRST, Stream::Data, b"so am I"), 7);
    });
}

/// C4: in the other direction: our CLOSE was sent, and the client's was not.
#[test]
fn messages_of_a_client_that_has_not_read_our_close_are_ignored() {
    twice(|setup| {
        for payload in about(0) {
            let mut raw = Raw::opened(&setup);
            raw.open(1);
            raw.side.exit(FIRST, Exit::Status(0));
            raw.flush();
            assert_eq!(numbers(&raw.replies()), [98, 96, 97]);
            raw.send(&payload);
            raw.send(&payload);
            raw.send(&on_channel(97, 0, b""));
            assert_eq!((raw.replies().len(), &raw.error), (0, &None), "{}", payload[0]);
            assert_eq!(raw.application.events, ["open 0", "open 1", "closed 0"]);
        }
    });
}

/// C4.
#[test]
fn after_eof_nothing_more_reaches_the_application() {
    twice(|setup| {
        for after in [94, 95, 96] {
            let mut raw = Raw::opened(&setup);
            raw.open(1);
            raw.send(&on_channel(96, 0, b""));
            raw.send(about(0).iter().find(|payload| payload[0] == after).unwrap());
            raw.send(&request(b"x@y", true, b""));
            assert_eq!((numbers(&raw.replies()), &raw.error), (vec![99], &None));
            assert_eq!(raw.application.events, ["open 0", "open 1", "eof 0", "request 0 x@y"]);
            assert_eq!(raw.application.received(FIRST), b"");
            raw.send(&on_channel(94, 1, b"\0\0\0\x02ok"));
            assert_eq!(raw.application.received(ChannelId(1)), b"ok");
            assert_eq!(raw.side.write(FIRST, Stream::Data, b"and so am I"), 11);
        }
    });
}

/// C5: output for a channel that has ended does not appear on the next one of its number.
#[test]
fn a_reused_channel_number_has_none_of_its_old_state() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    for round in 0..2000u32 {
        raw.send(&open(round, 10, 10));
        let number = raw.application.lives.last().unwrap().channel;
        assert_eq!(raw.side.write(number, Stream::Data, &round.to_be_bytes()), 4);
        raw.side.send_eof(number);
        raw.send(&on_channel(97, number.0, b""));
        // The slow owner does not know yet that its channel is gone.
        assert_eq!(raw.side.write(number, Stream::Data, b"late"), 0);
        raw.side.exit(number, Exit::Status(1));
        raw.side.reply(number, true);
        raw.flush();
        let replies = raw.replies();
        assert_eq!(numbers(&replies), [91, 94, 96, 97], "{round}");
        assert!(replies.iter().all(|reply| reply[1..5] == round.to_be_bytes()));
        assert_eq!(replies[1][9..], round.to_be_bytes());
    }
    assert_eq!(raw.error, None);
    assert!(raw.application.lives.iter().all(|life| life.channel.0 < 32), "numbers come again");
}

/// C6: the client's numbers are its own matter.
#[test]
fn two_channels_with_the_same_client_number_are_two_channels() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        for number in [0, 1] {
            raw.send(&open(7, 100, 100));
            assert_eq!(raw.reply()[..9], [&[91, 0, 0, 0, 7, 0, 0, 0][..], &[number]].concat());
        }
        raw.send(&on_channel(94, 1, b"\0\0\0\x03two"));
        raw.send(&data(b"one"));
        assert_eq!(raw.application.received(ChannelId(0)), b"one");
        assert_eq!(raw.application.received(ChannelId(1)), b"two");
    });
}

/// C9.
#[test]
fn answers_without_a_request_are_dropped() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    for _ in 0..500 {
        for payload in [on_channel(99, 0, b""), on_channel(100, 0, b""), vec![81, 1, 2, 3], vec![82]] {
            raw.send(&payload);
        }
    }
    assert_eq!((raw.replies().len(), &raw.error), (0, &None));
    raw.send(&global(b"keepalive@openssh.com", true));
    assert_eq!(raw.reply(), [82]);
    assert_eq!(raw.application.events, ["open 0"]);
    // Nor do they count for later requests.
    assert!(raw.side.request(FIRST, b"x@y", b"", true));
    raw.flush();
    assert_eq!(raw.reply()[0], 98);
    raw.send(&on_channel(100, 0, b""));
    raw.send(&on_channel(99, 0, b""));
    assert_eq!(raw.application.events, ["open 0", "answered 0 false"]);
}

/// C10.
#[test]
fn refused_opens_leave_nothing_behind() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    let mut before = 0;
    for round in 0..1000u32 {
        let packets: Vec<u8> = (0..100).flat_map(|_| raw.packet(&open_kind(b"bogus@x", round))).collect();
        raw.bytes(&packets);
        assert!(raw.replies().iter().all(|reply| reply[0] == 92 && reply[5..9] == [0, 0, 0, 3]));
        if round == 10 {
            before = held();
        }
    }
    assert!(held() - before < 2000, "{} bytes more", held() - before);
    assert_eq!(raw.error, None);
    raw.open(0);
}

/// C16.
#[test]
fn a_flood_of_opens_gets_sixty_four_sessions_and_refusals() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        for sender in 0..200 {
            raw.send(&open(sender, 10, 10));
        }
        let replies = raw.replies();
        let shortage = |reply: &[u8]| reply[0] == 92 && reply[5..9] == [0, 0, 0, 4];
        assert_eq!(replies.iter().filter(|reply| reply[0] == 91).count(), 64);
        assert_eq!(replies.iter().filter(|reply| shortage(reply)).count(), 136);
        assert_eq!((raw.application.lives.len(), &raw.error), (64, &None));
        // And the same for channels whose sessions have ended but which the client does not close.
        let mut raw = Raw::entered(&setup);
        for round in 0..200 {
            raw.send(&open(round, 10, 10));
            raw.side.exit(ChannelId(round), Exit::Status(0));
            raw.flush();
            let opened = numbers(&raw.replies())[0] == 91;
            assert_eq!(opened, round < setup.mux.max_channels as u32);
        }
    });
}

/// C16: undecided opens count like sessions.
#[test]
fn sessions_that_wait_for_their_owner_count() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        raw.application.answers = false;
        for sender in 0..74 {
            raw.send(&open(sender, 10, 10));
        }
        assert_eq!(numbers(&raw.replies()), [92; 10]);
        assert_eq!(raw.application.lives.len(), 64);
        raw.side.refuse(ChannelId(4), OpenFailure::ConnectFailed, &"x".repeat(100_000));
        raw.flush();
        let refusal = raw.reply();
        assert!(refusal[0] == 92 && refusal.len() < 1100, "a refusal is short");
    });
}

/// C17.
#[test]
fn a_client_that_promised_no_more_sessions_is_held_to_it() {
    twice(|setup| {
        for want_reply in [true, false] {
            let mut raw = Raw::opened(&setup);
            raw.send(&encode(&MuxMessage::GlobalRequest {
                kind: b"no-more-sessions@openssh.com",
                want_reply,
                body: Rest(b""),
            }));
            assert_eq!(numbers(&raw.replies()), if want_reply { &[81][..] } else { &[] });
            raw.send(&data(b"goes on"));
            assert_eq!((raw.application.received(FIRST), &raw.error), (&b"goes on"[..], &None));
            raw.send(&open(1, 10, 10));
            assert_eq!(raw.violation(), Some(Violation::NoMoreSessions));
            assert_eq!(raw.disconnect_reason(), Some(2));
        }
    });
}

/// C18, C27, C29.
#[test]
fn other_channel_types_and_global_requests_are_refused_by_name() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        for (kind, reason) in [
            (&b"bogus\xff"[..], 3),
            (b"", 3),
            (b"session\0", 3),
            (b"Session", 3),
            (b"x11", 1),
            (b"direct-tcpip", 1),
            (b"forwarded-tcpip", 1),
            (b"direct-streamlocal@openssh.com", 1),
            (b"auth-agent@openssh.com", 1),
            (b"tun@openssh.com", 1),
        ] {
            raw.send(&open_kind(kind, 9));
            assert_eq!(raw.reply()[..9], [92, 0, 0, 0, 9, 0, 0, 0, reason], "{}", kind.escape_ascii());
        }
        for kind in [
            &b"x@y"[..],
            b"",
            b"tcpip-forward",
            b"cancel-tcpip-forward",
            b"hostkeys-prove-00@openssh.com",
            &[0xff; 9000],
        ] {
            raw.send(&global(kind, true));
            assert_eq!(raw.reply(), [82]);
            raw.send(&global(kind, false));
            assert_eq!(raw.replies(), Vec::<Vec<u8>>::new());
        }
        assert_eq!((raw.application.events.len(), &raw.error), (0, &None));
    });
}

/// C26 at the client: a server's exits are not trusted more than a client's.
#[test]
fn a_client_refuses_malformed_exits_and_channel_opens() {
    twice(|setup| {
        let mut raw = Raw::let_in(&setup);
        raw.side.open_session();
        raw.flush();
        assert_eq!(raw.reply()[..12], *b"\x5a\0\0\0\x07session");
        raw.application.events.clear();
        // Not before it is confirmed.
        for payload in about(0) {
            let mut raw = Raw::let_in(&setup);
            raw.side.open_session();
            raw.flush();
            raw.send(&payload);
            assert_eq!(raw.violation(), Some(Violation::NoSuchChannel));
        }
        raw.send(&on_channel(91, 0, &[0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 0]));
        for (kind, body) in [
            (&b"exit-status"[..], &b"\0\0"[..]),
            (b"exit-signal", b"\0\0\0\x09x"),
            (b"shell", b""),
            (b"exec", b"\0\0\0\0"),
        ] {
            raw.send(&request(kind, true, body));
            assert_eq!(raw.reply(), on_channel(100, 9, b""));
        }
        for kind in [&b"session"[..], b"x11", b"forwarded-tcpip", b"auth-agent@openssh.com", b"bogus"] {
            raw.send(&open_kind(kind, 1));
            assert_eq!(raw.reply()[0], 92, "{}", kind.escape_ascii());
        }
        assert_eq!((&raw.application.events[..], &raw.error), (&["opened 0".to_owned()][..], &None));
        // And no second confirmation.
        raw.send(&on_channel(91, 0, &[0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 0]));
        assert_eq!(raw.violation(), Some(Violation::Unsolicited));
    });
}

/// I7: whatever text a plugin ends a connection with, it is one packet that every client can read.
#[test]
fn a_disconnect_sends_only_a_short_text() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    raw.side.disconnect(&Error::Requested { reason: 11, text: "ä".repeat(1 << 20) });
    raw.flush();
    let goodbye = raw.reply();
    assert!(goodbye.len() < 1100, "{} bytes", goodbye.len());
    assert!(std::str::from_utf8(&goodbye[9..goodbye.len() - 4]).is_ok());
}

/// An authentication message is not a channel message in any phase.
#[test]
fn an_authentication_message_after_login_is_a_violation_for_a_client() {
    twice(|setup| {
        let mut raw = Raw::let_in(&setup);
        raw.send(&encode(&AuthMessage::UserauthSuccess {}));
        assert_eq!(raw.violation(), Some(Violation::Unexpected { number: 52 }));
    });
}
