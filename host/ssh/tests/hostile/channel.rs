//! C: channels.

use std::time::Duration;

use whelk_ssh::connection::Progress;
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::auth::AuthMessage;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Recipient};
use whelk_ssh::message::request::{Modes, Request, WindowSize};
use whelk_ssh::mux::{Exit, OpenFailure};
use whelk_ssh::wire::Rest;

use crate::memory::held;
use crate::pair::{Setup, twice};
use crate::raw::{Raw, data, encode, on_channel, open, request};

const FIRST: ChannelId = ChannelId(0);

fn numbers(replies: &[Vec<u8>]) -> Vec<u8> {
    replies.iter().map(|reply| reply[0]).collect()
}

/// An open of any kind.
fn open_kind(kind: &[u8], sender: u32) -> Vec<u8> {
    encode(&MuxMessage::ChannelOpen { kind, sender, window: 1 << 20, max_packet: 1 << 15, body: Rest(b"anything") })
}

fn global(kind: &[u8], want_reply: bool) -> Vec<u8> {
    encode(&MuxMessage::GlobalRequest { kind, want_reply, body: Rest(b"anything") })
}

/// Every message that names a channel, for this one.
fn about(channel: u32) -> Vec<Vec<u8>> {
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

/// C1.
#[test]
fn a_message_for_a_channel_that_is_not_there_ends_the_connection() {
    let setup = Setup::new(usize::MAX);
    for channel in [1, 63, 64, 777, 0x8000_0000, u32::MAX] {
        for payload in about(channel) {
            let mut raw = Raw::opened(&setup);
            raw.send(&payload);
            assert_eq!(raw.violation(), Some(Violation::NoSuchChannel), "{channel} {}", payload[0]);
            assert_eq!(raw.farewell(), Some(2));
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
fn answers_to_opens_that_nobody_made_end_the_connection() {
    twice(|setup| {
        for channel in [0, 1, 5, u32::MAX] {
            for payload in
                [on_channel(91, channel, &[0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0]), on_channel(92, channel, &[0; 12])]
            {
                let mut raw = Raw::opened(&setup);
                raw.send(&payload);
                assert_eq!(raw.violation(), Some(Violation::Unsolicited));
                assert_eq!(raw.farewell(), Some(2));
            }
        }
    });
}

/// C4.
#[test]
fn nothing_is_said_on_a_channel_after_its_close_and_no_data_after_its_eof() {
    twice(|setup| {
        for close_is_answered in [true, false] {
            for payload in about(0) {
                let mut raw = Raw::opened(&setup);
                let packets = [raw.packet(&on_channel(97, 0, b"")), raw.packet(&payload)];
                if close_is_answered {
                    raw.bytes(&packets[0]);
                    raw.bytes(&packets[1]);
                    assert_eq!(raw.violation(), Some(Violation::NoSuchChannel), "{}", payload[0]);
                } else {
                    raw.bytes(&packets.concat());
                    assert!(matches!(raw.violation(), Some(Violation::ChannelClosed | Violation::NoSuchChannel)));
                }
                assert_eq!(raw.application.events, ["open 0", "closed 0"], "one close and nothing after it");
            }
        }
        for after in [94, 95, 96] {
            let mut raw = Raw::opened(&setup);
            raw.send(&on_channel(96, 0, b""));
            raw.send(about(0).iter().find(|payload| payload[0] == after).unwrap());
            assert_eq!(raw.violation(), Some(Violation::ChannelClosed));
            assert_eq!(raw.application.events, ["open 0", "eof 0"]);
        }
    });
}

/// C5: what was written to a channel that has ended is nowhere near the next one of its number.
#[test]
fn a_number_that_comes_again_brings_nothing_of_its_former_life() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    for round in 0..2000u32 {
        raw.send(&open(round, 10, 10));
        assert_eq!(raw.side.write(FIRST, None, &round.to_be_bytes()), 4);
        raw.side.send_eof(FIRST);
        raw.send(&on_channel(97, 0, b""));
        // The slow owner has not heard yet that its channel is gone.
        assert_eq!(raw.side.write(FIRST, None, b"late"), 0);
        raw.side.exit(FIRST, Exit::Status(1));
        raw.side.reply(FIRST, true);
        raw.flush();
        let replies = raw.replies();
        assert_eq!(numbers(&replies), [91, 94, 96, 97], "{round}");
        assert!(replies.iter().all(|reply| reply[1..5] == round.to_be_bytes()));
        assert_eq!(replies[1][9..], round.to_be_bytes());
    }
    assert_eq!(raw.error, None);
}

/// C6: the client's numbers are the client's business.
#[test]
fn two_channels_that_the_client_calls_alike_are_two_channels() {
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

/// C7.
#[test]
fn a_window_past_what_its_number_holds_ends_the_connection() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        raw.send(&open(0, 1, 100));
        raw.reply();
        raw.send(&on_channel(93, 0, &(u32::MAX - 1).to_be_bytes()));
        assert_eq!((&raw.error, raw.side.room(FIRST) > 0), (&None, true));
        raw.send(&on_channel(93, 0, &[0, 0, 0, 1]));
        assert_eq!(raw.violation(), Some(Violation::WindowOverflow));
        assert_eq!(raw.farewell(), Some(2));
        let mut raw = Raw::opened(&setup);
        let twice = on_channel(93, 0, &u32::MAX.to_be_bytes());
        raw.send(&twice);
        assert_eq!(raw.violation(), Some(Violation::WindowOverflow));
    });
}

/// C8.
#[test]
fn the_first_byte_over_window_or_packet_ends_the_connection() {
    let setup = Setup::new(usize::MAX);
    let window = setup.mux.window_start as usize;
    let full = || {
        let mut raw = Raw::opened(&setup);
        raw.application.takes = false;
        for _ in 0..window / (32 << 10) {
            raw.send(&data(&[1; 32 << 10]));
        }
        assert_eq!(raw.error, None);
        raw
    };
    for one in [data(b"x"), on_channel(95, 0, b"\0\0\0\x01\0\0\0\x01x"), data(&[0; 32 << 10])] {
        let mut raw = full();
        raw.send(&one);
        assert_eq!(raw.violation(), Some(Violation::WindowExceeded));
        assert_eq!(raw.application.received(FIRST).len(), window);
        assert!(raw.replies().iter().all(|reply| reply[0] == 1), "nothing was credited that was not taken");
    }
    let mut raw = full();
    raw.send(&data(b""));
    assert_eq!(raw.error, None, "nothing fits into no window");
    let mut raw = Raw::opened(&setup);
    raw.send(&data(&[1; (32 << 10) + 1]));
    assert_eq!(raw.violation(), Some(Violation::WindowExceeded));
}

/// C8: neither a rekey nor an end of the channel is a way round the window.
#[test]
fn the_window_holds_during_a_rekey_and_after_the_program_has_ended() {
    let setup = Setup::new(usize::MAX);
    for ended in [false, true] {
        let mut raw = Raw::opened(&setup);
        if ended {
            raw.side.exit(FIRST, Exit::Status(0));
        } else {
            raw.side.rekey(raw.now);
        }
        raw.flush();
        let mut sent = 0;
        while raw.error.is_none() {
            raw.send(&data(&[1; 32 << 10]));
            sent += 32 << 10;
            assert!(sent <= 1 << 20, "data without end");
        }
        assert_eq!(raw.violation(), Some(Violation::WindowExceeded));
        assert_eq!(sent, setup.mux.window_start as usize + (32 << 10));
    }
}

/// C9.
#[test]
fn answers_that_nobody_asked_for_are_dropped() {
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
    // Nor do they count for what is asked later.
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

/// C12: what a stream is good for is its owner's business; none is a way round the window.
#[test]
fn extended_data_of_any_kind_is_data_with_its_kind() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        for kind in [0, 1, 2, 99, u32::MAX] {
            raw.send(&encode(&MuxMessage::ChannelExtendedData { recipient: Recipient(0), kind, data: b"side" }));
        }
        assert_eq!((raw.application.received(FIRST), &raw.error), (&b"side".repeat(5)[..], &None));
        let half = setup.mux.max_packet as usize / 2;
        let before = raw.replies().len();
        for _ in 0..(setup.mux.window_start as usize).div_ceil(half) + 1 {
            raw.send(&encode(&MuxMessage::ChannelExtendedData {
                recipient: Recipient(0),
                kind: 7,
                data: &vec![0; half],
            }));
        }
        assert!(raw.replies().len() > before, "credit comes back for it as for any other");
        assert_eq!(raw.error, None);
    });
}

/// C13.
#[test]
fn a_channel_that_takes_no_packets_is_refused_and_one_that_takes_bytes_gets_bytes() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        for window in [0, 1000] {
            raw.send(&open(3, window, 0));
            assert_eq!(raw.reply()[..9], [92, 0, 0, 0, 3, 0, 0, 0, OpenFailure::ConnectFailed.code() as u8]);
        }
        raw.send(&open(0, 1000, 1));
        raw.reply();
        let text = [7; 300];
        let mut rest = &text[..];
        while !rest.is_empty() {
            let took = raw.side.write(FIRST, None, rest);
            assert_eq!(took, 1);
            rest = &rest[took..];
        }
        raw.flush();
        let replies = raw.replies();
        assert_eq!((replies.len(), &raw.error), (300, &None));
        assert!(replies.iter().all(|reply| reply[5..] == [0, 0, 0, 1, 7]));
    });
}

/// C11, C14: a window that is never opened takes nothing, however much there is to write, and holds nothing.
#[test]
fn what_no_window_takes_stays_with_the_writer() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    raw.send(&open(0, 0, 1 << 15));
    raw.reply();
    let endless = vec![0; 64 << 20];
    let before = held();
    for _ in 0..1000 {
        assert_eq!((raw.side.room(FIRST), raw.side.write(FIRST, None, &endless)), (0, 0));
        assert_eq!(raw.side.write(FIRST, Some(1), &endless), 0);
    }
    raw.flush();
    assert_eq!((raw.replies().len(), held()), (0, before));
    raw.send(&on_channel(93, 0, &[0, 0, 0, 1]));
    assert_eq!(raw.side.write(FIRST, None, &endless), 1);
    assert_eq!(raw.side.write(FIRST, None, &endless), 0);
}

/// F7, C14: who opens its window and does not read its socket gets no more than the mark.
#[test]
fn a_writer_stops_at_the_mark_when_the_socket_does() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    raw.send(&open(0, u32::MAX, 1 << 15));
    raw.reply();
    raw.reads = false;
    let mut written = 0;
    while raw.side.can_write() {
        let room = raw.side.room(FIRST);
        let took = raw.side.write(FIRST, None, &[0; 32 << 10]);
        assert!(took > 0 && took <= room, "{room} bytes of room, and {took} taken");
        written += took;
    }
    assert_eq!((raw.side.room(FIRST), raw.side.write(FIRST, None, b"x")), (0, 0));
    assert!(raw.side.output().len() <= setup.server.output_mark + 100, "{}", raw.side.output().len());
    assert!(written > setup.server.output_mark - 1000);
}

/// C15.
#[test]
fn adjustments_of_one_byte_cost_nothing_but_their_packets() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.application.forgets = true;
    let one = on_channel(93, 0, &[0, 0, 0, 1]);
    raw.send(&one);
    let before = held();
    for _ in 0..20_000 {
        raw.send(&one);
    }
    assert_eq!((raw.replies().len(), &raw.error), (0, &None));
    assert!(held() - before < 1000);
}

/// C16.
#[test]
fn a_flood_of_opens_gets_ten_sessions_and_refusals() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        for sender in 0..200 {
            raw.send(&open(sender, 10, 10));
        }
        let replies = raw.replies();
        let shortage = |reply: &[u8]| reply[0] == 92 && reply[5..9] == [0, 0, 0, 4];
        assert_eq!(replies.iter().filter(|reply| reply[0] == 91).count(), 10);
        assert_eq!(replies.iter().filter(|reply| shortage(reply)).count(), 190);
        assert_eq!((raw.application.lives.len(), &raw.error), (10, &None));
        // And the same for channels whose sessions have ended but which the client does not close.
        let mut raw = Raw::entered(&setup);
        for round in 0..100 {
            raw.send(&open(round, 10, 10));
            raw.side.exit(ChannelId(round), Exit::Status(0));
            raw.flush();
            let opened = numbers(&raw.replies())[0] == 91;
            assert_eq!(opened, round < setup.mux.max_channels as u32);
        }
    });
}

/// C16: opens that nobody has decided about count like sessions.
#[test]
fn sessions_that_wait_for_their_owner_count() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        raw.application.answers = false;
        for sender in 0..20 {
            raw.send(&open(sender, 10, 10));
        }
        assert_eq!(numbers(&raw.replies()), [92; 10]);
        assert_eq!(raw.application.lives.len(), 10);
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
            assert_eq!(raw.farewell(), Some(2));
        }
    });
}

/// C18, C27, C29.
#[test]
fn other_kinds_of_channel_and_global_request_are_refused_by_name() {
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

/// C19, C20, C28, C29: what the owner denies is denied to the client, and what nobody grants is denied without the owner.
#[test]
fn requests_that_nobody_grants_fail() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.application.says = false;
        raw.send(&request(b"bogus@x", true, b"\xff\xff\xff\xff"));
        assert_eq!(raw.reply(), on_channel(100, 0, b""));
        raw.send(&request(b"bogus@x", false, b""));
        assert_eq!(raw.replies(), Vec::<Vec<u8>>::new());
        let heard = raw.application.events.len();
        for kind in [&b"x11-req"[..], b"auth-agent-req", b"auth-agent-req@openssh.com", b"exit-status", b"exit-signal"]
        {
            for body in [&b""[..], b"\0\0\0\0", b"\0\0\0\x04;\n'\"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
                raw.send(&request(kind, true, body));
                assert_eq!(raw.reply(), on_channel(100, 0, b""));
                raw.send(&request(kind, false, body));
                assert_eq!(raw.replies(), Vec::<Vec<u8>>::new());
            }
        }
        assert_eq!((raw.application.events.len(), &raw.error), (heard, &None), "the owner hears of none of them");
    });
}

/// C21.
#[test]
fn requests_in_one_breath_are_answered_in_their_order_one_each() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.application.answers = false;
        // Every third the mux denies by itself, and those between wait for their owner.
        let kinds: [(&[u8], &[u8]); 3] = [(b"shell", b""), (b"x11-req", b""), (b"env", b"\0\0\0\x01A\0\0\0\x01B")];
        let packets: Vec<u8> =
            (0..50).flat_map(|index| raw.packet(&request(kinds[index % 3].0, true, kinds[index % 3].1))).collect();
        raw.bytes(&packets);
        assert!(raw.replies().is_empty(), "nothing overtakes the first");
        for index in (0..50).filter(|index| index % 3 != 1) {
            raw.side.reply(FIRST, index % 2 == 0);
        }
        raw.flush();
        let expected: Vec<u8> = (0..50).map(|index| if index % 3 != 1 && index % 2 == 0 { 99 } else { 100 }).collect();
        assert_eq!((numbers(&raw.replies()), &raw.error), (expected, &None));
    });
}

/// C21, C22: more in one breath than may be owed at once is answered all the same, without another byte from the client.
#[test]
fn many_requests_in_one_segment_are_all_answered() {
    twice(|setup| {
        for (payload, answer) in [
            (global(b"x", true), 82),
            (open_kind(b"bogus", 0), 92),
            (request(b"x11-req", true, b""), 100),
            (request(b"shell", true, b""), 99),
        ] {
            let mut raw = Raw::opened(&setup);
            let packets: Vec<u8> = (0..300).flat_map(|_| raw.packet(&payload)).collect();
            raw.bytes(&packets);
            assert_eq!((numbers(&raw.replies()), &raw.error), (vec![answer; 300], &None));
        }
    });
}

/// C21, C22: even for an application that settles only after everything was looked at.
#[test]
fn what_is_owed_does_not_end_the_looking_while_there_is_room_for_it() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    let packets: Vec<u8> = (0..300).flat_map(|_| raw.packet(&global(b"x", true))).collect();
    for piece in packets.chunks(4096) {
        raw.side.input()[..piece.len()].copy_from_slice(piece);
        raw.side.filled(piece.len());
    }
    while raw.side.receive(raw.now, |_| {}) == Ok(Progress::More) {}
    raw.side.settle(raw.now).unwrap();
    raw.heard.extend_from_slice(raw.side.output());
    assert_eq!(raw.replies().len(), 300, "and not one byte more has come");
}

/// C22: a socket that takes everything at once tells nobody when it has; the next byte of the peer may never come.
#[test]
fn who_was_held_up_is_looked_at_again_when_the_output_has_gone() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.reads = false;
    while raw.side.can_write() {
        raw.side.write(FIRST, None, &[0; 32 << 10]);
    }
    assert!(!raw.side.is_held());
    for _ in 0..200 {
        raw.send(&global(b"x", true));
    }
    assert!(raw.side.is_held() && !raw.side.wants_input());
    // What a pump does: once round for each write that took everything.
    let mut rounds = 0;
    while raw.side.is_held() {
        let output = raw.side.output().len();
        raw.heard.extend_from_slice(raw.side.output());
        raw.side.sent(output);
        assert_eq!(raw.side.receive(raw.now, |_| {}), Ok(Progress::Done));
        raw.side.settle(raw.now).unwrap();
        rounds += 1;
    }
    raw.reads = true;
    raw.flush();
    assert_eq!((rounds, &raw.error), (1, &None));
    assert_eq!(raw.replies().iter().filter(|reply| reply[0] == 82).count(), 200);
}

/// C22.
#[test]
fn who_asks_and_never_reads_is_not_listened_to() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.application.forgets = true;
    raw.reads = false;
    let payloads = [global(b"x", true), open_kind(b"bogus", 0), request(b"x11-req", true, b"")];
    let mut sent = 0;
    while raw.unwanted() < 200_000 {
        raw.send(&payloads[sent % 3]);
        sent += 1;
        assert!(sent < 100_000, "the victim reads for ever");
    }
    assert!(!raw.side.wants_input());
    assert!(raw.side.output().len() <= setup.server.output_mark + 200);
    raw.reads = true;
    raw.flush();
    assert_eq!((raw.replies().len(), &raw.error), (sent, &None));
}

fn pty(term: &[u8], size: WindowSize, modes: &[u8]) -> Vec<u8> {
    let body = Request::PtyReq { term, size, modes: Modes::new(modes) }.body();
    request(b"pty-req", true, &body)
}

/// C23: numbers are passed on as they are; whoever multiplies them has to look after that.
#[test]
fn a_terminal_of_any_size_is_passed_on_and_one_of_broken_modes_is_not() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        for number in [0, 1, 80, u32::MAX] {
            let size = WindowSize { columns: number, rows: number, width_px: number, height_px: number };
            raw.send(&pty(b"xterm", size, b"\x35\0\0\0\x01\0"));
            assert_eq!(raw.reply()[0], 99);
        }
        let heard = raw.application.events.len();
        let broken: [&[u8]; 4] = [b"\x35", b"\x35\0\0\0", &[1; 5 * 200], &[1; 50_000]];
        for modes in broken {
            raw.send(&pty(b"xterm", WindowSize::default(), modes));
            assert_eq!(raw.reply()[0], 100);
        }
        let whole: [&[u8]; 4] = [b"", b"\0", b"\xa0junk", b"\x35\0\0\0\x01\xff\xff"];
        for modes in whole {
            raw.send(&pty(&[b't'; 30_000], WindowSize::default(), modes));
            assert_eq!(raw.reply()[0], 99);
        }
        assert_eq!((raw.application.events.len(), &raw.error), (heard + 4, &None));
    });
}

/// C24: a run of them counts as one, whoever is slow to answer.
#[test]
fn a_flood_of_window_changes_is_one_unanswered_request() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    (raw.application.answers, raw.application.forgets) = (false, true);
    let change = request(b"window-change", false, &Request::WindowChange { size: WindowSize::default() }.body());
    raw.send(&change);
    let before = held();
    for _ in 0..10_000 {
        raw.send(&change);
    }
    assert!(held() - before < 1000);
    for _ in 0..10_001 {
        raw.side.reply(FIRST, true);
    }
    raw.flush();
    assert_eq!((raw.replies().len(), &raw.error), (0, &None));
    // Requests of other kinds are no run: a patient client has not so many under way.
    let mut raw = Raw::opened(&setup);
    raw.application.answers = false;
    let mut sent = 0;
    while raw.error.is_none() {
        raw.send(&request(b"env", false, b"\0\0\0\x01A\0\0\0\x01B"));
        sent += 1;
    }
    assert_eq!((raw.violation(), sent), (Some(Violation::TooManyRequests), setup.mux.unanswered + 1));
}

/// C25, C31, C32: bytes are bytes.
#[test]
fn names_commands_and_variables_reach_their_owner_byte_by_byte() {
    twice(|setup| {
        let long = vec![b'c'; 60_000];
        for text in [&b""[..], b"id\0", b"\xff\xfe\x1b[31m", b"LD_PRELOAD", b"../x", &long] {
            for message in [
                Request::Exec { command: text },
                Request::Subsystem { name: text },
                Request::Signal { name: text },
                Request::Env { name: b"A", value: text },
            ] {
                let mut raw = Raw::opened(&setup);
                let packet = raw.packet(&request(message.kind(), true, &message.body()));
                let mut heard = false;
                for piece in packet.chunks(setup.cut.min(4096)) {
                    raw.side.input()[..piece.len()].copy_from_slice(piece);
                    raw.side.filled(piece.len());
                    let received = raw.side.receive(raw.now, |event| {
                        use whelk_ssh::connection::Event;
                        use whelk_ssh::mux;
                        if let Event::Channel(mux::Event::Request { request, .. }) = event {
                            heard = request == message;
                        }
                    });
                    assert!(received.is_ok());
                }
                assert!(heard, "{message:?}");
            }
        }
    });
}

/// C26.
#[test]
fn half_requests_fail_in_their_turn_and_nobody_hears_of_them() {
    twice(|setup| {
        let whole = [
            Request::Exec { command: b"id" },
            Request::Env { name: b"A", value: b"B" },
            Request::Subsystem { name: b"sftp" },
            Request::Signal { name: b"TERM" },
            Request::Break { length_ms: 1 },
            Request::WindowChange { size: WindowSize::default() },
            Request::ExitStatus { status: 1 },
            Request::ExitSignal { name: b"SEGV", core_dumped: true, message: b"so", language: b"" },
        ];
        let mut raw = Raw::opened(&setup);
        for message in whole {
            let body = message.body();
            let cuts = (0..body.len()).map(|length| body[..length].to_vec()).chain([[&body[..], b"x"].concat()]);
            for body in cuts {
                raw.send(&request(message.kind(), true, &body));
                assert_eq!(raw.reply(), on_channel(100, 0, b""));
                raw.send(&request(message.kind(), false, &body));
            }
        }
        assert_eq!((raw.replies().len(), &raw.error), (0, &None));
        assert_eq!(raw.application.events, ["open 0"]);
    });
}

/// C26 at the client: a server's exits are no more trusted than a client's.
#[test]
fn a_client_takes_half_exits_and_strange_opens_as_what_they_are() {
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
        // And no second yes.
        raw.send(&on_channel(91, 0, &[0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 0]));
        assert_eq!(raw.violation(), Some(Violation::Unsolicited));
    });
}

/// C30.
#[test]
fn a_program_that_outlives_the_clients_eof_says_all_before_its_end() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        raw.send(&open(0, 100_000, 1 << 15));
        raw.send(&request(b"exec", true, b"\0\0\0\x03cat"));
        raw.send(&on_channel(96, 0, b""));
        raw.replies();
        let text: Vec<u8> = (0..200_000).map(|index| (index / 3) as u8).collect();
        let (mut rest, mut got, mut order) = (&text[..], Vec::new(), Vec::new());
        let mut turns = 0;
        while !rest.is_empty() {
            let took = raw.side.write(FIRST, None, rest);
            rest = &rest[took..];
            if rest.is_empty() {
                raw.side.exit(FIRST, Exit::Status(7));
            }
            raw.flush();
            let mut heard = 0;
            for reply in raw.replies() {
                order.push(reply[0]);
                match MuxMessage::decode(&reply) {
                    Ok(MuxMessage::ChannelData { data, .. }) => {
                        got.extend_from_slice(data);
                        heard += data.len() as u32;
                    }
                    Ok(MuxMessage::ChannelRequest { kind, body, want_reply, .. }) => {
                        assert_eq!((kind, body.0, want_reply), (&b"exit-status"[..], &b"\0\0\0\x07"[..], false));
                    }
                    Ok(_) => {}
                    Err(wrong) => panic!("{wrong}"),
                }
            }
            raw.send(&on_channel(93, 0, &heard.to_be_bytes()));
            turns += 1;
            assert!(turns < 1000, "no window is ever enough");
        }
        assert_eq!(got, text);
        assert_eq!(order[order.len() - 3..], [98, 96, 97]);
        raw.send(&on_channel(97, 0, b""));
        assert_eq!(raw.error, None);
        assert_eq!(raw.application.events.last().map(String::as_str), Some("closed 0"));
    });
}

/// C30: the order holds where keys are changed in the middle of it.
#[test]
fn the_order_of_an_end_holds_across_a_rekey() {
    twice(|setup| {
        for signal in [false, true] {
            let mut raw = Raw::opened(&setup);
            raw.side.write(FIRST, None, b"last words");
            raw.side.rekey(raw.now);
            let message = "\u{1b}[31m".repeat(10_000);
            raw.side.exit(
                FIRST,
                if signal {
                    Exit::Signal { name: "TERM".repeat(10_000), core_dumped: false, message }
                } else {
                    Exit::Status(0)
                },
            );
            raw.flush();
            assert_eq!(numbers(&raw.replies()), [94, 20]);
            raw.init(&raw.offer());
            let replies = raw.agree();
            let mut order = numbers(&replies);
            let rest = raw.replies();
            order.extend(numbers(&rest));
            assert_eq!(order, [31, 21, 98, 96, 97]);
            assert!(replies.iter().chain(&rest).all(|reply| reply.len() < 3000), "the words of an end are few");
        }
    });
}

/// I7: whatever words a plugin ends a connection with, it is one packet that every client can take.
#[test]
fn words_of_farewell_are_few() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    raw.side.disconnect(&Error::Requested { reason: 11, text: "ä".repeat(1 << 20) });
    raw.flush();
    let goodbye = raw.reply();
    assert!(goodbye.len() < 1100, "{} bytes", goodbye.len());
    assert!(std::str::from_utf8(&goodbye[9..goodbye.len() - 4]).is_ok());
}

/// K16: rekeys back to back leave channels and memory as they were.
#[test]
fn a_storm_of_rekeys_leaves_nothing_behind() {
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

/// A message of authentication is no message of a channel, whatever phase it is.
#[test]
fn a_refusal_after_entering_is_no_message_for_a_client() {
    twice(|setup| {
        let mut raw = Raw::let_in(&setup);
        raw.send(&encode(&AuthMessage::UserauthSuccess {}));
        assert_eq!(raw.violation(), Some(Violation::Unexpected { number: 52 }));
    });
}
