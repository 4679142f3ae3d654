//! P17: packets above the general limit wait for a grant before they are read.

use whelk_ssh::connection::ServerQuestion;
use whelk_ssh::error::Error;

use crate::memory::{held, peak};
use crate::pair::Setup;
use crate::raw::{Raw, data, frame};

/// IGNORE with a `packet_length` of `length`.
fn ignore(raw: &mut Raw<whelk_ssh::auth::server::ServerAuth>, length: usize) -> Vec<u8> {
    raw.seal(frame(length, 4, b"\x02", length - 2))
}

/// The open question, as the number of bytes that it is about.
fn wanted(raw: &Raw<whelk_ssh::auth::server::ServerAuth>) -> Option<usize> {
    match raw.side.question() {
        Some(ServerQuestion::LargePacket(bytes)) => Some(bytes),
        Some(_) | None => None,
    }
}

#[test]
fn a_large_packet_is_not_read_before_it_is_granted() {
    let setup = Setup::new(4096);
    let mut raw = Raw::opened(&setup);
    raw.application.grants = false;
    raw.send(&data(b"before"));
    let before = held();
    let packet = ignore(&mut raw, 256 << 10);
    let behind = raw.packet(&data(b" after"));
    let most = peak(|| raw.bytes(&[packet, behind].concat()));
    assert_eq!(wanted(&raw), Some((256 << 10) - 35_000));
    assert!(!raw.side.wants_input());
    assert!(raw.unwanted() > 250_000, "no more is read than the first piece");
    assert!(most < (256 << 10) * 5 + 20_000, "the test's own copies are the most of it: {most}");

    raw.side.grant_large_packet();
    assert!(raw.side.holds_large_packet() && raw.side.wants_input());
    raw.flush();
    assert_eq!((wanted(&raw), &raw.error, raw.unwanted()), (None, &None, 0));
    assert!(!raw.side.holds_large_packet());
    assert_eq!(raw.application.received(whelk_ssh::message::mux::ChannelId(0)), b"before after");
    drop(raw.take_unwanted());
    let kept = held() - before;
    assert!(kept < 200_000, "its memory goes with it: {kept} bytes are kept");
}

#[test]
fn a_packet_within_the_limit_before_login_needs_no_grant() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.application.grants = false;
    for length in [34_992, 35_000] {
        let packet = ignore(&mut raw, length);
        raw.bytes(&packet);
        assert_eq!((wanted(&raw), &raw.error, raw.unwanted()), (None, &None, 0));
    }
    let packet = ignore(&mut raw, 35_008);
    raw.bytes(&packet);
    assert_eq!(wanted(&raw), Some(8));
}

#[test]
fn a_length_above_the_limit_is_refused_without_a_question() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::opened(&setup);
    raw.application.grants = false;
    let packet = ignore(&mut raw, (256 << 10) + 8);
    raw.bytes(&packet);
    assert_eq!((wanted(&raw), raw.error), (None, Some(Error::Integrity)));
}

/// C31, C32: a command and a value of 120,000 bytes, which real clients send.
#[test]
fn requests_of_120_000_bytes_reach_the_application() {
    use crate::raw::request;
    for cut in [usize::MAX, 1000] {
        let mut raw = Raw::opened(&Setup::new(cut));
        let long = vec![b'x'; 120_000];
        let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        raw.send(&request(b"env", true, &[string(b"LANG"), string(&long)].concat()));
        raw.send(&request(b"exec", true, &string(&long)));
        assert_eq!(raw.error, None);
        assert!(raw.application.saw("request 0 env") && raw.application.saw("request 0 exec"));
        assert_eq!(raw.replies().iter().map(|reply| reply[0]).collect::<Vec<_>>(), [99, 99]);
    }
}
