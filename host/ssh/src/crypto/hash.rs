//! The exchange hash and what is derived from it: RFC 4253 §7.2 and §8.
//!
//! SHA-256 throughout, as both offered agreements ask. The hash is opaque to callers, so that an agreement with
//! another one can come without touching them. What goes into a [`Transcript`], and in which order, is said by the
//! key exchange and not here.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::agreement::SharedSecret;
use super::string;

/// H, the hash over a key exchange. That of the first exchange is also the session identifier (RFC 4253 §7.2).
#[derive(Clone)]
pub struct ExchangeHash([u8; 32]);

impl AsRef<[u8]> for ExchangeHash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for ExchangeHash {
    /// In constant time.
    fn eq(&self, other: &ExchangeHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ExchangeHash {}

impl fmt::Debug for ExchangeHash {
    /// Not the bytes: a session identifier in a log lets nobody in, but belongs in none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangeHash(..)")
    }
}

/// What is hashed of a key exchange, as it comes.
#[derive(Clone)]
pub struct Transcript(Sha256);

impl Transcript {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> Transcript {
        Transcript(Sha256::new())
    }

    /// Hashes `bytes` as a `string`, with their length before them (RFC 4251 §5).
    pub fn string(&mut self, bytes: &[u8]) {
        self.0.update(string::length(bytes));
        self.0.update(bytes);
    }

    /// Hashes `bytes` that carry their length already, or need none: [`SharedSecret::encoded`].
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash over all that was given.
    #[must_use]
    pub fn finish(self) -> ExchangeHash {
        ExchangeHash(self.0.finalize().into())
    }
}

impl Default for Transcript {
    fn default() -> Transcript {
        Transcript::new()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transcript(..)")
    }
}

/// Derives `len` bytes of key, IV or MAC key. RFC 4253 §7.2.
///
/// `letter` says which: `A` and `B` are the IVs from client to server and back, `C` and `D` the cipher keys, `E`
/// and `F` the MAC keys. The first block is `HASH(K || H || letter || session_id)`, each further one
/// `HASH(K || H || all blocks before it)`.
#[must_use]
pub fn derive(
    secret: &SharedSecret,
    hash: &ExchangeHash,
    session_id: &ExchangeHash,
    letter: u8,
    len: usize,
) -> Zeroizing<Vec<u8>> {
    let mut start = Sha256::new();
    start.update(secret.encoded());
    start.update(hash);

    // Room for whole blocks from the start: a vector that grows leaves key bytes behind where it was.
    let mut key = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(32)));
    let mut next = start.clone().chain_update([letter]).chain_update(session_id);
    while key.len() < len {
        let mut block = next.finalize();
        key.extend_from_slice(&block);
        block.as_mut_slice().zeroize();
        next = start.clone().chain_update(key.as_slice());
    }
    key.truncate(len);
    key
}

#[cfg(test)]
mod tests {
    use super::super::hex::hex;
    use super::*;

    /// K, H and the session identifier of one case of NIST's CAVP vectors for SSH (SP 800-135 §5.2, SHA-256).
    fn published() -> (SharedSecret, ExchangeHash, ExchangeHash) {
        let secret = "00000081008fa89f9f89a2a2417a9461451a4b97343afd46552a8700e588638b0ef0ae568ffbaee2727ae3ae96271aa\
                      33b8439c1a4bad313ea42605ae0902817d91577b6a3c72fc576ee29544c1d6323bad205317d2265c533d82ed27a2dea\
                      64a8545c64e9772e81ce1cbfe265a51acfae74b72d5365366263541e50a567c3ffa594eac071";
        let hash = hex("4d071ee398757c548fa72f77ed94d5b158a311d3655bb7a6e324c4e2a26be84f");
        let session_id = hex("d1d34becf667002ace16be10726cab3c7d18ce7414759f62a83cb4cfaaed77f4");
        let secret = SharedSecret::of_test_vector(&hex(secret));
        (secret, ExchangeHash(hash.try_into().unwrap()), ExchangeHash(session_id.try_into().unwrap()))
    }

    #[test]
    fn keys_are_derived_as_nist_publishes() {
        let (secret, hash, session_id) = published();
        for (letter, expected) in [
            (b'A', "fad800cbf8975a01"),
            (b'B', "679a118bda1f15a9"),
            (b'C', "5193e9b3b10b7939b79b967b98e6cf3396758eaf8263edf2"),
            (b'D', "3f5de8bec6d737836d3a91480ac76c19d0a90bc146f02d5c"),
            (b'E', "ce7be4fffd0ffd09ff45889d10c7be0edf922422d01cb71b737c6149bb1a2d05"),
            (b'F', "60f413c9bcc42dcf0acc53d513dd8bc703f7e5d668f4e043f13028dcf40880b2"),
        ] {
            let expected = hex(expected);
            assert_eq!(*derive(&secret, &hash, &session_id, letter, expected.len()), expected);
        }
    }

    #[test]
    fn a_key_longer_than_the_hash_goes_on_with_hashes_of_what_came_before() {
        let (secret, hash, session_id) = published();
        let key = derive(&secret, &hash, &session_id, b'C', 80);
        let again = |so_far: &[u8]| {
            Sha256::new().chain_update(secret.encoded()).chain_update(&hash).chain_update(so_far).finalize()
        };
        assert_eq!(key.len(), 80);
        assert_eq!(key[..32], *derive(&secret, &hash, &session_id, b'C', 32));
        assert_eq!(key[32..64], again(&key[..32])[..]);
        assert_eq!(key[64..], again(&key[..64])[..16]);
    }

    #[test]
    fn no_bytes_are_derived_when_none_are_wanted() {
        let (secret, hash, session_id) = published();
        assert!(derive(&secret, &hash, &session_id, b'A', 0).is_empty());
    }

    #[test]
    fn a_string_is_hashed_with_its_length_and_raw_bytes_without() {
        let mut transcript = Transcript::new();
        transcript.string(b"abc");
        transcript.raw(b"def");
        assert_eq!(transcript.finish().as_ref(), &Sha256::digest(b"\0\0\0\x03abcdef")[..]);
    }

    #[test]
    fn exchange_hashes_are_equal_when_their_bytes_are() {
        let mut other = Transcript::new();
        other.raw(b"x");
        assert_eq!(Transcript::new().finish(), Transcript::new().finish());
        assert_ne!(Transcript::new().finish(), other.finish());
    }
}
