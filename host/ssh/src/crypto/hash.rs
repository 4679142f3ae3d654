//! The exchange hash and the keys derived from it: RFC 4253 §7.2 and §8.
//!
//! Each key exchange method names its hash function: see [`Agreement::hash`](super::agreement::Agreement::hash). The
//! key exchange decides what goes into a [`Transcript`] and in which order.

use std::fmt;

use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::secret::SharedSecret;
use super::string;

/// The hash functions of the key exchange methods, by the size of their output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashFunction {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

/// A hash function and its running state.
#[derive(Clone)]
enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    fn new(function: HashFunction) -> Hasher {
        match function {
            HashFunction::Sha256 => Hasher::Sha256(Sha256::new()),
            HashFunction::Sha384 => Hasher::Sha384(Sha384::new()),
            HashFunction::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: impl AsRef<[u8]>) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha384(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Appends the hash to `to`, which must have room for it: a vector that grows leaves a copy of its bytes behind.
    fn finish(self, to: &mut Vec<u8>) {
        fn append(mut hash: impl AsMut<[u8]>, to: &mut Vec<u8>) {
            to.extend_from_slice(hash.as_mut());
            hash.as_mut().zeroize();
        }
        match self {
            Hasher::Sha256(hasher) => append(hasher.finalize(), to),
            Hasher::Sha384(hasher) => append(hasher.finalize(), to),
            Hasher::Sha512(hasher) => append(hasher.finalize(), to),
        }
    }
}

/// Bytes of the longest hash.
const LONGEST: usize = 64;

/// H, the exchange hash, of 32, 48 or 64 bytes. That of the first exchange is also the session identifier (RFC 4253
/// §7.2), which stays the same when later exchanges use another hash function.
#[derive(Clone)]
pub struct ExchangeHash(Box<[u8]>);

impl AsRef<[u8]> for ExchangeHash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for ExchangeHash {
    /// Compares in constant time.
    fn eq(&self, other: &ExchangeHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ExchangeHash {}

impl fmt::Debug for ExchangeHash {
    /// Prints no bytes: a session identifier in a log is harmless but does not belong there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangeHash(..)")
    }
}

/// The input of the exchange hash, hashed as it is added.
#[derive(Clone)]
pub struct Transcript(Hasher);

impl Transcript {
    /// An empty transcript.
    #[must_use]
    pub fn new(function: HashFunction) -> Transcript {
        Transcript(Hasher::new(function))
    }

    /// Hashes `bytes` as a `string`, preceded by their length (RFC 4251 §5).
    pub fn string(&mut self, bytes: &[u8]) {
        self.0.update(string::length(bytes));
        self.0.update(bytes);
    }

    /// Hashes `bytes` that include their length already, or need none: [`SharedSecret::encoded`].
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything added.
    #[must_use]
    pub fn finish(self) -> ExchangeHash {
        let mut hash = Vec::with_capacity(LONGEST);
        self.0.finish(&mut hash);
        ExchangeHash(hash.into())
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transcript(..)")
    }
}

/// Derives `len` bytes of key, IV or MAC key with the hash function of this key exchange. RFC 4253 §7.2.
///
/// `letter` selects: `A` and `B` are the IVs from client to server and back, `C` and `D` the cipher keys, `E` and `F`
/// the MAC keys. The first block is `HASH(K || H || letter || session_id)`, each further one
/// `HASH(K || H || all blocks before it)`.
#[must_use]
pub fn derive(
    function: HashFunction,
    secret: &SharedSecret,
    hash: &ExchangeHash,
    session_id: &ExchangeHash,
    letter: u8,
    len: usize,
) -> Zeroizing<Vec<u8>> {
    if len == 0 {
        // The IV and the MAC key of a cipher that has none.
        return Zeroizing::default();
    }
    let mut start = Hasher::new(function);
    start.update(secret.encoded());
    start.update(hash);

    // Reserves room for the last block, whose end is cut off: a vector that grows leaves key bytes behind.
    let mut key = Zeroizing::new(Vec::with_capacity(len + LONGEST));
    let mut next = start.clone();
    next.update([letter]);
    next.update(session_id);
    while key.len() < len {
        next.finish(&mut key);
        next = start.clone();
        next.update(key.as_slice());
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
        (secret, ExchangeHash(hash.into()), ExchangeHash(session_id.into()))
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
            assert_eq!(*derive(HashFunction::Sha256, &secret, &hash, &session_id, letter, expected.len()), expected);
        }
    }

    #[test]
    fn a_key_longer_than_the_hash_continues_as_in_the_rfc() {
        let (secret, hash, session_id) = published();
        let key = derive(HashFunction::Sha256, &secret, &hash, &session_id, b'C', 80);
        let again = |so_far: &[u8]| {
            Sha256::new().chain_update(secret.encoded()).chain_update(&hash).chain_update(so_far).finalize()
        };
        assert_eq!(key.len(), 80);
        assert_eq!(key[..32], *derive(HashFunction::Sha256, &secret, &hash, &session_id, b'C', 32));
        assert_eq!(key[32..64], again(&key[..32])[..]);
        assert_eq!(key[64..], again(&key[..64])[..16]);
    }

    /// Computed by Python's hashlib after RFC 4253 §7.2, with a session identifier of 32 bytes: a connection may begin
    /// with one hash function and change keys with another.
    #[test]
    fn longer_hashes_derive_keys_in_longer_blocks() {
        let (secret, _, session_id) = published();
        for (function, len, expected) in [
            (
                HashFunction::Sha384,
                48,
                "b0c51778d613cb58ecf546b6d1488a3ff7c78b09b6e2bbe855f764977799952d69e7e2b9ca5be2c0\
                  5cc5735c74efa41355be102863cb32c0b200b564048ff21f8d14b30a5e746875c29663134bd63d52",
            ),
            (
                HashFunction::Sha512,
                64,
                "ff8ead1fca2386a3bbc3eec0049dc2ce28545000e82920f0f3aecdd09b16ffc71947330dfab5792e\
                  7bf82a74973adfe603664782ed10785818dbc141819d64defc21bedf65ff90fd30ad51ada620e51e",
            ),
        ] {
            let mut transcript = Transcript::new(function);
            transcript.string(b"abc");
            let hash = transcript.finish();
            assert_eq!(hash.as_ref().len(), len);
            assert_eq!(*derive(function, &secret, &hash, &session_id, b'C', 80), hex(expected));
        }
    }

    #[test]
    fn no_bytes_are_derived_when_none_are_wanted() {
        let (secret, hash, session_id) = published();
        assert!(derive(HashFunction::Sha256, &secret, &hash, &session_id, b'A', 0).is_empty());
    }

    #[test]
    fn a_string_is_hashed_with_its_length_and_raw_bytes_without() {
        let mut transcript = Transcript::new(HashFunction::Sha256);
        transcript.string(b"abc");
        transcript.raw(b"def");
        assert_eq!(transcript.finish().as_ref(), &Sha256::digest(b"\0\0\0\x03abcdef")[..]);
    }

    #[test]
    fn exchange_hashes_are_equal_when_their_bytes_are() {
        let mut other = Transcript::new(HashFunction::Sha256);
        other.raw(b"x");
        assert_eq!(Transcript::new(HashFunction::Sha256).finish(), Transcript::new(HashFunction::Sha256).finish());
        assert_ne!(Transcript::new(HashFunction::Sha256).finish(), other.finish());
    }
}
