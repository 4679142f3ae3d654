//! Peers that violate the protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use whelk_tests::{Call, Client, Gateway, SOON};

const DISCONNECT: u8 = 1;
const IGNORE: u8 = 2;
const CHANNEL_DATA: u8 = 94;

/// A peer that implements as much SSH as it needs to violate it before keys are agreed.
struct Rude {
    socket: TcpStream,
}

impl Rude {
    /// Connects and exchanges identification lines. RFC 4253 §4.2.
    fn connect(gateway: &Gateway) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", gateway.port())).expect("the gateway listens");
        socket.set_read_timeout(Some(SOON)).expect("a minute is a time");
        socket.write_all(b"SSH-2.0-rude\r\n").expect("a fresh connection takes a line");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("the gateway introduces itself");
            line.extend(byte);
        }
        assert!(line.starts_with(b"SSH-2.0-"), "{}", String::from_utf8_lossy(&line));
        Self { socket }
    }

    /// One unencrypted packet. RFC 4253 §6.
    fn send(&mut self, payload: &[u8]) {
        let padding = 8 - (5 + payload.len()) % 8 + 8;
        let length = u32::try_from(1 + payload.len() + padding).expect("a short packet");
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).expect("at most 16"));
        packet.extend(payload);
        packet.resize(packet.len() + padding, 0);
        self.send_raw(&packet);
    }

    fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the gateway still reads");
    }

    /// Reads to the end of the connection and returns all payloads.
    fn payloads(mut self) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        // A connection that is reset after its last bytes has ended too.
        let _ = self.socket.read_to_end(&mut bytes);
        let mut rest = bytes.as_slice();
        let mut payloads = Vec::new();
        while let [a, b, c, d, padding, more @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 1;
            payloads.push(more[..length - usize::from(*padding)].to_vec());
            rest = &more[length..];
        }
        payloads
    }
}

/// The reason and the text of the DISCONNECT, which must be the last message. RFC 4253 §11.1.
fn disconnect(payloads: &[Vec<u8>]) -> (u32, String) {
    let last = payloads.last().expect("the gateway said something");
    let [DISCONNECT, r0, r1, r2, r3, l0, l1, l2, l3, rest @ ..] = last.as_slice() else {
        panic!("no DISCONNECT at the end: {last:?}");
    };
    let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
    (u32::from_be_bytes([*r0, *r1, *r2, *r3]), String::from_utf8_lossy(&rest[..length]).into_owned())
}

/// Violates the protocol while another client works; returns the DISCONNECT.
fn break_protocol(rudeness: impl Fn(&mut Rude)) -> (u32, String) {
    let gateway = Gateway::demonstration();
    let mut bystander = Call::new(Client::OpenSsh100, &gateway, "probe").exec("cat").start();
    bystander.type_in(b"before\n");
    bystander.wait_for_output("before");
    let mut rude = Rude::connect(&gateway);
    rudeness(&mut rude);
    let said = disconnect(&rude.payloads());
    bystander.type_in(b"after\n");
    bystander.wait_for_output("after");
    assert_eq!(bystander.finish().status, Some(0));
    gateway.end();
    said
}

#[test]
fn data_on_a_channel_before_any_key_is_a_protocol_error() {
    let (reason, text) = break_protocol(|rude| rude.send(&[CHANNEL_DATA, 0, 0, 0, 0, 0, 0, 0, 1, b'x']));
    assert_eq!(reason, 2, "{text}");
    assert!(!text.is_empty() && text.is_ascii() && !text.contains("ChannelData"), "not a general text: {text:?}");
}

#[test]
fn a_packet_above_the_maximum_length_is_a_protocol_error() {
    let (reason, text) = break_protocol(|rude| rude.send_raw(&[0xff, 0xff, 0xff, 0xff, 4, IGNORE, 0, 0, 0, 0]));
    assert_eq!(reason, 2, "{text}");
}

#[test]
fn a_key_exchange_without_a_common_algorithm_fails_with_that_reason() {
    let (reason, text) = break_protocol(|rude| {
        let mut kexinit = vec![20];
        kexinit.extend([7; 16]);
        for name in ["rude-kex", "rude-key", "rude", "rude", "rude", "rude", "none", "none", "", ""] {
            kexinit.extend(u32::try_from(name.len()).expect("a short name").to_be_bytes());
            kexinit.extend(name.bytes());
        }
        kexinit.extend([0; 5]);
        rude.send(&kexinit);
    });
    assert_eq!(reason, 3, "{text}");
}

#[test]
fn a_peer_that_does_not_speak_ssh_is_disconnected() {
    let gateway = Gateway::demonstration();
    let mut socket = TcpStream::connect(("127.0.0.1", gateway.port())).expect("the gateway listens");
    socket.set_read_timeout(Some(SOON)).expect("a minute is a time");
    socket.write_all(b"GET / HTTP/1.1\r\nHost: \x1b]0;owned\x07\r\n\r\n").expect("a fresh connection takes a line");
    let mut said = Vec::new();
    let _ = socket.read_to_end(&mut said);
    let line = gateway
        .wait("end of the connection", |event| (event.message == "connection closed").then(|| event.line.clone()));
    assert!(!line.contains('\x1b'), "an escape reached the log: {line:?}");
    gateway.end();
}
