//! C: windows, credit, back pressure, and the order at the end.

use whelk_ssh::auth::server::ServerAuth;
use whelk_ssh::connection::Progress;
use whelk_ssh::error::Violation;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::mux::{MuxMessage, Recipient};
use whelk_ssh::mux::{Exit, OpenFailure};

use crate::channel::{global, numbers, open_kind};
use crate::memory::held;
use crate::pair::{Setup, twice};
use crate::raw::{Raw, data, encode, on_channel, open, request};

const FIRST: ChannelId = ChannelId(0);

/// C7.
#[test]
fn a_window_that_overflows_closes_its_channel() {
    twice(|setup| {
        for grants in [[u32::MAX - 1, 1], [u32::MAX, u32::MAX]] {
            let mut raw = Raw::entered(&setup);
            raw.send(&open(0, 1, 100));
            raw.reply();
            raw.open(1);
            for grant in grants {
                raw.send(&on_channel(93, 0, &grant.to_be_bytes()));
            }
            assert_eq!((numbers(&raw.replies()), &raw.error), (vec![97], &None));
            assert_eq!(raw.application.events.last().unwrap(), "error 0 WindowOverflow");
            assert_eq!(raw.side.write(FIRST, Stream::Data, b"x"), 0);
            assert_eq!(raw.side.write(ChannelId(1), Stream::Data, b"unharmed"), 8);
        }
    });
}

/// All of a window of `window` bytes and a tenth more, in messages of 32 KiB.
fn overfill(raw: &mut Raw<ServerAuth>, channel: u32, window: usize) {
    let all = window + window / 10;
    for piece in vec![1; all].chunks(32 << 10) {
        raw.send(&encode(&MuxMessage::ChannelData { recipient: Recipient(channel), data: piece }));
    }
}

/// C8: a tenth above the window is accepted; more closes the channel, not the connection.
#[test]
fn a_tenth_over_the_window_is_taken_and_a_byte_more_closes_the_channel() {
    let setup = Setup::new(usize::MAX);
    let window = setup.mux.window_start as usize;
    for one in [data(b"x"), on_channel(95, 0, b"\0\0\0\x01\0\0\0\x01x"), data(&[0; 32 << 10])] {
        let mut raw = Raw::opened(&setup);
        raw.open(1);
        raw.application.takes = false;
        overfill(&mut raw, 0, window);
        raw.send(&data(b""));
        assert_eq!((raw.application.received(FIRST).len(), &raw.error), (window + window / 10, &None));
        assert_eq!(raw.replies().len(), 0, "nothing was credited that was not taken");
        raw.send(&one);
        assert_eq!((numbers(&raw.replies()), &raw.error), (vec![97], &None));
        assert_eq!(raw.application.events.last().unwrap(), "error 0 WindowExceeded");
        assert_eq!(raw.application.received(FIRST).len(), window + window / 10);
        raw.send(&on_channel(94, 1, b"\0\0\0\x02ok"));
        assert_eq!(raw.application.received(ChannelId(1)), b"ok");
        raw.send(&on_channel(97, 0, b""));
        assert_eq!(raw.application.events.last().unwrap(), "closed 0");
    }
}

/// C8: a client that miscounts its headers goes on, and none of its data is lost.
#[test]
fn a_peer_whose_excess_data_is_taken_can_send_again() {
    let setup = Setup::new(usize::MAX);
    let window = setup.mux.window_start as usize;
    let mut raw = Raw::opened(&setup);
    raw.application.takes = false;
    overfill(&mut raw, 0, window);
    raw.side.taken(FIRST, window / 10);
    raw.flush();
    assert_eq!(raw.replies().len(), 0, "the window is still shut");
    raw.side.taken(FIRST, window);
    raw.flush();
    let granted = raw.replies();
    assert_eq!(numbers(&granted), [93]);
    let granted = u32::from_be_bytes(granted[0][5..].try_into().unwrap()) as usize;
    assert_eq!(granted, 2 * window, "all of it was taken, and the window has doubled");
    raw.application.takes = true;
    raw.send(&data(b"goes on"));
    assert!(raw.application.received(FIRST).ends_with(b"goes on"));
}

/// C8: P17 bounds a packet; a channel's maximum is advice.
#[test]
fn a_message_longer_than_the_channels_limit_is_taken() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.open(1);
    let long = vec![7; 200_000];
    raw.send(&data(&long));
    raw.send(&on_channel(94, 1, b"\0\0\0\x02ok"));
    assert_eq!((raw.application.received(FIRST), &raw.error), (&long[..], &None));
    assert_eq!(raw.application.received(ChannelId(1)), b"ok");
}

/// C8: a repeat offender is disconnected.
#[test]
fn exceeding_the_windows_of_eight_channels_ends_the_connection() {
    let setup = Setup::new(usize::MAX);
    let window = setup.mux.window_start as usize;
    let mut raw = Raw::entered(&setup);
    raw.application.takes = false;
    for number in 0..8 {
        raw.open(number);
        overfill(&mut raw, number, window);
        assert_eq!(raw.error, None);
        raw.send(&on_channel(94, number, b"\0\0\0\x01x"));
        raw.send(&on_channel(94, number, b"\0\0\0\x01x"));
        assert_eq!(raw.error.is_some(), number == 7, "{number}");
        raw.replies();
    }
    assert_eq!(raw.violation(), Some(Violation::WindowExceeded));
}

/// C8: neither a rekey nor the end of the channel circumvents the window: an application gets no more than it has room
/// for.
#[test]
fn the_window_holds_during_a_rekey_and_after_the_program_has_ended() {
    let setup = Setup::new(usize::MAX);
    let window = setup.mux.window_start as usize;
    for ended in [false, true] {
        let mut raw = Raw::opened(&setup);
        raw.application.takes = false;
        if ended {
            raw.side.exit(FIRST, Exit::Status(0));
        } else {
            raw.side.rekey();
        }
        raw.flush();
        for _ in 0..window / (32 << 10) + 100 {
            raw.send(&data(&[1; 32 << 10]));
        }
        assert_eq!(raw.error, None);
        assert_eq!(raw.application.received(FIRST).len(), if ended { 0 } else { window });
        assert_eq!(raw.application.saw("error 0 WindowExceeded"), !ended);
    }
}

/// C8, C16: 8 MiB a connection, however many sessions, and 32 KiB at least for each.
#[test]
fn sixty_four_sessions_share_the_connections_window() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    (raw.application.takes, raw.application.forgets) = (false, true);
    let mut windows = Vec::new();
    for _ in 0..64 {
        raw.send(&open(0, 1 << 20, 1 << 15));
        let reply = raw.reply();
        assert_eq!(reply[0], 91);
        windows.push(u32::from_be_bytes(reply[9..13].try_into().unwrap()) as usize);
    }
    assert!(windows[..10].iter().all(|window| *window == 256 << 10), "ordinary clients have fewer than ten");
    assert!(windows.iter().all(|window| *window >= 32 << 10));
    // What a client can make the server hold is bounded, including the tenth above the window.
    for (number, window) in (0..).zip(&windows) {
        overfill(&mut raw, number, *window);
    }
    let held: usize = raw.application.untaken.values().sum();
    assert_eq!((held, &raw.error), (windows.iter().map(|window| window + window / 10).sum(), &None));
    assert!(held <= (8 << 20) * 11 / 10, "{held} bytes");
}

/// C12: the owner decides about the type of data; no type circumvents the window.
#[test]
fn extended_data_of_any_type_is_delivered_with_its_type() {
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
fn a_packet_limit_of_zero_is_refused_and_one_byte_works() {
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
            let took = raw.side.write(FIRST, Stream::Data, rest);
            assert_eq!(took, 1);
            rest = &rest[took..];
        }
        raw.flush();
        let replies = raw.replies();
        assert_eq!((replies.len(), &raw.error), (300, &None));
        assert!(replies.iter().all(|reply| reply[5..] == [0, 0, 0, 1, 7]));
    });
}

/// C11, C14: a window that is never opened takes nothing, however much there is to write, and nothing is buffered.
#[test]
fn data_beyond_the_window_stays_with_the_writer() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    raw.send(&open(0, 0, 1 << 15));
    raw.reply();
    let endless = vec![0; 64 << 20];
    let before = held();
    for _ in 0..1000 {
        assert_eq!((raw.side.room(FIRST), raw.side.write(FIRST, Stream::Data, &endless)), (0, 0));
        assert_eq!(raw.side.write(FIRST, Stream::STDERR, &endless), 0);
    }
    raw.flush();
    assert_eq!((raw.replies().len(), held()), (0, before));
    raw.send(&on_channel(93, 0, &[0, 0, 0, 1]));
    assert_eq!(raw.side.write(FIRST, Stream::Data, &endless), 1);
    assert_eq!(raw.side.write(FIRST, Stream::Data, &endless), 0);
}

/// F7, C14: a client that opens its window and does not read its socket gets no more than the output limit.
#[test]
fn a_writer_stops_at_the_output_limit_when_the_socket_does() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::entered(&setup);
    raw.send(&open(0, u32::MAX, 1 << 15));
    raw.reply();
    raw.reads = false;
    let mut written = 0;
    while raw.side.can_write() {
        let room = raw.side.room(FIRST);
        let took = raw.side.write(FIRST, Stream::Data, &[0; 32 << 10]);
        assert!(took > 0 && took <= room, "{room} bytes of room, and {took} taken");
        written += took;
    }
    assert_eq!((raw.side.room(FIRST), raw.side.write(FIRST, Stream::Data, b"x")), (0, 0));
    assert!(raw.side.output().len() <= setup.server.output_mark + 100, "{}", raw.side.output().len());
    assert!(written > setup.server.output_mark - 1000);
}

/// F7, W15: debug messages have no window, so they stop at the output limit like everything else.
#[test]
fn debug_messages_do_not_fill_the_output_of_a_peer_that_does_not_read() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.reads = false;
    for _ in 0..1000 {
        raw.side.debug(&"x".repeat(1024), false);
    }
    assert!(raw.side.output().len() <= setup.server.output_mark + 1100, "{} bytes", raw.side.output().len());
}

/// C15.
#[test]
fn window_adjustments_of_one_byte_cost_only_their_packets() {
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

/// C22: a socket that takes everything at once gives no later event; the next byte of the peer may never come.
#[test]
fn reading_resumes_when_the_output_has_been_sent() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.reads = false;
    while raw.side.can_write() {
        raw.side.write(FIRST, Stream::Data, &[0; 32 << 10]);
    }
    assert!(raw.side.wants_input());
    let one = raw.packet(&global(b"x", true)).len();
    raw.sequence -= 1;
    let packets: Vec<u8> = (0..200).flat_map(|_| raw.packet(&global(b"x", true))).collect();
    raw.bytes(&packets);
    assert!(!raw.side.can_write() && !raw.side.wants_input());
    let came = (packets.len() - raw.unwanted()) / one;
    assert!(came > setup.mux.owed_replies + 10, "only {came} requests have come");
    // Like the connection's driver: another turn when a write has made room.
    let output = raw.hear();
    raw.side.sent(output);
    assert!(raw.side.can_write());
    assert_eq!(raw.side.receive(raw.now, |_| {}), Ok(Progress::Done));
    raw.side.write_owed(raw.now).expect("no end");
    assert!(raw.side.wants_input());
    raw.hear();
    assert_eq!(raw.replies().iter().filter(|reply| reply[0] == 82).count(), came);
}

/// C22.
#[test]
fn a_peer_that_sends_requests_and_never_reads_is_not_read() {
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

/// C30.
#[test]
fn a_program_that_outlives_the_clients_eof_sends_all_output_before_its_exit() {
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
            let took = raw.side.write(FIRST, Stream::Data, rest);
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

/// C30: the order holds across a key change.
#[test]
fn the_order_of_exit_eof_and_close_holds_across_a_rekey() {
    twice(|setup| {
        for signal in [false, true] {
            let mut raw = Raw::opened(&setup);
            raw.side.write(FIRST, Stream::Data, b"last words");
            raw.side.rekey();
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
