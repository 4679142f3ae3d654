//! Host certificates: a host key that an authority has signed. OpenSSH `PROTOCOL.certkeys`.
//!
//! A client that trusts the authority (`@cert-authority` in known_hosts) needs to know no host key. In a KEXINIT a
//! certificate has the names of its key's signature algorithms followed by `-cert-v01@openssh.com`. The key signs.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ssh_key::Certificate;
use ssh_key::certificate::CertType;

use crate::crypto::key::error::KeyError;
use crate::crypto::key::public::PublicKey;
use crate::crypto::string;

/// The algorithms of host certificates with the signatures that they are used with, best first, in the order of
/// OpenSSH.
const ALGORITHMS: &[(&str, &str)] = &[
    ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384"),
    #[cfg(feature = "aws-lc-rs")]
    ("ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-512"),
    ("rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-256"),
];

/// A host key with the signature of an authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostCertificate {
    /// The blob: `string` type, then what `PROTOCOL.certkeys` defines.
    blob: Box<[u8]>,
    key: Arc<PublicKey>,
    authority: PublicKey,
    principals: Vec<String>,
    /// Seconds since 1970. All ones: it never expires.
    valid: (u64, u64),
}

/// Why a host certificate was refused. The caller adds which file it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostCertificateError {
    /// It is no certificate.
    NotACertificate,
    /// It cannot be decoded, for this reason.
    Malformed(String),
    /// It is a user's certificate.
    OfAUser,
    /// The key in it, or that of its authority, is not supported.
    Key(KeyError),
    /// The signature of its authority does not verify, or uses SHA-1.
    Signature,
    /// It has this critical option, and no critical option is defined for host certificates.
    CriticalOption(String),
}

impl HostCertificate {
    /// Reads the line of a `-cert.pub` file.
    ///
    /// # Errors
    /// A [`HostCertificateError`] for each way in which it is no valid host certificate. Its times are not checked.
    pub fn from_openssh(line: &str) -> Result<HostCertificate, HostCertificateError> {
        let name = line.split_ascii_whitespace().next().unwrap_or_default();
        if !name.ends_with("-cert-v01@openssh.com") {
            return Err(HostCertificateError::NotACertificate);
        }
        let malformed = |error: ssh_key::Error| HostCertificateError::Malformed(error.to_string());
        let certificate = Certificate::from_openssh(line.trim()).map_err(malformed)?;
        if certificate.cert_type() != CertType::Host {
            return Err(HostCertificateError::OfAUser);
        }
        if let Some((name, _)) = certificate.critical_options().iter().next() {
            return Err(HostCertificateError::CriticalOption(name.escape_default().to_string()));
        }
        let key = |data: &ssh_key::public::KeyData| {
            let blob = ssh_key::PublicKey::from(data.clone()).to_bytes().map_err(malformed)?;
            PublicKey::from_blob(&blob).map_err(HostCertificateError::Key)
        };
        let (key, authority) = (key(certificate.public_key())?, key(certificate.signature_key())?);
        let blob = certificate.to_bytes().map_err(malformed)?;
        let signature = Vec::try_from(certificate.signature().clone()).map_err(malformed)?;
        check_signature(&authority, &blob, &signature).ok_or(HostCertificateError::Signature)?;
        Ok(HostCertificate {
            blob: blob.into(),
            key: Arc::new(key),
            authority,
            principals: certificate.valid_principals().to_vec(),
            valid: (certificate.valid_after(), certificate.valid_before()),
        })
    }

    /// The blob, which stands for the host key in a key exchange.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The host key.
    #[must_use]
    pub fn key(&self) -> &Arc<PublicKey> {
        &self.key
    }

    /// The authority's key.
    #[must_use]
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }

    /// The host names that it is for. None: every name.
    #[must_use]
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// Whether it is not valid yet, as clients see it at this time.
    #[must_use]
    pub fn is_early(&self, now: SystemTime) -> bool {
        seconds(now) < self.valid.0
    }

    /// Whether it is no longer valid.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        seconds(now) >= self.valid.1
    }

    /// The algorithms in a KEXINIT that show it, best first.
    pub fn algorithms(&self) -> impl Iterator<Item = &'static str> {
        let made = self.key.signatures();
        ALGORITHMS.iter().filter(|(_, signature)| made.contains(signature)).map(|(name, _)| *name)
    }

    /// Every algorithm of host certificates.
    pub(crate) fn all_algorithms() -> impl Iterator<Item = &'static str> {
        ALGORITHMS.iter().map(|(name, _)| *name)
    }

    /// The signature algorithm that is used with an algorithm of certificates; `None` for every other name.
    pub(crate) fn signature_of(algorithm: &str) -> Option<&'static str> {
        ALGORITHMS.iter().find(|(name, _)| *name == algorithm).map(|(_, signature)| *signature)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Verifies the signature at the end of a certificate's blob, which covers everything before it.
fn check_signature(authority: &PublicKey, blob: &[u8], signature: &[u8]) -> Option<()> {
    let signed = blob.len().checked_sub(signature.len())?.checked_sub(4).and_then(|length| blob.get(..length))?;
    let algorithm = string::take(&mut &*signature)?;
    authority.verify(algorithm, signed, signature).ok()
}

impl fmt::Display for HostCertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostCertificateError::NotACertificate => {
                f.write_str("it is no certificate (`ssh-keygen -s AUTHORITY -h -I NAME KEY.pub` makes KEY-cert.pub)")
            }
            HostCertificateError::Malformed(why) => write!(f, "it is damaged: {why}"),
            HostCertificateError::OfAUser => f.write_str("it is a user's certificate (`ssh-keygen -h` makes a host's)"),
            HostCertificateError::Key(error) => write!(f, "a key in it cannot be used: {error}"),
            HostCertificateError::Signature => {
                f.write_str("the signature of its authority does not verify (it may be made with SHA-1)")
            }
            HostCertificateError::CriticalOption(name) => {
                write!(f, "it has the critical option {name}, and clients refuse host certificates with any")
            }
        }
    }
}

impl std::error::Error for HostCertificateError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `ssh-keygen -s`, of the key in `fixtures/certified.pub`.
    const HOST: &str = include_str!("fixtures/host-cert.pub");
    const USER: &str = include_str!("fixtures/user-cert.pub");
    const OF_RSA: &str = include_str!("fixtures/host_rsa-cert.pub");

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_host_certificate_is_read_as_ssh_keygen_writes_it() {
        let certificate = HostCertificate::from_openssh(HOST).unwrap();
        assert_eq!(certificate.principals(), ["whelk.example", "127.0.0.1"]);
        assert_eq!(certificate.algorithms().collect::<Vec<_>>(), ["ssh-ed25519-cert-v01@openssh.com"]);
        assert_eq!(
            certificate.key().blob(),
            PublicKey::from_openssh(include_str!("fixtures/certified.pub")).unwrap().blob()
        );
        assert_eq!(certificate.authority().algorithm(), "ssh-ed25519");
        // From 2020-01-01 to 2030-01-01, in UTC.
        assert!(certificate.is_early(at(1_577_836_799)) && !certificate.is_early(at(1_577_836_800)));
        assert!(!certificate.is_expired(at(1_893_455_999)) && certificate.is_expired(at(1_893_456_000)));
        let rsa = HostCertificate::from_openssh(OF_RSA).unwrap();
        let names: Vec<&str> = rsa.algorithms().collect();
        assert_eq!(names, ["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"]);
        assert!(!rsa.is_early(at(0)) && !rsa.is_expired(at(u64::from(u32::MAX))), "for ever");
        assert_eq!(
            names.into_iter().filter_map(HostCertificate::signature_of).collect::<Vec<_>>(),
            rsa.key().signatures()
        );
        assert_eq!(HostCertificate::signature_of("ssh-ed25519"), None);
    }

    #[test]
    fn what_is_no_host_certificate_is_refused_with_the_reason() {
        let refused = |line: &str| HostCertificate::from_openssh(line).unwrap_err();
        assert_eq!(refused(USER), HostCertificateError::OfAUser);
        for line in ["", "\n", include_str!("fixtures/certified.pub"), include_str!("fixtures/plain.key")] {
            assert_eq!(refused(line), HostCertificateError::NotACertificate);
        }
        assert!(matches!(refused("ssh-ed25519-cert-v01@openssh.com AAAA"), HostCertificateError::Malformed(_)));
        assert_eq!(
            refused(include_str!("fixtures/host_critical-cert.pub")),
            HostCertificateError::CriticalOption("force-command".to_owned())
        );
        assert_eq!(
            refused(include_str!("fixtures/host_1024-cert.pub")),
            HostCertificateError::Key(KeyError::RsaSize(1024))
        );
        // Signed with SHA-1, as before OpenSSH 8.2.
        assert_eq!(refused(include_str!("fixtures/host_sha1-cert.pub")), HostCertificateError::Signature);
    }

    #[test]
    fn a_certificate_that_was_changed_is_refused() {
        let good = Certificate::from_openssh(HOST.trim()).unwrap().to_bytes().unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut changed = good.clone();
            changed[at] ^= 1;
            let Ok(certificate) = Certificate::from_bytes(&changed) else { continue };
            let Ok(line) = certificate.to_openssh() else { continue };
            assert!(HostCertificate::from_openssh(&line).is_err(), "{at}");
        }
    }
}
