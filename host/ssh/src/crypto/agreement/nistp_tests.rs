//! ECDH on the curves of NIST against other libraries, published vectors and invalid points.

use p256::elliptic_curve::sec1::ToSec1Point;

use super::super::hex::hex;
use super::*;

/// An uncompressed point and the same compressed.
type Points = (Vec<u8>, Vec<u8>);

/// What the tests need of a curve of another library: ECDH with a private key of the test's choice.
struct Oracle {
    agreement: Agreement,
    /// Bytes of a coordinate.
    len: usize,
    /// The prime of the curve's field.
    prime: &'static str,
    /// The uncompressed and the compressed point of a private key.
    point: fn(&[u8]) -> Points,
    /// The x coordinate of the product.
    agree: fn(&[u8], &[u8]) -> Vec<u8>,
}

macro_rules! oracle {
    ($library:ident, $curve:ident, $len:literal, $prime:literal) => {
        Oracle {
            agreement: Agreement::Nist(EcdhCurve::$curve),
            len: $len,
            prime: $prime,
            point: |private| {
                let public = $library::SecretKey::from_slice(private).unwrap().public_key();
                let point = |compress| public.to_sec1_point(compress).as_bytes().to_vec();
                (point(false), point(true))
            },
            agree: |private, theirs| {
                let private = $library::SecretKey::from_slice(private).unwrap();
                let theirs = $library::PublicKey::from_sec1_bytes(theirs).unwrap();
                private.diffie_hellman(&theirs).raw_secret_bytes().to_vec()
            },
        }
    };
}

fn oracles() -> Vec<Oracle> {
    vec![
        oracle!(p256, P256, 32, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
        oracle!(
            p384,
            P384,
            48,
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff"
        ),
        #[cfg(feature = "aws-lc-rs")]
        oracle!(
            p521,
            P521,
            66,
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
             ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        ),
    ]
}

/// A private key that is below every order.
fn private(len: usize, fill: u8) -> Vec<u8> {
    let mut private = vec![fill; len];
    private[0] = 0;
    private
}

#[test]
fn the_oracle_is_right_about_the_exchange_that_nist_publishes() {
    // NIST CAVP, "ECC CDH Primitive", P-256, COUNT = 0.
    let oracle = &oracles()[0];
    let private = hex("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534");
    let theirs = hex("04700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287\
                      db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac");
    let secret = hex("46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b");
    assert_eq!((oracle.agree)(&private, &theirs), secret);
}

#[test]
fn both_roles_agree_with_another_library() {
    for oracle in oracles() {
        for fill in 1..=40 {
            let private = private(oracle.len, fill);
            let (point, _) = (oracle.point)(&private);
            let (server_share, secret) = oracle.agreement.respond(&point).unwrap();
            let expected = SharedSecret::mpint(&(oracle.agree)(&private, &server_share));
            assert_eq!(secret.encoded(), expected.encoded());

            let (initiator, client_share) = oracle.agreement.initiate().unwrap();
            let expected = SharedSecret::mpint(&(oracle.agree)(&private, &client_share));
            assert_eq!(initiator.finish(&point).unwrap().encoded(), expected.encoded());
        }
    }
}

/// K27.
#[test]
fn points_that_are_not_on_the_curve_or_in_another_form_are_refused() {
    for oracle in oracles() {
        let (good, compressed) = (oracle.point)(&private(oracle.len, 7));
        let mut hybrid = good.clone();
        hybrid[0] = 6 + (good[good.len() - 1] & 1);
        let mut off_curve = good.clone();
        off_curve[oracle.len * 2] ^= 1;
        let prime = hex(oracle.prime);
        let zeros = vec![0; oracle.len];
        let both = |x: &[u8], y: &[u8]| [&[4], x, y].concat();
        let (x, y) = good[1..].split_at(oracle.len);
        let mut bad = vec![
            // At infinity, as SEC 1 writes it and as zeros.
            vec![0],
            vec![0; good.len()],
            both(&zeros, &zeros),
            compressed,
            hybrid,
            off_curve,
            // Coordinates that are not below the prime, and swapped ones.
            both(&prime, y),
            both(x, &prime),
            both(&vec![0xff; oracle.len], y),
            both(y, x),
            [&good[..], &[0]].concat(),
        ];
        bad.extend((0..good.len()).map(|len| good[..len].to_vec()));
        bad.extend((0..=255).filter(|first| *first != 4).map(|first| [&[first], &good[1..]].concat()));
        bad.extend(oracles().into_iter().filter(|other| other.len != oracle.len).map(|other| {
            // A point of another curve.
            (other.point)(&private(other.len, 7)).0
        }));
        for share in bad {
            assert!(matches!(oracle.agreement.respond(&share), Err(BadShare)), "{:?} {share:02x?}", oracle.agreement);
            let (initiator, _) = oracle.agreement.initiate().unwrap();
            assert!(matches!(initiator.finish(&share), Err(BadShare)), "{:?} {share:02x?}", oracle.agreement);
        }
        assert!(oracle.agreement.respond(&good).is_ok());
    }
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn a_whole_x509_key_is_no_share() {
    // The provider reads the same point in this form.
    let prefix = hex("3059301306072a8648ce3d020106082a8648ce3d030107034200");
    let good = (oracles()[0].point)(&private(32, 7)).0;
    assert!(matches!(Agreement::Nist(EcdhCurve::P256).respond(&[prefix, good].concat()), Err(BadShare)));
}
