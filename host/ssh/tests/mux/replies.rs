//! Requests and their answers, in both directions.

use whelk_ssh::message::Role;
use whelk_ssh::message::mux::{ChannelId, MuxMessage};
use whelk_ssh::mux::Settings;
use whelk_ssh::wire::Rest;

use crate::side::{FIRST, Side, failure, open, request, success};

/// C21
#[test]
fn fifty_requests_in_one_segment_are_answered_in_order() {
    let mut side = Side::session();
    for _ in 0..50 {
        assert_eq!(side.hears(&request(0, b"x@y", true, b"")), Ok(vec!["request 0 x@y".into()]));
    }
    for number in 0..50 {
        side.mux.reply(FIRST, number % 3 == 0);
    }
    let expected: Vec<&str> = (0..50).map(|number| if number % 3 == 0 { "success 7" } else { "failure 7" }).collect();
    assert_eq!(side.says(), expected);
}

/// C21
#[test]
fn a_refusal_of_the_mux_waits_for_the_answers_before_it() {
    let mut side = Side::session();
    side.hears(&request(0, b"shell", true, b"")).unwrap();
    side.hears(&request(0, b"env", false, b"\0\0\0\0\0\0\0\0")).unwrap();
    side.hears(&request(0, b"x11-req", true, b"")).unwrap();
    side.hears(&request(0, b"x@y", true, b"")).unwrap();
    assert_eq!(side.says(), [""; 0]);
    side.mux.reply(FIRST, true);
    assert_eq!(side.says(), ["success 7", "failure 7"], "nobody is answered about the env, and x11-req is next");
    side.mux.reply(FIRST, true);
    assert_eq!(side.says(), [""; 0]);
    side.mux.reply(FIRST, true);
    assert_eq!(side.says(), ["success 7"]);
    side.mux.reply(FIRST, true);
    assert_eq!(side.says(), [""; 0]);
}

#[test]
fn a_slow_answer_delays_its_own_channel_alone() {
    let mut side = Side::session();
    side.hears(&open(8, 9, 9)).unwrap();
    side.mux.accept(ChannelId(1));
    side.says();
    side.hears(&request(0, b"shell", true, b"")).unwrap();
    side.hears(&request(1, b"shell", true, b"")).unwrap();
    side.mux.reply(ChannelId(1), true);
    assert_eq!(side.says(), ["success 8"]);
}

#[test]
fn output_never_overtakes_the_answer_that_it_follows() {
    let mut side = Side::session();
    side.hears(&request(0, b"shell", true, b"")).unwrap();
    side.mux.reply(FIRST, true);
    side.out.room = 0;
    assert_eq!(side.writes(b"hello"), 0, "a key exchange is under way");
    side.out.room = 5;
    assert_eq!(side.writes(b"hello"), 0, "the answer took the room");
    side.out.room = 100;
    assert_eq!(side.writes(b"hello"), 5);
    assert_eq!(side.said(), ["success 7", "data 7 hello"]);
    assert!(!side.mux.owes());

    let mut server = Side::new(Role::Server, &Settings::default());
    server.hears(&open(7, 9, 9)).unwrap();
    server.mux.accept(FIRST);
    server.out.room = 0;
    assert_eq!(server.writes(b"hello"), 0, "a key exchange is under way");
    server.out.room = 100;
    assert_eq!(server.writes(b"hello"), 5);
    assert_eq!(server.said(), ["confirm 7 as 0 window=262144 packet=32768", "data 7 hello"]);
}

/// C21, C31
#[test]
fn requests_beyond_the_owners_limit_are_refused_in_order() {
    let most = Settings::default().unanswered;
    let env = |side: &mut Side, want: bool| side.hears(&request(0, b"signal", want, b"\0\0\0\0")).unwrap().len();
    let mut side = Side::session();
    assert_eq!((0..900).map(|_| env(&mut side, true)).sum::<usize>(), most);
    assert_eq!(side.says(), [""; 0], "the first is not answered");
    side.mux.reply_alike(FIRST, true, u32::try_from(most).unwrap());
    let said = side.says();
    assert_eq!((said.len(), said.iter().filter(|line| *line == "success 7").count()), (900, most));
    assert!(said[most..].iter().all(|line| line == "failure 7"));
    assert_eq!(env(&mut side, true), 1, "there is room again");

    let mut side = Side::session();
    assert_eq!((0..900).map(|_| env(&mut side, false)).sum::<usize>(), most);
    assert_eq!(env(&mut side, true), 0);
    assert_eq!(side.says(), ["failure 7"], "those before it want no answer");
    side.mux.reply(FIRST, true);
    assert_eq!(env(&mut side, true), 1);
}

/// C31: variables that are refused cost nothing, and those that are accepted find their place.
#[test]
fn requests_that_the_owner_declines_do_not_count() {
    for want in [true, false] {
        let mut side = Side::session();
        let variable = request(0, b"env", want, b"\0\0\0\x01A\0\0\0\x01B");
        side.hears(&variable).unwrap();
        side.declines = true;
        for _ in 0..900 {
            assert_eq!(side.hears(&variable), Ok(vec!["request 0 env".into()]));
        }
        side.declines = false;
        assert_eq!(side.hears(&request(0, b"shell", true, b"")), Ok(vec!["request 0 shell".into()]));
        assert_eq!(side.says(), [""; 0], "nothing overtakes the first");
        side.mux.reply(FIRST, true);
        side.mux.reply(FIRST, true);
        let answers = if want { 901 } else { 0 };
        let said = side.says();
        assert_eq!((said.len(), said.last().unwrap().as_str()), (answers + 1, "success 7"));
        assert!(said[..answers].iter().skip(1).all(|line| line == "failure 7"));
        side.mux.reply(FIRST, true);
        assert_eq!(side.says(), [""; 0], "there is nothing left to answer");
    }
}

/// C22: requests during a key exchange, when no answer can be sent, are answered after it.
#[test]
fn no_number_of_requests_during_a_key_exchange_ends_the_connection() {
    let mut side = Side::session();
    side.out.room = 0;
    let mut asked = 0;
    for round in 0..5000 {
        asked += side.hears(&request(0, b"x@y", true, b"")).unwrap().len();
        side.mux.reply(FIRST, round % 2 == 0);
    }
    assert_eq!(asked, 1024, "answers that alternate are as many as memory is set aside for");
    side.out.room = usize::MAX;
    let said = side.says();
    assert_eq!(said.len(), 5000);
    assert!(said[1024..].iter().all(|line| line == "failure 7"));
    assert_eq!(said[..4], ["success 7", "failure 7", "success 7", "failure 7"]);
    assert_eq!(side.hears(&request(0, b"x@y", true, b"")).unwrap().len(), 1);
}

/// C24
#[test]
fn a_run_of_window_changes_is_accepted() {
    let mut side = Side::session();
    for _ in 0..100_000 {
        assert_eq!(
            side.hears(&request(0, b"window-change", false, &[0; 16])),
            Ok(vec!["request 0 window-change".into()])
        );
    }
    side.hears(&request(0, b"break", true, &[0; 4])).unwrap();
    for _ in 0..100_000 {
        side.mux.reply(FIRST, true);
        assert!(!side.mux.owes());
    }
    side.mux.reply(FIRST, false);
    assert_eq!(side.says(), ["failure 7"]);
}

/// C9
#[test]
fn answers_without_a_request_are_dropped() {
    let mut side = Side::session();
    for _ in 0..2000 {
        for message in
            [success(0), failure(0), MuxMessage::RequestSuccess { body: Rest(b"x") }, MuxMessage::RequestFailure {}]
        {
            assert_eq!(side.hears(&message), Ok(vec![]));
        }
    }
    side.mux.global_request(b"keepalive@openssh.com", b"", true);
    assert_eq!(side.says(), ["global keepalive@openssh.com want=true"]);
    assert_eq!(side.hears(&MuxMessage::RequestFailure {}), Ok(vec!["globally answered false ".into()]));
    assert_eq!(side.hears(&MuxMessage::RequestFailure {}), Ok(vec![]));
}

#[test]
fn our_requests_and_their_answers_keep_their_order() {
    let mut client = Side::client();
    assert!(client.mux.request(FIRST, b"pty@x", b"body", true));
    assert!(client.mux.request(FIRST, b"env@x", b"", false));
    assert!(client.mux.request(FIRST, b"exec@x", b"", true));
    assert_eq!(client.hears(&success(0)), Ok(vec![]), "nothing is out yet");
    assert_eq!(client.writes(b"input"), 5);
    assert_eq!(
        client.says(),
        ["request 7 pty@x want=true body", "request 7 env@x want=false", "request 7 exec@x want=true", "data 7 input"]
    );
    assert_eq!(client.hears(&success(0)), Ok(vec!["answered 0 true".into()]));
    assert_eq!(client.hears(&failure(0)), Ok(vec!["answered 0 false".into()]));
    assert_eq!(client.hears(&failure(0)), Ok(vec![]));
}

#[test]
fn requests_of_ours_are_bounded_in_number_and_length() {
    let mut client = Side::client();
    let long = vec![0; 32 << 10];
    assert!(!client.mux.request(FIRST, b"x", &long, true));
    assert!(!client.mux.global_request(b"x", &long, true));
    assert_eq!((0..100).filter(|_| client.mux.request(FIRST, b"x", b"", true)).count(), 16);
    assert_eq!((0..100).filter(|_| client.mux.global_request(b"x", b"", true)).count(), 16);
    assert_eq!(client.says().len(), 32);
    assert!(client.mux.request(FIRST, b"x", b"", true));
    client.mux.close(FIRST);
    assert!(!client.mux.request(FIRST, b"x", b"", true));
}

#[test]
fn global_answers_carry_their_body() {
    let mut client = Side::client();
    client.mux.global_request(b"tcpip-forward", b"\0\0\0\0\0\0\0\0", true);
    client.mux.global_request(b"quiet@x", b"", false);
    assert_eq!(client.says().len(), 2);
    let yes = MuxMessage::RequestSuccess { body: Rest(b"2222") };
    assert_eq!(client.hears(&yes), Ok(vec!["globally answered true 2222".into()]));
    assert_eq!(client.hears(&yes), Ok(vec![]), "the second wanted no answer");
}
