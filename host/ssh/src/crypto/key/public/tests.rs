//! Public keys and signatures, valid and invalid.

use ed25519_dalek::{Signer, SigningKey};

use super::*;
use crate::crypto::hex::hex;

const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHPvNXhVQvOUlqn0VV7+51DjW8TH1aMpiv4v5XYzr6Z";
/// As `ssh-keygen -l` prints it.
const FINGERPRINT: &str = "SHA256://bkYkt9JxiE2RsrxRQ0aJzJSFAHMuz4upg2UypsFws";

/// A key whose secret half the test has too.
fn signer(seed: u8) -> (SigningKey, PublicKey) {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let public = PublicKey::new(Kind::Ed25519(Ed25519Public::from_point(secret.verifying_key().as_bytes()).unwrap()));
    (secret, public)
}

/// The signature blob over `data`.
fn signed(secret: &SigningKey, data: &[u8]) -> Vec<u8> {
    blob(b"ssh-ed25519", &secret.sign(data).to_bytes())
}

fn blob(name: &[u8], body: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    string::put(&mut blob, name);
    string::put(&mut blob, body);
    blob
}

#[test]
fn the_line_that_ssh_keygen_writes_is_read() {
    let key = PublicKey::from_openssh(LINE).unwrap();
    assert_eq!(key.algorithm(), "ssh-ed25519");
    assert_eq!(key.fingerprint(), FINGERPRINT);
    let tabs = LINE.replace(' ', "\t \t");
    for line in [format!("{LINE} with a commënt"), format!("{LINE}\n"), format!("  {LINE} x\r\n"), tabs] {
        assert_eq!(PublicKey::from_openssh(&line).as_ref(), Ok(&key), "{line:?}");
    }
}

#[test]
fn a_blob_is_read_as_it_was_written() {
    let (_, key) = signer(1);
    assert_eq!(PublicKey::from_blob(key.blob()), Ok(key.clone()));
    assert_eq!(key.blob().len(), 51);
    assert_eq!(key.blob()[..15], *b"\0\0\0\x0bssh-ed25519");
}

#[test]
fn a_line_that_is_not_a_public_key_is_refused_by_its_kind() {
    for (line, error) in [
        ("", KeyError::Empty),
        (" \n", KeyError::Empty),
        ("hello world", KeyError::NotAKey),
        ("ssh-ed25519", KeyError::Truncated),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA", KeyError::PrivateKey),
    ] {
        assert_eq!(PublicKey::from_openssh(line), Err(error), "{line:?}");
    }
    let other = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMowOGZA\
                 tnzUN0ajyTMTDEDnhD3gtb0+/G4VXK6DvccEW6t9ZgJAs8nOZLUG7Zif9zFV6+iC9Bsmnsa+Wha1FCc=";
    assert_eq!(PublicKey::from_openssh(other).map(|key| key.algorithm()), Ok("ecdsa-sha2-nistp256"));
    for damaged in [&LINE[..LINE.len() - 4], "ssh-ed25519 AAAA", "ssh-ed25519 !!!!", "ssh-ed25519 AAAAB3NzaC1yc2E="] {
        assert!(matches!(PublicKey::from_openssh(damaged), Err(KeyError::Malformed(_))), "{damaged:?}");
    }
    // The name in front and the name inside must be the same.
    let renamed = LINE.replace("ssh-ed25519", "ssh-rsa");
    assert!(matches!(PublicKey::from_openssh(&renamed), Err(KeyError::Malformed(_))));
}

#[test]
fn a_blob_that_is_no_ed25519_key_is_refused() {
    let good = signer(1).1.blob().to_vec();
    for cut in 0..good.len() {
        assert!(PublicKey::from_blob(&good[..cut]).is_err(), "{cut} bytes of it");
    }
    let malformed = |blob: &[u8]| assert!(matches!(PublicKey::from_blob(blob), Err(KeyError::Malformed(_))));
    malformed(&[good.as_slice(), &[0]].concat());
    malformed(&blob(b"ssh-ed25519", &good[20..]));
    malformed(&blob(b"ssh-ed25519", &[good.as_slice(), &good].concat()));
    // y = 2 is not the y of any point.
    let mut none = [0; 32];
    none[0] = 2;
    malformed(&blob(b"ssh-ed25519", &none));
    // A length that reaches past any buffer.
    assert_eq!(PublicKey::from_blob(&[0xff, 0xff, 0xff, 0xff, 1]), Err(KeyError::Truncated));
}

#[test]
fn the_name_of_another_algorithm_is_repeated_escaped_and_cut() {
    let refused = |name: &[u8]| PublicKey::from_blob(&blob(name, &[1; 32])).unwrap_err();
    assert_eq!(refused(b"ssh-dss"), KeyError::Unsupported("ssh-dss".into()));
    assert_eq!(refused(b"\x1b[2J\n"), KeyError::Unsupported("\\x1b[2J\\n".into()));
    assert_eq!(refused(&[b'x'; 5000]), KeyError::Unsupported("x".repeat(64)));
    assert_eq!(refused(b"ssh-ed25519\0"), KeyError::Unsupported("ssh-ed25519\\x00".into()));
}

#[test]
fn points_of_small_order_are_not_keys() {
    // The eight points of the torsion subgroup, and the six other encodings that a decoder may accept.
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ] {
        assert_eq!(PublicKey::from_blob(&blob(b"ssh-ed25519", &hex(point))), Err(KeyError::Weak), "{point}");
    }
}

/// Keys of the paper's suite: of small order, of mixed order, and two valid ones.
const SMALL: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
const MIXED: &str = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";
const OTHER: &str = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
const THIRD: &str = "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623";

/// Chalkias, Garillot and Nikolaenko, "Taming the many EdDSAs", the vectors 0 to 9 of its test suite (key, message,
/// signature): small-order keys, small-order and non-canonical R, mixed orders that hold with the cofactor only, S not
/// below the order.
const EDGES: [(&str, &str, &str); 10] = [
    (
        SMALL,
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
    ),
    (
        SMALL,
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    ),
    (
        MIXED,
        "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
    ),
    (
        OTHER,
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
    ),
    (
        OTHER,
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
    ),
    (
        OTHER,
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
    ),
    (
        THIRD,
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
    ),
    (
        THIRD,
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
    ),
    (
        MIXED,
        "fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607",
    ),
    (
        MIXED,
        "84b698d39be126ff55fe45079e6c8bf64a0d7db6994560b4e96b7021eb39c1a1",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f084d5b99c2a9463d9c8bd5026916996984eeec87ddf1d3be329006ace1b37b09",
    ),
];

#[test]
fn edge_case_signatures_follow_strict_verification() {
    let taken: Vec<usize> = (0..EDGES.len())
        .filter(|case| {
            let (point, message, signature) = EDGES[*case];
            PublicKey::from_blob(&blob(b"ssh-ed25519", &hex(point))).is_ok_and(|key| {
                key.verify(b"ssh-ed25519", &hex(message), &blob(b"ssh-ed25519", &hex(signature))).is_ok()
            })
        })
        .collect();
    // Number 3 verifies without the cofactor and in canonical form: it is valid by RFC 8032 §5.1.7.
    assert_eq!(taken, [3]);
}

#[test]
fn the_signatures_that_rfc_8032_publishes_verify() {
    // RFC 8032 §7.1, tests 1 to 3.
    for (point, message, signature) in [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let key = PublicKey::from_blob(&blob(b"ssh-ed25519", &hex(point))).unwrap();
        let signature = blob(b"ssh-ed25519", &hex(signature));
        assert_eq!(key.verify(b"ssh-ed25519", &hex(message), &signature), Ok(()));
        assert_eq!(key.verify(b"ssh-ed25519", b"another message", &signature), Err(BadSignature));
    }
}

#[test]
fn a_signature_is_valid_for_its_key_data_and_algorithm_only() {
    let ((secret, key), (other, _)) = (signer(1), signer(2));
    let good = signed(&secret, b"data");
    assert_eq!(key.verify(b"ssh-ed25519", b"data", &good), Ok(()));

    let refused = |algorithm: &[u8], data: &[u8], signature: &[u8]| {
        assert_eq!(key.verify(algorithm, data, signature), Err(BadSignature), "{:?}", signature.escape_ascii());
    };
    refused(b"ssh-ed25519", b"date", &good);
    refused(b"ssh-ed25519", b"data", &signed(&other, b"data"));
    // The outer name differs, the inner name differs, both differ alike.
    refused(b"rsa-sha2-256", b"data", &good);
    refused(b"ssh-ed25519", b"data", &blob(b"ssh-rsa", &good[19..]));
    refused(b"ssh-rsa", b"data", &blob(b"ssh-rsa", &good[19..]));
    refused(b"", b"data", &good);
    refused(b"ssh-ed25519\0", b"data", &blob(b"ssh-ed25519\0", &good[19..]));
}

#[test]
fn a_signature_blob_has_no_byte_too_many_or_too_few() {
    let (secret, key) = signer(1);
    let good = signed(&secret, b"data");
    for cut in 0..good.len() {
        assert_eq!(key.verify(b"ssh-ed25519", b"data", &good[..cut]), Err(BadSignature));
    }
    let long = [good.as_slice(), &[0]].concat();
    assert_eq!(key.verify(b"ssh-ed25519", b"data", &long), Err(BadSignature));
    let long = blob(b"ssh-ed25519", &[&good[19..], &[0]].concat());
    assert_eq!(key.verify(b"ssh-ed25519", b"data", &long), Err(BadSignature));
}

#[test]
fn a_flipped_bit_anywhere_in_a_signature_is_refused() {
    let (secret, key) = signer(1);
    let good = signed(&secret, b"data");
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(b"ssh-ed25519", b"data", &bad), Err(BadSignature), "bit {bit}");
    }
}
