//! Ephemeral key agreement: each side makes a key for one exchange, and both derive K from the two shares.
//!
//! One file a method, and the table [`ALL`]. Owns the ephemeral secrets and the encoding of K for the hash; the
//! messages that carry the shares and the order of the exchange hash belong to the key exchange.

mod curve25519;
mod error;
mod mlkem768nistp256;
mod mlkem768x25519;
mod modp;
mod nistp;
mod sntrup761x25519;

use std::fmt;

pub use error::BadShare;
pub use modp::Group;
pub use nistp::EcdhCurve;

use super::hash::HashFunction;
use super::random::RandomFailed;
use super::secret::SharedSecret;

/// Every method of key exchange by its name in a KEXINIT, best first, in the order of OpenSSH.
pub const ALL: &[(&str, Agreement)] = &[
    ("mlkem768x25519-sha256", Agreement::MlKem768X25519),
    ("sntrup761x25519-sha512", Agreement::Sntrup761X25519),
    // The name that it had before it was registered.
    ("sntrup761x25519-sha512@openssh.com", Agreement::Sntrup761X25519),
    ("curve25519-sha256", Agreement::Curve25519),
    // The name that it had before RFC 8731.
    ("curve25519-sha256@libssh.org", Agreement::Curve25519),
    ("ecdh-sha2-nistp256", Agreement::Nist(EcdhCurve::P256)),
    ("ecdh-sha2-nistp384", Agreement::Nist(EcdhCurve::P384)),
    #[cfg(feature = "aws-lc-rs")]
    ("ecdh-sha2-nistp521", Agreement::Nist(EcdhCurve::P521)),
    ("mlkem768nistp256-sha256", Agreement::MlKem768Nistp256),
    ("diffie-hellman-group16-sha512", Agreement::ModP(Group::Group16)),
    ("diffie-hellman-group14-sha256", Agreement::ModP(Group::Group14)),
];

/// A method of key agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreement {
    /// X25519. Shares are 32 bytes each way; K is hashed as an `mpint`. RFC 8731 §3.1.
    Curve25519,
    /// ML-KEM-768 with X25519: secure while either is. Shares are 1184 + 32 and 1088 + 32 bytes; K is hashed as a
    /// `string`. draft-ietf-sshm-mlkem-hybrid-kex §2.
    MlKem768X25519,
    /// ML-KEM-768 with ECDH on P-256. Shares are 1184 + 65 and 1088 + 65 bytes; K is hashed as a `string`.
    /// draft-ietf-sshm-mlkem-hybrid-kex §2.
    MlKem768Nistp256,
    /// Streamlined NTRU Prime 761 with X25519: secure while either is. Shares are 1158 + 32 and 1039 + 32 bytes; K is
    /// hashed as a `string`. draft-ietf-sshm-ntruprime-ssh §3.
    Sntrup761X25519,
    /// ECDH on a curve of NIST. Shares are uncompressed points; K, the x coordinate, is hashed as an `mpint`. RFC 5656
    /// §4.
    Nist(EcdhCurve),
    /// Diffie-Hellman modulo a prime. Shares and K are hashed as `mpint`. RFC 4253 §8, RFC 8268.
    ModP(Group),
}

impl Agreement {
    /// Whether it is offered unless the settings say otherwise: what OpenSSH's server offers by default.
    #[must_use]
    pub fn is_default(self) -> bool {
        !matches!(self, Agreement::ModP(_) | Agreement::MlKem768Nistp256)
    }

    /// Whether it costs the server milliseconds of processor time, while a client can skip the work: Diffie-Hellman
    /// modulo a prime.
    #[must_use]
    pub fn is_costly(self) -> bool {
        matches!(self, Agreement::ModP(_))
    }

    /// Whether the secret stays safe if an attacker gets a quantum computer later.
    #[must_use]
    pub fn is_post_quantum(self) -> bool {
        match self {
            Agreement::MlKem768X25519 | Agreement::MlKem768Nistp256 | Agreement::Sntrup761X25519 => true,
            Agreement::Curve25519 | Agreement::Nist(_) | Agreement::ModP(_) => false,
        }
    }

    /// The hash function of the exchange hash and of key derivation.
    #[must_use]
    pub fn hash(self) -> HashFunction {
        match self {
            Agreement::Curve25519 | Agreement::MlKem768X25519 | Agreement::MlKem768Nistp256 => HashFunction::Sha256,
            Agreement::Sntrup761X25519 => HashFunction::Sha512,
            Agreement::Nist(curve) => curve.hash(),
            Agreement::ModP(group) => group.hash(),
        }
    }

    /// The client's first step: makes its ephemeral secrets and its share (`Q_C` or `C_INIT`).
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn initiate(self) -> Result<(Initiator, Vec<u8>), RandomFailed> {
        match self {
            Agreement::Curve25519 => {
                let (secrets, share) = curve25519::Key::generate()?;
                Ok((Initiator(Secrets::Curve25519(secrets)), share.to_vec()))
            }
            Agreement::MlKem768X25519 => {
                let (secrets, share) = mlkem768x25519::Keys::generate()?;
                Ok((Initiator(Secrets::MlKem768X25519(Box::new(secrets))), share))
            }
            Agreement::MlKem768Nistp256 => {
                let (secrets, share) = mlkem768nistp256::NistHybridKeys::generate()?;
                Ok((Initiator(Secrets::MlKem768Nistp256(Box::new(secrets))), share))
            }
            Agreement::Sntrup761X25519 => {
                let (secrets, share) = sntrup761x25519::SntrupKeys::generate()?;
                Ok((Initiator(Secrets::Sntrup761X25519(Box::new(secrets))), share))
            }
            Agreement::Nist(curve) => {
                let (secrets, share) = nistp::NistKey::generate(curve)?;
                Ok((Initiator(Secrets::Nist(secrets)), share))
            }
            Agreement::ModP(group) => {
                let (secrets, share) = modp::ModpKey::generate(group)?;
                Ok((Initiator(Secrets::ModP(Box::new(secrets))), share))
            }
        }
    }

    /// The server's whole part: makes its share (`Q_S` or `S_REPLY`) and K from the client's share.
    ///
    /// # Errors
    /// `client_share` has a wrong length, its X25519 point is of small order, its point is not on the curve, its
    /// number is out of range, or its ML-KEM key is not valid. The error is the same if the system gave no randomness,
    /// because the providers do not distinguish them.
    pub fn respond(self, client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
        match self {
            Agreement::Curve25519 => curve25519::respond(client_share),
            Agreement::MlKem768X25519 => mlkem768x25519::respond(client_share),
            Agreement::MlKem768Nistp256 => mlkem768nistp256::respond(client_share),
            Agreement::Sntrup761X25519 => sntrup761x25519::respond(client_share),
            Agreement::Nist(curve) => nistp::respond(curve, client_share),
            Agreement::ModP(group) => modp::respond(group, client_share),
        }
    }
}

/// The server's part of an exchange that costs much processor time: see [`Agreement::is_costly`]. Compute it on a
/// blocking thread.
#[derive(Clone, Debug)]
pub struct CostlyExchange {
    agreement: Agreement,
    client_share: Vec<u8>,
}

/// The outcome of a [`CostlyExchange`]: the server's share and K.
pub type Agreed = Result<(Vec<u8>, SharedSecret), BadShare>;

impl CostlyExchange {
    /// The exchange with this share of the client.
    #[must_use]
    pub fn new(agreement: Agreement, client_share: &[u8]) -> CostlyExchange {
        CostlyExchange { agreement, client_share: client_share.to_vec() }
    }

    /// The client's share.
    pub(crate) fn client_share(&self) -> &[u8] {
        &self.client_share
    }

    /// Makes the server's share and K.
    ///
    /// # Errors
    /// As for [`Agreement::respond`].
    pub fn respond(&self) -> Agreed {
        self.agreement.respond(&self.client_share)
    }
}

/// The client's ephemeral secrets, between its share and the server's.
pub struct Initiator(Secrets);

enum Secrets {
    Curve25519(curve25519::Key),
    MlKem768X25519(Box<mlkem768x25519::Keys>),
    MlKem768Nistp256(Box<mlkem768nistp256::NistHybridKeys>),
    Sntrup761X25519(Box<sntrup761x25519::SntrupKeys>),
    Nist(nistp::NistKey),
    ModP(Box<modp::ModpKey>),
}

impl Initiator {
    /// The client's second step: makes K from the server's share.
    ///
    /// # Errors
    /// `server_share` has a wrong length, its X25519 point is of small order, its point is not on the curve, or
    /// its number is out of range. A KEM ciphertext that was changed is no error here: it yields another K, and then
    /// the host key's signature does not verify.
    pub fn finish(self, server_share: &[u8]) -> Result<SharedSecret, BadShare> {
        match self.0 {
            Secrets::Curve25519(key) => key.finish(server_share),
            Secrets::MlKem768X25519(keys) => keys.finish(server_share),
            Secrets::MlKem768Nistp256(keys) => keys.finish(server_share),
            Secrets::Sntrup761X25519(keys) => keys.finish(server_share),
            Secrets::Nist(key) => key.finish(server_share),
            Secrets::ModP(key) => key.finish(server_share),
        }
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator(..)")
    }
}

#[cfg(test)]
mod modp_tests;
#[cfg(test)]
mod nistp_tests;
#[cfg(test)]
mod sntrup_tests;
#[cfg(test)]
mod tests;
