//! What a client presents with the method `publickey`: a key or a certificate. RFC 4252 §7.

use crate::crypto::key::{BadCertificate, Certificate, KeyError, PublicKey};

/// A key or a certificate that was read.
pub(super) enum Presented {
    Key(PublicKey),
    /// Boxed, because few logins have one.
    Certificate(Box<Certificate>),
}

/// Why a key or certificate that a client presents is refused before the application is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unfit {
    /// Well formed, but with SHA-1, of a type that we cannot verify, too short or too long.
    Unusable,
    /// Malformed, not in canonical form, or of another type than the algorithm that the client names.
    Malformed,
    /// The certificate is not valid.
    Certificate(BadCertificate),
}

impl Presented {
    /// Reads a key or certificate for signatures of `algorithm`, as the client names it. A key must be in its canonical
    /// encoding: PK_OK repeats it, and logs are searched for its fingerprint. `signed`: the caller verifies a signature
    /// of the key next.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(super) fn read(algorithm: &[u8], blob: &[u8], signed: bool) -> Result<Presented, Unfit> {
        if Certificate::is_certificate(blob) {
            return Presented::read_certificate(algorithm, blob);
        }
        let makes = |key: &PublicKey| key.signatures().iter().any(|name| name.as_bytes() == algorithm);
        let read = if signed { PublicKey::from_blob_to_verify } else { PublicKey::from_blob };
        match read(blob) {
            Ok(key) if makes(&key) && key.blob() == blob => Ok(Presented::Key(key)),
            Ok(key) if !makes(&key) && key.algorithm().as_bytes() == algorithm => Err(Unfit::Unusable),
            Err(KeyError::RsaSize(_)) => Err(Unfit::Unusable),
            Ok(_) => Err(Unfit::Malformed),
            Err(_) if PublicKey::verifies(algorithm) => Err(Unfit::Malformed),
            Err(_) => Err(Unfit::Unusable),
        }
    }

    fn read_certificate(algorithm: &[u8], blob: &[u8]) -> Result<Presented, Unfit> {
        match Certificate::from_blob(blob) {
            Ok(certificate) if certificate.signatures().any(|(name, _)| name.as_bytes() == algorithm) => {
                Ok(Presented::Certificate(Box::new(certificate)))
            }
            Ok(_) => Err(Unfit::Malformed),
            Err(BadCertificate::Key(KeyError::RsaSize(_))) => Err(Unfit::Unusable),
            Err(error) => Err(Unfit::Certificate(error)),
        }
    }

    /// The key that signs.
    pub(super) fn key(&self) -> &PublicKey {
        match self {
            Presented::Key(key) => key,
            Presented::Certificate(certificate) => certificate.key(),
        }
    }

    /// As the client has sent it.
    pub(super) fn blob(&self) -> &[u8] {
        match self {
            Presented::Key(key) => key.blob(),
            Presented::Certificate(certificate) => certificate.blob(),
        }
    }

    /// The signature algorithm of `algorithm`, as the client names it: for a certificate that of its key.
    pub(super) fn signature<'n>(&self, algorithm: &'n [u8]) -> &'n [u8] {
        match self {
            Presented::Key(_) => algorithm,
            Presented::Certificate(certificate) => certificate
                .signatures()
                .find(|(name, _)| name.as_bytes() == algorithm)
                .map_or(algorithm, |(_, signature)| signature.as_bytes()),
        }
    }
}
