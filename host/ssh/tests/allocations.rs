//! Packets of an open session allocate no memory.

mod pair;
mod steady;

use steady::{LARGE, Session};
use whelk_ssh::crypto::cipher::Suite;

/// A keystroke, a line, an odd number of bytes, and the largest packet.
const SIZES: [usize; 4] = [1, 80, 4097, LARGE];

#[test]
fn packets_of_an_open_session_allocate_nothing() {
    let data = [7; LARGE];
    for suite in Suite::all() {
        let mut session = Session::new(suite);
        // Buffers and windows grow to their sizes.
        session.exchange(&data, 400);
        for size in SIZES {
            let before = (session.client.received, session.server.received);
            let packets = 1000;
            let allocated = allocation_counter::measure(|| session.exchange(&data[..size], packets));
            assert_eq!(allocated.count_total, 0, "{suite:?}, {size} bytes a packet: {allocated:?}");
            let received = (session.client.received - before.0, session.server.received - before.1);
            assert_eq!(received, (packets * size, packets * size), "{suite:?}");
        }
    }
}

#[test]
fn the_counter_sees_allocations() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![7u8; 100])));
    assert_eq!((counted.count_total, counted.bytes_total), (1, 100));
}
