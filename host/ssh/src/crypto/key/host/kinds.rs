//! Host keys of every kind and format: what they are read from, and what their signatures are.

use num_bigint::BigUint;
use p256::ecdsa::signature::Verifier;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

use super::*;
use crate::crypto::hex::hex;
use crate::crypto::key::{BadSignature, HOST_SIGNATURES, SIGNATURES};

/// Files that `ssh-keygen` and `openssl` have written, with the fingerprints that `ssh-keygen -l` prints.
const FILES: &[(&str, &str)] = &[
    (include_str!("fixtures/plain.key"), "SHA256://bkYkt9JxiE2RsrxRQ0aJzJSFAHMuz4upg2UypsFws"),
    (include_str!("fixtures/ecdsa.key"), "SHA256:VoWaNSAC5+XcM9bUpQxbFIrLFn9P7C/G5u39mmj9XNs"),
    (include_str!("fixtures/ecdsa_short.key"), "SHA256:U5fiId0dld57EcyAYiBHS4rcY2NhRRqBIW9pNKQMW6I"),
    (include_str!("fixtures/ecdsa384.key"), "SHA256:jFbRch29A6DNBslyESxTtHXoOOSQUwVavRYyvHXSBSA"),
    (include_str!("fixtures/rsa_3072.key"), "SHA256:YWij+QltarQ1xVPIcsHBLPCWaPGOKbQEWo9MTSYtGp4"),
    (include_str!("fixtures/rsa_3072_pem.key"), "SHA256:YWij+QltarQ1xVPIcsHBLPCWaPGOKbQEWo9MTSYtGp4"),
    (include_str!("fixtures/rsa_3072_pkcs8.key"), "SHA256:YWij+QltarQ1xVPIcsHBLPCWaPGOKbQEWo9MTSYtGp4"),
    (include_str!("fixtures/sec1_256.key"), "SHA256:ic2XUXiDFHjEMY1/S/wmSfJsZJkrAfBX0R5PIHSNans"),
    (include_str!("fixtures/sec1_384.key"), "SHA256:YuCKTM/KTwnrkCCyWl0TXOQMSyFv88yaS2wl3koi0t0"),
    (include_str!("fixtures/pkcs8_256.key"), "SHA256:ic2XUXiDFHjEMY1/S/wmSfJsZJkrAfBX0R5PIHSNans"),
    (include_str!("fixtures/pkcs8_384.key"), "SHA256:YuCKTM/KTwnrkCCyWl0TXOQMSyFv88yaS2wl3koi0t0"),
    (include_str!("fixtures/pkcs8_ed25519.key"), "SHA256:watu96FrfKTvn13jiPIiUj1WjE+UO+8x/vThMzMdDrs"),
    #[cfg(feature = "aws-lc-rs")]
    (include_str!("fixtures/ecdsa521.key"), "SHA256:hyVfpDXlbT7sSVguAETK1w1j6mJpzao44moUoYXcIeU"),
    #[cfg(feature = "aws-lc-rs")]
    (include_str!("fixtures/sec1_521.key"), "SHA256:qTWrqJiFJtfYoe7JmcPSAYIV+LoeOgVySpZFT/V9sG0"),
    #[cfg(feature = "aws-lc-rs")]
    (include_str!("fixtures/pkcs8_521.key"), "SHA256:qTWrqJiFJtfYoe7JmcPSAYIV+LoeOgVySpZFT/V9sG0"),
];

fn keys() -> impl Iterator<Item = HostKey> {
    FILES.iter().map(|(text, _)| HostKey::from_file(text).unwrap())
}

#[test]
fn every_format_is_read_and_written_as_openssh_reads_it() {
    for (text, fingerprint) in FILES {
        let key = HostKey::from_file(text).unwrap();
        assert_eq!(key.public().fingerprint(), *fingerprint);
        let again = HostKey::from_openssh(&key.to_openssh()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::from_blob(key.public().blob()).as_ref(), Ok(key.public()));
    }
}

#[test]
fn every_kind_of_key_is_made_fresh_and_can_be_stored() {
    let kinds = [
        (HostKeyKind::Ed25519, "ssh-ed25519"),
        (HostKeyKind::EcdsaP256, "ecdsa-sha2-nistp256"),
        #[cfg(feature = "aws-lc-rs")]
        (HostKeyKind::Rsa3072, "ssh-rsa"),
    ];
    for (kind, name) in kinds {
        let (key, other) = (HostKey::generate_kind(kind).unwrap(), HostKey::generate_kind(kind).unwrap());
        assert_eq!(key.public().algorithm(), name);
        assert_ne!(key.public(), other.public());
        let again = HostKey::from_file(&key.to_openssh()).unwrap();
        assert_eq!(again.public(), key.public());
        let best = key.public().signatures()[0];
        assert_eq!(key.public().verify(best.as_bytes(), b"data", &again.sign(b"data")), Ok(()));
    }
}

#[test]
fn every_signature_verifies_with_its_own_algorithm_over_its_own_data() {
    for key in keys() {
        for algorithm in key.public().signatures() {
            assert!(HOST_SIGNATURES.contains(algorithm) && SIGNATURES.contains(algorithm));
            let signature = key.sign_with(algorithm, b"exchange hash").unwrap();
            let verify =
                |algorithm: &str, data: &[u8], blob: &[u8]| key.public().verify(algorithm.as_bytes(), data, blob);
            assert_eq!(verify(algorithm, b"exchange hash", &signature), Ok(()));
            assert_eq!(verify(algorithm, b"another hash", &signature), Err(BadSignature));
            for other in SIGNATURES.iter().filter(|other| *other != algorithm) {
                assert_eq!(verify(other, b"exchange hash", &signature), Err(BadSignature));
                // The name inside is changed too.
                let mut renamed = Vec::new();
                string::put(&mut renamed, other.as_bytes());
                renamed.extend_from_slice(&signature[4 + algorithm.len()..]);
                assert_eq!(verify(other, b"exchange hash", &renamed), Err(BadSignature), "{algorithm} as {other}");
            }
            for at in 0..signature.len() {
                let mut changed = signature.clone();
                changed[at] ^= 0x10;
                assert_eq!(verify(algorithm, b"exchange hash", &changed), Err(BadSignature), "{algorithm} {at}");
                assert_eq!(verify(algorithm, b"exchange hash", &signature[..at]), Err(BadSignature));
            }
            assert_eq!(verify(algorithm, b"exchange hash", &[&signature[..], &[0]].concat()), Err(BadSignature));
        }
        for other in ["ssh-rsa", "ssh-dss", "rsa-sha2-384", "", "ecdsa-sha2-nistp224", "sk-ssh-ed25519@openssh.com"] {
            assert_eq!(key.sign_with(other, b"exchange hash"), Err(SignFailed));
        }
        assert!(!key.sign(b"exchange hash").is_empty());
    }
}

#[test]
fn rsa_signatures_are_those_of_openssl() {
    let key = HostKey::from_file(include_str!("fixtures/rsa_3072.key")).unwrap();
    for (algorithm, expected) in [
        (
            "rsa-sha2-512",
            "08552d60311a15f076e91c8c674b3c190b81ba7aac6d8038fc30da22e31bbbc1886dd2a3f65d14f7148e8ab14f7207c6\
             a09b139b940430e71c4213a1442e79ab13d5e4cf96a8eebfcf7247e0e823b734bd7501600aa620b616d481376fd5675b\
             53df85b049b289edb822011b7e868e2743ff4391dba500a7ccb0bddb3678f2444a794524ee0f215615111dec64051c7e\
             fcd936ae409b55184134fd72ad6c2c931d3c02f1eda3a5d2a1c0c2a970e177ebe7876030c07ab862e2933b8fd273000f\
             81e74cd1799f1bd66944bb2d01c6fb17e6a09b5436034d0397caf572d2dff4e9112d5d0588c4eba833a11f057fd7c320\
             0abeef56ef0bd7d270c46f6de344330b8f836c9d732025b3a10d7d0fd889562a541b5a744256461a941ec471aac2ab1b\
             9b2f608552de596c6af1e648b80dab7c7c6f9282899be7f1ed82de44f4be873357fd633745bd2f3e1b8af16801756719\
             e9507853da976250ad85f6ef9014715d65b97435363bc5aa57b3569bfe14943bcc5f2e3885755e44d6a5ae785a5dcdaf",
        ),
        (
            "rsa-sha2-256",
            "35b2581f9f52f2130826ef860cf371674178f4484372ce6eb8b20b9b140f68b8fc6e4a8f6dfdadcadadb7a4030cb723e\
             4ccbce4aec293aac1159897ea0c6acf2dc455acc466a52a4f14d1c4bcc33de37a67c16e669a337665329c876f3295f3a\
             f90d7368aa87c892abc469e23e5d6bd84e70b26c741b956cffc7af6e1200a19fc9f8b2695cf336ed3875243085704501\
             2fe39f8aa1a5129f84ef007ed05b7078974d614f1348f4e0238252646cce75d1b30f58e13f65e84236a6bd3c904d3984\
             06ffdd95fd2e0f71dedfe9189eba225271a9551d1919ca23df7da0026ca7e51692cbb302ac9c3d8d26de026712a40230\
             a25bdf290245f76a23584b46d541a1622361403d53946bf2a2d5319e9162e6509ac2b45b12e053f723c330a5997b803d\
             6dcf7df36351415c8805e8febf57dcceda477ac9327d54c92d7ea95114b1eecbaee4266479179a1a3aafc5cb5853dbc5\
             e3d4991633f4a953f3612a7317c81400a5267e9755ebec559bcb20971edfbb0a1ece8d4cc4e9b2b7dfc673b5c696fd9a",
        ),
    ] {
        let mut blob = Vec::new();
        string::put(&mut blob, algorithm.as_bytes());
        string::put(&mut blob, &hex(expected));
        assert_eq!(key.sign_with(algorithm, b"exchange hash"), Ok(blob));
    }
    assert_eq!((key.public().algorithm(), key.public().signatures()[0]), ("ssh-rsa", "rsa-sha2-512"));
}

/// The numbers of a signature, of `len` bytes each.
fn numbers(blob: &[u8], len: usize) -> Vec<u8> {
    let mut rest = blob;
    string::take(&mut rest).unwrap();
    let mut rest = string::take(&mut rest).unwrap();
    let mut fixed = Vec::new();
    while let Some(number) = string::take(&mut rest) {
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        fixed.resize(fixed.len() + len - digits.len(), 0);
        fixed.extend_from_slice(digits);
    }
    fixed
}

#[test]
fn ecdsa_signatures_verify_with_other_libraries() {
    macro_rules! check {
        ($file:literal, $library:ident, $len:literal) => {
            let key = HostKey::from_file(include_str!($file)).unwrap();
            let public = key.public().blob();
            let point = &public[public.len() - 2 * $len - 1..];
            let oracle = $library::ecdsa::VerifyingKey::from_sec1_bytes(point).unwrap();
            // Half of the numbers have a sign byte, and some are shorter than the curve.
            for round in 0..400_u16 {
                let signature = key.sign(&round.to_be_bytes());
                let fixed = $library::ecdsa::Signature::from_slice(&numbers(&signature, $len)).unwrap();
                oracle.verify(&round.to_be_bytes(), &fixed).unwrap();
                let name = key.public().algorithm().as_bytes();
                assert_eq!(key.public().verify(name, &round.to_be_bytes(), &signature), Ok(()));
            }
        };
    }
    check!("fixtures/ecdsa.key", p256, 32);
    check!("fixtures/ecdsa384.key", p384, 48);
    #[cfg(feature = "aws-lc-rs")]
    {
        check!("fixtures/ecdsa521.key", p521, 66);
    }
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
#[test]
fn a_curve_that_the_provider_lacks_is_named() {
    for text in [include_str!("fixtures/ecdsa521.key"), include_str!("fixtures/pkcs8_521.key")] {
        let error = HostKey::from_file(text).unwrap_err();
        assert_eq!(error, KeyError::Unsupported("ecdsa-sha2-nistp521".into()));
    }
}

#[test]
fn files_that_are_no_key_for_us_are_named_by_what_they_are() {
    let refusal = |text: &str| HostKey::from_file(text).unwrap_err();
    for encrypted in [
        include_str!("fixtures/encrypted.key"),
        include_str!("fixtures/pem_encrypted.key"),
        include_str!("fixtures/pkcs8_encrypted.key"),
    ] {
        assert_eq!(refusal(encrypted), KeyError::Encrypted);
    }
    for short in [
        include_str!("fixtures/rsa.key"),
        include_str!("fixtures/rsa_1024.key"),
        include_str!("fixtures/pem.key"),
        include_str!("fixtures/pkcs8.key"),
    ] {
        assert_eq!(refusal(short), KeyError::RsaSize(1024));
    }
    assert_eq!(refusal(""), KeyError::Empty);
    assert_eq!(refusal("-----BEGIN PUBLIC KEY-----\n"), KeyError::PublicOnly);
    assert_eq!(refusal("-----BEGIN DSA PRIVATE KEY-----\n"), KeyError::Foreign("DSA PRIVATE KEY".into()));
    assert_eq!(refusal("-----BEGIN EC PARAMETERS-----\nBggq"), KeyError::Foreign("EC PARAMETERS".into()));
}

#[test]
fn a_truncated_or_damaged_file_is_refused_wherever_it_ends() {
    for (text, _) in FILES {
        let text = text.trim_end();
        for end in (text.find('\n').unwrap()..text.len()).step_by(7) {
            let error = HostKey::from_file(&text[..end]).unwrap_err();
            assert!(!matches!(error, KeyError::Encrypted | KeyError::Empty), "{error}");
        }
        // A changed character in each line: another key at best, and never a panic.
        let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 5).collect();
        for at in starts.into_iter().filter(|at| *at < text.len()) {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            if let Ok(key) = HostKey::from_file(&String::from_utf8(changed).unwrap()) {
                assert!(key.public().verify(key.public().signatures()[0].as_bytes(), b"x", &key.sign(b"x")).is_ok());
            }
        }
    }
}

/// The private number of an ECDSA key.
fn private(key: &HostKey) -> Vec<u8> {
    let Secret::Ecdsa(secret) = &key.secret else { panic!("an ECDSA key") };
    match secret.keypair_data() {
        KeypairData::Ecdsa(ssh_key::private::EcdsaKeypair::NistP256 { private, .. }) => private.as_slice().to_vec(),
        KeypairData::Ecdsa(ssh_key::private::EcdsaKeypair::NistP384 { private, .. }) => private.as_slice().to_vec(),
        KeypairData::Ecdsa(ssh_key::private::EcdsaKeypair::NistP521 { private, .. }) => private.as_slice().to_vec(),
        _ => panic!("an ECDSA key"),
    }
}

/// A curve, as the test of its nonces needs it.
struct NonceCurve {
    key: &'static str,
    order: &'static str,
    bits: u64,
    signatures: u32,
    hash: fn(&[u8]) -> Vec<u8>,
    /// The x coordinate of a multiple of the base point.
    multiple: fn(&[u8]) -> Vec<u8>,
}

macro_rules! multiple {
    ($library:ident) => {
        |scalar| {
            let point = $library::SecretKey::from_slice(scalar).unwrap().public_key().to_sec1_point(false);
            point.as_bytes()[1..=scalar.len()].to_vec()
        }
    };
}

/// K34: PuTTY's nonces for P-521 began with nine zeros (CVE-2024-31497), and 60 signatures gave the key away.
#[test]
fn the_nonces_of_ecdsa_have_no_bias() {
    let curves = [
        NonceCurve {
            key: include_str!("fixtures/ecdsa.key"),
            order: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
            bits: 256,
            signatures: 2000,
            hash: |data| Sha256::digest(data).to_vec(),
            multiple: multiple!(p256),
        },
        #[cfg(feature = "aws-lc-rs")]
        NonceCurve {
            key: include_str!("fixtures/ecdsa521.key"),
            order: "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5\
                    c9b8899c47aebb6fb71e91386409",
            bits: 521,
            signatures: 1000,
            hash: |data| sha2::Sha512::digest(data).to_vec(),
            multiple: multiple!(p521),
        },
    ];
    for NonceCurve { key, order, bits, signatures, hash, multiple } in curves {
        let (key, order) = (HostKey::from_file(key).unwrap(), hex(order));
        let (length, order) = (order.len(), BigUint::from_bytes_be(&order));
        let d = BigUint::from_bytes_be(&private(&key));
        let mut ones = [0_u32; 9];
        for number in 0..signatures {
            let blob = key.sign(&number.to_be_bytes());
            let mut rest = blob.as_slice();
            string::take(&mut rest).unwrap();
            let mut numbers = string::take(&mut rest).unwrap();
            let mut next = || BigUint::from_bytes_be(string::take(&mut numbers).unwrap());
            let (r, s) = (next(), next());
            // s = (h + r d) / k, modulo the order, which is a prime.
            let hash = BigUint::from_bytes_be(&hash(&number.to_be_bytes()));
            let nonce = (hash + &r * &d) * s.modpow(&(&order - 2_u32), &order) % &order;
            for (bit, ones) in (0..bits).rev().zip(&mut ones) {
                *ones += u32::from(nonce.bit(bit));
            }
            if number == 0 {
                // It is the nonce: r is the x coordinate of that multiple of the base point.
                let digits = nonce.to_bytes_be();
                let scalar = [&vec![0; length - digits.len()], &digits[..]].concat();
                assert_eq!(BigUint::from_bytes_be(&multiple(&scalar)) % &order, r);
            }
        }
        // Six times the standard deviation of a fair coin.
        let (half, most) = (f64::from(signatures) / 2.0, 3.0 * f64::from(signatures).sqrt());
        let biased = ones.iter().filter(|ones| (f64::from(**ones) - half).abs() > most).count();
        assert_eq!(biased, 0, "{bits} bits: of {signatures} the first bits are set in {ones:?}");
    }
}
