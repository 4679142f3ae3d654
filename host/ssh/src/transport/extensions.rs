//! RFC 8308: what each side says about itself in EXT_INFO.

use std::mem;
use std::sync::LazyLock;

use crate::crypto::key::SIGNATURES;
use crate::message::auth::number::USERAUTH_REQUEST;
use crate::message::transport::TransportMessage;
use crate::wire::{Malformed, Reader, Rest, Wire};

/// The signature algorithms that users' keys may use. RFC 8308 §3.1.
const SERVER_SIG_ALGS: &[u8] = b"server-sig-algs";
/// A server accepts `publickey-hostbound-v00@openssh.com`. OpenSSH PROTOCOL §3.1.
const HOST_BOUND: &[u8] = b"publickey-hostbound@openssh.com";
/// A server answers PING. OpenSSH PROTOCOL, ping facility.
const PING: &[u8] = b"ping@openssh.com";
/// A client accepts a second EXT_INFO during authentication, in which the server can name the algorithms of one user.
/// OpenSSH PROTOCOL, EXT_INFO during user authentication.
const IN_AUTH: &[u8] = b"ext-info-in-auth@openssh.com";
/// The version of OpenSSH's extensions.
const VERSION: &[u8] = b"0";

/// Whether the next packet of the peer may be EXT_INFO. RFC 8308 §2.4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtInfo {
    /// It may not be.
    Closed,
    /// It may be: the last packet was the peer's first NEWKEYS.
    Due,
}

/// The peer's extensions that change what we do.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Extensions {
    /// The peer accepts an EXT_INFO during authentication, and has got none.
    pub(super) in_auth: bool,
    /// It gets one before the next answer to an authentication request.
    owed: bool,
}

impl Extensions {
    /// A message was handled: a client gets its second EXT_INFO with the answer to its first authentication request.
    /// Alone it would cost a write, and wake the client for nothing.
    pub(super) fn passed(&mut self, number: u8) {
        self.owed |= number == USERAUTH_REQUEST && mem::take(&mut self.in_auth);
    }

    /// Whether the second EXT_INFO is due now. True once.
    pub(super) fn take_owed(&mut self) -> bool {
        mem::take(&mut self.owed)
    }

    /// Reads the body of EXT_INFO, RFC 8308 §2.3. Unknown extensions, and unknown versions, are skipped.
    ///
    /// # Errors
    /// The body is malformed. Reading stops where the bytes end, whatever `count` is. K11.
    pub(super) fn read(count: u32, body: &[u8]) -> Result<Extensions, Malformed> {
        let (mut reader, mut extensions) = (Reader::new(body), Extensions::default());
        for _ in 0..count {
            let (name, value) = (reader.string()?, reader.string()?);
            extensions.in_auth |= name == IN_AUTH && value == VERSION;
        }
        reader.finish()?;
        Ok(extensions)
    }
}

/// What an EXT_INFO says, the same on every connection.
struct Said {
    count: u32,
    body: Vec<u8>,
}

static OF_SERVER: LazyLock<Said> = LazyLock::new(|| {
    Said::new(&[(SERVER_SIG_ALGS, SIGNATURES.join(",").as_bytes()), (HOST_BOUND, VERSION), (PING, VERSION)])
});
static OF_SERVER_IN_AUTH: LazyLock<Said> =
    LazyLock::new(|| Said::new(&[(SERVER_SIG_ALGS, SIGNATURES.join(",").as_bytes())]));
static OF_CLIENT: LazyLock<Said> = LazyLock::new(|| Said::new(&[(IN_AUTH, VERSION)]));

/// The EXT_INFO of a server, its first packet under the first keys.
pub(super) fn of_server() -> TransportMessage<'static> {
    OF_SERVER.message()
}

/// The EXT_INFO of a server during authentication.
pub(super) fn of_server_in_auth() -> TransportMessage<'static> {
    OF_SERVER_IN_AUTH.message()
}

/// The EXT_INFO of a client, its first packet under the first keys.
pub(super) fn of_client() -> TransportMessage<'static> {
    OF_CLIENT.message()
}

impl Said {
    fn new(extensions: &[(&[u8], &[u8])]) -> Said {
        let mut said = Said { count: 0, body: Vec::new() };
        for (name, value) in extensions {
            name.write(&mut said.body);
            value.write(&mut said.body);
            said.count += 1;
        }
        said
    }

    fn message(&self) -> TransportMessage<'_> {
        TransportMessage::ExtInfo { count: self.count, extensions: Rest(&self.body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: TransportMessage<'_>) -> Result<Extensions, Malformed> {
        let TransportMessage::ExtInfo { count, extensions } = message else { panic!("{message:?}") };
        Extensions::read(count, extensions.0)
    }

    #[test]
    fn each_side_reads_the_others_extensions() {
        assert_eq!(read(of_client()), Ok(Extensions { in_auth: true, owed: false }));
        assert_eq!(read(of_server()), Ok(Extensions::default()));
    }

    #[test]
    fn another_version_of_an_extension_is_not_understood() {
        assert_eq!(read(Said::new(&[(IN_AUTH, b"1")]).message()), Ok(Extensions::default()));
        assert_eq!(
            read(Said::new(&[(b"x", b""), (IN_AUTH, b"0")]).message()),
            Ok(Extensions { in_auth: true, owed: false })
        );
    }

    /// K11.
    #[test]
    fn a_count_beyond_the_bytes_ends_at_once() {
        assert_eq!(Extensions::read(u32::MAX, b""), Err(Malformed::Truncated));
        assert_eq!(Extensions::read(0, b"\0\0\0\0"), Err(Malformed::Trailing));
    }
}
