//! P7, K15: people, stopped processes and sleeping machines are slow, and are waited for.

use std::time::Duration;

use whelk_ssh::error::{Error, Stage};
use whelk_ssh::message::mux::ChannelId;

use crate::pair::{Setup, twice};
use crate::raw::{Raw, data, none, on_channel, request};

const FIRST: ChannelId = ChannelId(0);

/// P7: clients ask about the fingerprint before they send NEWKEYS, and PuTTY asks for the name before its first
/// request. Both waits are a part of one time for the whole login.
#[test]
fn a_person_may_read_the_fingerprint_or_type_the_name_for_100_seconds() {
    twice(|setup| {
        let mut raw = Raw::client(&setup);
        raw.identify();
        raw.replies();
        raw.init(&raw.offer());
        raw.now += Duration::from_secs(14);
        let share = raw.share();
        raw.send(&share);
        let answered = raw.now;
        assert!(raw.replies().iter().any(|reply| reply[0] == 31));
        assert_eq!(raw.side.deadline(), Some(answered + Duration::from_secs(120)));
        raw.now += Duration::from_secs(100);
        raw.new_keys();
        let raw = raw.service().enter();
        assert_eq!(raw.error, None);

        let mut raw = Raw::keyed(&setup);
        raw.now += Duration::from_secs(100);
        let raw = raw.service().enter();
        assert_eq!(raw.error, None);

        // A client whose share does not come keeps nobody waiting that long.
        let mut raw = Raw::client(&setup);
        raw.identify();
        raw.init(&raw.offer());
        raw.now += Duration::from_secs(15);
        raw.flush();
        assert_eq!(raw.error, Some(Error::TimedOut(Stage::Kex)));
    });
}

/// The deadline of a changed key does not come round before anybody has entered.
#[test]
fn a_short_life_of_keys_does_not_make_a_stranger_busy() {
    twice(|setup| {
        let mut setup = setup.clone();
        setup.server.rekey.time = Duration::from_secs(1);
        let mut raw = Raw::serviced(&setup);
        raw.now += Duration::from_secs(5);
        raw.flush();
        assert!(raw.side.deadline().unwrap() > raw.now, "a timer that is always due keeps a processor busy");
        raw.send(&none(b"alice"));
        let replies = raw.replies();
        assert_eq!(replies.iter().map(|reply| reply[0]).collect::<Vec<_>>(), [52], "no data has moved");
        raw.open(0);
        raw.send(&data(b"x"));
        assert_eq!(raw.reply()[0], 20, "the keys are old");
        raw.init(&raw.offer());
        raw.agree();
        assert_eq!(raw.side.deadline(), None);
        raw.send(&data(b"x"));
        assert_eq!(raw.side.deadline(), Some(raw.now + Duration::from_secs(1)));
    });
}

/// Who never wants to change keys by the clock says so with the longest time that there is.
#[test]
fn the_longest_time_that_there_is_is_never_over() {
    let mut setup = Setup::new(usize::MAX);
    setup.server.rekey.time = Duration::MAX;
    let mut raw = Raw::opened(&setup);
    raw.send(&data(b"x"));
    raw.now += Duration::from_secs(1 << 30);
    raw.flush();
    assert_eq!((raw.side.deadline(), &raw.error), (None, &None));
    assert!(raw.replies().is_empty());
}

/// K15: a client that is stopped (^Z, a sleeping laptop) when our KEXINIT comes finishes the exchange when it goes on.
#[test]
fn a_client_that_is_stopped_when_a_rekey_begins_is_waited_for() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.side.rekey();
        raw.flush();
        assert_eq!(raw.reply()[0], 20);
        assert_eq!(raw.side.deadline(), None);
        raw.now += Duration::from_secs(150);
        raw.flush();
        assert_eq!((&raw.error, raw.side.handle_timeout(raw.now)), (&None, Ok(())));
        raw.init(&raw.offer());
        raw.agree();
        raw.send(&data(b"going on"));
        assert_eq!((raw.application.received(FIRST), &raw.error), (&b"going on"[..], &None));
    });
}

/// K15: who sends and never answers is not stopped.
#[test]
fn a_client_that_sends_data_and_never_answers_a_rekey_has_a_minute_from_its_next_byte() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.send(&data(b"before"));
        raw.side.rekey();
        raw.flush();
        assert_eq!(raw.side.deadline(), None, "what came before does not count");
        raw.now += Duration::from_secs(100);
        let due = raw.now + Duration::from_secs(60);
        for _ in 0..60 {
            raw.send(&data(b"still here"));
            assert_eq!((&raw.error, raw.side.deadline()), (&None, Some(due)));
            raw.now += Duration::from_secs(1);
        }
        raw.flush();
        assert_eq!(raw.error, Some(Error::TimedOut(Stage::Kex)));
    });
}

/// Keepalive questions, their answers and packets without meaning are no data: an idle connection never changes its
/// keys.
#[test]
fn an_idle_connection_that_is_kept_alive_keeps_its_keys() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.replies();
        for _ in 0..130 {
            raw.now += Duration::from_secs(60);
            raw.side.keepalive();
            raw.send(b"\x52");
            raw.send(b"\x02\0\0\0\0");
            raw.send(&on_channel(93, 0, &[0, 0, 0, 1]));
            raw.send(&request(b"keepalive@openssh.com", true, b""));
            assert_eq!(raw.side.deadline(), None);
        }
        assert!(raw.replies().iter().all(|reply| reply[0] != 20));
        raw.send(&data(b"x"));
        assert!(raw.replies().iter().any(|reply| reply[0] == 20), "the keys are old, and protect data again");
        assert_eq!(raw.error, None);
    });
}
