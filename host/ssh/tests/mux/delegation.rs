//! Channel types and global requests of the owner's own, in both directions.

use whelk_ssh::error::Violation;
use whelk_ssh::message::Role;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Recipient, Stream};
use whelk_ssh::mux::{Event, NotAsked, OpenFailure, Settings};
use whelk_ssh::wire::Rest;

use crate::side::{FIRST, Side, THEIRS, close, confirmation, data, global};

fn side(role: Role) -> Side {
    let mut side = Side::new(role, &Settings::default());
    side.mux.pass_on_private_names();
    side
}

fn open_of<'a>(kind: &'a [u8], body: &'a [u8]) -> MuxMessage<'a> {
    MuxMessage::ChannelOpen { kind, sender: THEIRS, window: 9, max_packet: 9, body: Rest(body) }
}

fn answer(body: &[u8]) -> MuxMessage<'_> {
    MuxMessage::RequestSuccess { body: Rest(body) }
}

#[test]
fn a_channel_of_the_owners_own_type_is_offered_and_accepted_or_refused() {
    for role in [Role::Server, Role::Client] {
        let mut side = side(role);
        assert_eq!(side.hears(&open_of(b"thing@example.org", b"a")), Ok(vec!["open 0 thing@example.org a".to_owned()]));
        assert_eq!(side.hears(&open_of(b"thing@example.org", b"b")), Ok(vec!["open 1 thing@example.org b".to_owned()]));
        assert_eq!((side.says(), side.mux.sessions()), (vec![], 2));
        side.mux.refuse(ChannelId(1), OpenFailure::Other(0xFE00_0001), "no");
        side.mux.accept(FIRST);
        let said = side.says();
        assert_eq!(said[0], "refuse 7 4261412865 no");
        assert!(said[1].starts_with("confirm 7 as 0 window="), "{said:?}");
        assert_eq!(side.hears(&data(0, b"hello")), Ok(vec!["data 0 hello".to_owned()]));
        assert_eq!(side.writes(b"back"), 4);
    }
}

/// C18: an owner that has not asked to be told hears of none.
#[test]
fn names_that_are_nobodys_own_never_reach_the_owner() {
    let long = [&[b'x'; 60][..], b"@y.z"].concat();
    let longer = [&[b'x'; 61][..], b"@y.z"].concat();
    let huge = [&[b'x'; 32 << 10][..], b"@y.z"].concat();
    let mut side = side(Role::Server);
    for name in
        [&b"thing"[..], b"@example.org", b"thing@", b"a@b@c", b"a,b@c.d", b"a\x1b@c.d", b"a b@c.d", &longer, &huge]
    {
        assert_eq!(side.hears(&open_of(name, b"")), Ok(vec![]), "{}", name.escape_ascii());
        assert_eq!(side.says(), ["refuse 7 3 unknown channel type"]);
        assert_eq!(side.hears(&global(name, true)), Ok(vec![]));
        assert_eq!(side.says(), ["global failure"]);
    }
    for name in [&b"x11"[..], b"auth-agent@openssh.com", b"tun@openssh.com", b"forwarded-streamlocal@openssh.com"] {
        assert_eq!(side.hears(&open_of(name, b"")), Ok(vec![]));
        assert_eq!(side.says(), ["refuse 7 1 forwarding is not supported yet"]);
    }
    assert_eq!(side.hears(&global(b"streamlocal-forward@openssh.com", true)), Ok(vec![]));
    assert_eq!(side.hears(&global(b"no-more-sessions@openssh.com", true)), Ok(vec![]));
    assert_eq!(side.says(), ["global failure", "global success"]);
    assert_eq!(side.hears(&open_of(&long, b"")).map(|told| told.len()), Ok(1), "64 characters are allowed");

    let mut ignorant = Side::new(Role::Server, &Settings::default());
    assert_eq!(ignorant.hears(&open_of(b"thing@example.org", b"")), Ok(vec![]));
    assert_eq!(ignorant.hears(&global(b"thing@example.org", true)), Ok(vec![]));
    assert_eq!(ignorant.says(), ["global failure", "refuse 7 3 unknown channel type"]);
}

/// C10: what waits for the owner is bounded, and what is refused without it takes no memory.
#[test]
fn opens_that_wait_for_the_owner_count_as_sessions_and_long_ones_are_refused() {
    let mut side = side(Role::Server);
    let body = vec![0; 32 << 10];
    assert_eq!(side.hears(&open_of(b"a@b", &body)), Ok(vec![]));
    assert_eq!(side.says(), ["refuse 7 4 the request is too long"]);
    let offered: usize = (0..200).map(|_| side.hears(&open_of(b"a@b", b"")).unwrap().len()).sum();
    assert_eq!((offered, side.mux.sessions()), (64, 64));
    assert_eq!(side.says().len(), 136);
}

/// C21
#[test]
fn global_requests_are_answered_in_the_order_in_which_they_came() {
    let mut side = side(Role::Server);
    assert_eq!(side.hears(&global(b"one@x.y", true)), Ok(vec!["global one@x.y".to_owned()]));
    assert_eq!(side.hears(&global(b"keepalive", true)), Ok(vec![]));
    assert_eq!(side.hears(&global(b"silent@x.y", false)), Ok(vec!["global silent@x.y".to_owned()]));
    assert_eq!(side.hears(&global(b"two@x.y", true)), Ok(vec!["global two@x.y".to_owned()]));
    assert_eq!(side.hears(&global(b"no-more-sessions@openssh.com", true)), Ok(vec![]));
    assert_eq!(side.says(), Vec::<String>::new(), "nothing overtakes the first");
    assert!(!side.mux.owes(), "there is nothing to write yet");
    side.mux.answer_global_request(Some(b"first".to_vec()));
    assert_eq!(side.says(), ["global success first", "global failure"]);
    side.mux.answer_global_request(Some(b"nobody waits".to_vec()));
    assert_eq!(side.says(), Vec::<String>::new());
    side.mux.answer_global_request(None);
    assert_eq!(side.says(), ["global failure", "global success"]);
    side.mux.answer_global_request(Some(b"to nobody".to_vec()));
    assert_eq!(side.says(), Vec::<String>::new());
}

/// C22
#[test]
fn a_flood_of_global_requests_reaches_the_owner_sixteen_at_a_time_and_never_ends_the_connection() {
    let mut side = side(Role::Server);
    let mut told = 0;
    for _ in 0..100_000 {
        told += side.hears(&global(b"a@b", true)).unwrap().len();
        told += side.hears(&global(b"a@b", false)).unwrap().len();
    }
    assert_eq!(told, 16);
    assert!(side.mux.wants_input(false), "what stands behind an awaited answer does not stop reading");
    for _ in 0..16 {
        side.mux.answer_global_request(None);
    }
    assert_eq!(side.says().len(), 100_000);
    side.declines = true;
    assert_eq!(side.hears(&global(b"a@b", true)), Ok(vec!["global a@b".to_owned()]));
    assert_eq!(side.says(), ["global failure"], "it was declined at once");
}

#[test]
fn a_channel_that_we_open_carries_its_payload_and_lives() {
    let mut side = side(Role::Server);
    assert_eq!(side.mux.open_channel(b"thing@example.org", b"what it is"), Ok(FIRST));
    let said = side.says();
    assert!(said[0].starts_with("open thing@example.org 0 window="), "{said:?}");
    assert_eq!(side.mux.sessions(), 1);
    assert_eq!(side.hears(&confirmation(FIRST, THEIRS, 100, 100)), Ok(vec!["opened 0".to_owned()]));
    assert_eq!(side.mux.write(FIRST, Stream::Data, b"hello", &mut side.out), 5);
    assert_eq!(side.hears(&data(0, b"back")), Ok(vec!["data 0 back".to_owned()]));
    assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".to_owned()]));
    assert_eq!(side.mux.open_channel(b"thing@example.org", &[0; 32 << 10]), Err(NotAsked::TooLong));
}

/// C3: a peer that refuses, answers twice, or speaks on a channel before it has answered.
#[test]
fn odd_answers_to_our_open_are_violations_and_a_refusal_is_none() {
    let mut side = side(Role::Server);
    side.mux.open_channel(b"a@b", b"").unwrap();
    side.says();
    let (reason, description, language) = (3, &b"unknown"[..], &b""[..]);
    let failure = MuxMessage::ChannelOpenFailure { recipient: Recipient(0), reason, description, language };
    assert_eq!(side.hears(&failure), Ok(vec!["open failed 0 3 unknown".to_owned()]));
    assert_eq!((side.mux.sessions(), side.hears(&failure)), (0, Err(Violation::Unsolicited)));

    let opening = || {
        let mut side = self::side(Role::Server);
        side.mux.open_channel(b"a@b", b"").unwrap();
        side
    };
    let mut unsent = opening();
    assert_eq!(unsent.hears(&confirmation(FIRST, 1, 9, 9)), Err(Violation::Unsolicited), "before it was asked");
    let mut twice = opening();
    twice.says();
    assert_eq!(twice.hears(&confirmation(FIRST, 1, 9, 9)), Ok(vec!["opened 0".to_owned()]));
    assert_eq!(twice.hears(&confirmation(FIRST, 1, 9, 9)), Err(Violation::Unsolicited));
    let mut early = opening();
    early.says();
    assert_eq!(early.hears(&close(0)), Err(Violation::NoSuchChannel));
}

/// C13: only the channel is over.
#[test]
fn a_confirmation_with_a_maximum_packet_size_of_zero_closes_that_channel_only() {
    let mut side = side(Role::Server);
    for _ in 0..20 {
        let channel = side.mux.open_channel(b"a@b", b"").unwrap();
        side.says();
        let told = format!("open failed {} 2 its maximum packet size is 0", channel.0);
        assert_eq!(side.hears(&confirmation(channel, THEIRS, 9, 0)), Ok(vec![told]));
        assert_eq!(side.mux.write(channel, Stream::Data, b"x", &mut side.out), 0);
        assert_eq!((side.says(), side.mux.sessions()), (vec!["close 7".to_owned()], 0));
        assert_eq!(side.hears(&close(channel.0)), Ok(vec![format!("closed {}", channel.0)]));
    }
}

/// A peer that never answers keeps sixteen numbers, and no place of a session.
#[test]
fn opens_that_are_never_answered_are_bounded() {
    let mut side = side(Role::Server);
    for _ in 0..100 {
        if let Ok(channel) = side.mux.open_channel(b"a@b", b"") {
            side.mux.close(channel);
        }
    }
    assert_eq!((side.says().len(), side.mux.sessions()), (16, 0));
    assert_eq!(side.hears(&confirmation(FIRST, THEIRS, 9, 9)), Ok(vec![]), "a late answer");
    assert_eq!(side.says(), ["close 7"]);
    assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".to_owned()]));
    assert!(side.mux.open_channel(b"a@b", b"").is_ok(), "there is a place again");
}

/// C9: answers are told apart by their order, whoever asked.
#[test]
fn our_own_global_requests_are_answered_in_their_order() {
    let mut side = side(Role::Server);
    assert_eq!(side.hears(&answer(b"early")), Ok(vec![]), "nothing was asked");
    assert_eq!(side.mux.ask(b"one@x.y", b"what", 71), Ok(()));
    assert!(side.mux.global_request(b"keepalive@openssh.com", b"", true));
    assert!(side.mux.global_request(b"quiet@x.y", b"", false));
    assert!(side.mux.global_request(b"keepalive@openssh.com", b"", true));
    assert_eq!(side.mux.ask(b"two@x.y", b"", 72), Ok(()));
    assert_eq!(side.hears(&answer(b"before it was sent")), Ok(vec![]));
    assert_eq!(side.says().len(), 5);
    assert_eq!(side.hears(&answer(b"yes")), Ok(vec!["answered to 71: true yes".to_owned()]));
    for _ in 0..2 {
        let told = side.hears(&MuxMessage::RequestFailure {});
        assert_eq!(told, Ok(vec!["globally answered false ".to_owned()]));
    }
    assert_eq!(side.hears(&MuxMessage::RequestFailure {}), Ok(vec!["answered to 72: false".to_owned()]));
    assert_eq!(side.hears(&answer(b"again")), Ok(vec![]), "an answer too many is dropped");
}

#[test]
fn requests_that_the_peer_never_answers_are_bounded() {
    let mut side = side(Role::Server);
    let mut made = 0;
    for tag in 0..1000 {
        made += usize::from(side.mux.ask(b"a@b", b"", tag).is_ok());
        side.says();
        assert!(side.mux.global_request(b"keepalive@openssh.com", b"", true), "keepalives go on");
        side.says();
    }
    assert_eq!(made, 16);
    assert_eq!(side.mux.ask(b"a@b", &[0; 32 << 10], 1), Err(NotAsked::TooLong));
    assert_eq!(side.mux.ask(b"a@b", b"", 1), Err(NotAsked::TooMany));
    assert_eq!(side.hears(&answer(b"")), Ok(vec!["answered to 0: true".to_owned()]));
    assert_eq!(side.mux.ask(b"a@b", b"", 5), Ok(()));
}

/// What Go's x/crypto sends when its application refuses a request with a text.
#[test]
fn bytes_behind_a_failure_are_not_read() {
    let mut side = side(Role::Server);
    assert_eq!(side.mux.ask(b"a@b", b"", 7), Ok(()));
    side.says();
    let mut told = Vec::new();
    let mut on = |event: Event<'_>| told.push(format!("{event:?}"));
    assert_eq!(side.mux.handle(b"\x52because", &mut on), Ok(()));
    assert_eq!(told, ["GlobalAnswered { tag: Some(7), success: false, body: [] }"]);
}
