//! RFC 4253 §7 to §9: key exchange as a line of states, each consumed by its step.
//!
//! ```text
//!            ours out            theirs in           server: 30 in           signed
//!  Quiet ---------> ExpectKexInit -------> ExpectEcdhInit -----> AwaitSignature ----.      21 in
//!    ^                              \                                               +--> ExpectNewKeys --.
//!    |                               `---> ExpectEcdhReply ----> AwaitTrust --------'                    |
//!    |                          client               31 in             trusted                           |
//!    `---------------------------------------------------------------------------------------------------'
//! ```
//!
//! From our KEXINIT to our NEWKEYS nothing but key exchange may leave; from the peer's KEXINIT to its NEWKEYS nothing but key
//! exchange may come (RFC 4253 §7.1).

pub(super) mod client;
pub(super) mod server;

use crate::algorithm::{Negotiated, Preferences, negotiate};
use crate::crypto::agreement::SharedSecret;
use crate::crypto::cipher::{Cipher, Opener, Sealer};
use crate::crypto::hash::{ExchangeHash, Transcript, derive};
use crate::error::{Error, Violation};
use crate::message::Role;
use crate::message::kex::KexMessage;

/// How far an exchange has come.
pub(super) enum Kex {
    /// None is under way.
    Quiet,
    /// Our KEXINIT is out, the peer's is awaited.
    ExpectKexInit(ExpectKexInit),
    /// Server: the client's share is awaited.
    ExpectEcdhInit(Box<server::ExpectEcdhInit>),
    /// Server: the signature of our host key is awaited.
    AwaitSignature(Box<server::AwaitSignature>),
    /// Client: the server's share is awaited.
    ExpectEcdhReply(Box<client::ExpectEcdhReply>),
    /// Client: a decision about the server's host key is awaited.
    AwaitTrust(Box<client::AwaitTrust>),
    /// Our NEWKEYS is out, the peer's is awaited.
    ExpectNewKeys(Box<ExpectNewKeys>),
}

impl Kex {
    /// The peer's KEXINIT has come and its NEWKEYS has not.
    pub(super) fn binds_peer(&self) -> bool {
        match self {
            Kex::Quiet | Kex::ExpectKexInit(_) => false,
            Kex::ExpectEcdhInit(_) | Kex::AwaitSignature(_) | Kex::ExpectEcdhReply(_) => true,
            Kex::AwaitTrust(_) | Kex::ExpectNewKeys(_) => true,
        }
    }

    /// Our KEXINIT has gone out and our NEWKEYS has not.
    pub(super) fn binds_us(&self) -> bool {
        match self {
            Kex::Quiet | Kex::ExpectNewKeys(_) => false,
            Kex::ExpectKexInit(_) | Kex::ExpectEcdhInit(_) | Kex::AwaitSignature(_) => true,
            Kex::ExpectEcdhReply(_) | Kex::AwaitTrust(_) => true,
        }
    }

    /// Somebody outside has to answer before another packet is read.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Kex::AwaitSignature(_) | Kex::AwaitTrust(_))
    }
}

/// The identification lines, without their ends: they go into every exchange hash. RFC 4253 §8.
pub(super) struct Hello<'h> {
    pub(super) role: Role,
    pub(super) ours: &'h [u8],
    pub(super) theirs: &'h [u8],
}

/// Either side, after our KEXINIT: waiting for the peer's.
pub(super) struct ExpectKexInit {
    /// Our KEXINIT as it was sent, for the exchange hash.
    ours: Vec<u8>,
}

/// What both KEXINITs have settled.
pub(super) struct Settled {
    pub(super) agreed: Negotiated,
    /// Identifications and KEXINITs, client first.
    pub(super) transcript: Transcript,
}

impl ExpectKexInit {
    pub(super) fn new(ours: Vec<u8>) -> ExpectKexInit {
        ExpectKexInit { ours }
    }

    /// RFC 4253 §7.1: what will be used, and the first half of the exchange hash.
    pub(super) fn handle(self, payload: &[u8], hello: &Hello<'_>, preferences: &Preferences) -> Result<Settled, Error> {
        let theirs = decode(payload)?;
        if !matches!(theirs, KexMessage::KexInit { .. }) {
            return Err(unexpected(payload));
        }
        let agreed = negotiate(hello.role, preferences, &theirs)?;
        let (client, server) = match hello.role {
            Role::Server => ((hello.theirs, payload), (hello.ours, &self.ours[..])),
            Role::Client => ((hello.ours, &self.ours[..]), (hello.theirs, payload)),
        };
        let mut transcript = Transcript::new();
        for part in [client.0, server.0, client.1, server.1] {
            transcript.string(part);
        }
        Ok(Settled { agreed, transcript })
    }
}

/// Host key, shares and secret complete the exchange hash. RFC 5656 §4, RFC 8731 §3.1.
pub(super) fn complete(
    mut transcript: Transcript,
    host_key: &[u8],
    client_share: &[u8],
    server_share: &[u8],
    secret: &SharedSecret,
) -> ExchangeHash {
    for part in [host_key, client_share, server_share] {
        transcript.string(part);
    }
    transcript.raw(secret.encoded());
    transcript.finish()
}

/// What the keys of both directions come from. RFC 4253 §7.2.
pub(super) struct Keying {
    pub(super) agreed: Negotiated,
    pub(super) secret: SharedSecret,
    pub(super) hash: ExchangeHash,
}

impl Keying {
    /// Our keys for both directions. The letters are those of RFC 4253 §7.2.
    pub(super) fn keys(&self, role: Role, session_id: &ExchangeHash) -> Result<(Sealer, Opener), Error> {
        let material = |cipher: Cipher, iv: u8, key: u8| {
            let derive = |letter, length| derive(&self.secret, &self.hash, session_id, letter, length);
            (derive(key, cipher.key_len()), derive(iv, cipher.iv_len()))
        };
        let to_server = (self.agreed.cipher_to_server, material(self.agreed.cipher_to_server, b'A', b'C'));
        let to_client = (self.agreed.cipher_to_client, material(self.agreed.cipher_to_client, b'B', b'D'));
        let ((seal, (seal_key, seal_iv)), (open, (open_key, open_iv))) = match role {
            Role::Server => (to_client, to_server),
            Role::Client => (to_server, to_client),
        };
        let sealer = Sealer::new(seal, &seal_key, &seal_iv).map_err(|_| Error::Exhausted)?;
        let opener = Opener::new(open, &open_key, &open_iv).map_err(|_| Error::Exhausted)?;
        Ok((sealer, opener))
    }
}

/// Either side, after its NEWKEYS: waiting for the peer's. RFC 4253 §7.3.
pub(super) struct ExpectNewKeys {
    pub(super) opener: Opener,
    pub(super) agreed: Negotiated,
}

impl ExpectNewKeys {
    /// The key for what follows the peer's NEWKEYS.
    pub(super) fn handle(self, payload: &[u8]) -> Result<(Opener, Negotiated), Error> {
        match decode(payload)? {
            KexMessage::NewKeys {} => Ok((self.opener, self.agreed)),
            KexMessage::KexInit { .. } | KexMessage::EcdhInit { .. } | KexMessage::EcdhReply { .. } => {
                Err(unexpected(payload))
            }
        }
    }
}

/// Reads a message of the key exchange.
pub(super) fn decode(payload: &[u8]) -> Result<KexMessage<'_>, Error> {
    let number = payload.first().copied().unwrap_or_default();
    KexMessage::decode(payload).map_err(|what| match what {
        crate::wire::Malformed::Unknown => Violation::Unexpected { number }.into(),
        what => Violation::Malformed { number, what }.into(),
    })
}

/// The message is one of the key exchange, but not the one that is due.
pub(super) fn unexpected(payload: &[u8]) -> Error {
    Violation::Unexpected { number: payload.first().copied().unwrap_or_default() }.into()
}
