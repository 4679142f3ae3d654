//! Opening and closing: which messages are allowed, and when a number is free.

use whelk_ssh::error::Violation;
use whelk_ssh::message::Role;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Recipient, Stream};
use whelk_ssh::message::request::Request;
use whelk_ssh::mux::{Exit, Mux, OpenFailure, Settings};
use whelk_ssh::wire::Rest;

use crate::side::{
    FIRST, Side, THEIRS, adjust, close, confirmation, data, eof, failure, global, open, request, success,
};

/// Every message of the peer on a channel.
fn said_on(channel: u32) -> Vec<MuxMessage<'static>> {
    vec![
        adjust(channel, 1),
        data(channel, b"x"),
        MuxMessage::ChannelExtendedData { recipient: Recipient(channel), kind: 1, data: b"x" },
        eof(channel),
        request(channel, b"shell", true, b""),
        request(channel, b"x11-req", false, b""),
        success(channel),
        failure(channel),
        close(channel),
    ]
}

#[test]
fn a_session_is_opened_with_our_window_and_the_numbers_of_both_sides() {
    let mut server = Side::new(Role::Server, &Settings::default());
    assert_eq!(server.hears(&open(THEIRS, 100, 50)), Ok(vec!["open 0".into()]));
    assert_eq!(server.says(), [""; 0], "the owner has not decided");
    assert_eq!(server.mux.room(FIRST), 0);
    server.mux.accept(FIRST);
    assert!(server.mux.owes());
    assert_eq!(server.says(), ["confirm 7 as 0 window=262144 packet=32768"]);
    assert!(!server.mux.owes());
    assert_eq!(server.mux.room(FIRST), 100);
}

#[test]
fn the_owner_gets_the_type_and_the_payload_of_a_channel_open() {
    let mut server = Side::new(Role::Server, &Settings::default());
    let body = Rest(b"more");
    let open = MuxMessage::ChannelOpen { kind: b"session", sender: THEIRS, window: 100, max_packet: 50, body };
    assert_eq!(server.hears(&open), Ok(vec!["open 0 more".into()]));
}

#[test]
fn a_client_learns_that_its_session_is_open_or_why_not() {
    let mut client = Side::new(Role::Client, &Settings { max_channels: 2, ..Settings::default() });
    let (first, second) = (client.mux.open_session().unwrap(), client.mux.open_session().unwrap());
    assert!(!client.mux.request(first, b"shell", b"", true), "not open yet");
    assert_eq!(
        client.says(),
        ["open session 0 window=262144 packet=32768", "open session 1 window=262144 packet=32768"]
    );
    assert_eq!(client.hears(&confirmation(second, 40, 100, 10)), Ok(vec!["opened 1".into()]));
    let refusal =
        MuxMessage::ChannelOpenFailure { recipient: Recipient(0), reason: 4, description: b"no\x1b", language: b"" };
    assert_eq!(client.hears(&refusal), Ok(vec!["open failed 0 4 no\\x1b".into()]));
    assert_eq!(client.mux.open_session(), Some(first), "the number is free again");
    assert_eq!(client.mux.write(second, Stream::Data, b"0123456789abc", &mut client.out), 10);
    assert_eq!(client.said(), ["data 40 0123456789"]);
}

#[test]
fn a_server_opens_no_sessions_and_a_client_is_given_none() {
    assert_eq!(Mux::new(Role::Server, &Settings::default()).open_session(), None);
    let mut client = Side::new(Role::Client, &Settings::default());
    assert_eq!(client.hears(&open(3, 9, 9)), Ok(vec![]));
    assert_eq!(client.says(), ["refuse 3 1 not allowed"]);
}

/// C1
#[test]
fn a_message_for_an_unknown_channel_is_a_violation() {
    for channel in [1, 777, u32::MAX] {
        for message in said_on(channel) {
            assert_eq!(Side::session().hears(&message), Err(Violation::NoSuchChannel), "{message:?}");
        }
    }
}

/// C2
#[test]
fn a_message_for_an_unconfirmed_channel_is_a_violation() {
    for message in said_on(0) {
        let mut server = Side::new(Role::Server, &Settings::default());
        server.hears(&open(THEIRS, 100, 100)).unwrap();
        assert_eq!(server.hears(&message), Err(Violation::NoSuchChannel), "offered: {message:?}");
        server.mux.accept(FIRST);
        assert_eq!(server.hears(&message), Err(Violation::NoSuchChannel), "accepted: {message:?}");
        let mut client = Side::new(Role::Client, &Settings::default());
        client.mux.open_session();
        client.says();
        assert_eq!(client.hears(&message), Err(Violation::NoSuchChannel), "asked: {message:?}");
    }
}

/// C3
#[test]
fn an_answer_to_an_open_that_was_never_made_is_a_violation() {
    let failed = MuxMessage::ChannelOpenFailure { recipient: Recipient(0), reason: 1, description: b"", language: b"" };
    for message in [confirmation(FIRST, 1, 1, 1), confirmation(ChannelId(u32::MAX), 1, 1, 1), failed] {
        for mut side in [Side::session(), Side::client(), Side::new(Role::Server, &Settings::default())] {
            assert_eq!(side.hears(&message), Err(Violation::Unsolicited));
        }
        // Opened by the owner, but our CHANNEL_OPEN was not sent.
        let mut client = Side::new(Role::Client, &Settings::default());
        client.mux.open_session();
        assert_eq!(client.hears(&message), Err(Violation::Unsolicited));
    }
}

/// C4
#[test]
fn messages_after_close_are_ignored() {
    for message in said_on(0) {
        let mut side = Side::session_with(&Settings::default(), 0, 10);
        side.hears(&open(8, 0, 10)).unwrap();
        side.mux.accept(ChannelId(1));
        side.says();
        assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".into()]));
        assert_eq!(side.hears(&message), Ok(vec![]), "our CLOSE is not out: {message:?}");
        assert_eq!(side.says(), ["close 7"]);
        for _ in 0..100 {
            assert_eq!(side.hears(&message), Ok(vec![]), "both CLOSEs have passed: {message:?}");
        }
        assert_eq!(side.says(), [""; 0]);
        assert_eq!(side.hears(&data(1, b"unharmed")), Ok(vec!["data 1 unharmed".into()]));
    }
}

/// C4: nor does a new channel get messages for an old one, as long as other numbers are free.
#[test]
fn messages_after_close_reach_no_newer_channel() {
    let mut side = Side::session();
    side.hears(&close(0)).unwrap();
    side.says();
    for round in 1..32 {
        assert_eq!(side.hears(&open(THEIRS, 9, 9)), Ok(vec![format!("open {round}")]));
        side.mux.accept(ChannelId(round));
        side.says();
        assert_eq!(side.hears(&adjust(0, u32::MAX)), Ok(vec![]));
        assert_eq!(side.hears(&close(0)), Ok(vec![]), "a second CLOSE");
        assert_eq!(side.mux.room(ChannelId(round)), 9);
        side.hears(&close(round)).unwrap();
        side.says();
    }
    // The number belongs to another channel now, of which the peer does not know yet: it can only mean the old one.
    assert_eq!(side.hears(&open(THEIRS, 9, 9)), Ok(vec!["open 0".into()]));
    for message in said_on(0) {
        assert_eq!(side.hears(&message), Ok(vec![]), "offered: {message:?}");
    }
    side.mux.accept(FIRST);
    for message in said_on(0) {
        assert_eq!(side.hears(&message), Ok(vec![]), "accepted: {message:?}");
    }
    assert_eq!(side.says(), ["confirm 7 as 0 window=262144 packet=32768"]);
    assert_eq!(side.mux.room(FIRST), 9);
    assert_eq!(side.hears(&data(0, b"new")), Ok(vec!["data 0 new".into()]));
}

/// C4
#[test]
fn after_eof_requests_are_delivered_and_data_is_dropped() {
    let mut side = Side::session();
    assert_eq!(side.hears(&eof(0)), Ok(vec!["eof 0".into()]));
    assert_eq!(side.hears(&request(0, b"signal", false, b"\0\0\0\x03INT")), Ok(vec!["request 0 signal".into()]));
    assert_eq!(side.hears(&adjust(0, 1)), Ok(vec![]));
    let extended = MuxMessage::ChannelExtendedData { recipient: Recipient(0), kind: 1, data: b"x" };
    for message in [data(0, b""), data(0, b"x"), extended, eof(0)] {
        assert_eq!(side.hears(&message), Ok(vec![]), "{message:?}");
    }
    side.hears(&request(0, b"x@y", true, b"")).unwrap();
    side.mux.reply(FIRST, true);
    side.mux.reply(FIRST, true);
    assert_eq!(side.says(), ["success 7"]);
    assert_eq!(side.writes(b"goes on"), 7);
}

/// C4, C8: data after EOF uses window like any other.
#[test]
fn data_after_eof_is_charged_to_the_window() {
    let settings = Settings { window_start: 100, max_packet: 100, ..Settings::default() };
    let mut side = Side::session_with(&settings, 10, 10);
    side.hears(&eof(0)).unwrap();
    assert_eq!(side.hears(&data(0, &[0; 100])), Ok(vec![]));
    assert_eq!(side.hears(&data(0, &[0; 10])), Ok(vec![]));
    assert_eq!(side.says(), [""; 0], "nothing is granted");
    assert_eq!(side.hears(&data(0, b"x")), Ok(vec!["error 0 WindowExceeded".into()]));
    assert_eq!(side.says(), ["close 7"]);
}

/// C5
#[test]
fn a_number_is_free_when_both_closes_have_passed_and_not_before() {
    let settings = Settings { max_channels: 1, ..Settings::default() };
    let mut side = Side::session_with(&settings, 9, 9);
    side.mux.close(FIRST);
    assert_eq!(side.says(), ["close 7"]);
    let shortage = ["refuse 8 4 too many sessions"];
    assert_eq!(side.hears(&open(8, 9, 9)), Ok(vec![]));
    assert_eq!(side.says(), shortage);
    assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".into()]));
    assert_eq!(side.hears(&open(9, 9, 9)), Ok(vec!["open 0".into()]));

    for _ in 0..10_000 {
        let mut side = Side::session_with(&settings, 9, 9);
        assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".into()]));
        assert_eq!(side.hears(&open(8, 9, 9)), Ok(vec![]), "our CLOSE is not out");
        assert_eq!(side.says(), ["refuse 8 4 too many sessions", "close 7"]);
        assert_eq!(side.hears(&open(9, 9, 9)), Ok(vec!["open 0".into()]));
    }
}

/// C5
#[test]
fn a_new_channel_has_no_state_of_the_one_before() {
    let mut side = Side::session_with(&Settings { max_channels: 1, ..Settings::default() }, 100, 100);
    side.hears(&request(0, b"shell", true, b"")).unwrap();
    side.hears(&data(0, &[0; 9])).unwrap();
    side.mux.request(FIRST, b"x", b"", true);
    side.hears(&close(0)).unwrap();
    for late in 0..2 {
        side.mux.reply(FIRST, true);
        side.mux.taken(FIRST, 1 << 20);
        assert_eq!(side.mux.write(FIRST, Stream::Data, b"old", &mut side.out), 0);
        assert!(!side.mux.request(FIRST, b"x", b"", true));
        side.mux.send_eof(FIRST);
        side.mux.exit(FIRST, Exit::Status(0));
        side.mux.close(FIRST);
        assert_eq!(side.says(), if late == 0 { vec!["close 7"] } else { vec![] });
    }
    side.hears(&open(8, 100, 100)).unwrap();
    side.mux.accept(FIRST);
    assert_eq!(side.says(), ["confirm 8 as 0 window=262144 packet=32768"]);
    assert_eq!(side.hears(&success(0)), Ok(vec![]), "the answer that the old channel waited for");
    side.mux.reply(FIRST, true);
    assert_eq!(side.says(), [""; 0]);
}

/// C6
#[test]
fn two_channels_may_have_the_same_peer_number() {
    let mut side = Side::session();
    assert_eq!(side.hears(&open(THEIRS, 100, 100)), Ok(vec!["open 1".into()]));
    side.mux.accept(ChannelId(1));
    side.mux.exit(FIRST, Exit::Status(3));
    side.mux.write(ChannelId(1), Stream::Data, b"second", &mut side.out);
    assert_eq!(
        side.says(),
        [
            "confirm 7 as 1 window=262144 packet=32768",
            "data 7 second",
            "request 7 exit-status want=false 3",
            "eof 7",
            "close 7"
        ]
    );
}

/// C30
#[test]
fn exit_status_precedes_eof_and_eof_precedes_close() {
    let mut side = Side::session();
    assert_eq!(side.hears(&eof(0)), Ok(vec!["eof 0".into()]));
    assert_eq!(side.writes(b"last words"), 10);
    side.mux.exit(FIRST, Exit::Status(300));
    assert_eq!(side.mux.room(FIRST), 0);
    assert_eq!(side.writes(b"too late"), 0);
    assert_eq!(side.says(), ["data 7 last words", "request 7 exit-status want=false 300", "eof 7", "close 7"]);
    assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".into()]));
}

#[test]
fn an_exit_signal_has_its_name_and_message() {
    let mut side = Side::session();
    let message = "x".repeat(5000);
    side.mux.exit(FIRST, Exit::Signal { name: "KILL".into(), core_dumped: false, message });
    assert_eq!(side.says(), ["request 7 exit-signal want=false KILL core=false (1024 bytes)", "eof 7", "close 7"]);
}

#[test]
fn eof_is_sent_once() {
    let mut side = Side::session();
    side.mux.send_eof(FIRST);
    side.mux.send_eof(FIRST);
    assert_eq!(side.writes(b"x"), 0);
    assert_eq!(side.says(), ["eof 7"]);
    side.mux.exit(FIRST, Exit::Status(0));
    assert_eq!(side.says(), ["request 7 exit-status want=false 0", "close 7"]);

    let mut side = Side::session();
    side.mux.send_eof(FIRST);
    side.mux.exit(FIRST, Exit::Status(0));
    assert_eq!(side.says(), ["request 7 exit-status want=false 0", "eof 7", "close 7"]);

    let mut side = Side::session();
    side.mux.send_eof(FIRST);
    side.mux.close(FIRST);
    assert_eq!(side.says(), ["eof 7", "close 7"]);
}

#[test]
fn an_end_sent_in_pieces_keeps_its_order() {
    for exit_first in [true, false] {
        let mut side = Side::session();
        side.hears(&request(0, b"shell", true, b"")).unwrap();
        side.mux.reply(FIRST, true);
        side.mux.request(FIRST, b"own@x", b"b", false);
        if exit_first {
            side.mux.exit(FIRST, Exit::Status(1));
        }
        side.mux.close(FIRST);
        let mut said = Vec::new();
        while side.mux.owes() {
            side.out.room = 1;
            said.extend(side.says());
        }
        let end: &[&str] = if exit_first {
            &["success 7", "request 7 own@x want=false b", "request 7 exit-status want=false 1", "eof 7", "close 7"]
        } else {
            &["success 7", "request 7 own@x want=false b", "close 7"]
        };
        assert_eq!(said, end);
    }
}

#[test]
fn nothing_but_close_is_sent_to_a_peer_that_has_closed() {
    let mut side = Side::session();
    side.hears(&request(0, b"shell", true, b"")).unwrap();
    side.mux.reply(FIRST, true);
    side.mux.exit(FIRST, Exit::Status(1));
    assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".into()]));
    assert_eq!(side.says(), ["close 7"]);
}

#[test]
fn an_owner_that_ended_a_channel_gets_no_event_but_its_close() {
    let end: [fn(&mut Mux); 2] = [|mux| mux.close(FIRST), |mux| mux.exit(FIRST, Exit::Status(0))];
    for end in end {
        for settled in [true, false] {
            let mut side = Side::session_with(&Settings::default(), 0, 10);
            side.mux.request(FIRST, b"own@x", b"", true);
            side.says();
            end(&mut side.mux);
            if settled {
                assert_eq!(side.says().last().unwrap(), "close 7");
            }
            for message in said_on(0) {
                let told = if message == close(0) { vec!["closed 0".to_owned()] } else { vec![] };
                assert_eq!(side.hears(&message), Ok(told), "{message:?}");
            }
            side.says();
            assert_eq!(side.mux.sessions(), 0);
            assert_eq!(side.hears(&data(0, b"x")), Ok(vec![]));
            assert_eq!(side.says(), [""; 0]);
        }
    }
}

#[test]
fn an_open_that_its_owner_ends_before_it_began_is_refused() {
    let end: [fn(&mut Mux); 2] = [|mux| mux.close(FIRST), |mux| mux.exit(FIRST, Exit::Status(0))];
    for end in end {
        let mut server = Side::new(Role::Server, &Settings::default());
        server.hears(&open(THEIRS, 9, 9)).unwrap();
        end(&mut server.mux);
        assert!(server.says().concat().starts_with("refuse 7 2"));
        assert_eq!(server.hears(&open(THEIRS, 9, 9)), Ok(vec!["open 1".into()]));
    }
}

#[test]
fn a_program_that_ends_before_the_confirmation_still_sends_its_status() {
    let mut server = Side::new(Role::Server, &Settings::default());
    server.hears(&open(THEIRS, 9, 9)).unwrap();
    server.mux.accept(FIRST);
    server.mux.exit(FIRST, Exit::Status(5));
    assert_eq!(
        server.says(),
        ["confirm 7 as 0 window=262144 packet=32768", "request 7 exit-status want=false 5", "eof 7", "close 7"]
    );
}

#[test]
fn a_client_may_cancel_an_open() {
    let mut client = Side::new(Role::Client, &Settings::default());
    client.mux.open_session();
    client.mux.close(FIRST);
    assert_eq!(client.says(), ["open session 0 window=262144 packet=32768"]);
    assert_eq!(client.hears(&confirmation(FIRST, THEIRS, 9, 9)), Ok(vec![]));
    assert_eq!(client.says(), ["close 7"]);
    assert_eq!(client.hears(&close(0)), Ok(vec!["closed 0".into()]));

    let second = client.mux.open_session().unwrap();
    client.says();
    client.mux.close(second);
    let refusal =
        MuxMessage::ChannelOpenFailure { recipient: Recipient(second.0), reason: 1, description: b"", language: b"" };
    assert_eq!(client.hears(&refusal), Ok(vec!["closed 1".into()]));
}

#[test]
fn a_session_that_was_closed_no_longer_counts() {
    let settings = Settings { max_sessions: 1, ..Settings::default() };
    let mut side = Side::session_with(&settings, 9, 9);
    side.hears(&open(8, 9, 9)).unwrap();
    assert_eq!(side.says(), ["refuse 8 4 too many sessions"]);
    side.mux.exit(FIRST, Exit::Status(0));
    assert_eq!(side.hears(&open(9, 9, 9)), Ok(vec!["open 1".into()]));
}

#[test]
fn the_text_of_a_refused_session_is_short() {
    let mut server = Side::new(Role::Server, &Settings::default());
    for (number, reason) in (0..).zip([
        OpenFailure::AdministrativelyProhibited,
        OpenFailure::ConnectFailed,
        OpenFailure::UnknownChannelType,
        OpenFailure::ResourceShortage,
    ]) {
        server.hears(&open(THEIRS, 9, 9)).unwrap();
        server.mux.refuse(ChannelId(number), reason, &"é".repeat(4000));
        assert_eq!(server.says(), [format!("refuse 7 {} (1024 bytes)", reason.code())]);
    }
}

#[test]
fn a_client_is_told_how_the_program_ended() {
    let mut client = Side::client();
    let status = Request::ExitStatus { status: 9 };
    assert_eq!(
        client.hears(&request(0, status.kind(), false, &status.body())),
        Ok(vec!["request 0 exit-status".into()])
    );
    client.mux.reply(FIRST, true);
    assert_eq!(client.says(), [""; 0]);
    assert_eq!(client.hears(&request(0, b"shell", true, b"")), Ok(vec![]));
    assert_eq!(client.says(), ["failure 7"]);
    assert_eq!(client.hears(&global(b"no-more-sessions@openssh.com", true)), Ok(vec![]));
    assert_eq!(client.says(), ["global failure"]);
}
