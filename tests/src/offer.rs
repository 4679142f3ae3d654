//! What a client or a server offers: the name-lists of its SSH_MSG_KEXINIT (RFC 4253 §7.1), which nothing encrypts.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::OnceLock;

use crate::measure::SOON;
use crate::places::program;
use crate::running::{Input, Output, Running};

/// The longest packet that is read. A KEXINIT with every name that there is has about 2 KiB.
const LONGEST: usize = 35_000;

/// What a name in a KEXINIT is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlgorithmKind {
    /// Key exchange.
    Kex,
    /// Signatures of host keys.
    Key,
    /// Encryption.
    Cipher,
    /// Integrity.
    Mac,
    /// Compression.
    Compression,
}

impl AlgorithmKind {
    /// All kinds, in the order of a KEXINIT.
    pub const ALL: [Self; 5] = [Self::Kex, Self::Key, Self::Cipher, Self::Mac, Self::Compression];

    /// The word for it in the lines of the drivers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kex => "kex",
            Self::Key => "key",
            Self::Cipher => "cipher",
            Self::Mac => "mac",
            Self::Compression => "compression",
        }
    }

    /// The index of its name-list among the ten of a KEXINIT: where each direction has one, that of data to the server.
    fn list(self) -> usize {
        match self {
            Self::Kex => 0,
            Self::Key => 1,
            Self::Cipher => 2,
            Self::Mac => 4,
            Self::Compression => 6,
        }
    }
}

/// The name-lists of one KEXINIT.
#[derive(Debug, Clone)]
pub struct Offer {
    lists: Vec<Vec<String>>,
}

impl Offer {
    /// What the server on this port of 127.0.0.1 offers.
    pub fn of_server(port: u16) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        Self::exchange(&mut socket)
    }

    /// What a client offers, which is started with the port to connect to and killed afterwards.
    pub fn of_client(command: impl FnOnce(u16) -> Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let running = Running::start(command(port), Input::Held, Output::Read, SOON);
        let (mut socket, _) = listener.accept().expect("a client that connects");
        let offer = Self::exchange(&mut socket);
        running.kill();
        offer
    }

    /// The names of a kind, without those that are no algorithms: EXT_INFO and strict key exchange.
    pub fn names(&self, kind: AlgorithmKind) -> Vec<String> {
        let is_algorithm = |name: &&String| !name.starts_with("ext-info-") && !name.starts_with("kex-strict-");
        self.lists[kind.list()].iter().filter(is_algorithm).cloned().collect()
    }

    /// Sends a version and reads that of the peer and its KEXINIT. Everybody sends it without having seen ours; plink
    /// leaves before it has sent its own when ours has nothing for it.
    fn exchange(socket: &mut TcpStream) -> Self {
        socket.set_read_timeout(Some(SOON)).expect("a time limit that is not zero");
        socket.write_all(b"SSH-2.0-offer\r\n").expect("the peer reads");
        let version = line(socket);
        assert!(version.starts_with("SSH-2.0-"), "its version is {version:?}");
        let length = u32::from_be_bytes(read(socket, 4).try_into().expect("four bytes")) as usize;
        assert!(length <= LONGEST, "a packet of {length} bytes");
        let packet = read(socket, length);
        assert_eq!(packet[1], 20, "SSH_MSG_KEXINIT comes first");
        let mut rest = packet.get(18..).expect("a cookie");
        let lists = (0..10).map(|_| {
            let (count, after) = rest.split_first_chunk().expect("a name-list");
            let (text, after) = after.split_at(u32::from_be_bytes(*count) as usize);
            rest = after;
            let text = str::from_utf8(text).expect("names are ASCII");
            text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        });
        Self { lists: lists.collect() }
    }
}

fn read(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    socket.read_exact(&mut bytes).expect("it sends its KEXINIT");
    bytes
}

fn line(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while text.last() != Some(&b'\n') && text.len() < 256 {
        text.extend(read(socket, 1));
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// Whether the built program's cryptography is that of `ring`, which has no P-521 and makes no RSA keys. It is tested
/// with both providers.
pub fn has_ring() -> bool {
    static RING: OnceLock<bool> = OnceLock::new();
    *RING.get_or_init(|| {
        let mut command = Command::new(program());
        command.arg("algorithms");
        let finished = Running::run(command, Input::Nothing, SOON);
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        !finished.out.text().contains("nistp521")
    })
}

/// Whether the built program's provider has an algorithm of this name, of those that one of both has.
pub fn provider_has(name: &str) -> bool {
    !name.contains("nistp521") || !has_ring()
}
