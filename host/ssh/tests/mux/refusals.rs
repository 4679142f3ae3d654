//! What is refused without asking the owner, and what ends the connection.

use whelk_ssh::error::Violation;
use whelk_ssh::message::Role;
use whelk_ssh::message::mux::{ChannelId, MuxMessage};
use whelk_ssh::mux::{Mux, OpenFailure, Settings};
use whelk_ssh::wire::{Malformed, Rest};

use crate::side::{FIRST, Side, THEIRS, close, data, global, open, request};

fn open_kind(kind: &[u8]) -> MuxMessage<'_> {
    MuxMessage::ChannelOpen { kind, sender: THEIRS, window: 9, max_packet: 9, body: Rest(b"whatever") }
}

/// C18, C27, C29
#[test]
fn other_kinds_of_channel_are_refused_with_the_right_reason() {
    for role in [Role::Server, Role::Client] {
        let mut side = Side::new(role, &Settings::default());
        for kind in [&b"direct-tcpip"[..], b"forwarded-tcpip", b"x11", b"auth-agent@openssh.com", b"tun@openssh.com"] {
            assert_eq!(side.hears(&open_kind(kind)), Ok(vec![]));
            assert_eq!(side.says(), ["refuse 7 1 forwarding is not supported yet"]);
            let told = format!("Open {}: forwarding is not supported yet", kind.escape_ascii());
            assert_eq!(side.refused.pop(), Some(told));
        }
        for kind in [&b"bogus\xff"[..], b"", b"Session"] {
            assert_eq!(side.hears(&open_kind(kind)), Ok(vec![]));
            assert_eq!(side.says(), ["refuse 7 3 unknown channel type"]);
            assert_eq!(side.refused.pop(), Some(format!("Open {}: unknown channel type", kind.escape_ascii())));
        }
    }
}

/// C10
#[test]
fn opens_that_are_refused_leave_no_state() {
    let mut side = Side::new(Role::Server, &Settings::default());
    for number in (0..32).cycle().take(1000) {
        assert_eq!(side.hears(&open_kind(b"bogus")), Ok(vec![]));
        assert_eq!(side.hears(&open(THEIRS, 1, 1)), Ok(vec![format!("open {number}")]));
        side.mux.refuse(ChannelId(number), OpenFailure::ConnectFailed, "no");
        assert_eq!(side.says(), ["refuse 7 3 unknown channel type", "refuse 7 2 no"]);
    }
    assert_eq!(side.mux.sessions(), 0);
    assert!(!side.mux.owes());
}

/// C16
#[test]
fn the_sixty_fifth_session_is_refused() {
    let mut side = Side::new(Role::Server, &Settings::default());
    let mut opened = 0;
    for sender in 0..200 {
        opened += side.hears(&open(sender, 1, 1)).unwrap().len();
        side.mux.accept(ChannelId(sender));
    }
    assert_eq!((opened, side.mux.sessions()), (64, 64));
    let said = side.says();
    assert_eq!(said.iter().filter(|line| line.starts_with("confirm")).count(), 64);
    assert_eq!(said.iter().filter(|line| line.ends_with(" 4 too many sessions")).count(), 136);

    let mut client = Mux::new(Role::Client, &Settings::default());
    assert_eq!((0..200).filter_map(|_| client.open_session()).count(), 64);
}

/// C16
#[test]
fn channels_whose_close_the_peer_never_answers_fill_the_table_and_no_more() {
    let mut side = Side::new(Role::Server, &Settings::default());
    let mut opened = 0;
    for sender in 0..200 {
        if side.hears(&open(sender, 1, 1)).unwrap().is_empty() {
            continue;
        }
        let channel = ChannelId(opened);
        opened += 1;
        side.mux.accept(channel);
        side.mux.close(channel);
        side.says();
    }
    assert_eq!(opened, 128);
}

/// C16: a client with the maximum number of sessions can close one and open the next in one segment, at any time.
#[test]
fn closing_a_session_makes_room_at_once() {
    let mut side = Side::new(Role::Server, &Settings::default());
    for channel in 0..64 {
        side.hears(&open(channel, 1, 1)).unwrap();
        side.mux.accept(ChannelId(channel));
    }
    side.says();
    let mut channel = 0;
    for _ in 0..1000 {
        side.hears(&close(channel)).unwrap();
        let told = side.hears(&open(channel, 1, 1)).unwrap();
        channel = told[0].strip_prefix("open ").unwrap().parse().unwrap();
        side.mux.accept(ChannelId(channel));
        assert!(side.says().iter().all(|line| !line.starts_with("refuse")));
    }
}

/// C17
#[test]
fn a_client_that_promised_no_more_sessions_is_held_to_it() {
    let mut side = Side::session();
    assert_eq!(side.hears(&global(b"no-more-sessions@openssh.com", false)), Ok(vec![]));
    assert_eq!(side.says(), [""; 0]);
    assert_eq!(side.hears(&data(0, b"go on")), Ok(vec!["data 0 go on".into()]));
    assert_eq!(side.hears(&open_kind(b"bogus")), Ok(vec![]));
    assert_eq!(side.hears(&open(8, 9, 9)), Err(Violation::NoMoreSessions));
}

/// C18
#[test]
fn global_requests_are_answered_in_order_and_only_if_that_is_wanted() {
    let mut side = Side::session();
    for (kind, want) in [
        (&b"x@y"[..], true),
        (b"x@y", false),
        (b"no-more-sessions@openssh.com", true),
        (b"keepalive@openssh.com", true),
        (b"tcpip-forward", true),
    ] {
        assert_eq!(side.hears(&global(kind, want)), Ok(vec![]));
    }
    assert_eq!(side.says(), ["global failure", "global success", "global failure", "global failure"]);
    // The owner is told of forwarding only.
    assert_eq!(side.refused, ["Global tcpip-forward: forwarding is not supported yet"]);
}

/// C20, C23, C26, C28, C29
#[test]
fn requests_that_are_malformed_or_never_granted_fail_without_the_owner() {
    let mut side = Side::session();
    let never: [(&[u8], &[u8]); 8] = [
        (b"x11-req", b"\x01\0\0\0\x01;\0\0\0\x01\n\0\0\0\0"),
        (b"auth-agent-req@openssh.com", b""),
        (b"exit-status", b"\0\0"),
        (b"exit-status", b"\0\0\0\0"),
        (b"exit-signal", b""),
        (b"pty-req", b"\0\0\0\x05xterm"),
        (b"env", b"\xff\xff\xff\xff"),
        (b"shell", b"trailing"),
    ];
    for (kind, body) in never {
        assert_eq!(side.hears(&request(0, kind, true, body)), Ok(vec![]), "{}", kind.escape_ascii());
        assert_eq!(side.says(), ["failure 7"], "{}", kind.escape_ascii());
        assert_eq!(side.hears(&request(0, kind, false, body)), Ok(vec![]));
        assert_eq!(side.says(), [""; 0]);
    }
    // The owner is told of each, whether or not an answer was wanted.
    let why =
        ["forwarding is not supported yet", "forwarding is not supported yet", "malformed", "the other side's request"];
    let whys = why.into_iter().chain(["malformed"; 4]);
    let told =
        never.iter().zip(whys).map(|((kind, _), why)| format!("Request(ChannelId(0)) {}: {why}", kind.escape_ascii()));
    let told: Vec<_> = told.flat_map(|line| [line.clone(), line]).collect();
    assert_eq!(side.refused, told);
    // The owner decides about unknown requests.
    assert_eq!(side.hears(&request(0, b"bogus@x", true, b"b")), Ok(vec!["request 0 bogus@x b".into()]));
    side.mux.reply(FIRST, false);
    assert_eq!(side.says(), ["failure 7"]);
}

/// C22
#[test]
fn a_peer_that_sends_requests_and_never_reads_is_read_no_further() {
    let mut side = Side::session();
    side.out.room = 0;
    for _ in 0..65 {
        assert!(side.mux.wants_input(false));
        side.hears(&global(b"x@y", true)).unwrap();
        assert_eq!(side.says(), [""; 0]);
    }
    assert!(!side.mux.wants_input(false));
    assert!(side.mux.wants_input(true), "a key exchange must come to its end");
    side.out.room = usize::MAX;
    assert_eq!(side.says().len(), 65);
    assert!(side.mux.wants_input(false));
}

/// C22
#[test]
fn answers_of_every_kind_count_toward_the_limit() {
    let mut side = Side::session();
    side.out.room = 0;
    for _ in 0..22 {
        side.hears(&global(b"x@y", true)).unwrap();
        side.hears(&open_kind(b"bogus")).unwrap();
        side.hears(&request(0, b"shell", true, b"")).unwrap();
        side.mux.reply(FIRST, false);
    }
    assert!(!side.mux.wants_input(false));
}

/// C22: refusals of channels have numbers and cannot be merged; no client opens that many during a key exchange.
#[test]
fn opening_a_thousand_channels_during_a_key_exchange_ends_the_connection() {
    let mut side = Side::session();
    side.out.room = 0;
    for _ in 0..1024 {
        assert_eq!(side.hears(&open_kind(b"bogus")), Ok(vec![]));
    }
    assert_eq!(side.hears(&open_kind(b"bogus")), Err(Violation::TooManyOpens));
}

/// C22
#[test]
fn requests_that_are_refused_during_a_key_exchange_are_answered_after_it() {
    for message in [global(b"x@y", true), request(0, b"x11-req", true, b"")] {
        let mut side = Side::session();
        side.out.room = 0;
        for _ in 0..100_000 {
            assert_eq!(side.hears(&message), Ok(vec![]));
        }
        assert!(!side.mux.wants_input(false) && side.mux.wants_input(true));
        side.out.room = usize::MAX;
        assert_eq!(side.says().len(), 100_000);
        assert!(side.mux.wants_input(false));
    }
    let mut side = Side::session();
    side.out.room = 0;
    for _ in 0..5000 {
        side.hears(&global(b"no-more-sessions@openssh.com", true)).unwrap();
        side.hears(&global(b"x@y", true)).unwrap();
    }
    side.out.room = usize::MAX;
    let said = side.says();
    assert_eq!(said.iter().filter(|line| *line == "global success").count(), 512);
    assert_eq!(said.len(), 10_000);
}

#[test]
fn a_message_of_another_layer_is_a_violation() {
    let mut mux = Mux::new(Role::Server, &Settings::default());
    let mut on = |event: whelk_ssh::mux::Event<'_>| panic!("{event:?}");
    assert_eq!(mux.handle(b"", &mut on), Err(Violation::EmptyPayload));
    let unknown = Violation::Malformed { number: 83, what: Malformed::Unknown };
    assert_eq!(mux.handle(&[83], &mut on), Err(unknown));
    let cut = Violation::Malformed { number: 94, what: Malformed::Truncated };
    assert_eq!(mux.handle(&[94, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1], &mut on), Err(cut));
}

#[test]
fn any_channel_number_is_handled_without_a_panic() {
    let mut side = Side::new(Role::Server, &Settings::default());
    assert_eq!(side.hears(&close(u32::MAX)), Err(Violation::NoSuchChannel));
    side.mux.close(ChannelId(u32::MAX));
    side.mux.accept(ChannelId(u32::MAX));
    assert_eq!(side.mux.room(ChannelId(u32::MAX)), 0);
}
