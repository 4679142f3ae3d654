//! P7, K15: people, stopped processes and suspended machines are slow, and keep their connections.

use std::time::Duration;

use whelk_ssh::error::{Error, Stage};
use whelk_ssh::message::mux::{ChannelId, Stream};

use crate::pair::{Setup, twice};
use crate::raw::{Raw, data, none, on_channel, open, request};

const FIRST: ChannelId = ChannelId(0);

/// P7: clients ask about the fingerprint before they send NEWKEYS, and PuTTY asks for the name before its first
/// request. One deadline covers the whole login.
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
        let raw = raw.service().log_in();
        assert_eq!(raw.error, None);

        let mut raw = Raw::keyed(&setup);
        raw.now += Duration::from_secs(100);
        let raw = raw.service().log_in();
        assert_eq!(raw.error, None);

        // The deadline of a client whose share does not arrive is shorter.
        let mut raw = Raw::client(&setup);
        raw.identify();
        raw.init(&raw.offer());
        raw.now += Duration::from_secs(15);
        raw.flush();
        assert_eq!(raw.error, Some(Error::TimedOut(Stage::Kex)));
    });
}

/// The rekey timer does not run before login.
#[test]
fn a_short_key_lifetime_causes_no_rekey_before_authentication() {
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

/// The maximum duration disables rekeying by time.
#[test]
fn the_maximum_duration_never_expires() {
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
fn a_client_that_is_stopped_when_a_rekey_begins_keeps_its_connection() {
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

/// K15: a client that sends data and never answers is not a stopped one.
#[test]
fn a_client_that_sends_data_and_never_answers_a_rekey_has_a_minute_from_its_next_byte() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.send(&data(b"before"));
        raw.side.rekey();
        raw.flush();
        raw.now += Duration::from_secs(100);
        for _ in 0..60 {
            raw.send(&data(b"still here"));
            assert_eq!((&raw.error, raw.side.deadline()), (&None, None), "what came before does not count");
            raw.now += Duration::from_secs(1);
        }
        raw.send(&data(b"still here"));
        assert_eq!(raw.error, Some(Error::TimedOut(Stage::Kex)));
    });
}

/// K15: what a client sends before our KEXINIT was sent does not count.
#[test]
fn a_download_on_a_slow_line_outlives_a_rekey() {
    twice(|setup| {
        let mut raw = Raw::entered(&setup);
        raw.send(&open(0, 2 << 20, 32 << 10));
        raw.replies();
        // 256 KiB wait for a slow socket, and our KEXINIT comes behind them.
        raw.reads = false;
        while raw.side.write(FIRST, Stream::Data, &[0; 32 << 10]) > 0 {}
        assert!(raw.side.output().len() >= 256 << 10);
        raw.side.rekey();
        for _ in 0..20 {
            raw.now += Duration::from_secs(5);
            raw.send(&on_channel(93, 0, &[0, 0, 0x10, 0]));
            assert_eq!(raw.error, None, "our KEXINIT has not left");
        }
        // All of it is in the kernels' buffers now, and the client works it off for another 80 seconds.
        raw.reads = true;
        raw.flush();
        for _ in 0..16 {
            raw.now += Duration::from_secs(5);
            raw.send(&on_channel(93, 0, &[0, 0, 0x10, 0]));
            assert_eq!(raw.error, None, "there was data before our KEXINIT");
        }
        let replies = raw.replies();
        assert_eq!(replies.last().map(|reply| reply[0]), Some(20));
        raw.init(&raw.offer());
        raw.agree();
        raw.send(&data(b"going on"));
        assert_eq!((raw.application.received(FIRST), &raw.error), (&b"going on"[..], &None));
    });
}

/// K15: what a client sent before it was stopped may arrive after our KEXINIT was sent.
#[test]
fn a_client_that_is_stopped_with_bytes_in_flight_keeps_its_connection() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.side.rekey();
        raw.flush();
        raw.send(&data(b"the last"));
        raw.now += Duration::from_secs(3 * 3600);
        raw.flush();
        assert_eq!((&raw.error, raw.side.handle_timeout(raw.now)), (&None, Ok(())));
        raw.send(&data(b" word"));
        raw.init(&raw.offer());
        raw.agree();
        raw.send(&data(b", and on"));
        assert_eq!((raw.application.received(FIRST), &raw.error), (&b"the last word, and on"[..], &None));
    });
}

/// Keepalives, their answers and ignored packets are not data: an idle connection never changes its keys.
#[test]
fn an_idle_connection_that_is_kept_alive_keeps_its_keys() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.replies();
        for _ in 0..130 {
            raw.now += Duration::from_secs(60);
            raw.side.global_request(b"keepalive@openssh.com", b"", true);
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
