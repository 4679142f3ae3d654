//! Every verdict is compared with published ones or with that of `ed25519-dalek`.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::Signature;
use sha2::{Digest, Sha512};

use super::*;
use crate::crypto::hex::hex;

/// The order of the base point, RFC 8032 §5.1, least significant byte first.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// A vector of Wycheproof.
struct Vector {
    number: &'static str,
    is_valid: bool,
    key: [u8; POINT],
    message: Vec<u8>,
    signature: Vec<u8>,
}

/// Those of the file, whose head says how it is written.
fn vectors() -> Vec<Vector> {
    let (mut vectors, mut key) = (Vec::<Vector>::new(), [0; POINT]);
    let lines = include_str!("fixtures/wycheproof.txt").lines().filter(|line| !line.starts_with('#'));
    for (name, value) in lines.map(|line| line.split_once(' ').unwrap()) {
        match name {
            "key" => key = hex(value).try_into().unwrap(),
            "msg" => vectors.last_mut().unwrap().message.extend(hex(value)),
            "sig" => vectors.last_mut().unwrap().signature.extend(hex(value)),
            number => {
                let (message, signature) = (Vec::new(), Vec::new());
                vectors.push(Vector { number, is_valid: value == "valid", key, message, signature });
            }
        }
    }
    vectors
}

/// Whether the key is taken and verifies the signature.
fn is_taken(point: &[u8; POINT], data: &[u8], signature: &[u8]) -> bool {
    Ed25519Public::from_point(point).is_ok_and(|key| key.verify(data, signature).is_ok())
}

/// What `ed25519-dalek` says, of a key in any encoding.
fn is_strictly_valid(point: &[u8; POINT], data: &[u8], signature: &[u8; SIGNATURE]) -> bool {
    let key = VerifyingKey::from_bytes(point);
    key.is_ok_and(|key| key.verify_strict(data, &Signature::from_bytes(signature)).is_ok())
}

/// A scalar of this number.
fn scalar(number: u64) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(number.to_le_bytes()).into())
}

/// RFC 8032 §5.1.6, steps 4 and 5: the signature over `data` for which `r` and the point R were chosen.
fn sign(secret: Scalar, key: &[u8; POINT], (r, point): (Scalar, EdwardsPoint), data: &[u8]) -> [u8; SIGNATURE] {
    let point = point.compress().to_bytes();
    let hash = Sha512::new().chain_update(point).chain_update(key).chain_update(data).finalize();
    let s = r + Scalar::from_bytes_mod_order_wide(&hash.into()) * secret;
    [point, s.to_bytes()].concat().try_into().unwrap()
}

/// U13.
#[test]
fn the_vectors_of_wycheproof_have_the_published_results() {
    let vectors = vectors();
    for Vector { number, is_valid, key, message, signature } in &vectors {
        assert_eq!(is_taken(key, message, signature), *is_valid, "{number}");
    }
    assert_eq!((vectors.len(), vectors.iter().filter(|vector| vector.is_valid).count()), (151, 88));
}

/// U13: a part of small order in the key, in R or in both is no reason to refuse, but the equation must hold without the
/// cofactor, as one in eight of these does.
#[test]
fn points_of_mixed_order_have_the_verdict_of_strict_verification() {
    let mut taken = 0;
    for number in 0..4 {
        let (secret, r) = (scalar(2 * number), scalar(2 * number + 1));
        for (of_key, of_r) in EIGHT_TORSION.iter().flat_map(|key| EIGHT_TORSION.iter().map(move |r| (key, r))) {
            let key = (EdwardsPoint::mul_base(&secret) + of_key).compress().to_bytes();
            let signature = sign(secret, &key, (r, EdwardsPoint::mul_base(&r) + of_r), b"data");
            let is_taken = is_taken(&key, b"data", &signature);
            assert_eq!(is_taken, is_strictly_valid(&key, b"data", &signature), "{number} {of_key:?} {of_r:?}");
            taken += u32::from(is_taken);
        }
    }
    // 4 of 256 are ordinary signatures.
    assert!((16..64).contains(&taken), "{taken}");
}

/// U13: the provider takes it.
#[test]
fn a_signature_with_r_of_small_order_is_refused() {
    let secret = scalar(1);
    let key = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    for point in EIGHT_TORSION {
        let signature = sign(secret, &key, (Scalar::ZERO, point), b"data");
        assert!(!is_taken(&key, b"data", &signature) && !is_strictly_valid(&key, b"data", &signature), "{point:?}");
    }
    let neutral = sign(secret, &key, (Scalar::ZERO, EIGHT_TORSION[0]), b"data");
    assert_eq!(UnparsedPublicKey::new(&ED25519, key).verify(b"data", &neutral), Ok(()));
}

/// U13.
#[test]
fn a_scalar_of_the_order_or_more_is_refused() {
    let secret = scalar(1);
    let key = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    let mut signature = sign(secret, &key, (scalar(2), EdwardsPoint::mul_base(&scalar(2))), b"data");
    assert!(is_taken(&key, b"data", &signature));
    // The next number that is the same modulo the order, up to the largest of 32 bytes.
    for _ in 0..15 {
        let mut carry = 0;
        for (byte, of_order) in signature[POINT..].iter_mut().zip(hex(ORDER)) {
            let sum = u16::from(*byte) + u16::from(of_order) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert_eq!(carry, 0);
        assert!(!is_taken(&key, b"data", &signature));
    }
}

#[test]
fn the_points_of_small_order_are_those_of_the_table() {
    let found: Vec<_> = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    assert!(found.iter().all(is_small_order));
    let is_of_table = |number: &&[u8; POINT]| found.iter().any(|point| y(point) == **number);
    // The two others are not canonical.
    assert_eq!(SMALL_ORDER.iter().filter(is_of_table).count(), 5);
    assert!(SMALL_ORDER.iter().all(|number| is_canonical(number) == is_of_table(&number)));
    assert!((2..100).all(|number| !is_small_order(&EdwardsPoint::mul_base(&scalar(number)).compress().to_bytes())));
}

/// U13: the 19 numbers of 255 bits from the prime on, with both signs.
#[test]
fn a_key_in_another_encoding_than_the_canonical_one_is_refused() {
    let mut points = 0;
    for (number, sign) in (0..19).flat_map(|number| [(number, 0x00), (number, 0x80)]) {
        let point = ends(0xed + number, 0xff, 0x7f | sign);
        assert!(!is_canonical(&point));
        let expected = if number < 2 { Err("weak") } else { Err("malformed") };
        let found = match Ed25519Public::from_point(&point) {
            Ok(_) => Ok(()),
            Err(KeyError::Weak) => Err("weak"),
            Err(KeyError::Malformed(_)) => Err("malformed"),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, expected, "{point:?}");
        points += u32::from(VerifyingKey::from_bytes(&point).is_ok_and(|key| !key.is_weak()));
    }
    // Some are points, so that it is not the curve that refuses all.
    assert!(points > 8, "{points}");
    // The largest canonical number below -1, which is that of no point or a good one.
    assert!(is_canonical(&ends(0xeb, 0xff, 0x7f)) && is_canonical(&ends(0xec, 0xff, 0xff)));
}

#[test]
fn what_is_no_point_is_found_by_the_check_or_by_the_first_verification() {
    // y = 2 is the y of no point.
    let mut fields = Vec::new();
    string::put(&mut fields, &ends(2, 0, 0));
    let key = Ed25519Public::read(&fields).unwrap();
    assert!(matches!(key.check_curve(), Err(KeyError::Malformed(_))));
    let signature = sign(scalar(1), &key.0, (scalar(2), EdwardsPoint::mul_base(&scalar(2))), b"data");
    assert_eq!(key.verify(b"data", &signature), Err(BadSignature));
    assert!(Ed25519Public::take(&mut &fields[..]).is_err() && Ed25519Public::from_point(&ends(2, 0, 0)).is_err());
}
