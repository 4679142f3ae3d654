//! `sntrup761x25519-sha512` from its parts, and with invalid shares.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use curve25519_dalek::montgomery::MontgomeryPoint;
use sha2::{Digest, Sha512};
use sntrup_kem::sntrup761::{Ciphertext, EncapsulationKey, generate_key};

use super::*;

const SNTRUP: Agreement = Agreement::Sntrup761X25519;

fn x25519(private: [u8; 32], public: &[u8]) -> [u8; 32] {
    MontgomeryPoint(public.try_into().unwrap()).mul_clamped(private).to_bytes()
}

/// K as draft-ietf-sshm-ntruprime-ssh §3 says.
fn expected(quantum: &[u8], classical: [u8; 32]) -> Vec<u8> {
    let hash = Sha512::new().chain_update(quantum).chain_update(classical).finalize();
    [&[0, 0, 0, 64], &hash[..]].concat()
}

#[test]
fn a_server_agrees_with_a_client_made_of_the_parts() {
    let (public, private) = generate_key(&mut ChaCha20Rng::from_seed([7; 32]));
    let point = MontgomeryPoint::mul_base_clamped([0x21; 32]).to_bytes();
    let (server_share, secret) = SNTRUP.respond(&[public.as_ref(), &point].concat()).unwrap();
    assert_eq!(server_share.len(), 1039 + 32);

    let (ciphertext, server_point) = server_share.split_at(1039);
    let quantum = private.decapsulate(&Ciphertext::try_from(ciphertext).unwrap());
    assert_eq!(secret.encoded(), expected(quantum.as_ref(), x25519([0x21; 32], server_point)));
}

#[test]
fn a_client_agrees_with_a_server_made_of_the_parts() {
    let (initiator, client_share) = SNTRUP.initiate().unwrap();
    assert_eq!(client_share.len(), 1158 + 32);
    let (kem_key, client_point) = client_share.split_at(1158);
    let kem_key = EncapsulationKey::try_from(kem_key).unwrap();
    let (ciphertext, quantum) = kem_key.encapsulate(&mut ChaCha20Rng::from_seed([5; 32]));
    let point = MontgomeryPoint::mul_base_clamped([0x33; 32]).to_bytes();
    let secret = initiator.finish(&[ciphertext.as_ref(), &point].concat()).unwrap();
    assert_eq!(secret.encoded(), expected(quantum.as_ref(), x25519([0x33; 32], client_point)));
}

#[test]
fn a_share_of_another_length_is_refused() {
    let (_, client_share) = SNTRUP.initiate().unwrap();
    let (server_share, _) = SNTRUP.respond(&client_share).unwrap();
    let of_length = |share: &[u8], len| share.iter().copied().cycle().take(len).collect::<Vec<u8>>();
    for len in [0, 1, 32, 1039, 1157, 1158, 1159, 1189, 1191, 1222, 65_536] {
        assert!(matches!(SNTRUP.respond(&of_length(&client_share, len)), Err(BadShare)), "{len}");
    }
    for len in [0, 31, 1038, 1039, 1040, 1070, 1072, 1190, 65_536] {
        let (initiator, _) = SNTRUP.initiate().unwrap();
        assert!(matches!(initiator.finish(&of_length(&server_share, len)), Err(BadShare)), "{len}");
    }
}

#[test]
fn a_point_of_small_order_is_refused_beside_a_right_key() {
    let (_, mut client_share) = SNTRUP.initiate().unwrap();
    client_share[1158..].fill(0);
    assert!(matches!(SNTRUP.respond(&client_share), Err(BadShare)));
    let (initiator, client_share) = SNTRUP.initiate().unwrap();
    let (mut server_share, _) = SNTRUP.respond(&client_share).unwrap();
    server_share[1039..].fill(0);
    assert!(matches!(initiator.finish(&server_share), Err(BadShare)));
}

/// Implicit rejection: an attacker learns nothing from an error, because there is none.
#[test]
fn a_tampered_ciphertext_gives_another_secret() {
    for at in [0, 500, 1006, 1007, 1038] {
        let (initiator, client_share) = SNTRUP.initiate().unwrap();
        let (mut server_share, secret) = SNTRUP.respond(&client_share).unwrap();
        server_share[at] ^= 1;
        assert_ne!(initiator.finish(&server_share).unwrap().encoded(), secret.encoded(), "{at}");
    }
}

#[test]
fn any_bytes_of_the_right_length_are_answered() {
    // The encoding of a key is total: bytes that no key generation makes are some key, of which nobody has the private
    // half.
    for fill in [0, 0x55, 0xff] {
        let (_, mut client_share) = SNTRUP.initiate().unwrap();
        client_share[..1158].fill(fill);
        assert!(SNTRUP.respond(&client_share).is_ok(), "{fill:#x}");
    }
}
