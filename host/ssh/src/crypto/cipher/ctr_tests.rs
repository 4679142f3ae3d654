//! Counter mode and its MACs against published vectors and against independent implementations.

use ::ctr::Ctr128BE;
use ::ctr::cipher::{KeyIvInit, StreamCipher};
use aes::{Aes128, Aes192, Aes256};
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Sha256, Sha512};

use super::super::hex::hex;
use super::*;

/// The key stream of another library over all packets of one direction.
fn stream(key: &[u8], iv: &[u8], bytes: &mut [u8], at: usize) {
    fn apply<S: KeyIvInit + StreamCipher>(key: &[u8], iv: &[u8], bytes: &mut [u8], at: usize) {
        let mut stream = S::new_from_slices(key, iv).unwrap();
        stream.apply_keystream(&mut vec![0; at]);
        stream.apply_keystream(bytes);
    }
    match key.len() {
        16 => apply::<Ctr128BE<Aes128>>(key, iv, bytes, at),
        24 => apply::<Ctr128BE<Aes192>>(key, iv, bytes, at),
        _ => apply::<Ctr128BE<Aes256>>(key, iv, bytes, at),
    }
}

fn mac(mac: Mac, key: &[u8], sequence: u32, packet: &[u8]) -> Vec<u8> {
    let data = [&sequence.to_be_bytes()[..], packet].concat();
    match mac {
        Mac::HmacSha256 | Mac::HmacSha256Etm => {
            Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
        }
        Mac::HmacSha512 | Mac::HmacSha512Etm => {
            Hmac::<Sha512>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
        }
    }
}

/// RFC 4253 §6.4 and OpenSSH `PROTOCOL` §1.5, built from their parts. `at` bytes were encrypted before.
fn oracle(suite: Suite, keys: &SuiteKeys<'_>, sequence: u32, body: &[u8], at: usize) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut packet = [&length[..], body].concat();
    let chosen = suite.mac().unwrap();
    let tag = if chosen.encrypts_first() {
        stream(keys.cipher, keys.iv, &mut packet[4..], at);
        mac(chosen, keys.mac, sequence, &packet)
    } else {
        let tag = mac(chosen, keys.mac, sequence, &packet);
        stream(keys.cipher, keys.iv, &mut packet, at);
        tag
    };
    [packet, tag].concat()
}

fn counter_modes() -> impl Iterator<Item = Suite> {
    Suite::all().filter(|suite| suite.mac().is_some())
}

#[test]
fn the_key_streams_that_nist_publishes_are_ours() {
    // NIST SP 800-38A, F.5.1, F.5.3 and F.5.5: the first two blocks.
    let clear = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let iv = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    for (key, expected) in [
        ("2b7e151628aed2a6abf7158809cf4f3c", "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"),
        (
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94",
        ),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
        ),
    ] {
        let key = hex(key);
        let mac_key = Mac::HmacSha256.key(&[7; 32]).unwrap();
        let mut ctr = Ctr::new(&key, &iv, mac_key).unwrap();
        // The packet's length and the first bytes are encrypted with the rest.
        let (mut packet, mut tag) = (clear.clone(), [0; 32]);
        ctr.seal(0, &mut packet, &mut tag).unwrap();
        assert_eq!(packet, hex(expected));
        let mut again = clear.clone();
        stream(&key, &iv, &mut again, 0);
        assert_eq!(packet, again, "the oracle is wrong");
    }
}

#[test]
fn the_macs_that_rfc_4231_publishes_are_the_oracles() {
    // RFC 4231 §4.2, whose data begins as a packet with the sequence number "Hi T".
    let (key, number) = ([0x0b; 20], u32::from_be_bytes(*b"Hi T"));
    let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    assert_eq!(mac(Mac::HmacSha256, &key, number, b"here"), hex(expected));
    let expected = "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                    daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854";
    assert_eq!(mac(Mac::HmacSha512, &key, number, b"here"), hex(expected));
}

#[test]
fn packets_of_counter_mode_are_those_of_the_oracle() {
    for suite in counter_modes() {
        for iv in [[0xff; 16], [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], [7; 16]] {
            let cipher: Vec<u8> = (1..).take(suite.cipher().key_len()).collect();
            let mac: Vec<u8> = (101..).take(suite.mac_key_len()).collect();
            let keys = SuiteKeys { cipher: &cipher, iv: &iv, mac: &mac };
            let mut sealer = Sealer::new(suite, &keys).unwrap();
            let mut opener = Opener::new(suite, &keys).unwrap();
            let mut at = 0;
            // Frames whose encrypted part is whole blocks, as the transport makes them.
            let missing = if sealer.length_is_padded() { 12 } else { 16 };
            for (sequence, blocks) in [0, 1, 2, 62, 2048].into_iter().zip([u32::MAX - 1, u32::MAX, 0, 1, 2]) {
                let (blocks, sequence) = (sequence, blocks);
                let body = vec![0x5a; missing + 16 * blocks];
                let (mut packet, mut tag) = ([&length(&body)[..], &body].concat(), vec![0; sealer.tag_len()]);
                sealer.seal(sequence, &mut packet, &mut tag).unwrap();
                let mut packet = [packet, tag].concat();
                assert_eq!(packet, oracle(suite, &keys, sequence, &body, at), "{suite:?} {blocks}");
                at += body.len() + if sealer.length_is_padded() { 4 } else { 0 };

                let shown = opener.length(sequence, *packet.first_chunk().unwrap());
                assert_eq!(shown.to_be_bytes(), length(&body));
                assert_eq!(opener.open(sequence, &mut packet), Ok(()));
                assert_eq!(packet[4..4 + body.len()], body);
            }
        }
    }
}

fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len()).unwrap().to_be_bytes()
}

#[test]
fn a_wrong_sequence_number_is_a_forgery() {
    for suite in counter_modes() {
        let (cipher, mac) = (vec![1; suite.cipher().key_len()], vec![2; suite.mac_key_len()]);
        let keys = SuiteKeys { cipher: &cipher, iv: &[3; 16], mac: &mac };
        for number in [0, 1, 2, 0x0100_0000, u32::MAX] {
            let mut packet = oracle(suite, &keys, 1, &[0x5a; 28], 0);
            let opened = Opener::new(suite, &keys).unwrap().open(number, &mut packet);
            assert_eq!(opened.is_ok(), number == 1, "{suite:?} {number}");
        }
    }
}

/// With encrypt-then-MAC nothing is decrypted of a packet that is not authentic.
#[test]
fn a_forged_packet_is_not_decrypted_where_the_mac_covers_what_is_encrypted() {
    for suite in counter_modes().filter(|suite| suite.mac().is_some_and(Mac::encrypts_first)) {
        let (cipher, mac) = (vec![1; suite.cipher().key_len()], vec![2; suite.mac_key_len()]);
        let keys = SuiteKeys { cipher: &cipher, iv: &[3; 16], mac: &mac };
        let mut packet = oracle(suite, &keys, 0, &[0x5a; 32], 0);
        packet[40] ^= 1;
        let before = packet.clone();
        assert_eq!(Opener::new(suite, &keys).unwrap().open(0, &mut packet), Err(Forged));
        assert_eq!(packet, before);
    }
}

/// What was refused stays refused.
#[test]
fn nothing_opens_after_bytes_were_discarded() {
    for suite in Suite::all() {
        let cipher = vec![1; suite.cipher().key_len()];
        let (iv, mac) = (vec![2; suite.cipher().iv_len()], vec![3; suite.mac_key_len()]);
        let keys = SuiteKeys { cipher: &cipher, iv: &iv, mac: &mac };
        let mut sealer = Sealer::new(suite, &keys).unwrap();
        let (mut packet, mut tag) = (vec![0; 32], vec![0; sealer.tag_len()]);
        sealer.seal(0, &mut packet, &mut tag).unwrap();
        let mut opener = Opener::new(suite, &keys).unwrap();
        opener.discard(&mut []);
        opener.discard(&mut [7; 100]);
        assert_eq!(opener.open(0, &mut [packet, tag].concat()), Err(Forged));
    }
}
