//! The agreements against independent implementations, and against invalid shares.

use curve25519_dalek::montgomery::MontgomeryPoint;
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{Seed, ml_kem_768};
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

use super::super::{hex::hex, string};
use super::*;

const BOTH: [Agreement; 2] = [Agreement::Curve25519, Agreement::MlKem768X25519];

/// X25519 of another library, which takes a private key of our choice.
fn x25519(private: [u8; 32], public: &[u8]) -> [u8; 32] {
    MontgomeryPoint(public.try_into().unwrap()).mul_clamped(private).to_bytes()
}

fn point_of(private: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(private).to_bytes()
}

/// K as `ssh-encoding` writes an `mpint`.
fn mpint_oracle(secret: &[u8]) -> Vec<u8> {
    let number = ssh_key::Mpint::from_positive_bytes(secret);
    let mut encoded = Vec::new();
    string::put(&mut encoded, number.as_bytes());
    encoded
}

/// `share` with `point` in the place of its X25519 point.
fn with_point(agreement: Agreement, share: &[u8], point: &[u8]) -> Vec<u8> {
    match agreement {
        Agreement::Curve25519 => point.to_vec(),
        _ => [&share[..share.len() - 32], point].concat(),
    }
}

#[test]
fn the_x25519_oracle_agrees_with_the_published_exchange() {
    // RFC 7748 §6.1.
    let alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a").try_into().unwrap();
    let bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb").try_into().unwrap();
    assert_eq!(point_of(alice)[..], hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    assert_eq!(point_of(bob)[..], hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    let secret = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(x25519(alice, &point_of(bob))[..], secret);
    assert_eq!(x25519(bob, &point_of(alice))[..], secret);
}

#[test]
fn both_sides_agree() {
    for (_, agreement) in ALL.iter().copied() {
        let (initiator, client_share) = agreement.initiate().unwrap();
        let (server_share, server_secret) = agreement.respond(&client_share).unwrap();
        let client_secret = initiator.finish(&server_share).unwrap();
        assert_eq!(client_secret.encoded(), server_secret.encoded());
    }
}

#[test]
fn shares_have_the_lengths_of_the_specification() {
    for (agreement, from_client, from_server) in [
        (Agreement::Curve25519, 32, 32),
        (Agreement::MlKem768X25519, 1216, 1120),
        (Agreement::MlKem768Nistp256, 1249, 1153),
        (Agreement::Nist(EcdhCurve::P256), 65, 65),
        (Agreement::Nist(EcdhCurve::P384), 97, 97),
        #[cfg(feature = "aws-lc-rs")]
        (Agreement::Nist(EcdhCurve::P521), 133, 133),
    ] {
        let (_, client_share) = agreement.initiate().unwrap();
        let (server_share, _) = agreement.respond(&client_share).unwrap();
        assert_eq!((client_share.len(), server_share.len()), (from_client, from_server));
    }
}

#[test]
fn every_exchange_has_its_own_keys() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let (_, client_share) = Agreement::MlKem768X25519.initiate().unwrap();
        let (server_share, _) = Agreement::MlKem768X25519.respond(&client_share).unwrap();
        for part in [&client_share[..1184], &client_share[1184..], &server_share[..1088], &server_share[1088..]] {
            assert!(seen.insert(part.to_vec()), "a share came twice");
        }
    }
}

#[test]
fn a_curve25519_server_agrees_with_another_implementation_a_thousand_times() {
    let (mut short, mut signed) = (0, 0);
    for round in 0_u16..1000 {
        let mut private = [0x42; 32];
        private[..2].copy_from_slice(&round.to_be_bytes());
        let (server_share, secret) = Agreement::Curve25519.respond(&point_of(private)).unwrap();
        let expected = x25519(private, &server_share);
        short += usize::from(expected[0] == 0);
        signed += usize::from(expected[0] >= 0x80);
        assert_eq!(secret.encoded(), mpint_oracle(&expected));
    }
    // Probability of none: 2^-5.6 for the first, 2^-1000 for the second; the exact forms have a test of their own.
    assert!(signed > 300, "{signed} secrets with a first bit, {short} with a leading zero");
}

#[test]
fn a_curve25519_client_agrees_with_another_implementation() {
    let (initiator, client_share) = Agreement::Curve25519.initiate().unwrap();
    let private = [0x17; 32];
    let secret = initiator.finish(&point_of(private)).unwrap();
    assert_eq!(secret.encoded(), mpint_oracle(&x25519(private, &client_share)));
}

#[test]
fn a_hybrid_server_agrees_with_other_implementations() {
    let (kem, private) = (ml_kem_768::DecapsulationKey::from_seed(Seed::from([3; 64])), [0x21; 32]);
    let client_share = [&kem.encapsulation_key().to_bytes()[..], &point_of(private)].concat();
    let (server_share, secret) = Agreement::MlKem768X25519.respond(&client_share).unwrap();

    let (ciphertext, server_point) = server_share.split_at(1088);
    let quantum = kem.decapsulate(&ciphertext.try_into().unwrap());
    let expected = Sha256::new().chain_update(quantum).chain_update(x25519(private, server_point)).finalize();
    assert_eq!(secret.encoded(), [&[0, 0, 0, 32], &expected[..]].concat());
}

#[test]
fn a_hybrid_client_agrees_with_other_implementations() {
    let (initiator, client_share) = Agreement::MlKem768X25519.initiate().unwrap();
    let (kem_key, client_point) = client_share.split_at(1184);
    let kem_key = ml_kem_768::EncapsulationKey::new(&kem_key.try_into().unwrap()).unwrap();
    let (ciphertext, quantum) = kem_key.encapsulate_deterministic(&[5; 32].into());
    let private = [0x33; 32];
    let secret = initiator.finish(&[&ciphertext[..], &point_of(private)].concat()).unwrap();

    let expected = Sha256::new().chain_update(quantum).chain_update(x25519(private, client_point)).finalize();
    assert_eq!(secret.encoded(), [&[0, 0, 0, 32], &expected[..]].concat());
}

/// The other hybrid, with `p256` and `ml-kem`.
#[test]
fn a_hybrid_of_nist_agrees_with_other_implementations_on_both_sides() {
    let kem = ml_kem_768::DecapsulationKey::from_seed(Seed::from([3; 64]));
    let private = p256::SecretKey::from_slice(&[0x21; 32]).unwrap();
    let point = private.public_key().to_sec1_point(false);
    let agree = |theirs: &[u8]| {
        let theirs = p256::PublicKey::from_sec1_bytes(theirs).unwrap();
        private.diffie_hellman(&theirs).raw_secret_bytes().to_vec()
    };
    let client_share = [&kem.encapsulation_key().to_bytes()[..], point.as_bytes()].concat();
    let (server_share, secret) = Agreement::MlKem768Nistp256.respond(&client_share).unwrap();
    let (ciphertext, server_point) = server_share.split_at(1088);
    let quantum = kem.decapsulate(&ciphertext.try_into().unwrap());
    let expected = Sha256::new().chain_update(quantum).chain_update(agree(server_point)).finalize();
    assert_eq!(secret.encoded(), [&[0, 0, 0, 32], &expected[..]].concat());

    let (initiator, client_share) = Agreement::MlKem768Nistp256.initiate().unwrap();
    let (kem_key, client_point) = client_share.split_at(1184);
    let kem_key = ml_kem_768::EncapsulationKey::new(&kem_key.try_into().unwrap()).unwrap();
    let (ciphertext, quantum) = kem_key.encapsulate_deterministic(&[5; 32].into());
    let secret = initiator.finish(&[&ciphertext[..], point.as_bytes()].concat()).unwrap();
    let expected = Sha256::new().chain_update(quantum).chain_update(agree(client_point)).finalize();
    assert_eq!(secret.encoded(), [&[0, 0, 0, 32], &expected[..]].concat());
}

#[test]
fn points_of_small_order_are_refused() {
    // The twelve of D. J. Bernstein's "Curve25519: how do I validate Curve25519 public keys?".
    for point in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
        "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
        "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        let point = hex(point);
        for agreement in BOTH {
            let (initiator, client_share) = agreement.initiate().unwrap();
            let (server_share, _) = agreement.respond(&client_share).unwrap();
            let bad = agreement.respond(&with_point(agreement, &client_share, &point));
            assert!(matches!(bad, Err(BadShare)), "{agreement:?} server took {point:02x?}");
            let bad = initiator.finish(&with_point(agreement, &server_share, &point));
            assert!(matches!(bad, Err(BadShare)), "{agreement:?} client took {point:02x?}");
        }
    }
}

#[test]
fn a_point_has_one_encoding() {
    let (_, mut client_share) = Agreement::Curve25519.initiate().unwrap();
    client_share[31] |= 0x80;
    assert!(matches!(Agreement::Curve25519.respond(&client_share), Err(BadShare)));
}

#[test]
fn shares_of_wrong_lengths_are_refused() {
    for agreement in BOTH {
        let (_, client_share) = agreement.initiate().unwrap();
        let (server_share, _) = agreement.respond(&client_share).unwrap();
        for cut in [client_share.len(), 33, 32, 31, 1] {
            let cut = &client_share[..client_share.len().saturating_sub(cut)];
            assert!(matches!(agreement.respond(cut), Err(BadShare)), "{agreement:?}: {} bytes", cut.len());
        }
        for long in [client_share.len() + 1, client_share.len() + 32, 65_536] {
            let long = client_share.iter().copied().cycle().take(long).collect::<Vec<_>>();
            assert!(matches!(agreement.respond(&long), Err(BadShare)), "{agreement:?}: {} bytes", long.len());
        }
        for len in [0, 31, server_share.len() - 1, server_share.len() + 1] {
            let (initiator, _) = agreement.initiate().unwrap();
            let share = server_share.iter().copied().cycle().take(len).collect::<Vec<_>>();
            assert!(matches!(initiator.finish(&share), Err(BadShare)), "{agreement:?}: {len} bytes");
        }
    }
}

#[test]
fn hybrid_shares_with_their_halves_swapped_are_refused() {
    let (_, client_share) = Agreement::MlKem768X25519.initiate().unwrap();
    let (kem_key, point) = client_share.split_at(1184);
    assert!(matches!(Agreement::MlKem768X25519.respond(&[point, kem_key].concat()), Err(BadShare)));
}

#[test]
fn an_ml_kem_key_with_a_coefficient_out_of_range_is_refused() {
    let (_, client_share) = Agreement::MlKem768X25519.initiate().unwrap();
    // FIPS 203 §7.2: each coefficient is 12 bits and below q = 3329. The first becomes q, then the last the largest.
    let mut first = client_share.clone();
    (first[0], first[1]) = (0x01, (first[1] & 0xf0) | 0x0d);
    let mut last = client_share.clone();
    (last[1150], last[1151]) = (last[1150] | 0xf0, 0xff);
    for share in [first, last] {
        assert!(matches!(Agreement::MlKem768X25519.respond(&share), Err(BadShare)));
    }
}

#[test]
fn a_tampered_ciphertext_gives_another_secret() {
    let (initiator, client_share) = Agreement::MlKem768X25519.initiate().unwrap();
    let (mut server_share, secret) = Agreement::MlKem768X25519.respond(&client_share).unwrap();
    server_share[100] ^= 1;
    assert_ne!(initiator.finish(&server_share).unwrap().encoded(), secret.encoded());
}

#[test]
fn a_secret_is_hashed_as_the_shortest_mpint() {
    let secret = |start: &[u8]| {
        let mut secret = [0x11; 32];
        secret[..start.len()].copy_from_slice(start);
        SharedSecret::mpint(&secret).encoded().to_vec()
    };
    let expected = |length: u8, start: &[u8]| {
        let mut encoded = vec![0, 0, 0, length];
        encoded.extend_from_slice(start);
        encoded.resize(4 + usize::from(length), 0x11);
        encoded
    };
    assert_eq!(secret(&[0x7f]), expected(32, &[0x7f]));
    assert_eq!(secret(&[0x80]), expected(33, &[0, 0x80]));
    assert_eq!(secret(&[0xff]), expected(33, &[0, 0xff]));
    assert_eq!(secret(&[0]), expected(31, &[]));
    assert_eq!(secret(&[0, 0x80]), expected(32, &[0, 0x80]));
    assert_eq!(secret(&[0, 0, 0, 0x7f]), expected(29, &[0x7f]));
    assert_eq!(secret(&[0, 0, 0, 0x80]), expected(30, &[0, 0x80]));
    assert_eq!(SharedSecret::mpint(&[0; 32]).encoded(), [0, 0, 0, 0]);
}

#[test]
fn secrets_may_move_between_threads_and_do_not_show_in_debug_output() {
    fn sent<T: Send>(_: &T) {}
    let (initiator, share) = Agreement::MlKem768X25519.initiate().unwrap();
    let (_, secret) = Agreement::MlKem768X25519.respond(&share).unwrap();
    sent(&initiator);
    sent(&secret);
    assert_eq!(format!("{initiator:?} {secret:?}"), "Initiator(..) SharedSecret(..)");
}
