//! The settings that all transports of a server share.

mod software;

use std::sync::Arc;
use std::time::Duration;

use crate::algorithm::Preferences;
use crate::crypto::key::{HostCertificate, PublicKey};
use crate::message::Role;
use crate::transport::deadline::Timeouts;

pub use software::{BadSoftwareVersion, SoftwareVersion};

/// What a transport needs to start: its role and what the role requires.
#[derive(Clone, Debug)]
pub enum Party {
    /// Server. It proves itself with one of its host keys, which the client chooses by signature algorithm, and asks
    /// the application for signatures.
    Server {
        /// The public host keys, at least one; of several of one type the first is used. Their signatures are offered
        /// in the order of the preferences. The private ones need not be in this process.
        host_keys: Vec<Arc<PublicKey>>,
        /// Certificates of these keys.
        certificates: Vec<Arc<HostCertificate>>,
    },
    /// Client.
    Client,
}

impl Party {
    /// The role alone.
    pub fn role(&self) -> Role {
        match self {
            Party::Server { .. } => Role::Server,
            Party::Client => Role::Client,
        }
    }

    /// The host key algorithms to offer, best first. A server offers those that its keys and certificates can sign
    /// with.
    pub(crate) fn host_key_algorithms(&self, preferences: &Preferences) -> Vec<&'static str> {
        let preferred = preferences.host_key_algorithm_names();
        match self {
            Party::Server { .. } => {
                preferred.iter().copied().filter(|name| self.host_identity(name).is_some()).collect()
            }
            // Our client trusts no authorities.
            Party::Client => {
                preferred.iter().copied().filter(|name| HostCertificate::signature_of(name).is_none()).collect()
            }
        }
    }

    /// The host key to use with `algorithm`, and its certificate if the algorithm is one of certificates. `None` if
    /// there is no such key or certificate.
    pub(crate) fn host_identity(&self, algorithm: &'static str) -> Option<HostIdentity> {
        let Party::Server { host_keys, certificates } = self else { return None };
        match HostCertificate::signature_of(algorithm) {
            Some(signature) => {
                let certificate = certificates.iter().find(|other| other.key().signatures().contains(&signature))?;
                let key = Arc::clone(certificate.key());
                Some(HostIdentity { key, certificate: Some(Arc::clone(certificate)), signature })
            }
            None => {
                let key = host_keys.iter().find(|key| key.signatures().contains(&algorithm))?;
                Some(HostIdentity { key: Arc::clone(key), certificate: None, signature: algorithm })
            }
        }
    }
}

/// What proves a server's identity in a key exchange: a host key, with its certificate if that was agreed on.
#[derive(Clone, Debug)]
pub(crate) struct HostIdentity {
    key: Arc<PublicKey>,
    certificate: Option<Arc<HostCertificate>>,
    signature: &'static str,
}

impl HostIdentity {
    /// The key that signs.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The algorithm of the signature.
    pub(crate) fn signature(&self) -> &'static str {
        self.signature
    }

    /// `K_S`, the blob that is sent to the client: the certificate if there is one, else the key. RFC 4253 §8.
    pub(crate) fn blob(&self) -> &[u8] {
        self.certificate.as_ref().map_or(self.key.blob(), |certificate| certificate.blob())
    }
}

/// When to change keys, whichever comes first. RFC 4253 §9.
#[derive(Clone, Copy, Debug)]
pub struct RekeyPolicy {
    /// Bytes in either direction.
    pub bytes: u64,
    /// Packets in either direction; never more than 2^31.
    pub packets: u64,
    /// Time since the last change.
    pub time: Duration,
}

impl Default for RekeyPolicy {
    fn default() -> RekeyPolicy {
        RekeyPolicy { bytes: 1 << 30, packets: 1 << 31, time: Duration::from_secs(3600) }
    }
}

/// Most packets under one key, whatever the settings say: half of all sequence numbers. RFC 4344 §3.1.
const MAX_PACKETS_PER_KEY: u64 = 1 << 31;

/// Most bytes under one key, whatever the settings say: 2^32 blocks of AES. RFC 4344 §3.2.
const MAX_BYTES_PER_KEY: u64 = (1 << 32) * 16;

impl RekeyPolicy {
    /// Whether one direction has used its key enough.
    pub(super) fn is_due(&self, bytes: u64, packets: u64) -> bool {
        bytes >= self.bytes.min(MAX_BYTES_PER_KEY) || packets >= self.packets.min(MAX_PACKETS_PER_KEY)
    }
}

/// The settings that all transports of a server share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our side.
    pub party: Party,
    /// What the other side is told of our software.
    pub software: SoftwareVersion,
    /// The algorithms that we offer.
    pub preferences: Preferences,
    /// When to change keys.
    pub rekey: RekeyPolicy,
    /// The time limits of the stages.
    pub timeouts: Timeouts,
    /// Largest packet before authentication, in bytes of `packet_length`. RFC 4253 §6.1 wants 35,000.
    pub packet_before_auth: usize,
    /// The largest packet afterwards, as in OpenSSH. A server asks its application before it reads one larger than
    /// `packet_before_auth`.
    pub packet: usize,
    /// How many bytes of output may wait for the socket before no more data is accepted.
    pub output_mark: usize,
}

impl Settings {
    /// The defaults for this role.
    pub fn new(party: Party) -> Settings {
        Settings {
            software: SoftwareVersion::of(party.role()),
            party,
            preferences: Preferences::default(),
            rekey: RekeyPolicy::default(),
            timeouts: Timeouts::default(),
            packet_before_auth: 35_000,
            packet: 256 << 10,
            output_mark: 256 << 10,
        }
    }
}
