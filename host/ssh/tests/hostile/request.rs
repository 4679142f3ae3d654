//! C: requests on channels and their answers.

use whelk_ssh::connection::Progress;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::{Modes, Request, WindowSize};

use crate::channel::{global, numbers, open_kind};
use crate::memory::held;
use crate::pair::{Setup, twice};
use crate::raw::{Raw, on_channel, request};

const FIRST: ChannelId = ChannelId(0);

/// C19, C20, C28, C29: the owner's refusals reach the client, and requests that are never granted are refused without
/// the owner.
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
fn requests_in_one_segment_are_answered_in_order() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.application.answers = false;
        // The mux refuses every third by itself, and those between wait for their owner.
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

/// C21, C22: more requests in one segment than may be owed at once are answered all the same, without another byte from
/// the client.
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

/// C21, C22: even for an application that settles only after reading everything.
#[test]
fn reading_continues_while_there_is_room_for_owed_answers() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    let packets: Vec<u8> = (0..300).flat_map(|_| raw.packet(&global(b"x", true))).collect();
    for piece in packets.chunks(4096) {
        raw.side.input()[..piece.len()].copy_from_slice(piece);
        raw.side.filled(piece.len());
    }
    while raw.side.receive(raw.now, |_| {}) == Ok(Progress::More) {}
    raw.side.write_owed(raw.now).unwrap();
    raw.hear();
    assert_eq!(raw.replies().len(), 300, "and not one byte more has come");
}

fn pty(term: &[u8], size: WindowSize, modes: &[u8]) -> Vec<u8> {
    let body = Request::PtyReq { term, size, modes: Modes::new(modes) }.body();
    request(b"pty-req", true, &body)
}

/// C23: numbers are passed on unchanged; the application must check products.
#[test]
fn a_terminal_of_any_size_is_accepted_and_malformed_modes_are_refused() {
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
}

/// C21, C31: 900 variables in a burst, while the application is busy: those above its limit are refused or dropped.
#[test]
fn hundreds_of_requests_in_a_burst_end_nothing() {
    twice(|setup| {
        for want_reply in [true, false] {
            let mut raw = Raw::opened(&setup);
            raw.open(1);
            raw.application.answers = false;
            let one = request(b"env", want_reply, b"\0\0\0\x01A\0\0\0\x01B");
            let packets: Vec<u8> = (0..900).flat_map(|_| raw.packet(&one)).collect();
            raw.bytes(&packets);
            assert_eq!((raw.replies().len(), &raw.error), (0, &None));
            let asked = raw.application.events.iter().filter(|event| *event == "request 0 env").count();
            assert_eq!(asked, setup.mux.unanswered);
            raw.side.reply_alike(FIRST, true, asked as u32);
            raw.flush();
            let answers = numbers(&raw.replies());
            let expected = [vec![99; asked], vec![100; 900 - asked]].concat();
            assert_eq!(answers, if want_reply { expected } else { vec![] });
            raw.application.answers = true;
            raw.send(&request(b"shell", true, b""));
            raw.send(&on_channel(98, 1, b"\0\0\0\x05shell\x01"));
            assert_eq!((numbers(&raw.replies()), &raw.error), (vec![99, 99], &None));
        }
    });
}

/// C21: refusals cost no memory, whatever else is requested between.
#[test]
fn a_flood_of_unanswered_requests_takes_little_memory() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    (raw.application.answers, raw.application.forgets) = (false, true);
    let size = Request::WindowChange { size: WindowSize::default() }.body();
    let kinds: [(&[u8], bool, &[u8]); 5] = [
        (b"x@y", true, b""),
        (b"x11-req", true, b""),
        (b"window-change", false, &size),
        (b"env", false, b"\0\0\0\x01A\0\0\0\x01B"),
        (b"pty-req", true, b"broken"),
    ];
    raw.send(&request(b"shell", true, b""));
    let before = held();
    for round in 0..20_000 {
        let (kind, want_reply, body) = kinds[round % kinds.len()];
        raw.send(&request(kind, want_reply, body));
    }
    assert!(held() - before < 8000, "{} bytes more", held() - before);
    raw.side.reply_alike(FIRST, false, u32::MAX);
    raw.flush();
    assert_eq!((raw.replies().len(), &raw.error), (1 + 3 * 20_000 / 5, &None));
}

/// C25, C31, C32: bytes are bytes.
#[test]
fn names_commands_and_variables_reach_their_owner_unchanged() {
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
                    // A large one is granted before it is read.
                    for _ in 0..2 {
                        let received = raw.side.receive(raw.now, |event| {
                            use whelk_ssh::connection::Event;
                            use whelk_ssh::mux;
                            if let Event::Channel(mux::Event::Request { request, .. }) = event {
                                heard = request == message;
                            }
                        });
                        assert!(received.is_ok());
                        raw.side.grant_large_packet();
                    }
                }
                assert!(heard, "{message:?}");
            }
        }
    });
}

/// C26.
#[test]
fn malformed_requests_fail_in_order_and_are_not_delivered() {
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
