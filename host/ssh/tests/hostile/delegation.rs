//! C: channel types and global requests of the application's own, which has asked to be told of them.

use whelk_ssh::auth::server::ServerAuth;
use whelk_ssh::error::Violation;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Recipient};
use whelk_ssh::wire::Rest;

use crate::channel::{global, numbers, open_kind};
use crate::memory::held;
use crate::pair::{Setup, twice};
use crate::raw::{Raw, encode, on_channel};

const FIRST: ChannelId = ChannelId(0);

/// A server whose application wants to be told, and answers nothing until it is asked to.
fn told(setup: &Setup) -> Raw<ServerAuth> {
    let mut raw = Raw::entered(setup);
    raw.side.pass_on_private_names();
    raw.application.answers = false;
    raw
}

fn confirmation(sender: u32) -> Vec<u8> {
    let (recipient, body) = (Recipient(0), Rest(&b""[..]));
    encode(&MuxMessage::ChannelOpenConfirmation { recipient, sender, window: 1 << 20, max_packet: 1 << 15, body })
}

fn success(body: &[u8]) -> Vec<u8> {
    encode(&MuxMessage::RequestSuccess { body: Rest(body) })
}

/// C18, C29: an agent, a display, a tunnel and a forwarded port are refused as before, and so are names in odd bytes.
#[test]
fn only_names_of_somebodys_own_reach_the_application() {
    twice(|setup| {
        let mut raw = told(&setup);
        let long = [&[b'x'; 32 << 10][..], b"@example.org"].concat();
        for (kind, reason) in [
            (&b"auth-agent@openssh.com"[..], 1),
            (b"x11", 1),
            (b"tun@openssh.com", 1),
            (b"forwarded-tcpip", 1),
            (b"thing", 3),
            (b"thing@example.org\0", 3),
            (b"\x1b[2J@example.org", 3),
            (b"thing@example.org@example.org", 3),
            (&long, 3),
        ] {
            raw.send(&open_kind(kind, 9));
            assert_eq!(raw.reply()[..9], [92, 0, 0, 0, 9, 0, 0, 0, reason], "{}", kind.escape_ascii());
        }
        for kind in [&b"tcpip-forward"[..], b"", b"thing", b"\n@example.org", &long] {
            raw.send(&global(kind, true));
            assert_eq!(raw.reply(), [82]);
        }
        assert_eq!((raw.application.events.len(), &raw.error), (0, &None));
    });
}

/// C10, C16: whatever a client opens and asks, an application that is slow holds a bounded number, the rest is refused,
/// and the connection goes on.
#[test]
fn floods_of_opens_and_requests_are_bounded_and_end_nothing() {
    let setup = Setup::new(usize::MAX);
    let mut raw = told(&setup);
    raw.application.forgets = true;
    let mut before = 0;
    for round in 0..100 {
        for sender in 0..100 {
            raw.send(&open_kind(b"thing@example.org", sender));
            raw.send(&global(b"thing@example.org", true));
            raw.send(&global(b"thing@example.org", false));
        }
        raw.replies();
        if round == 9 {
            before = held();
        }
    }
    assert!(held() - before < 2000, "{} bytes more", held() - before);
    assert_eq!((raw.application.lives.len(), &raw.error), (64, &None));
    for _ in 0..16 {
        raw.side.answer_global_request(None);
    }
    raw.flush();
    assert_eq!(numbers(&raw.replies()), vec![82; 100 * 100]);
}

/// C21: a ping and a keepalive behind a request that the application thinks about for long.
#[test]
fn a_request_that_waits_delays_only_the_answers_behind_it() {
    twice(|setup| {
        let mut raw = told(&setup);
        raw.send(&global(b"thing@example.org", true));
        raw.send(&global(b"keepalive@openssh.com", true));
        raw.send(&[&[192][..], &[0, 0, 0, 1, b'x']].concat());
        assert_eq!(numbers(&raw.replies()), [193]);
        raw.side.answer_global_request(Some(b"body".to_vec()));
        raw.flush();
        assert_eq!(raw.replies(), [&b"\x51body"[..], &[82]]);
    });
}

/// C3: a peer that answers our open twice, in two ways, too early, or by speaking on the channel.
#[test]
fn what_a_peer_must_not_answer_to_our_open_ends_the_connection() {
    let setup = Setup::new(usize::MAX);
    let failure = on_channel(92, 0, &[&[0, 0, 0, 3][..], &[0; 8]].concat());
    let (unsolicited, no_channel) = (Violation::Unsolicited, Violation::NoSuchChannel);
    for (payloads, violation) in [
        (vec![confirmation(1), confirmation(1)], unsolicited.clone()),
        (vec![confirmation(1), failure.clone()], unsolicited.clone()),
        (vec![failure.clone(), failure], unsolicited),
        (vec![on_channel(97, 0, b"")], no_channel.clone()),
        (vec![on_channel(94, 0, &[0, 0, 0, 1, b'x'])], no_channel),
    ] {
        let mut raw = told(&setup);
        assert_eq!(raw.side.open_channel(b"thing@example.org", b"payload"), Ok(FIRST));
        raw.application.born(FIRST);
        raw.flush();
        let open = raw.reply();
        assert!(open[0] == 90 && open.ends_with(b"payload"), "{open:02x?}");
        payloads.iter().for_each(|payload| raw.send(payload));
        assert_eq!(raw.violation(), Some(violation));
    }
}

/// C9: a peer that never answers our requests, answers twice, or out of order, is believed by the order alone.
#[test]
fn answers_to_our_requests_are_taken_in_order_and_dropped_beyond() {
    twice(|setup| {
        let mut raw = told(&setup);
        raw.send(&success(b"unasked"));
        for tag in [1, 2] {
            assert_eq!(raw.side.ask(b"thing@example.org", b"", tag), Ok(()));
        }
        raw.flush();
        assert_eq!(numbers(&raw.replies()), [80, 80]);
        for body in [&b"one"[..], b"two", b"three"] {
            raw.send(&success(body));
        }
        assert_eq!(raw.application.events, ["answered to 1: true one", "answered to 2: true two"]);
        let asked = (0..100).filter(|tag| raw.side.ask(b"thing@example.org", b"", *tag).is_ok()).count();
        assert_eq!((asked, &raw.error), (16, &None));
    });
}
