//! `ssh-rsa` keys, RFC 4253 §6.6, and their signatures `rsa-sha2-512` and `rsa-sha2-256`, RFC 8332. Never SHA-1.
//!
//! The provider signs and verifies. This file reads and writes what follows the algorithm's name in a blob.

use ssh_key::Mpint;
use ssh_key::private::{KeypairData, RsaKeypair};
use zeroize::Zeroizing;

use super::error::{BadSignature, KeyError, SignFailed};
use super::remainder::remainder;
use crate::crypto::provider::rand::SystemRandom;
use crate::crypto::provider::rsa::{KeyPairComponents, PublicKeyComponents};
use crate::crypto::provider::signature::{self, RsaKeyPair};
use crate::crypto::string;

/// The type of the keys. The signature algorithm of this name uses SHA-1, so we do not have it.
pub(super) const NAME: &str = "ssh-rsa";
/// The signature with SHA-512. RFC 8332 §3.
pub(super) const SHA_512: &str = "rsa-sha2-512";
/// The signature with SHA-256. RFC 8332 §3.
pub(super) const SHA_256: &str = "rsa-sha2-256";

/// The sizes of keys that are accepted, in bits. Shorter ones are weak, longer ones cost too much: CVE-2026-39829.
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The largest public exponent has 33 bits.
const EXPONENT_LEN: usize = 5;

/// The public half: both numbers in big-endian digits without leading zeros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RsaPublic {
    exponent: Box<[u8]>,
    modulus: Box<[u8]>,
}

impl RsaPublic {
    /// Reads what follows the name in a key blob: `mpint` e, `mpint` n. RFC 4253 §6.6.
    ///
    /// # Errors
    /// [`KeyError::Truncated`], [`KeyError::Malformed`] or [`KeyError::RsaSize`].
    pub(super) fn read(mut fields: &[u8]) -> Result<RsaPublic, KeyError> {
        let exponent = string::take(&mut fields).ok_or(KeyError::Truncated)?;
        let modulus = string::take(&mut fields).ok_or(KeyError::Truncated)?;
        if !fields.is_empty() {
            return Err(KeyError::Malformed("bytes follow the key".into()));
        }
        let positive = |number| digits(number).ok_or_else(|| KeyError::Malformed("not a positive number".into()));
        RsaPublic::new(positive(exponent)?, positive(modulus)?)
    }

    /// # Errors
    /// [`KeyError::RsaSize`], or [`KeyError::Malformed`] for numbers that no key has.
    fn new(exponent: &[u8], modulus: &[u8]) -> Result<RsaPublic, KeyError> {
        let bits = bits(modulus);
        if !BITS.contains(&bits) {
            return Err(KeyError::RsaSize(bits));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        let small = exponent.len() < EXPONENT_LEN || (exponent.len() == EXPONENT_LEN && exponent.first() == Some(&1));
        if !odd(exponent) || !odd(modulus) || !small || exponent == [1] {
            return Err(KeyError::Malformed("its numbers are not those of an RSA key".into()));
        }
        Ok(RsaPublic { exponent: exponent.into(), modulus: modulus.into() })
    }

    /// Appends what follows the name in a key blob.
    pub(super) fn write(&self, blob: &mut Vec<u8>) {
        for number in [&self.exponent, &self.modulus] {
            let (sign, digits) = string::mpint(number);
            string::put(blob, &[sign, digits].concat());
        }
    }

    /// Verifies a signature over `data` with one of the two algorithms. RFC 8332 §3.
    ///
    /// # Errors
    /// The algorithm is another, the signature is longer than the modulus, or it is another key's.
    pub(super) fn verify(&self, algorithm: &[u8], data: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let parameters = match algorithm {
            _ if algorithm == SHA_512.as_bytes() => &signature::RSA_PKCS1_2048_8192_SHA512,
            _ if algorithm == SHA_256.as_bytes() => &signature::RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(BadSignature),
        };
        // As in OpenSSH: some signers leave leading zeros out.
        let zeros = self.modulus.len().checked_sub(signature.len()).ok_or(BadSignature)?;
        let padded = [&vec![0; zeros], signature].concat();
        let key = PublicKeyComponents { n: &*self.modulus, e: &*self.exponent };
        key.verify(parameters, data, &padded).map_err(|_| BadSignature)
    }
}

/// The digits of an `mpint` without its sign byte. `None` if it is not positive or has unnecessary zeros. RFC 4251 §5.
fn digits(number: &[u8]) -> Option<&[u8]> {
    match number {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Some(rest),
        [1..=0x7f, ..] => Some(number),
        _ => None,
    }
}

/// The bits of a number without leading zeros.
fn bits(digits: &[u8]) -> usize {
    let first = digits.first().map_or(0, |first| first.leading_zeros());
    (digits.len() * 8).saturating_sub(usize::try_from(first).unwrap_or_default())
}

/// The secret half, wiped when dropped.
pub(super) struct RsaSecret {
    /// The key that signs.
    pair: Box<RsaKeyPair>,
    /// Both halves, for the key file.
    halves: RsaKeypair,
}

impl RsaSecret {
    /// The key of a private key file.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`], [`KeyError::Malformed`] or [`KeyError::Mismatched`], the last also for a size or an
    /// exponent that the provider does not sign with: `ring` takes 2048 to 4096 bits and exponents from 65537 on.
    pub(super) fn from_file(halves: &RsaKeypair) -> Result<RsaSecret, KeyError> {
        let damaged = || KeyError::Malformed("not a positive number".into());
        let number = |number: &Mpint| Ok(Zeroizing::new(number.as_positive_bytes().ok_or_else(damaged)?.to_vec()));
        let private = halves.private();
        let (n, e, d) = (number(halves.public().n())?, number(halves.public().e())?, number(private.d())?);
        let (p, q, inverse) = (number(private.p())?, number(private.q())?, number(private.iqmp())?);
        RsaPublic::new(&e, &n)?;
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: n.as_slice(), e: e.as_slice() },
            d: d.as_slice(),
            p: p.as_slice(),
            q: q.as_slice(),
            dP: &remainder(&d, &p)?,
            dQ: &remainder(&d, &q)?,
            qInv: inverse.as_slice(),
        };
        let pair = RsaKeyPair::from_components(&components).map_err(|_| KeyError::Mismatched)?;
        let secret = RsaSecret { pair: Box::new(pair), halves: halves.clone() };
        // One provider does not check the private exponent. A trial signature finds a wrong one now instead of at the
        // first login.
        secret.sign(SHA_256, b"", &mut Vec::new()).map_err(|_| KeyError::Mismatched)?;
        Ok(secret)
    }

    /// The public half.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::RsaSize`]. Neither can happen with a key that was read.
    pub(super) fn public(&self) -> Result<RsaPublic, KeyError> {
        let number = |number: &Mpint| number.as_positive_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        RsaPublic::new(&number(self.halves.public().e()), &number(self.halves.public().n()))
    }

    /// Both halves as `ssh-key` writes them to a file.
    pub(super) fn keypair_data(&self) -> KeypairData {
        KeypairData::Rsa(self.halves.clone())
    }

    /// Appends the signature over `data`: the second `string` of RFC 8332 §3. The signature is verified first, because
    /// one that is wrong by a fault of the processor or the memory reveals the key. Verifying takes a fiftieth of the
    /// time of signing. K33.
    ///
    /// # Errors
    /// The algorithm is not one of the two, the provider could not sign, or the signature is wrong.
    pub(super) fn sign(&self, algorithm: &str, data: &[u8], blob: &mut Vec<u8>) -> Result<(), SignFailed> {
        let padding = match algorithm {
            SHA_512 => &signature::RSA_PKCS1_SHA512,
            SHA_256 => &signature::RSA_PKCS1_SHA256,
            _ => return Err(SignFailed),
        };
        let length = self.halves.public().n().as_positive_bytes().map_or(0, <[u8]>::len);
        let mut signature = vec![0; length];
        self.pair.sign(padding, &SystemRandom::new(), data, &mut signature).map_err(|_| SignFailed)?;
        let public = self.public().map_err(|_| SignFailed)?;
        public.verify(algorithm.as_bytes(), data, &signature).map_err(|_| SignFailed)?;
        string::put(blob, &signature);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(text: &str) -> RsaKeypair {
        let key = ssh_key::PrivateKey::from_openssh(text).unwrap();
        key.key_data().rsa().unwrap().clone()
    }

    /// K33: a signature that is not right is never handed out. A fault cannot be injected into the provider, so another
    /// key stands for it.
    #[test]
    fn a_wrong_signature_is_not_handed_out() {
        let own = halves(include_str!("host/fixtures/rsa_3072.key"));
        let other = halves(include_str!("host/fixtures/rsa_3072_other.key"));
        let faulty = RsaSecret { pair: RsaSecret::from_file(&own).unwrap().pair, halves: other };
        let mut blob = Vec::new();
        for algorithm in [SHA_512, SHA_256] {
            assert_eq!(faulty.sign(algorithm, b"exchange hash", &mut blob), Err(SignFailed));
        }
        assert!(blob.is_empty());
        assert_eq!(RsaSecret::from_file(&own).unwrap().sign(SHA_512, b"exchange hash", &mut blob), Ok(()));
    }
}
