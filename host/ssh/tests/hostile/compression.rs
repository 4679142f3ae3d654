//! P20: compression, honest and hostile.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use whelk_ssh::algorithm::Preferences;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::auth::server::ServerAuth;
use whelk_ssh::connection::Progress;
use whelk_ssh::error::Violation;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::mux::Exit;
use whelk_ssh::transport::COMPRESSION_MEMORY;

use crate::memory::{held, peak};
use crate::pair::{Pair, Setup, twice};
use crate::raw::{Lists, Raw, SUCCESS, data, none, open};

const FIRST: ChannelId = ChannelId(0);

/// Both sides offer compression and prefer it.
fn compressing(mut setup: Setup) -> Setup {
    let preferences =
        || Preferences::default().with_compression(&["zlib@openssh.com", "none"]).expect("the names are known");
    (setup.server.preferences, setup.client.preferences) = (preferences(), preferences());
    setup
}

/// The streams of a client that was written by hand.
struct Streams {
    compress: Compress,
    decompress: Decompress,
}

impl Streams {
    fn new() -> Streams {
        Streams { compress: Compress::new(Compression::best(), true), decompress: Decompress::new(true) }
    }

    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::with_capacity(payload.len() + 1024);
        self.compress.compress_vec(payload, &mut compressed, FlushCompress::Partial).expect("a good stream");
        compressed
    }

    fn decompress(&mut self, compressed: &[u8]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(1 << 20);
        self.decompress.decompress_vec(compressed, &mut payload, FlushDecompress::Sync).expect("a good stream");
        payload
    }
}

/// A client that has logged in and compresses from here on, as the server does.
fn logged_in(setup: &Setup) -> (Raw<ServerAuth>, Streams) {
    let mut raw = Raw::client(setup);
    raw.identify();
    raw.init(&Lists { compression: b"zlib@openssh.com".to_vec(), ..raw.offer() });
    raw.agree();
    raw.replies();
    let mut raw = raw.service();
    raw.send(&none(b"alice"));
    assert_eq!(raw.reply(), SUCCESS, "SUCCESS is not compressed");
    (raw, Streams::new())
}

/// With a session, number 0 on both sides.
fn opened(setup: &Setup) -> (Raw<ServerAuth>, Streams) {
    let (mut raw, mut streams) = logged_in(setup);
    raw.send(&streams.compress(&open(0, 1 << 20, 1 << 15)));
    assert_eq!(streams.decompress(&raw.reply())[0], 91);
    (raw, streams)
}

fn bytes_on_the_wire(pair: &Pair) -> usize {
    pair.wire.0.len() + pair.wire.1.len()
}

#[test]
fn both_directions_are_compressed_after_login() {
    for (zlib, most) in [(false, 1 << 20), (true, 64 << 10)] {
        let setup = Setup::new(usize::MAX);
        let mut pair = if zlib { compressing(setup) } else { setup }.authenticated();
        assert_eq!((pair.server.is_compressed(), pair.client.is_compressed()), (zlib, zlib));
        let channel = pair.open_session();
        let before = bytes_on_the_wire(&pair);
        let text = b"what many logs hold is much of the same\n".repeat(10_000);
        pair.client_writes(channel, &text);
        pair.server_writes(channel, &text);
        assert!(pair.received_by_server(channel) == text && pair.received_by_client(channel) == text);
        let sent = bytes_on_the_wire(&pair) - before;
        assert!(sent < most && (zlib || sent > 2 * text.len()), "{sent} bytes");
        let work = pair.server.take_compression_work();
        assert!(if zlib { work > 2 * text.len() as u64 } else { work == 0 }, "{work} bytes");
        assert_eq!(pair.server.take_compression_work(), 0);
    }
}

#[test]
fn each_direction_is_agreed_by_itself() {
    let mut setup = compressing(Setup::new(usize::MAX));
    setup.client.preferences = Preferences::default();
    let pair = setup.authenticated();
    assert!(!pair.server.is_compressed() && !pair.client.is_compressed());
}

#[test]
fn a_compressed_session_runs_byte_by_byte_and_through_key_exchanges() {
    twice(|setup| {
        let mut pair = compressing(setup).authenticated();
        let channel = pair.open_session();
        let mut text = Vec::new();
        for round in 0..6 {
            let part = format!("round {round}, ").repeat(500);
            pair.client_writes(channel, part.as_bytes());
            pair.server_writes(channel, part.as_bytes());
            text.extend_from_slice(part.as_bytes());
            match round % 3 {
                0 => pair.server.rekey(),
                1 => pair.client.rekey(),
                // Both at once.
                _ => (pair.server.rekey(), pair.client.rekey()).0,
            }
            pair.server.write_owed(pair.now).unwrap();
            pair.client.write_owed(pair.now).unwrap();
            pair.drive();
        }
        assert_eq!((pair.server.exchanges(), pair.client.exchanges()), (7, 7));
        assert!(pair.received_by_server(channel) == text && pair.received_by_client(channel) == text);
        pair.server.exit(channel, Exit::Status(0));
        pair.drive();
        assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
        assert!(pair.at_client.saw(&format!("closed {}", channel.0)));
    });
}

#[test]
fn a_client_written_by_hand_compresses_each_packet() {
    twice(|setup| {
        let (mut raw, mut streams) = opened(&compressing(setup));
        for text in [&b"one"[..], b"two", &b"three".repeat(5000)] {
            raw.send(&streams.compress(&data(text)));
        }
        let all = [&b"onetwo"[..], &b"three".repeat(5000)].concat();
        assert!(raw.application.received(FIRST) == all && raw.error.is_none(), "{:?}", raw.error);
        // Not compressed, as by a client for which compression begins at another time.
        raw.send(&data(b"plain"));
        assert_eq!(raw.violation(), Some(Violation::Compression));
    });
}

/// P20: a packet of 100 KiB that is 100 MiB when decompressed.
#[test]
fn a_decompression_bomb_ends_the_connection_and_takes_no_memory() {
    let setup = compressing(Setup::new(usize::MAX));
    let (mut raw, mut streams) = opened(&setup);
    let bomb = streams.compress(&[&[2, 6, 0x40, 0, 0][..], &vec![0; 100 << 20]].concat());
    assert!(bomb.len() < 120 << 10);
    let bomb = raw.packet(&bomb);
    let most = peak(|| raw.bytes(&bomb));
    assert_eq!(raw.violation(), Some(Violation::DecompressedLength));
    assert!(most < 800 << 10, "{most} bytes for a bomb");
    let last = raw.replies().pop().expect("a last message");
    // DISCONNECT, reason 6.
    assert_eq!(streams.decompress(&last)[..5], [1, 0, 0, 0, 6]);
}

/// P20: below the limit of a packet, so that nothing is wrong with any of them.
#[test]
fn a_flood_of_bombs_below_the_limit_is_done_in_small_turns_and_flat_memory() {
    let setup = compressing(Setup::new(usize::MAX));
    let (mut raw, mut streams) = opened(&setup);
    raw.application.forgets = true;
    let ignore = [&[2, 0, 3, 0xff, 0][..], &vec![0; 0x3ff00]].concat();
    raw.send(&streams.compress(&ignore));
    let before = held();
    for _ in 0..50 {
        let packet = streams.compress(&ignore);
        assert!(packet.len() < 1000);
        raw.send(&packet);
    }
    assert_eq!(raw.error, None);
    assert!(held() - before < 8 << 10, "{} bytes more", held() - before);
    // Handed over at once, one call of `receive` decompresses no more than one of them.
    let burst: Vec<u8> = (0..8)
        .flat_map(|_| {
            let packet = streams.compress(&ignore);
            raw.packet(&packet)
        })
        .collect();
    raw.side.take_compression_work();
    let space = raw.side.input();
    space[..burst.len()].copy_from_slice(&burst);
    raw.side.filled(burst.len());
    let now = raw.now;
    for _ in 0..8 {
        assert_eq!(raw.side.receive(now, |_| {}), Ok(Progress::More));
        assert_eq!(raw.side.take_compression_work(), ignore.len() as u64);
    }
    assert_eq!(raw.side.receive(now, |_| {}), Ok(Progress::Done));
}

/// P20: a stream that ends, that is cut, and that is no stream at all.
#[test]
fn malformed_compressed_data_ends_the_connection() {
    let setup = compressing(Setup::new(usize::MAX));
    let end = {
        let mut compressed = Vec::with_capacity(100);
        let message = data(b"x");
        Streams::new().compress.compress_vec(&message, &mut compressed, FlushCompress::Finish).unwrap();
        compressed
    };
    for (packet, violation) in [
        (&end[..], Violation::Compression),
        (b"\xff\xff\xff\xff", Violation::Compression),
        (&data(b"x"), Violation::Compression),
        // The head of a stream alone: an empty payload.
        (b"\x78\x01", Violation::EmptyPayload),
    ] {
        let (mut raw, _) = logged_in(&setup);
        raw.send(packet);
        assert_eq!(raw.violation(), Some(violation), "{packet:02x?}");
    }
}

#[test]
fn memory_of_a_compressed_connection_is_what_is_said() {
    let mut pair = compressing(Setup::new(usize::MAX)).pair();
    pair.client.authenticate(ClientCredential::None);
    let before = held();
    pair.drive();
    let after = held();
    assert!(pair.server.is_compressed());
    let both = usize::try_from(after - before).unwrap();
    assert!(both < 2 * COMPRESSION_MEMORY, "{both} bytes for both sides");
}
