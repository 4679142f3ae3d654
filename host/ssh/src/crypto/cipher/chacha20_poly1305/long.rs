//! Long packets, from the crates `chacha20` and `poly1305`: their ChaCha20 for AVX-512 is twice as fast as that of the
//! providers, which have none.
//!
//! 2026-11-30, CPU time for a packet on a Zen 5 core, medians of 31 alternating rounds:
//!
//! | | 64 bytes | 1 KiB | 32 KiB |
//! |---|---|---|---|
//! | aws-lc-rs 1.19, seal / open | 0.33 / 0.26 us | 0.80 / 0.73 us | 17.9 / 18.0 us (1.83 GB/s) |
//! | ring 0.17.14, seal / open | 0.30 / 0.22 us | 0.88 / 0.80 us | 21.8 / 22.0 us |
//! | these crates with AVX-512, seal / open | 2.47 / 1.99 us | 2.38 / 1.87 us | 13.4 / 13.3 us (2.45 GB/s) |
//! | these crates without, seal / open | 1.42 / 1.29 us | 2.11 / 1.98 us | 27.4 / 27.8 us |
//! | `c2-chacha` 0.3 and `poly1305`, seal | 1.39 us | 2.10 us | 28.0 us |
//! | ChaCha20 alone: aws-lc / `chacha20` with AVX-512 | 0.07 / 0.50 us | 0.31 / 0.17 us | 9.9 / 4.8 us |
//! | Poly1305 alone: aws-lc / `poly1305` | 0.08 / 0.97 us | 0.31 / 1.17 us | 7.6 / 7.5 us |
//!
//! Chosen: these crates for packets of [`LEAST`] bytes and more, where the processor has AVX-512 and the build has
//! `--cfg chacha20_avx512`, which `chacha20` 0.10 requires and `.cargo/config.toml` gives (RUSTFLAGS in the environment
//! replace it); the provider for everything else. Refused:
//! working through a packet in pieces of 1, 2 or 4 KiB, ChaCha20 and Poly1305 in turn (no difference: a packet stays in
//! the cache); `graviola` 0.4 and the RFC 8439 construction of the providers (the tag of OpenSSH's construction cannot
//! be had from them); the functions of AWS-LC behind the provider, called one by one (as slow as the provider, and
//! unsafe); `chacha20-blake3` (its ChaCha20 is private); `ic-cipher` (AGPL).

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use poly1305::universal_hash::{KeyInit, UniversalHash};
use poly1305::{Block, Poly1305};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::error::{Exhausted, Forged};
use super::super::frame::{LENGTH_LEN, TAG_LEN};

/// Packets of this many bytes and more are long: from here on the AVX-512 code makes up for what it needs to begin.
pub(super) const LEAST: usize = 12 << 10;

/// Bytes of each of the two keys.
const KEY_LEN: usize = 32;

/// The two keys of one direction.
pub(super) struct LongPacketKey {
    /// Encrypts all but the length, and gives each packet its key for Poly1305.
    main: Zeroizing<[u8; KEY_LEN]>,
    /// Encrypts the length.
    header: Zeroizing<[u8; KEY_LEN]>,
}

impl LongPacketKey {
    /// The key for long packets, if this code is faster than the provider's in this build and on this processor.
    pub(super) fn if_faster(key: &[u8; 2 * KEY_LEN]) -> Option<LongPacketKey> {
        has_avx512().then(|| LongPacketKey::new(key))
    }

    pub(super) fn new(key: &[u8; 2 * KEY_LEN]) -> LongPacketKey {
        let mut parts = LongPacketKey { main: Zeroizing::new([0; KEY_LEN]), header: Zeroizing::new([0; KEY_LEN]) };
        for (part, from) in [&mut parts.main, &mut parts.header].into_iter().zip(key.chunks_exact(KEY_LEN)) {
            part.copy_from_slice(from);
        }
        parts
    }

    /// Seals `frame` in place and writes its tag.
    pub(super) fn seal(&self, sequence: u32, frame: &mut [u8], tag: &mut [u8; TAG_LEN]) -> Result<(), Exhausted> {
        let (length, body) = frame.split_first_chunk_mut::<LENGTH_LEN>().ok_or(Exhausted)?;
        stream(&self.header, sequence).try_apply_keystream(length).map_err(|_| Exhausted)?;
        let (mut main, mac) = self.begin(sequence).ok_or(Exhausted)?;
        main.try_apply_keystream(body).map_err(|_| Exhausted)?;
        *tag = tag_of(mac, frame);
        Ok(())
    }

    /// Opens `frame` in place, all but the length.
    pub(super) fn open(&self, sequence: u32, frame: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), Forged> {
        let (mut main, mac) = self.begin(sequence).ok_or(Forged)?;
        let is_right: bool = tag_of(mac, frame).ct_eq(tag).into();
        if !is_right {
            return Err(Forged);
        }
        main.try_apply_keystream(frame.get_mut(LENGTH_LEN..).ok_or(Forged)?).map_err(|_| Forged)
    }

    /// The key stream of a packet from its second block on, and the MAC whose key is in the first.
    fn begin(&self, sequence: u32) -> Option<(ChaCha20, Poly1305)> {
        let mut main = stream(&self.main, sequence);
        let mut first = Zeroizing::new([0; 64]);
        main.try_apply_keystream(first.as_mut_slice()).ok()?;
        let mac = Poly1305::new(first.first_chunk::<KEY_LEN>()?.into());
        Some((main, mac))
    }
}

/// The key stream whose nonce is the sequence number, in 64 bits.
fn stream(key: &[u8; KEY_LEN], sequence: u32) -> ChaCha20 {
    let [a, b, c, d] = sequence.to_be_bytes();
    ChaCha20::new(key.into(), &[0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d].into())
}

/// The tag of a packet, which is not padded for it.
fn tag_of(mut mac: Poly1305, packet: &[u8]) -> [u8; TAG_LEN] {
    let (blocks, rest) = Block::slice_as_chunks(packet);
    mac.update(blocks);
    mac.compute_unpadded(rest).into()
}

/// Whether `chacha20` uses AVX-512: as it decides itself.
#[cfg(all(chacha20_avx512, target_arch = "x86_64"))]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl")
}

/// Without its option, `chacha20` has no code for AVX-512.
#[cfg(not(all(chacha20_avx512, target_arch = "x86_64")))]
fn has_avx512() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::provider::aead::chacha20_poly1305_openssh as provider;

    /// A packet sealed by the provider.
    fn sealed_by_provider(key: &[u8; 64], sequence: u32, frame: &[u8]) -> (Vec<u8>, [u8; TAG_LEN]) {
        let (mut packet, mut tag) = (frame.to_vec(), [0; TAG_LEN]);
        provider::SealingKey::new(key).seal_in_place(sequence, &mut packet, &mut tag);
        (packet, tag)
    }

    fn agrees_with_the_provider(key: &[u8; 64], sequence: u32, frame: &[u8]) {
        let expected = sealed_by_provider(key, sequence, frame);
        let (long, mut packet, mut tag) = (LongPacketKey::new(key), frame.to_vec(), [0; TAG_LEN]);
        long.seal(sequence, &mut packet, &mut tag).unwrap();
        assert_eq!((&packet, tag), (&expected.0, expected.1), "{} bytes", frame.len());
        assert_eq!(long.open(sequence, &mut packet, &tag), Ok(()), "{} bytes", frame.len());
        // The length stays as it came.
        assert_eq!((&packet[..4], &packet[4..]), (&expected.0[..4], &frame[4..]), "{} bytes", frame.len());
    }

    #[test]
    fn packets_of_all_short_lengths_and_around_every_whole_block_are_those_of_the_provider() {
        let key: Vec<u8> = (1..=64).collect();
        let key: [u8; 64] = key.try_into().unwrap();
        // No two blocks of a packet are alike.
        let bytes: Vec<u8> = (0..=250).cycle().take(40_000).collect();
        let around = [LEAST, 32 << 10].into_iter().flat_map(|middle| middle - 70..middle + 70);
        for len in (4..2200).chain(around) {
            agrees_with_the_provider(&key, 77, &bytes[..len]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn random_packets_are_those_of_the_provider(
            key: [[u8; 32]; 2],
            sequence: u32,
            frame in prop::collection::vec(any::<u8>(), 4..40_000),
        ) {
            agrees_with_the_provider(&key.concat().try_into().unwrap(), sequence, &frame);
        }

        #[test]
        fn a_changed_bit_of_packet_or_tag_is_a_forgery(len in 4_usize..20_000, at: prop::sample::Index, bit in 0..8) {
            let key = [9; 64];
            let (mut packet, mut tag) = sealed_by_provider(&key, 5, &vec![3; len]);
            let at = at.index(len + TAG_LEN);
            match at.checked_sub(len) {
                None => packet[at] ^= 1_u8 << bit,
                Some(at) => tag[at] ^= 1_u8 << bit,
            }
            let before = packet.clone();
            prop_assert_eq!(LongPacketKey::new(&key).open(5, &mut packet, &tag), Err(Forged));
            prop_assert_eq!(packet, before, "nothing was decrypted");
        }
    }

    #[test]
    fn a_packet_without_a_length_is_refused() {
        let long = LongPacketKey::new(&[1; 64]);
        assert_eq!(long.seal(0, &mut [0; 3], &mut [0; TAG_LEN]), Err(Exhausted));
        assert_eq!(long.open(0, &mut [0; 3], &[0; TAG_LEN]), Err(Forged));
    }
}
