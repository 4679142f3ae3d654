//! The running digest of a recording, and the records of it within the recording.
//!
//! The digest of a recording is the BLAKE3 or the SHA-256 of the bytes of its file so far, so that `b3sum` or
//! `sha256sum` shows what the audit has: `head -c BYTES FILE | b3sum`. The header names the hash. A record within the
//! file says what the digest of everything before the record is. The last one closes the recording.
//!
//! A record is an event of the code `h`, which players ignore: the format leaves all codes but a few to others. Its
//! data is a text of JSON: `{"bytes": …, "blake3": …, "hmac": …, "end": {…}}`, or with `sha256`.
//!
//! Decided 2026-11-30: BLAKE3, unless the configuration names SHA-256. It hashes 100 MB in 13 ms of processor time with
//! AVX-512, and SHA-256 takes 55 with the instructions for it, half of what a recording of much output costs: one
//! stream of SHA-256 takes two cycles a byte. SHA-256 stays for those whose rules name FIPS 180-4. A seal is an HMAC of
//! the digest in both cases. Refused: BLAKE3 with a key, since the file alone would then show no damage, nor `b3sum`
//! what the audit has. Refused: SHA-256 of pieces that are hashed side by side, which no other program shows.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::RecordingHash;
use crate::observe::hex::{hex, unhex};

/// What is sealed, so that the key cannot be used for anything else: a domain for each hash.
fn domain(hash: RecordingHash) -> &'static [u8] {
    match hash {
        RecordingHash::Sha256 => b"whelk recording 1\0",
        RecordingHash::Blake3 => b"whelk recording 1 blake3\0",
    }
}

/// The event code of the records.
pub(super) const CODE: &str = "h";

/// A key by which only whoever has it can make a recording that is valid.
pub(crate) struct RecordingKey(Zeroizing<[u8; 32]>);

/// A record of the digest.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DigestRecord {
    /// How many bytes of the file are before this line.
    pub(super) bytes: u64,
    /// Their BLAKE3 in hexadecimal ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) blake3: Option<String>,
    /// ... or their SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    /// HMAC-SHA-256 of the [`domain`], of the number of bytes (64 bits, big endian) and of the digest, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hmac: Option<String>,
    /// The recording ends here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<RecordingEnd>,
}

/// How a recording ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordingEnd {
    /// What the client was told of the session's end: `status 0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<String>,
    /// How many bytes of output were left out.
    pub(super) lost: u64,
    /// Why the recording ended before the session, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl RecordingKey {
    pub(crate) fn new(key: [u8; 32]) -> RecordingKey {
        RecordingKey(Zeroizing::new(key))
    }

    fn seal(&self, hash: RecordingHash, bytes: u64, digest: &[u8]) -> Hmac<Sha256> {
        let mut seal = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        seal.update(domain(hash));
        seal.update(&bytes.to_be_bytes());
        seal.update(digest);
        seal
    }

    /// Whether this is the seal of what has this digest.
    pub(super) fn has_sealed(&self, digest: &RunningDigest, seal: &str) -> bool {
        let made = self.seal(digest.hash(), digest.bytes, &digest.value());
        unhex(seal).is_some_and(|seal| made.verify_slice(&seal).is_ok())
    }
}

/// The digest of what was written so far.
#[derive(Clone)]
pub(super) struct RunningDigest {
    state: DigestState,
    bytes: u64,
}

#[derive(Clone)]
enum DigestState {
    /// Boxed, for it has 2 KiB.
    Blake3(Box<blake3::Hasher>),
    Sha256(Sha256),
}

impl RunningDigest {
    /// That of nothing.
    pub(super) fn new(hash: RecordingHash) -> RunningDigest {
        let state = match hash {
            RecordingHash::Blake3 => DigestState::Blake3(Box::default()),
            RecordingHash::Sha256 => DigestState::Sha256(Sha256::default()),
        };
        RunningDigest { state, bytes: 0 }
    }

    /// Adds these bytes. BLAKE3 hashes 16 KiB and more at a time several times as fast.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            DigestState::Blake3(state) => _ = state.update(bytes),
            DigestState::Sha256(state) => state.update(bytes),
        }
        self.bytes += bytes.len() as u64;
    }

    /// What it is made with.
    pub(super) fn hash(&self) -> RecordingHash {
        match self.state {
            DigestState::Blake3(_) => RecordingHash::Blake3,
            DigestState::Sha256(_) => RecordingHash::Sha256,
        }
    }

    /// How many bytes there were.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Their digest.
    fn value(&self) -> [u8; 32] {
        match &self.state {
            DigestState::Blake3(state) => state.finalize().into(),
            DigestState::Sha256(state) => state.clone().finalize().into(),
        }
    }

    /// The same in hexadecimal.
    pub(super) fn hex(&self) -> String {
        hex(&self.value())
    }

    /// The record that follows these bytes.
    pub(super) fn record(&self, key: Option<&RecordingKey>, end: Option<RecordingEnd>) -> DigestRecord {
        let (hash, bytes, digest) = (self.hash(), self.bytes, self.value());
        let of = |named| (hash == named).then(|| hex(&digest));
        let (blake3, sha256) = (of(RecordingHash::Blake3), of(RecordingHash::Sha256));
        let hmac = key.map(|key| hex(&key.seal(hash, bytes, &digest).finalize().into_bytes()));
        DigestRecord { bytes, blake3, sha256, hmac, end }
    }

    /// Whether this is the record of these bytes, whatever its seal is.
    pub(super) fn fits(&self, record: &DigestRecord) -> bool {
        let digest = match self.hash() {
            RecordingHash::Blake3 => &record.blake3,
            RecordingHash::Sha256 => &record.sha256,
        };
        record.bytes == self.bytes && digest.as_ref() == Some(&self.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has this digest: the given pieces.
    fn digest(hash: RecordingHash, pieces: &[&[u8]]) -> RunningDigest {
        let mut digest = RunningDigest::new(hash);
        pieces.iter().for_each(|piece| digest.update(piece));
        digest
    }

    #[test]
    fn a_record_has_the_digest_of_what_precedes_it_and_a_seal_that_needs_the_key() {
        for (hash, expected) in [
            // FIPS 180-4, appendix B.1.
            (RecordingHash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            // What b3sum 1.8 shows.
            (RecordingHash::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ] {
            let abc = digest(hash, &[b"ab", b"c"]);
            assert_eq!((abc.hex().as_str(), abc.bytes()), (expected, 3));
            let (key, other) = (RecordingKey::new([1; 32]), RecordingKey::new([2; 32]));
            let record = abc.record(Some(&key), None);
            let seal = record.hmac.clone().unwrap();
            assert!(key.has_sealed(&abc, &seal) && !other.has_sealed(&abc, &seal));
            assert!(!key.has_sealed(&abc, "xy") && !key.has_sealed(&digest(hash, &[b"abd"]), &seal));
            let longer = RunningDigest { bytes: 4, ..abc.clone() };
            assert!(!key.has_sealed(&longer, &seal) && !longer.fits(&record) && abc.fits(&record));
            let text = serde_json::to_string(&record).unwrap();
            assert!(text.contains(&format!("\"{}\":\"{expected}\"", hash.name())));
            assert_eq!(serde_json::from_str::<DigestRecord>(&text).unwrap(), record);
            assert_eq!(abc.record(None, None).hmac, None);
        }
    }

    #[test]
    fn a_digest_of_one_hash_is_none_of_the_other() {
        let key = RecordingKey::new([1; 32]);
        let of = |hash| digest(hash, &[b"abc"]);
        let (blake3, sha256) = (of(RecordingHash::Blake3), of(RecordingHash::Sha256));
        for (one, other) in [(&blake3, &sha256), (&sha256, &blake3)] {
            let mut record = one.record(Some(&key), None);
            assert!(one.fits(&record) && !other.fits(&record));
            // The right value by the wrong name.
            std::mem::swap(&mut record.blake3, &mut record.sha256);
            assert!(!one.fits(&record) && !other.fits(&record));
        }
        // The same bytes under the two domains.
        let seal = |hash| hex(&key.seal(hash, 3, &[7; 32]).finalize().into_bytes());
        assert_ne!(seal(RecordingHash::Blake3), seal(RecordingHash::Sha256));
    }
}
