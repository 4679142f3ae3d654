//! The secret by which names are spread over delays and decoys.

use sha2::{Digest, Sha256};

/// A secret that is the same in every process with the same host keys, as sshd's: a name must show the same delay and
/// the same cost after a restart, and in the processes of `whelk serve --stdio`. Otherwise those of unknown names would
/// change, and those of known names would not.
#[derive(Clone)]
pub struct TimingSecret([u8; 32]);

impl TimingSecret {
    /// From bytes that only this server knows.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> TimingSecret {
        TimingSecret(secret)
    }

    /// A number that nobody else can know, for a name and a purpose. Below `below`, which is not 0.
    pub(super) fn number(&self, purpose: &str, name: &[u8], below: u64) -> u64 {
        let digest = Sha256::new().chain_update(self.0).chain_update(purpose).chain_update([0]).chain_update(name);
        let digest = digest.finalize();
        let number = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        number.checked_rem(below).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_depends_on_secret_purpose_and_name_alone() {
        let (one, other) = (TimingSecret::new([1; 32]), TimingSecret::new([2; 32]));
        let number = |secret: &TimingSecret, purpose, name: &[u8]| secret.number(purpose, name, 1 << 60);
        assert_eq!(number(&one, "delay", b"alice"), number(&one.clone(), "delay", b"alice"));
        for differs in
            [number(&other, "delay", b"alice"), number(&one, "decoy", b"alice"), number(&one, "delay", b"bob")]
        {
            assert_ne!(number(&one, "delay", b"alice"), differs);
        }
        assert!((0..100_u8).all(|name| one.number("delay", &[name], 7) < 7));
        assert_eq!(one.number("delay", b"alice", 0), 0);
    }
}
