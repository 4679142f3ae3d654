//! OpenSSH certificates of users' and hosts' keys: `PROTOCOL.certkeys`.
//!
//! A [`Certificate`] that exists was signed by the authority that it names. Whether that authority is trusted, and what
//! the certificate permits now, is not decided here.
//!
//! Decided 2026-11-29: read here and not by `ssh-key`, whose type does not give the bytes that were signed, writes
//! signatures of security keys otherwise than it reads them, and refuses extensions whose values are no text.

use std::fmt;

use super::error::KeyError;
use super::public::PublicKey;
use crate::crypto::string;

/// The algorithms of certificates, best first in the order of OpenSSH, each with the signature that the certified key
/// makes. `ssh-rsa-cert-v01@openssh.com` is the type of an RSA key's certificate, and as an algorithm uses SHA-1, so it
/// is none of them.
pub const CERTIFICATE_SIGNATURES: &[(&str, &str)] = &[
    ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384"),
    #[cfg(feature = "aws-lc-rs")]
    ("ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521"),
    ("sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com"),
    ("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    ("rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-512"),
    ("rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-256"),
];

/// The types of certificates: the name at the start of the blob, the type of the certified key, and how many strings
/// its public half has.
const TYPES: &[(&str, &str, usize)] = &[
    ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1),
    ("ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521", 2),
    ("sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", 3),
    ("ssh-rsa-cert-v01@openssh.com", "ssh-rsa", 2),
];

/// The most principals, as in OpenSSH.
const PRINCIPALS: usize = 256;

/// A certificate whose signature was verified. Two are equal when their blobs are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    blob: Box<[u8]>,
    key: PublicKey,
    authority: PublicKey,
    kind: CertificateKind,
    serial: u64,
    key_id: Box<[u8]>,
    principals: Vec<Box<[u8]>>,
    valid_after: u64,
    valid_before: u64,
    /// Names and values as they are encoded. Both lists were checked and are well formed.
    critical_options: Box<[u8]>,
    extensions: Box<[u8]>,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateKind {
    /// A user.
    User,
    /// A host.
    Host,
}

/// Why a certificate was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadCertificate {
    /// The blob is not a certificate that we can read.
    Malformed,
    /// The key that it certifies is not supported.
    Key(KeyError),
    /// The key of its authority is not supported. A certificate cannot be an authority.
    Authority(KeyError),
    /// The signature of its authority does not verify, or uses SHA-1.
    Signature,
}

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadCertificate::Malformed => f.write_str("the certificate is not well formed"),
            BadCertificate::Key(error) => write!(f, "its key: {error}"),
            BadCertificate::Authority(error) => write!(f, "the key of its authority: {error}"),
            BadCertificate::Signature => f.write_str("the signature of its authority does not verify, or uses SHA-1"),
        }
    }
}

impl std::error::Error for BadCertificate {}

impl Certificate {
    /// Whether a blob begins with the type of a certificate.
    pub fn is_certificate(blob: &[u8]) -> bool {
        let mut rest = blob;
        string::take(&mut rest).is_some_and(|name| TYPES.iter().any(|(other, ..)| other.as_bytes() == name))
    }

    /// Reads a certificate and verifies its authority's signature. Every count is bounded by the bytes that are left;
    /// nothing is nested.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn from_blob(blob: &[u8]) -> Result<Certificate, BadCertificate> {
        let fields = CertificateFields::read(blob)?;
        let key = canonical(&fields.key).map_err(BadCertificate::Key)?;
        let kind = match fields.kind {
            1 => CertificateKind::User,
            2 => CertificateKind::Host,
            _ => return Err(BadCertificate::Malformed),
        };
        let principals = list(fields.principals)?;
        let (critical_options, extensions) = (pairs(fields.critical_options)?, pairs(fields.extensions)?);
        let authority = canonical(fields.authority).map_err(BadCertificate::Authority)?;
        verify(&authority, fields.signed, fields.signature)?;
        let CertificateFields { serial, key_id, valid_after, valid_before, .. } = fields;
        Ok(Certificate {
            blob: blob.into(),
            key,
            authority,
            kind,
            serial,
            key_id: key_id.into(),
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
        })
    }

    /// The whole certificate.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The key that it certifies.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key of the authority that has signed it.
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }

    /// Whom it is for.
    pub fn kind(&self) -> CertificateKind {
        self.kind
    }

    /// The number that the authority gave it, perhaps 0.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What the authority calls it, for logs: any bytes. Escape it before showing it.
    pub fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    /// The names that it is valid for, at most 256: any bytes.
    pub fn principals(&self) -> impl Iterator<Item = &[u8]> {
        self.principals.iter().map(|principal| &**principal)
    }

    /// The first second in which it is valid, since 1970.
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// The first second in which it is no longer valid, since 1970.
    pub fn valid_before(&self) -> u64 {
        self.valid_before
    }

    /// Options that must be understood, with their values as the option defines them: any bytes.
    pub fn critical_options(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        iterate(&self.critical_options)
    }

    /// Options that need not be understood.
    pub fn extensions(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        iterate(&self.extensions)
    }

    /// The algorithms that a client may name when it signs with the certified key, each with that of the signature.
    pub fn signatures(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let made = self.key.signatures();
        CERTIFICATE_SIGNATURES.iter().copied().filter(move |(_, signature)| made.contains(signature))
    }
}

/// The fields of a certificate as they were sent. Nothing was verified: anybody can write anything into them.
pub(crate) struct CertificateFields<'a> {
    /// The blob of the certified key.
    pub(crate) key: Vec<u8>,
    pub(crate) serial: u64,
    kind: u32,
    pub(crate) key_id: &'a [u8],
    principals: &'a [u8],
    valid_after: u64,
    valid_before: u64,
    critical_options: &'a [u8],
    extensions: &'a [u8],
    /// The blob of the key of the authority.
    pub(crate) authority: &'a [u8],
    /// What the authority signs.
    signed: &'a [u8],
    signature: &'a [u8],
}

impl CertificateFields<'_> {
    /// Splits a certificate into its fields.
    ///
    /// # Errors
    /// [`BadCertificate::Malformed`]: a field is missing, or bytes are left over.
    pub(crate) fn read(blob: &[u8]) -> Result<CertificateFields<'_>, BadCertificate> {
        let mut rest = blob;
        let name = take(&mut rest)?;
        let (_, plain, strings) =
            TYPES.iter().find(|(other, ..)| other.as_bytes() == name).ok_or(BadCertificate::Malformed)?;
        let _nonce = take(&mut rest)?;
        let mut key = Vec::with_capacity(128);
        string::put(&mut key, plain.as_bytes());
        for _ in 0..*strings {
            string::put(&mut key, take(&mut rest)?);
        }
        let serial = u64::from_be_bytes(array(&mut rest)?);
        let kind = u32::from_be_bytes(array(&mut rest)?);
        let (key_id, principals) = (take(&mut rest)?, take(&mut rest)?);
        let valid_after = u64::from_be_bytes(array(&mut rest)?);
        let valid_before = u64::from_be_bytes(array(&mut rest)?);
        let (critical_options, extensions) = (take(&mut rest)?, take(&mut rest)?);
        let _reserved = take(&mut rest)?;
        let authority = take(&mut rest)?;
        let signed = blob.get(..blob.len() - rest.len()).unwrap_or_default();
        let signature = take(&mut rest)?;
        if !rest.is_empty() {
            return Err(BadCertificate::Malformed);
        }
        Ok(CertificateFields {
            key,
            serial,
            kind,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            authority,
            signed,
            signature,
        })
    }
}

/// The value of an option that is one `string`, as `force-command` has it. `None` if it is anything else.
pub fn option_text(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    string::take(&mut rest).filter(|_| rest.is_empty())
}

/// Reads a key blob that is the one encoding of its key.
fn canonical(blob: &[u8]) -> Result<PublicKey, KeyError> {
    let key = PublicKey::from_blob(blob)?;
    if key.blob() == blob { Ok(key) } else { Err(KeyError::Malformed("not the canonical form".into())) }
}

/// Verifies the signature of an authority. As in OpenSSH a security key need not have been touched for it.
fn verify(authority: &PublicKey, signed: &[u8], signature: &[u8]) -> Result<(), BadCertificate> {
    let mut rest = signature;
    let algorithm = string::take(&mut rest).ok_or(BadCertificate::Signature)?;
    authority.verify_presence(algorithm, signed, signature).map(|_| ()).map_err(|_| BadCertificate::Signature)
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BadCertificate> {
    string::take(rest).ok_or(BadCertificate::Malformed)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BadCertificate> {
    let (taken, behind) = rest.split_first_chunk::<N>().ok_or(BadCertificate::Malformed)?;
    *rest = behind;
    Ok(*taken)
}

/// Reads the principals.
fn list(mut rest: &[u8]) -> Result<Vec<Box<[u8]>>, BadCertificate> {
    let mut names = Vec::new();
    while !rest.is_empty() {
        if names.len() == PRINCIPALS {
            return Err(BadCertificate::Malformed);
        }
        names.push(take(&mut rest)?.into());
    }
    Ok(names)
}

/// Checks that a list holds names and values, and copies it.
fn pairs(options: &[u8]) -> Result<Box<[u8]>, BadCertificate> {
    let mut rest = options;
    while !rest.is_empty() {
        take(&mut rest)?;
        take(&mut rest)?;
    }
    Ok(options.into())
}

/// The names and values of a list that was checked.
fn iterate(options: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = options;
    std::iter::from_fn(move || Some((string::take(&mut rest)?, string::take(&mut rest)?)))
}

#[cfg(test)]
mod tests;
