//! OpenSSH's key revocation lists, `PROTOCOL.krl`, as `ssh-keygen -k` writes them.
//!
//! Decided 2026-11-29: read here, because there is no maintained crate for it. Strict: whatever is not understood makes
//! the list unusable, as in OpenSSH, because it may revoke something.

use std::collections::HashSet;

/// The first bytes of every list.
pub(super) const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINT_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

/// A list of revoked keys and certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Krl {
    /// Blobs of keys.
    keys: HashSet<Box<[u8]>>,
    sha1: HashSet<[u8; 20]>,
    sha256: HashSet<[u8; 32]>,
    certificates: Vec<RevokedCertificates>,
}

/// Certificates of one authority, or of any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RevokedCertificates {
    /// The blob of the authority's key. None: of any authority.
    authority: Option<Box<[u8]>>,
    serials: HashSet<u64>,
    /// Both ends are included.
    ranges: Vec<(u64, u64)>,
    bitmaps: Vec<Bitmap>,
    key_ids: HashSet<Box<[u8]>>,
}

/// Serial numbers from an offset on, one per bit, the lowest in the last bit of the last byte.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bitmap {
    offset: u64,
    digits: Box<[u8]>,
}

/// A key as lists name it.
pub(super) struct RevocableKey<'k> {
    pub(super) blob: &'k [u8],
    pub(super) sha1: [u8; 20],
    pub(super) sha256: [u8; 32],
}

/// A certificate as lists name it.
pub(super) struct RevocableCertificate<'c> {
    pub(super) authority: &'c [u8],
    pub(super) serial: u64,
    pub(super) key_id: &'c [u8],
}

impl Krl {
    /// Reads a list.
    ///
    /// # Errors
    /// It is truncated, of another format, or has a part that is not known and must be. The error is the end of a
    /// sentence.
    pub(super) fn parse(bytes: &[u8]) -> Result<Krl, String> {
        let mut rest = Bytes(bytes.strip_prefix(MAGIC).ok_or("is no KRL")?);
        if u32::from_be_bytes(rest.array()?) != FORMAT {
            return Err("is a KRL of another format than 1".to_owned());
        }
        // Its version, its date and its flags, none of which is defined yet.
        let _: [u8; 24] = rest.array()?;
        let (_reserved, _comment) = (rest.string()?, rest.string()?);
        let mut list = Krl::default();
        let mut is_signed = false;
        while !rest.0.is_empty() {
            let [kind] = rest.array()?;
            // Signatures are the last sections. As in OpenSSH they are not verified, because no setting says whose are
            // trusted: whoever may write the file decides.
            if kind == SIGNATURE {
                is_signed = true;
                rest.string()?;
                rest.string()?;
                continue;
            }
            if is_signed {
                return Err("is a KRL with a section after its signature".to_owned());
            }
            let section = Bytes(rest.string()?);
            list.read_section(kind, section)?;
        }
        Ok(list)
    }

    fn read_section(&mut self, kind: u8, mut section: Bytes<'_>) -> Result<(), String> {
        match kind {
            CERTIFICATES => self.certificates.push(RevokedCertificates::parse(section)?),
            EXPLICIT_KEY => {
                while !section.0.is_empty() {
                    self.keys.insert(section.string()?.into());
                }
            }
            FINGERPRINT_SHA1 => {
                while !section.0.is_empty() {
                    self.sha1.insert(section.digest()?);
                }
            }
            FINGERPRINT_SHA256 => {
                while !section.0.is_empty() {
                    self.sha256.insert(section.digest()?);
                }
            }
            EXTENSION => section.extension()?,
            other => return Err(format!("is a KRL with a section of the unknown type {other}")),
        }
        Ok(())
    }

    /// Whether a key is revoked: of a user or of an authority.
    pub(super) fn has_key(&self, key: &RevocableKey<'_>) -> bool {
        self.sha1.contains(&key.sha1) || self.sha256.contains(&key.sha256) || self.keys.contains(key.blob)
    }

    /// Whether a certificate is revoked by its number or its id. The number 0 is that of certificates without one.
    pub(super) fn has_certificate(&self, certificate: &RevocableCertificate<'_>) -> bool {
        let of_authority = |list: &&RevokedCertificates| {
            list.authority.as_ref().is_none_or(|authority| **authority == *certificate.authority)
        };
        self.certificates.iter().filter(of_authority).any(|list| {
            list.key_ids.contains(certificate.key_id)
                || (certificate.serial != 0 && list.has_serial(certificate.serial))
        })
    }
}

impl RevokedCertificates {
    fn parse(mut section: Bytes<'_>) -> Result<RevokedCertificates, String> {
        let authority = section.string()?;
        let _reserved = section.string()?;
        let authority = (!authority.is_empty()).then(|| authority.into());
        let mut list = RevokedCertificates { authority, ..RevokedCertificates::default() };
        while !section.0.is_empty() {
            let [kind] = section.array()?;
            list.read_subsection(kind, Bytes(section.string()?))?;
        }
        Ok(list)
    }

    fn read_subsection(&mut self, kind: u8, mut part: Bytes<'_>) -> Result<(), String> {
        match kind {
            SERIAL_LIST => {
                while !part.0.is_empty() {
                    self.serials.insert(part.number()?);
                }
            }
            SERIAL_RANGE => {
                let range = (part.number()?, part.number()?);
                if range.0 > range.1 {
                    return Err("is a KRL with a range that ends before it begins".to_owned());
                }
                self.ranges.push(range);
            }
            SERIAL_BITMAP => {
                let (offset, digits) = (part.number()?, part.string()?.into());
                self.bitmaps.push(Bitmap { offset, digits });
            }
            KEY_ID => {
                while !part.0.is_empty() {
                    self.key_ids.insert(part.string()?.into());
                }
            }
            CERTIFICATE_EXTENSION => part.extension()?,
            other => return Err(format!("is a KRL with certificates in a section of the unknown type {other}")),
        }
        if part.0.is_empty() { Ok(()) } else { Err("is a KRL with bytes after a section".to_owned()) }
    }

    fn has_serial(&self, serial: u64) -> bool {
        self.serials.contains(&serial)
            || self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&serial))
            || self.bitmaps.iter().any(|bitmap| bitmap.has(serial))
    }
}

impl Bitmap {
    fn has(&self, serial: u64) -> bool {
        let Some(bit) = serial.checked_sub(self.offset).and_then(|bit| usize::try_from(bit).ok()) else { return false };
        let byte = self.digits.iter().rev().nth(bit / 8).copied().unwrap_or_default();
        byte >> (bit % 8) & 1 == 1
    }
}

/// Reads values from the front. Every count is bounded by the bytes that are left.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or("is a truncated KRL")?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_be_bytes)
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        let length = usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX);
        let (taken, rest) = self.0.split_at_checked(length).ok_or("is a truncated KRL")?;
        self.0 = rest;
        Ok(taken)
    }

    fn digest<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.string()?.try_into().map_err(|_| "is a KRL with a fingerprint of another length".to_owned())
    }

    /// An extension. None is known.
    fn extension(&mut self) -> Result<(), String> {
        let name = self.string()?;
        let [is_critical] = self.array()?;
        self.string()?;
        match (is_critical, self.0.is_empty()) {
            (0, true) => Ok(()),
            (_, false) => Err("is a KRL with bytes after a section".to_owned()),
            (_, true) => Err(format!("is a KRL with the unknown critical extension \"{}\"", name.escape_ascii())),
        }
    }
}

#[cfg(test)]
mod tests;
