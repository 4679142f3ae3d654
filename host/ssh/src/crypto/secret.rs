//! K, the shared secret of a key exchange. RFC 4253 §8.

use std::fmt;

use zeroize::Zeroizing;

use super::string;

/// K in the encoding in which it is hashed: RFC 4253 §8 and §7.2. Wiped when dropped.
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    /// K preceded by its length, as it goes into the transcript and into key derivation.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// K as an `mpint`. RFC 4251 §5: big-endian, no unnecessary leading zeros, one zero where the first bit would be
    /// read as a sign.
    pub(super) fn mpint(secret: &[u8]) -> SharedSecret {
        let (sign, digits) = string::mpint(secret);
        SharedSecret::string_of(&[sign, digits])
    }

    /// K as a `string`. RFC 4251 §5.
    pub(super) fn string(bytes: &[u8]) -> SharedSecret {
        SharedSecret::string_of(&[bytes])
    }

    fn string_of(parts: &[&[u8]]) -> SharedSecret {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        // Reserves the exact size: a vector that grows leaves the secret behind.
        let mut encoded = Zeroizing::new(Vec::with_capacity(4 + len));
        encoded.extend_from_slice(&string::length_of(len));
        parts.iter().for_each(|part| encoded.extend_from_slice(part));
        SharedSecret(encoded)
    }

    /// A K chosen by a test, in the encoding in which it is hashed.
    #[cfg(test)]
    pub(super) fn of_test_vector(encoded: &[u8]) -> SharedSecret {
        SharedSecret(Zeroizing::new(encoded.to_vec()))
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}
