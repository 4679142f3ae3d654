//! The header of the PROXY protocol, by which a proxy says who has connected to it: version 1, a line of text, or
//! version 2, bytes. `proxy-protocol.txt` of HAProxy.
//!
//! Reads exactly the header: what follows belongs to the client.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line of version 1, `proxy-protocol.txt` §2.1.
const LONGEST_LINE: usize = 107;
/// The shortest: `PROXY UNKNOWN` and its end.
const SHORTEST_LINE: usize = 15;
/// The longest header of version 2: its beginning, addresses and 504 bytes of further values. Our limit; the format
/// allows 64 KiB.
const LONGEST_BINARY: usize = 536;
/// How many bytes of version 2 say how many follow.
const BINARY_BEGINNING: usize = 16;

/// Who has connected, as a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectedBy {
    /// A client of the proxy, by its address and port.
    Client(SocketAddr),
    /// The proxy itself (`LOCAL`), or a client whose address it does not say (`UNKNOWN`).
    Proxy,
}

/// Why a header cannot be used.
#[derive(Debug)]
pub(super) enum HeaderError {
    /// The connection ended, or failed, within the header.
    Lost(io::Error),
    /// It has not come within this time.
    Late(Duration),
    /// The first bytes are those of no header.
    Missing,
    /// A header of version 2 with this many bytes.
    TooLong(usize),
    /// A line of version 1 that does not end.
    Endless,
    /// It is a header, but a wrong one.
    Malformed(String),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the connection ended within the header of the PROXY protocol")
            }
            HeaderError::Lost(error) => write!(f, "the header of the PROXY protocol cannot be read: {error}"),
            HeaderError::Late(grace) => {
                write!(f, "its header of the PROXY protocol has not come within {grace:?} (limits.proxy_header_grace)")
            }
            HeaderError::Missing => f.write_str(
                "it does not begin with a header of the PROXY protocol, which the setting proxies requires of this \
                 address",
            ),
            HeaderError::TooLong(bytes) => {
                write!(f, "its header of the PROXY protocol has {bytes} bytes, and {LONGEST_BINARY} are allowed")
            }
            HeaderError::Endless => {
                write!(f, "its header of the PROXY protocol does not end within {LONGEST_LINE} bytes")
            }
            HeaderError::Malformed(what) => write!(f, "its header of the PROXY protocol is wrong: {what}"),
        }
    }
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> HeaderError {
        HeaderError::Lost(error)
    }
}

/// Reads a header. Not cancel safe.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<ConnectedBy, HeaderError> {
    let mut header = [0; LONGEST_BINARY];
    // Neither version has a shorter header, and both can be told by fewer bytes.
    let mut have = SHORTEST_LINE;
    stream.read_exact(&mut header[..1]).await?;
    let begins = [v2::PROTOCOL_PREFIX.first().copied(), v1::PROTOCOL_PREFIX.as_bytes().first().copied()];
    if !begins.contains(&header.first().copied()) {
        return Err(HeaderError::Missing);
    }
    stream.read_exact(&mut header[1..have]).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        stream.read_exact(&mut header[have..BINARY_BEGINNING]).await?;
        let length = BINARY_BEGINNING + usize::from(u16::from_be_bytes([header[14], header[15]]));
        let rest = header.get_mut(BINARY_BEGINNING..length).ok_or(HeaderError::TooLong(length))?;
        stream.read_exact(rest).await?;
        return binary(&header[..length]);
    }
    if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(HeaderError::Missing);
    }
    // Byte by byte: what follows the line is not ours to read.
    while !header[..have].ends_with(b"\r\n") {
        if have == LONGEST_LINE {
            return Err(HeaderError::Endless);
        }
        stream.read_exact(&mut header[have..=have]).await?;
        have += 1;
    }
    line(&header[..have])
}

fn line(header: &[u8]) -> Result<ConnectedBy, HeaderError> {
    let header = v1::Header::try_from(header).map_err(|error| HeaderError::Malformed(error.to_string()))?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(pair) => ConnectedBy::Client((pair.source_address, pair.source_port).into()),
        v1::Addresses::Tcp6(pair) => ConnectedBy::Client((pair.source_address, pair.source_port).into()),
        v1::Addresses::Unknown => ConnectedBy::Proxy,
    })
}

fn binary(header: &[u8]) -> Result<ConnectedBy, HeaderError> {
    let header = v2::Header::try_from(header).map_err(|error| HeaderError::Malformed(error.to_string()))?;
    if header.command == v2::Command::Local {
        return Ok(ConnectedBy::Proxy);
    }
    if header.protocol == v2::Protocol::Datagram {
        return Err(HeaderError::Malformed("it announces datagrams".to_owned()));
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(pair) => ConnectedBy::Client((pair.source_address, pair.source_port).into()),
        v2::Addresses::IPv6(pair) => ConnectedBy::Client((pair.source_address, pair.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => ConnectedBy::Proxy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream of these bytes says, and how many of them are left.
    async fn told(bytes: &[u8]) -> (Result<ConnectedBy, String>, usize) {
        let mut stream = bytes;
        let told = read(&mut stream).await.map_err(|error| error.to_string());
        (told, stream.len())
    }

    fn client(address: &str) -> Result<ConnectedBy, String> {
        Ok(ConnectedBy::Client(address.parse().unwrap()))
    }

    /// A header of version 2: its command and its family, and what follows its length.
    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x30, 0x39, 0, 22];

    #[tokio::test]
    async fn a_line_names_the_client_and_nothing_behind_it_is_read() {
        let ssh = "SSH-2.0-x\r\n";
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 12345 22\r\n", client("192.0.2.1:12345")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 12345 22\r\n", client("[2001:db8::1]:12345")),
            ("PROXY UNKNOWN\r\n", Ok(ConnectedBy::Proxy)),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Ok(ConnectedBy::Proxy)),
        ] {
            let bytes = format!("{line}{ssh}");
            assert_eq!(told(bytes.as_bytes()).await, (expected, ssh.len()), "{line:?}");
        }
    }

    #[tokio::test]
    async fn bytes_name_the_client_and_nothing_behind_them_is_read() {
        let v6: Vec<u8> = [&[0x20, 1, 0xd, 0xb8], &[0; 11][..], &[1], &[0; 16], &[0x30, 0x39, 0, 22]].concat();
        // Further values: one of 504 bytes less than the largest header holds.
        let values = [&V4[..], &[4, 1, 245], &[0; 501]].concat();
        for (header, expected) in [
            (version_2(1, 0x11, &V4), client("192.0.2.1:12345")),
            (version_2(1, 0x11, &values), client("192.0.2.1:12345")),
            (version_2(1, 0x21, &v6), client("[2001:db8::1]:12345")),
            (version_2(0, 0, &[]), Ok(ConnectedBy::Proxy)),
            (version_2(0, 0x11, &V4), Ok(ConnectedBy::Proxy)),
            (version_2(1, 0, &[]), Ok(ConnectedBy::Proxy)),
            (version_2(1, 0x31, &[0; 216]), Ok(ConnectedBy::Proxy)),
        ] {
            let bytes = [&header[..], b"SSH-"].concat();
            assert_eq!(told(&bytes).await, (expected, 4), "{header:02x?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_an_error_that_says_why() {
        let endless = format!("PROXY TCP4 {}", "1".repeat(200));
        let cut = version_2(1, 0x11, &V4);
        for (bytes, why) in [
            (&b"SSH-2.0-OpenSSH_10.0\r\n"[..], "does not begin with a header"),
            (b"PROXIES TCP4 192.0.2.1", "does not begin with a header"),
            (b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0", "does not begin with a header"),
            (b"", "ended within the header"),
            (b"PROXY TCP4 192.0.2.1", "ended within the header"),
            (&cut[..20], "ended within the header"),
            (endless.as_bytes(), "does not end within 107 bytes"),
            (&version_2(1, 0x11, &[0; 521]), "has 537 bytes, and 536 are allowed"),
            (&version_2(1, 0x11, &[0; 65_000]), "has 65016 bytes, and 536 are allowed"),
            (&version_2(1, 0x11, &V4[..11]), "is wrong"),
            (&version_2(7, 0x11, &V4), "is wrong"),
            (&version_2(1, 0x12, &V4), "is wrong: it announces datagrams"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 12345\r\n", "is wrong"),
            (b"PROXY TCP4 192.0.2.256 192.0.2.2 12345 22\r\n", "is wrong"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 123456 22\r\n", "is wrong"),
            (b"PROXY UDP4 192.0.2.1 192.0.2.2 12345 22\r\n", "is wrong"),
        ] {
            let (told, _) = told(bytes).await;
            let error = told.unwrap_err();
            assert!(error.contains(why), "{bytes:02x?}: {error}");
        }
    }
}
