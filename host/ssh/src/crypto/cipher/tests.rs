//! The ciphers against independent implementations and against forged packets.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use poly1305::Poly1305;
use proptest::prelude::*;

use super::super::hex::hex;
use super::*;

/// The keys of one direction.
struct Material {
    cipher: Vec<u8>,
    iv: Vec<u8>,
    mac: Vec<u8>,
}

impl Material {
    fn keys(&self) -> SuiteKeys<'_> {
        SuiteKeys { cipher: &self.cipher, iv: &self.iv, mac: &self.mac }
    }

    fn sealer(&self, suite: Suite) -> Sealer {
        Sealer::new(suite, &self.keys()).unwrap()
    }

    fn opener(&self, suite: Suite) -> Opener {
        Opener::new(suite, &self.keys()).unwrap()
    }
}

/// Key bytes that all differ, and an IV whose counter is about to wrap, so that every test covers the wrap.
fn material(suite: Suite) -> Material {
    let iv = match suite.cipher().iv_len() {
        16 => [&[255; 15][..], &[254]].concat(),
        len => [9, 8, 7, 6, 255, 255, 255, 255, 255, 255, 255, 254].into_iter().take(len).collect(),
    };
    let cipher = (1..).take(suite.cipher().key_len()).collect();
    Material { cipher, iv, mac: (101..).take(suite.mac_key_len()).collect() }
}

fn aead(cipher: Cipher) -> Suite {
    Suite::new(cipher, None).unwrap()
}

fn pair(suite: Suite) -> (Sealer, Opener) {
    let material = material(suite);
    (material.sealer(suite), material.opener(suite))
}

/// `length` bytes of body behind its length field.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// The bytes on the wire.
fn sealed(sealer: &mut Sealer, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = frame(body);
    let mut tag = vec![0; sealer.tag_len()];
    sealer.seal(sequence, &mut packet, &mut tag).unwrap();
    packet.extend_from_slice(&tag);
    packet
}

/// OpenSSH `PROTOCOL.chacha20poly1305`, built from its parts.
fn chacha_oracle(key: &[u8], sequence: u32, body: &[u8]) -> Vec<u8> {
    let (main, header) = key.split_at(32);
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&sequence.to_be_bytes());
    let stream = |key: &[u8]| ChaCha20::new(key.try_into().unwrap(), &nonce.into());

    let mut packet = frame(body);
    stream(header).apply_keystream(&mut packet[..4]);
    let mut main = stream(main);
    let mut poly_key = [0; 32];
    main.apply_keystream(&mut poly_key);
    main.seek(64);
    main.apply_keystream(&mut packet[4..]);
    let tag = Poly1305::new(&poly_key.into()).compute_unpadded(&packet);
    packet.extend_from_slice(&tag);
    packet
}

/// RFC 5647 §7, from the `aes-gcm` crate.
fn gcm_oracle(cipher: Cipher, key: &[u8], nonce: [u8; 12], body: &[u8]) -> Vec<u8> {
    let mut packet = frame(body);
    let (length, text) = packet.split_at_mut(4);
    let nonce = nonce.into();
    let tag = match cipher {
        Cipher::Aes256Gcm => {
            Aes256Gcm::new_from_slice(key).unwrap().encrypt_inout_detached(&nonce, length, text.into())
        }
        Cipher::Aes128Gcm => {
            Aes128Gcm::new_from_slice(key).unwrap().encrypt_inout_detached(&nonce, length, text.into())
        }
        _ => unreachable!("not GCM"),
    };
    packet.extend_from_slice(&tag.unwrap());
    packet
}

#[test]
fn the_packet_that_the_chacha20_draft_publishes_is_sealed_and_opened() {
    // draft-ietf-sshm-chacha20-poly1305, appendix A.
    let key = hex("8bbff6855fc102338c373e73aac0c914f076a905b2444a32eecaffeae22becc5\
                   e9b7a7a5825a8249346ec1c28301cf394543fc7569887d76e168f37562ac0740");
    let clear = hex("00000048065e00000000000000384c6f72656d20697073756d20646f6c6f7220\
                     73697420616d65742c20636f6e7365637465747572206164697069736963696e6720656c69744e43e804dc6c");
    let wire = hex("2c3ecce4a5bc05895bf07a7ba956b6c68829ac7c83b780b7000ecde745afc705\
                    bbc378ce03a280236b87b53bed5839662302b164b6286a48cd1e097138e3cb90\
                    9b8b2b829dd18d2a35ff82d995349e855bf02c298ef775f2d1a7e8b8");

    let (suite, material) = (aead(Cipher::ChaCha20Poly1305), Material { cipher: key, iv: vec![], mac: vec![] });
    let mut sealer = material.sealer(suite);
    assert_eq!(sealed(&mut sealer, 7, &clear[4..]), wire);

    let mut opener = material.opener(suite);
    let mut packet = wire.clone();
    assert_eq!(opener.length(7, packet[..4].try_into().unwrap()), 0x48);
    opener.open(7, &mut packet).unwrap();
    assert_eq!(packet[4..packet.len() - 16], clear[4..]);
}

#[test]
fn the_gcm_oracle_agrees_with_the_published_case() {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16.
    let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let mut text = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let oracle = Aes256Gcm::new_from_slice(&key).unwrap();
    let tag = oracle.encrypt_inout_detached(&nonce.into(), &aad, text.as_mut_slice().into()).unwrap();
    let expected = hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                        8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662");
    assert_eq!(text, expected);
    assert_eq!(tag[..], hex("76fc6ece0f4e1768cddf8853bb2d551b"));
}

#[test]
fn chacha20_packets_are_those_of_the_oracle() {
    let suite = aead(Cipher::ChaCha20Poly1305);
    let key = material(suite).cipher;
    let mut sealer = material(suite).sealer(suite);
    for sequence in [0, 1, 0x1234_5678, u32::MAX] {
        for len in [0, 1, 16, 60, 61, 63, 64, 65, 1000, 32_768, 70_000] {
            let body = vec![0x5a; len];
            assert_eq!(sealed(&mut sealer, sequence, &body), chacha_oracle(&key, sequence, &body), "{len} bytes");
        }
    }
}

#[test]
fn gcm_packets_are_those_of_the_oracle_and_their_counter_goes_up_by_one() {
    for cipher in [Cipher::Aes256Gcm, Cipher::Aes128Gcm] {
        let iv = [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 1, 254];
        let key = material(aead(cipher)).cipher;
        let mut sealer = Sealer::new(aead(cipher), &SuiteKeys { cipher: &key, iv: &iv, mac: &[] }).unwrap();
        for (count, len) in [0_usize, 1, 15, 16, 17, 64, 1000, 32_768, 70_000].into_iter().enumerate() {
            let body = vec![0xa5; len];
            let counter = 510 + u16::try_from(count).unwrap();
            let mut nonce = iv;
            nonce[10..].copy_from_slice(&counter.to_be_bytes());
            // The sequence number is not authenticated.
            assert_eq!(sealed(&mut sealer, 77, &body), gcm_oracle(cipher, &key, nonce, &body), "{len} bytes");
        }
    }
}

#[test]
fn a_gcm_counter_wraps_and_leaves_the_fixed_bytes_alone() {
    let mut iv = [0xff; 12];
    let key = material(aead(Cipher::Aes256Gcm)).cipher;
    let mut sealer = Sealer::new(aead(Cipher::Aes256Gcm), &SuiteKeys { cipher: &key, iv: &iv, mac: &[] }).unwrap();
    assert_eq!(sealed(&mut sealer, 0, b"last"), gcm_oracle(Cipher::Aes256Gcm, &key, iv, b"last"));
    iv[4..].fill(0);
    assert_eq!(sealed(&mut sealer, 1, b"first"), gcm_oracle(Cipher::Aes256Gcm, &key, iv, b"first"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sealed_packets_open(first: u32, bodies in prop::collection::vec((0..70_000_usize, any::<u8>()), 1..4)) {
        for suite in Suite::all() {
            let (mut sealer, mut opener) = pair(suite);
            let mut sequence = first;
            for (len, fill) in &bodies {
                let body = vec![*fill; *len];
                let mut packet = sealed(&mut sealer, sequence, &body);
                let length = opener.length(sequence, packet[..4].try_into().unwrap());
                prop_assert_eq!(usize::try_from(length).unwrap(), body.len());
                prop_assert_eq!(packet.len(), 4 + body.len() + opener.tag_len());
                prop_assert_eq!(opener.open(sequence, &mut packet), Ok(()));
                prop_assert_eq!(&packet[4..4 + body.len()], body.as_slice());
                sequence = sequence.wrapping_add(1);
            }
        }
    }

    #[test]
    fn a_changed_byte_anywhere_in_a_long_packet_is_a_forgery(
        len in 0_usize..40_000,
        at: prop::sample::Index,
        change in 1_u8..,
    ) {
        for suite in Suite::all() {
            let (mut sealer, mut opener) = pair(suite);
            let mut packet = sealed(&mut sealer, 3, &vec![7; len]);
            let at = at.index(packet.len());
            packet[at] ^= change;
            prop_assert_eq!(opener.open(3, &mut packet), Err(Forged));
        }
    }

    #[test]
    fn random_bytes_do_not_open(mut packet in prop::collection::vec(any::<u8>(), 0..200), sequence: u32) {
        for suite in Suite::all() {
            let (_, mut opener) = pair(suite);
            prop_assert_eq!(opener.open(sequence, &mut packet), Err(Forged));
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_a_forgery() {
    for suite in Suite::all() {
        let packet = sealed(&mut pair(suite).0, 5, &[0x42; 32]);
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(pair(suite).1.open(5, &mut forged), Err(Forged), "{suite:?} bit {bit}");
        }
    }
}

#[test]
fn a_reordered_packet_is_a_forgery() {
    for suite in Suite::all() {
        let (mut sealer, mut opener) = pair(suite);
        let mut first = sealed(&mut sealer, 0, &[1; 16]);
        let mut again = first.clone();
        let mut third = {
            let _ = sealed(&mut sealer, 1, &[2; 16]);
            sealed(&mut sealer, 2, &[3; 16])
        };
        assert_eq!(opener.open(0, &mut first), Ok(()));
        assert_eq!(opener.open(1, &mut again), Err(Forged), "{suite:?}: a replay");

        let (_, mut opener) = pair(suite);
        assert_eq!(opener.open(0, &mut third), Err(Forged), "{suite:?}: a gap");
    }
}

#[test]
fn the_other_directions_key_opens_nothing() {
    for suite in Suite::all() {
        let mut other = material(suite);
        other.cipher.reverse();
        other.mac.reverse();
        let mut packet = sealed(&mut pair(suite).0, 0, &[1; 16]);
        let mut opener = other.opener(suite);
        assert_eq!(opener.open(0, &mut packet), Err(Forged));
    }
}

#[test]
fn a_packet_shorter_than_its_length_and_tag_is_a_forgery() {
    for suite in Suite::all() {
        for len in 0..20 {
            assert_eq!(pair(suite).1.open(0, &mut vec![0; len]), Err(Forged));
        }
    }
    assert_eq!(Opener::clear().open(0, &mut [0; 3]), Err(Forged));
}

#[test]
fn without_keys_a_packet_is_unchanged() {
    let (mut sealer, mut opener) = (Sealer::clear(), Opener::clear());
    let mut packet = sealed(&mut sealer, 0, b"in clear");
    assert_eq!(packet, b"\0\0\0\x08in clear");
    assert_eq!(opener.length(0, packet[..4].try_into().unwrap()), 8);
    assert_eq!(opener.open(0, &mut packet), Ok(()));
    assert_eq!(packet, b"\0\0\0\x08in clear");
    assert_eq!((sealer.tag_len(), sealer.block_len(), sealer.length_is_padded()), (0, 8, true));
    assert_eq!((opener.tag_len(), opener.block_len(), opener.length_is_padded()), (0, 8, true));
}

#[test]
fn both_directions_of_a_suite_frame_alike() {
    for suite in Suite::all() {
        let block_len = if suite.cipher() == Cipher::ChaCha20Poly1305 { 8 } else { 16 };
        let tag_len = suite.mac().map_or(16, Mac::tag_len);
        // Where the length is encrypted with the rest it belongs to what is padded, and its secret is kept.
        let encrypts_length = suite.mac().is_some_and(|mac| !mac.encrypts_first());
        let (sealer, opener) = pair(suite);
        let expected = (tag_len, block_len, encrypts_length);
        assert_eq!((sealer.tag_len(), sealer.block_len(), sealer.length_is_padded()), expected, "{suite:?}");
        assert_eq!((opener.tag_len(), opener.block_len(), opener.length_is_padded()), expected, "{suite:?}");
        assert_eq!(opener.hides_length(), encrypts_length);
    }
}

#[test]
fn a_key_seals_and_opens_a_limited_number_of_packets() {
    for suite in Suite::all() {
        let (mut sealer, mut opener) = pair(suite);
        assert_eq!((sealer.left, opener.left), (1 << 32, 1 << 32));
        (sealer.left, opener.left) = (1, 1);
        let mut packet = sealed(&mut sealer, 0, &[1; 16]);
        assert_eq!(opener.open(0, &mut packet), Ok(()));

        let (mut clear, mut tag) = (frame(&[2; 16]), vec![0; sealer.tag_len()]);
        assert_eq!(sealer.seal(1, &mut clear, &mut tag), Err(Exhausted));
        assert_eq!((clear, tag), (frame(&[2; 16]), vec![0; sealer.tag_len()]), "{suite:?}: written to all the same");
        assert_eq!(opener.open(1, &mut packet), Err(Forged));
    }
}

#[test]
fn keys_and_ivs_of_wrong_lengths_are_refused() {
    type Part = fn(&mut Material) -> &mut Vec<u8>;
    let parts: [Part; 3] = [|keys| &mut keys.cipher, |keys| &mut keys.iv, |keys| &mut keys.mac];
    let changes: [fn(&mut Vec<u8>); 3] = [|part| part.push(0), |part| part.truncate(8), Vec::clear];
    for suite in Suite::all() {
        for (part, change) in parts.iter().flat_map(|part| changes.map(|change| (part, change))) {
            let mut wrong = material(suite);
            let before = part(&mut wrong).len();
            change(part(&mut wrong));
            let refused = part(&mut wrong).len() != before;
            assert_eq!(matches!(Sealer::new(suite, &wrong.keys()), Err(BadKey)), refused, "{suite:?}");
            assert_eq!(matches!(Opener::new(suite, &wrong.keys()), Err(BadKey)), refused, "{suite:?}");
        }
    }
}

#[test]
fn names_lead_to_their_ciphers_and_no_other_name_does() {
    for cipher in Cipher::ALL {
        assert_eq!(Cipher::from_name(cipher.name()), Some(cipher));
    }
    assert_eq!(Cipher::from_name("AES256-GCM@openssh.com"), None);
    assert_eq!(Cipher::from_name(""), None);
}

#[test]
fn a_key_may_move_between_threads() {
    fn sent<T: Send>() {}
    sent::<(Sealer, Opener)>();
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let (sealer, opener) = pair(aead(Cipher::Aes128Gcm));
    assert_eq!(format!("{sealer:?}"), "Sealer { left: 4294967296, .. }");
    assert_eq!(format!("{opener:?}"), "Opener { left: 4294967296, .. }");
}

#[test]
fn a_suite_has_a_mac_if_and_only_if_its_cipher_needs_one() {
    let all: Vec<Suite> = Suite::all().collect();
    assert_eq!(all.len(), 3 + 3 * 4);
    for suite in all {
        assert_eq!(suite.mac().is_some(), suite.cipher().needs_mac());
        assert_eq!(Suite::new(suite.cipher(), suite.mac()), Some(suite));
    }
    assert_eq!(Suite::new(Cipher::Aes128Ctr, None), None);
    assert_eq!(Suite::new(Cipher::Aes128Gcm, Some(Mac::HmacSha256)), Suite::new(Cipher::Aes128Gcm, None));
}
