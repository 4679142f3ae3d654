//! Data and the windows, in both directions.

use whelk_ssh::error::Violation;
use whelk_ssh::message::Role;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Recipient, Stream};
use whelk_ssh::mux::{Exit, Settings};

use crate::side::{FIRST, Side, THEIRS, adjust, close, confirmation, data, eof, open, request};

/// Small limits, so that every bound is near: a window of 100, growing to 400, packets of 40.
fn small() -> Settings {
    Settings { window_start: 100, window_max: 400, window_connection: 10_000, max_packet: 40, ..Settings::default() }
}

/// A second channel, unaffected by the first.
fn witness(side: &mut Side) {
    assert_eq!(side.hears(&open(8, 1000, 1000)), Ok(vec!["open 1".into()]));
    side.mux.accept(ChannelId(1));
    side.says();
}

fn assert_unharmed(side: &mut Side) {
    assert_eq!(side.hears(&data(1, b"unharmed")), Ok(vec!["data 1 unharmed".into()]));
    assert_eq!(side.mux.write(ChannelId(1), Stream::Data, b"unharmed", &mut side.out), 8);
    assert_eq!(side.says(), ["data 8 unharmed"]);
}

/// C7
#[test]
fn a_window_that_would_wrap_closes_its_channel() {
    let mut side = Side::session_with(&small(), 10, 10);
    witness(&mut side);
    assert_eq!(side.hears(&adjust(0, u32::MAX - 10)), Ok(vec![]));
    assert_eq!(side.hears(&adjust(0, 1)), Ok(vec!["error 0 WindowOverflow".into()]));
    assert_eq!(side.hears(&adjust(0, 1)), Ok(vec![]));
    assert_eq!((side.mux.room(FIRST), side.says()), (0, vec!["close 7".to_owned()]));
    assert_unharmed(&mut side);
    let mut side = Side::session_with(&small(), 0, 10);
    assert_eq!(side.hears(&adjust(0, u32::MAX)), Ok(vec!["writable 0".into()]));
    assert_eq!(side.hears(&adjust(0, u32::MAX)), Ok(vec!["error 0 WindowOverflow".into()]));
}

/// C8
#[test]
fn a_tenth_over_the_window_is_taken_and_more_closes_the_channel() {
    for stream in [Stream::Data, Stream::STDERR] {
        let mut side = Side::session_with(&small(), 10, 10);
        witness(&mut side);
        let send = |side: &mut Side, bytes: usize| {
            let (recipient, data) = (Recipient(0), &[b'x'; 100][..bytes]);
            side.hears(&match stream {
                Stream::Data => MuxMessage::ChannelData { recipient, data },
                Stream::Extended(kind) => MuxMessage::ChannelExtendedData { recipient, kind, data },
            })
        };
        for bytes in [40, 40, 20, 1, 9] {
            assert!(send(&mut side, bytes).unwrap()[0].starts_with("data 0"));
        }
        assert_eq!(send(&mut side, 0), Ok(vec![]), "no bytes are no event, and no offence");
        assert_eq!(send(&mut side, 1), Ok(vec!["error 0 WindowExceeded".into()]));
        assert_eq!(send(&mut side, 100), Ok(vec![]), "it is closed");
        assert_eq!(side.says(), ["close 7"]);
        assert_eq!(side.mux.sessions(), 1);
        assert_unharmed(&mut side);
        assert_eq!(side.hears(&close(0)), Ok(vec!["closed 0".into()]));
    }
}

/// C8
#[test]
fn a_message_longer_than_we_had_said_is_taken() {
    let mut side = Side::session_with(&small(), 10, 10);
    assert_eq!(side.hears(&data(0, &[0; 110])), Ok(vec!["data 0 (110 bytes)".into()]));
    side.mux.taken(FIRST, 9);
    assert_eq!(side.says(), [""; 0], "it is worked off first");
    side.mux.taken(FIRST, 101);
    // The window has doubled, as after each whole window that was taken.
    assert_eq!(side.says(), ["adjust 7 200"]);
}

/// C8
#[test]
fn exceeding_the_windows_of_eight_channels_ends_the_connection() {
    let mut side = Side::session_with(&small(), 10, 10);
    for channel in 0..7 {
        assert_eq!(side.hears(&data(channel, &[0; 111])), Ok(vec![format!("error {channel} WindowExceeded")]));
        for _ in 0..100 {
            assert_eq!(side.hears(&data(channel, &[0; 111])), Ok(vec![]), "a channel counts once");
        }
        side.hears(&close(channel)).unwrap();
        side.hears(&open(channel, 10, 10)).unwrap();
        side.mux.accept(ChannelId(channel + 1));
        side.says();
    }
    assert_eq!(side.hears(&data(7, &[0; 111])), Err(Violation::WindowExceeded));
}

#[test]
fn credit_returns_when_the_owner_takes_bytes_and_not_when_they_are_read() {
    let mut side = Side::session_with(&small(), 10, 10);
    side.hears(&data(0, &[0; 40])).unwrap();
    side.hears(&data(0, &[0; 40])).unwrap();
    assert_eq!(side.says(), [""; 0]);
    side.mux.taken(FIRST, 49);
    assert_eq!(side.says(), [""; 0], "less than half of the window is not worth a packet");
    side.mux.taken(FIRST, 1);
    side.mux.taken(FIRST, 10);
    assert_eq!(side.says(), ["adjust 7 60"], "one message for all of it");
    side.mux.taken(FIRST, 1_000_000);
    assert_eq!(side.says(), [""; 0], "only twenty bytes were left to take");
}

#[test]
fn a_window_grows_for_a_fast_reader_and_never_shrinks() {
    let mut side = Side::session_with(&small(), 10, 10);
    let (mut granted, mut sent) = (100, 0);
    for _ in 0..200 {
        while sent + 20 <= granted {
            side.hears(&data(0, &[0; 20])).unwrap();
            sent += 20;
        }
        side.mux.taken(FIRST, 20);
        for line in side.says() {
            granted += line.strip_prefix("adjust 7 ").unwrap().parse::<u32>().unwrap();
        }
    }
    let taken = 200 * 20;
    assert!((taken + 320..=taken + 400).contains(&granted), "{granted}");
}

#[test]
fn grown_windows_leave_room_for_new_sessions() {
    let settings =
        Settings { window_connection: 1000, max_sessions: 4, window_start: 100, window_max: 5000, ..small() };
    let mut side = Side::session_with(&settings, 10, 10);
    for _ in 0..1000 {
        side.hears(&data(0, &[0; 40])).unwrap();
        side.mux.taken(FIRST, 40);
        side.says();
    }
    for channel in 1..4 {
        side.hears(&open(channel, 9, 9)).unwrap();
        side.mux.accept(ChannelId(channel));
        assert_eq!(side.says(), [format!("confirm {channel} as {channel} window=100 packet=40")]);
    }
}

#[test]
fn the_growth_of_a_window_returns_to_the_pool_when_its_channel_ends() {
    // 100 bytes are reserved for each of the two sessions: 800 are left for them to grow.
    let settings = Settings { window_connection: 1000, max_sessions: 2, window_max: 4000, ..small() };
    let pass = |side: &mut Side, channel: u32, bytes: usize| {
        let mut credit = 0;
        for _ in 0..bytes / 20 {
            side.hears(&data(channel, &[0; 20])).unwrap();
            side.mux.taken(ChannelId(channel), 20);
            credit +=
                side.says().iter().filter_map(|line| line.split(' ').next_back()?.parse::<usize>().ok()).sum::<usize>();
        }
        credit.saturating_sub(bytes)
    };
    let end: [fn(&mut Side); 3] = [
        |side| side.hears(&close(0)).map(drop).unwrap(),
        |side| side.mux.close(FIRST),
        |side| side.mux.exit(FIRST, Exit::Status(0)),
    ];
    for end in end {
        let mut side = Side::session_with(&settings, 10, 10);
        side.hears(&open(8, 9, 9)).unwrap();
        side.mux.accept(ChannelId(1));
        side.says();
        pass(&mut side, 0, 40_000);
        assert!(pass(&mut side, 1, 4000) < 30);
        end(&mut side);
        side.says();
        assert!(pass(&mut side, 1, 4000) > 300);
    }
    // Nor does a window grow that receives no more data.
    let mut side = Side::session_with(&settings, 10, 10);
    side.hears(&open(8, 9, 9)).unwrap();
    side.mux.accept(ChannelId(1));
    side.says();
    side.hears(&data(0, &[0; 40])).unwrap();
    side.mux.taken(FIRST, 40);
    for _ in 0..2 {
        side.hears(&data(0, &[0; 30])).unwrap();
    }
    side.hears(&eof(0)).unwrap();
    side.mux.taken(FIRST, 60);
    assert!(pass(&mut side, 1, 4000) > 300);
}

#[test]
fn more_sessions_than_the_connection_has_memory_for_get_smaller_windows() {
    let settings = Settings { window_connection: 1000, max_sessions: 50, ..small() };
    let mut server = Side::new(Role::Server, &settings);
    server.hears(&open(THEIRS, 9, 9)).unwrap();
    server.mux.accept(FIRST);
    assert_eq!(server.says(), ["confirm 7 as 0 window=20 packet=40"]);
}

#[test]
fn nothing_is_credited_on_a_channel_that_has_ended() {
    let end: [fn(&mut Side); 4] = [
        |side| side.mux.close(FIRST),
        |side| side.mux.exit(FIRST, Exit::Status(0)),
        |side| side.hears(&close(0)).map(drop).unwrap(),
        |side| side.hears(&eof(0)).map(drop).unwrap(),
    ];
    for end in end {
        let mut side = Side::session_with(&small(), 10, 10);
        for _ in 0..2 {
            side.hears(&data(0, &[0; 40])).unwrap();
        }
        side.mux.taken(FIRST, 60);
        end(&mut side);
        side.mux.taken(FIRST, 20);
        assert!(side.says().iter().all(|line| !line.starts_with("adjust")));
    }
}

#[test]
fn data_for_a_session_that_has_ended_is_dropped_but_never_above_the_window() {
    let mut side = Side::session_with(&small(), 10, 10);
    side.mux.exit(FIRST, Exit::Status(0));
    side.says();
    for bytes in [40, 40, 20] {
        assert_eq!(side.hears(&data(0, &[0; 40][..bytes])), Ok(vec![]));
    }
    assert_eq!(side.hears(&data(0, &[0; 11])), Ok(vec![]), "its owner need not know");
    // A peer that has not read our CLOSE yet may still send, so this is not a violation.
    for channel in 1..20 {
        side.hears(&open(channel, 10, 10)).unwrap();
        side.mux.accept(ChannelId(channel));
        side.mux.close(ChannelId(channel));
        side.says();
        assert_eq!(side.hears(&data(channel, &[0; 111])), Ok(vec![]));
    }
}

/// C8: a client that miscounts now and then keeps its connection for days, and one that always does loses it.
#[test]
fn a_channel_closed_without_a_violation_offsets_one_with() {
    let mut side = Side::new(Role::Server, &small());
    let mut number = 0;
    let mut pass = |excess: bool| {
        let channel = number;
        number = (number + 1) % 32;
        side.hears(&open(channel, 10, 10)).unwrap();
        side.mux.accept(ChannelId(channel));
        side.says();
        if excess {
            side.hears(&data(channel, &[0; 111]))?;
        }
        side.hears(&close(channel)).unwrap();
        side.says();
        Ok(())
    };
    for _ in 0..50 {
        assert_eq!((pass(true), pass(false)), (Ok(()), Ok(())));
    }
    for fault in 1..=8 {
        assert_eq!(pass(true), if fault < 8 { Ok(()) } else { Err(Violation::WindowExceeded) }, "fault {fault}");
    }
}

/// C12
#[test]
fn extended_data_of_every_type_reaches_the_owner_and_uses_window() {
    let mut side = Side::session_with(&small(), 10, 10);
    for kind in [0, 1, 99, u32::MAX] {
        let message = MuxMessage::ChannelExtendedData { recipient: Recipient(0), kind, data: &[b'x'; 25] };
        let told = format!("data 0/{kind} {}", "x".repeat(25));
        assert_eq!(side.hears(&message), Ok(vec![told]));
    }
    assert_eq!(side.hears(&data(0, &[0; 11])), Ok(vec!["error 0 WindowExceeded".into()]));
}

/// C13
#[test]
fn a_packet_limit_of_zero_is_refused_and_one_of_a_byte_works() {
    let mut server = Side::new(Role::Server, &small());
    assert_eq!(server.hears(&open(THEIRS, 1000, 0)), Ok(vec![]));
    assert_eq!(server.says(), ["refuse 7 2 the maximum packet size is too small"]);

    let mut client = Side::new(Role::Client, &small());
    client.mux.open_session();
    client.says();
    let failed = "open failed 0 2 its maximum packet size is 0".to_owned();
    assert_eq!(client.hears(&confirmation(FIRST, THEIRS, 1000, 0)), Ok(vec![failed]));
    assert_eq!(client.says(), ["close 7"]);

    let mut side = Side::session_with(&small(), 3, 1);
    let mut written = 0;
    while written < 4 {
        match side.writes(&b"abcd"[written..]) {
            0 => break,
            bytes => written += bytes,
        }
    }
    assert_eq!(side.said(), ["data 7 a", "data 7 b", "data 7 c"]);
    assert_eq!(side.mux.room(FIRST), 0);
}

/// C14, C15
#[test]
fn data_beyond_the_window_stays_with_the_owner() {
    let mut side = Side::session_with(&small(), 0, 10);
    assert_eq!(side.writes(b"hello"), 0);
    assert_eq!(side.hears(&adjust(0, 0)), Ok(vec![]));
    for byte in 0..5 {
        assert_eq!(side.hears(&adjust(0, 1)), Ok(vec!["writable 0".into()]));
        assert_eq!(side.writes(&b"hello"[byte..]), 1);
        assert_eq!(side.writes(b"more"), 0);
    }
    assert_eq!(side.hears(&adjust(0, 1)), Ok(vec!["writable 0".into()]));
    assert_eq!(side.hears(&adjust(0, 1)), Ok(vec![]), "it was writable before");
    side.mux.send_eof(FIRST);
    assert_eq!(side.mux.room(FIRST), 0);
}

/// C11
#[test]
fn a_message_is_bounded_by_the_window_both_packet_limits_and_the_output() {
    let endless = vec![b'x'; 100_000];
    let mut side = Side::session_with(&small(), 1000, 1000);
    assert_eq!(side.writes(&endless), 40, "our own packet limit");
    let mut side = Side::session_with(&small(), 1000, 30);
    assert_eq!(side.writes(&endless), 30, "the peer's");
    let mut side = Side::session_with(&small(), 20, 30);
    assert_eq!(side.writes(&endless), 20, "the window");
    let mut side = Side::session_with(&small(), 1000, 30);
    side.out.room = 19;
    assert_eq!(side.writes(&endless), 19, "the output: a mark that the header may pass");
    side.out.room = 0;
    assert_eq!(side.writes(&endless), 0);
    side.out.room = 6;
    assert_eq!(side.mux.write(FIRST, Stream::STDERR, &endless, &mut side.out), 6);
    assert_eq!(side.said().last().unwrap(), "data 7/1 xxxxxx");
    assert_eq!(side.mux.room(FIRST), 1000 - 25);
    assert_eq!(side.writes(b""), 0);
}

#[test]
fn a_channel_that_does_not_read_stops_no_other() {
    let mut side = Side::session_with(&small(), 0, 10);
    side.hears(&open(8, 1000, 1000)).unwrap();
    side.mux.accept(ChannelId(1));
    assert_eq!(side.writes(b"stuck"), 0);
    assert_eq!(side.mux.write(ChannelId(1), Stream::Data, b"free", &mut side.out), 4);
}

#[test]
fn while_there_is_no_room_everything_waits_and_nothing_is_lost() {
    let mut side = Side::session_with(&small(), 1000, 1000);
    side.out.room = 0;
    for _ in 0..2 {
        side.hears(&data(0, &[0; 40])).unwrap();
        side.mux.taken(FIRST, 40);
    }
    side.hears(&open(8, 9, 9)).unwrap();
    side.mux.accept(ChannelId(1));
    side.mux.global_request(b"keepalive@openssh.com", b"", true);
    assert_eq!(side.writes(b"x"), 0);
    assert_eq!(side.says(), [""; 0]);
    assert!(side.mux.owes());
    side.out.room = usize::MAX;
    assert_eq!(
        side.says(),
        ["global keepalive@openssh.com want=true", "adjust 7 80", "confirm 8 as 1 window=100 packet=40"]
    );
    assert!(!side.mux.owes());
}

/// `eow@openssh.com`: the peer does not read data any more, and the owner does not wait for it.
#[test]
fn data_that_the_peer_does_not_read_is_dropped_and_the_rest_is_not() {
    let mut side = Side::session_with(&small(), 3, 10);
    witness(&mut side);
    assert_eq!(side.mux.write(FIRST, Stream::Data, b"12345", &mut side.out), 3);
    assert_eq!(side.mux.write(FIRST, Stream::Data, b"45", &mut side.out), 0);
    assert_eq!(side.says(), ["data 7 123"]);
    let end_of_write = request(0, b"eow@openssh.com", false, b"");
    assert_eq!(side.hears(&end_of_write), Ok(vec!["end-of-write 0".into()]));
    // At most as much as one message, so that a turn has an end.
    assert_eq!(side.mux.write(FIRST, Stream::Data, &[b'x'; 100], &mut side.out), 40);
    assert_eq!(side.mux.write(FIRST, Stream::STDERR, b"e", &mut side.out), 0);
    assert_eq!(side.hears(&adjust(0, 1)), Ok(vec!["writable 0".into()]));
    assert_eq!(side.mux.write(FIRST, Stream::STDERR, b"e", &mut side.out), 1);
    assert_eq!(side.says(), ["data 7/1 e"]);
    // Again, with an answer, and malformed.
    assert_eq!(side.hears(&end_of_write), Ok(vec![]));
    assert_eq!(side.hears(&request(0, b"eow@openssh.com", true, b"")), Ok(vec![]));
    assert_eq!(side.hears(&request(0, b"eow@openssh.com", false, b"x")), Ok(vec![]));
    assert_eq!(side.says(), ["failure 7"]);
    // Data of the peer, and the end, go on as before.
    assert_eq!(side.hears(&data(0, b"up")), Ok(vec!["data 0 up".into()]));
    side.mux.exit(FIRST, Exit::Status(0));
    assert_eq!(side.mux.write(FIRST, Stream::Data, b"late", &mut side.out), 0);
    assert_eq!(side.says().last().map(String::as_str), Some("close 7"));
    assert_unharmed(&mut side);
}
