//! The steps that both roles share: negotiate, hash, derive keys, wait for NEWKEYS. RFC 4253 §7, §8.

use crate::algorithm::{Negotiated, PeerLists, Preferences, negotiate};
use crate::crypto::cipher::{Opener, Sealer, Suite, SuiteKeys};
use crate::crypto::hash::{ExchangeHash, Transcript, derive};
use crate::crypto::secret::SharedSecret;
use crate::error::{Error, Violation};
use crate::message::Role;
use crate::message::kex::KexMessage;

/// The identification lines without their ends, part of every exchange hash. RFC 4253 §8.
pub(in crate::transport) struct Identifications<'h> {
    pub(in crate::transport) role: Role,
    pub(in crate::transport) ours: &'h [u8],
    pub(in crate::transport) theirs: &'h [u8],
}

/// Either role, after our KEXINIT: waiting for the peer's.
pub(in crate::transport) struct ExpectKexInit {
    /// Our KEXINIT as it was sent, for the exchange hash.
    ours: Vec<u8>,
}

/// The outcome of both KEXINITs.
pub(in crate::transport) struct Negotiation {
    pub(in crate::transport) agreed: Negotiated,
    /// Identifications and KEXINITs, the client's first.
    pub(in crate::transport) transcript: Transcript,
}

impl ExpectKexInit {
    pub(in crate::transport) fn new(ours: Vec<u8>) -> ExpectKexInit {
        ExpectKexInit { ours }
    }

    /// RFC 4253 §7.1: negotiates, and hashes the first half of the exchange hash.
    pub(in crate::transport) fn handle(
        self,
        payload: &[u8],
        identifications: &Identifications<'_>,
        preferences: &Preferences,
        host_keys: &[&'static str],
    ) -> Result<Negotiation, Error> {
        let KexMessage::KexInit {
            kex,
            host_key,
            cipher_to_server,
            cipher_to_client,
            mac_to_server,
            mac_to_client,
            compression_to_server,
            compression_to_client,
            first_packet_follows,
            ..
        } = decode(payload)?
        else {
            return Err(unexpected(payload));
        };
        let theirs = PeerLists {
            kex,
            host_key,
            cipher_to_server,
            cipher_to_client,
            mac_to_server,
            mac_to_client,
            compression_to_server,
            compression_to_client,
            first_packet_follows,
        };
        let agreed = negotiate(identifications.role, preferences, host_keys, &theirs)?;
        let (client, server) = match identifications.role {
            Role::Server => ((identifications.theirs, payload), (identifications.ours, &self.ours[..])),
            Role::Client => ((identifications.ours, &self.ours[..]), (identifications.theirs, payload)),
        };
        let mut transcript = Transcript::new(agreed.agreement.hash());
        for part in [client.0, server.0, client.1, server.1] {
            transcript.string(part);
        }
        Ok(Negotiation { agreed, transcript })
    }
}

/// Completes the exchange hash with host key, shares and secret. RFC 5656 §4, RFC 8731 §3.1.
pub(in crate::transport) fn complete(
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

/// The input of the key derivation of both directions. RFC 4253 §7.2.
pub(in crate::transport) struct Keying {
    pub(in crate::transport) agreed: Negotiated,
    pub(in crate::transport) secret: SharedSecret,
    pub(in crate::transport) hash: ExchangeHash,
}

impl Keying {
    /// Our keys for both directions, with the letters of RFC 4253 §7.2.
    pub(in crate::transport) fn keys(&self, role: Role, session_id: &ExchangeHash) -> Result<(Sealer, Opener), Error> {
        let function = self.agreed.agreement.hash();
        let derive = |letter, length| derive(function, &self.secret, &self.hash, session_id, letter, length);
        let material = |suite: Suite, [iv, key, mac]: [u8; 3]| {
            let cipher = suite.cipher();
            (suite, derive(key, cipher.key_len()), derive(iv, cipher.iv_len()), derive(mac, suite.mac_key_len()))
        };
        let to_server = material(self.agreed.suite_to_server().ok_or(Error::Exhausted)?, *b"ACE");
        let to_client = material(self.agreed.suite_to_client().ok_or(Error::Exhausted)?, *b"BDF");
        let (ours, theirs) = match role {
            Role::Server => (&to_client, &to_server),
            Role::Client => (&to_server, &to_client),
        };
        let (suite, cipher, iv, mac) = ours;
        let sealer = Sealer::new(*suite, &SuiteKeys { cipher, iv, mac }).map_err(|_| Error::Exhausted)?;
        let (suite, cipher, iv, mac) = theirs;
        let opener = Opener::new(*suite, &SuiteKeys { cipher, iv, mac }).map_err(|_| Error::Exhausted)?;
        Ok((sealer, opener))
    }
}

/// Either role, after our NEWKEYS: waiting for the peer's. RFC 4253 §7.3.
pub(in crate::transport) struct ExpectNewKeys {
    pub(in crate::transport) opener: Opener,
    pub(in crate::transport) agreed: Negotiated,
}

impl ExpectNewKeys {
    /// The key for everything after the peer's NEWKEYS.
    pub(in crate::transport) fn handle(self, payload: &[u8]) -> Result<(Opener, Negotiated), Error> {
        match decode(payload)? {
            KexMessage::NewKeys {} => Ok((self.opener, self.agreed)),
            KexMessage::KexInit { .. } | KexMessage::EcdhInit { .. } | KexMessage::EcdhReply { .. } => {
                Err(unexpected(payload))
            }
        }
    }
}

/// Reads a message of the key exchange.
pub(in crate::transport) fn decode(payload: &[u8]) -> Result<KexMessage<'_>, Error> {
    let number = payload.first().copied().unwrap_or_default();
    KexMessage::decode(payload).map_err(|what| match what {
        crate::wire::Malformed::Unknown => Violation::Unexpected { number }.into(),
        what => Violation::Malformed { number, what }.into(),
    })
}

/// The message belongs to the key exchange but is not the one expected.
pub(in crate::transport) fn unexpected(payload: &[u8]) -> Error {
    Violation::Unexpected { number: payload.first().copied().unwrap_or_default() }.into()
}
