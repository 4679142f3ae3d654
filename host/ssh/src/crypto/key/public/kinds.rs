//! Users' keys of every kind: what is taken, and what is refused.

use ed25519_dalek::{Signer, SigningKey};
use p256::ecdsa::SigningKey as EcdsaKey;

use super::*;
use crate::crypto::key::HostKey;

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut blob = Vec::new();
    parts.iter().for_each(|part| string::put(&mut blob, part));
    blob
}

/// An RSA key blob.
fn rsa(exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    strings(&[b"ssh-rsa", exponent, modulus])
}

/// A modulus of this many bits, as an `mpint`. No one knows its factors, and reading does not ask.
fn modulus(bits: usize) -> Vec<u8> {
    let mut digits = vec![0xff; bits.div_ceil(8)];
    digits[0] >>= (8 - bits % 8) % 8;
    if digits[0] >= 0x80 {
        digits.insert(0, 0);
    }
    digits
}

const E: &[u8] = &[1, 0, 1];

/// U11.
#[test]
fn rsa_keys_of_2048_to_8192_bits_are_taken() {
    for bits in [2048, 2049, 3072, 4096, 8191, 8192] {
        let blob = rsa(E, &modulus(bits));
        let key = PublicKey::from_blob(&blob).unwrap();
        assert_eq!((key.blob(), key.algorithm()), (&blob[..], "ssh-rsa"));
        assert_eq!(key.signatures(), ["rsa-sha2-512", "rsa-sha2-256"]);
    }
    for bits in [1, 8, 1024, 2047, 8193, 16_384, 32_768, 8 * 250_000] {
        assert_eq!(PublicKey::from_blob(&rsa(E, &modulus(bits))), Err(KeyError::RsaSize(bits)));
    }
    for exponent in [&[3][..], &[17], E, &[0x7f, 0xff, 0xff, 0xff], &[1, 0, 0, 0, 1]] {
        assert!(PublicKey::from_blob(&rsa(exponent, &modulus(2048))).is_ok(), "{exponent:?}");
    }
}

/// U11.
#[test]
fn rsa_keys_with_numbers_that_no_key_has_are_refused() {
    let good = modulus(2048);
    let even = [&good[..good.len() - 1], &[0xfe]].concat();
    for (exponent, modulus) in [
        (&[][..], &good[..]),
        (&[0], &good),
        (&[1], &good),
        (&[2], &good),
        (&[4], &good),
        (&[2, 0, 0, 0, 1], &good),
        (&[1, 0, 0, 0, 0, 1], &good),
        (&[0xff; 8192], &good),
        (&[0x80, 1], &good),
        (&[0, 3], &good),
        (E, &even),
        (E, &[]),
        // Negative, and with a zero too many.
        (E, &good[1..]),
        (E, &[&[0], &good[..]].concat()),
    ] {
        let error = PublicKey::from_blob(&rsa(exponent, modulus)).unwrap_err();
        assert!(matches!(error, KeyError::Malformed(_)), "{exponent:?}: {error}");
    }
    let blob = rsa(E, &good);
    for end in 0..blob.len() {
        assert!(PublicKey::from_blob(&blob[..end]).is_err(), "{end}");
    }
    assert!(PublicKey::from_blob(&[&blob[..], &[0]].concat()).is_err());
}

/// U9, U10, and signatures of other lengths.
#[test]
fn an_rsa_signature_is_of_sha_2_and_no_longer_than_its_key() {
    let key = HostKey::from_file(include_str!("../host/fixtures/rsa_3072.key")).unwrap();
    let public = key.public();
    let signature = key.sign_with("rsa-sha2-512", b"data").unwrap();
    let mut rest = &signature[..];
    string::take(&mut rest).unwrap();
    let number = string::take(&mut rest).unwrap();
    let verify = |outer: &[u8], inner: &[u8], number: &[u8]| public.verify(outer, b"data", &strings(&[inner, number]));
    assert_eq!(verify(b"rsa-sha2-512", b"rsa-sha2-512", number), Ok(()));
    for (outer, inner) in [
        ("rsa-sha2-512", "ssh-rsa"),
        ("rsa-sha2-256", "rsa-sha2-512"),
        ("rsa-sha2-512", "rsa-sha2-256"),
        ("rsa-sha2-256", "rsa-sha2-256"),
        ("ssh-rsa", "ssh-rsa"),
        ("ssh-ed25519", "ssh-ed25519"),
        ("ssh-ed25519", "rsa-sha2-512"),
    ] {
        assert_eq!(verify(outer.as_bytes(), inner.as_bytes(), number), Err(BadSignature), "{outer} {inner}");
    }
    let name = b"rsa-sha2-512";
    for wrong in [&[][..], &[0; 384], &[0xff; 384], &[0; 256], &number[1..], &vec![7; 100_000]] {
        assert_eq!(verify(name, name, wrong), Err(BadSignature), "{} bytes", wrong.len());
    }
    assert_eq!(verify(name, name, &[&[0], number].concat()), Err(BadSignature));
}

/// PuTTY and others leave leading zeros of the number out; OpenSSH takes it.
#[test]
fn an_rsa_signature_without_its_leading_zeros_is_taken() {
    let key = HostKey::from_file(include_str!("../host/fixtures/rsa_3072.key")).unwrap();
    let found = (0..20_000_u32).find_map(|round| {
        let signature = key.sign_with("rsa-sha2-256", &round.to_be_bytes()).unwrap();
        let number = signature[4 + 12 + 4..].to_vec();
        (number[0] == 0).then_some((round, number))
    });
    let (round, number) = found.expect("one in 256 begins with a zero");
    let blob = strings(&[b"rsa-sha2-256", &number[1..]]);
    assert_eq!(key.public().verify(b"rsa-sha2-256", &round.to_be_bytes(), &blob), Ok(()));
}

/// An ECDSA key whose secret half the test has too.
fn ecdsa() -> (EcdsaKey, Vec<u8>) {
    let secret = EcdsaKey::from_slice(&[7; 32]).unwrap();
    let point = secret.verifying_key().to_sec1_point(false);
    (secret, point.as_bytes().to_vec())
}

/// U12.
#[test]
fn ecdsa_blobs_whose_names_and_points_do_not_fit_are_refused() {
    let (_, point) = ecdsa();
    let name = b"ecdsa-sha2-nistp256";
    let good = strings(&[name, b"nistp256", &point]);
    assert_eq!(PublicKey::from_blob(&good).unwrap().blob(), good);
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    for bad in [
        strings(&[name, b"nistp384", &point]),
        strings(&[name, b"nistp256", &compressed]),
        strings(&[name, b"nistp256", &point[..64]]),
        strings(&[name, b"nistp256", &[0]]),
        strings(&[name, b"nistp256", &[]]),
        strings(&[name, b"nistp256", &[&point[..], &[0]].concat()]),
        strings(&[b"ecdsa-sha2-nistp384", b"nistp384", &point]),
        strings(&[name, b"nistp256", &point, b""]),
    ] {
        assert!(matches!(PublicKey::from_blob(&bad), Err(KeyError::Malformed(_))));
    }
    for end in 0..good.len() {
        assert!(PublicKey::from_blob(&good[..end]).is_err());
    }
    let other = strings(&[b"ecdsa-sha2-nistp224", b"nistp224", &point]);
    assert!(matches!(PublicKey::from_blob(&other), Err(KeyError::Unsupported(_))));
}

/// U12: a signature with these numbers.
#[test]
fn ecdsa_signatures_with_numbers_out_of_range_are_refused() {
    let (secret, point) = ecdsa();
    let name = b"ecdsa-sha2-nistp256";
    let key = PublicKey::from_blob(&strings(&[name, b"nistp256", &point])).unwrap();
    let signature: p256::ecdsa::Signature = secret.sign(b"data");
    let (r, s) = signature.split_bytes();
    let (r, s) = ([&[0], &r[..]].concat(), [&[0], &s[..]].concat());
    let verify = |numbers: &[&[u8]]| key.verify(name, b"data", &strings(&[name, &strings(numbers)]));
    assert_eq!(verify(&[&r, &s]), Ok(()));
    // As OpenSSH: zeros too many.
    assert_eq!(verify(&[&[&[0; 4], &r[..]].concat(), &s]), Ok(()));
    let order = crate::crypto::hex::hex("00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let negative = [&[0x80], &r[2..]].concat();
    let zeros = vec![0; 33];
    let wrong: [&[u8]; 8] = [&[], &[0], &zeros, &order, &negative, &[1], &[1; 33], &[0x7f; 4096]];
    for wrong in wrong {
        assert_eq!(verify(&[wrong, &s]), Err(BadSignature), "r {wrong:02x?}");
        assert_eq!(verify(&[&r, wrong]), Err(BadSignature), "s {wrong:02x?}");
    }
    for wrong in [&[][..], &[&r[..]], &[&s[..], &r[..]], &[&r[..], &s[..], &[]]] {
        assert_eq!(verify(wrong), Err(BadSignature));
    }
    // r and s side by side, as other protocols have them.
    let fixed = strings(&[name, &[&r[1..], &s[1..]].concat()]);
    assert_eq!(key.verify(name, b"data", &fixed), Err(BadSignature));
    // A point that is not on the curve verifies nothing.
    let mut off_curve = point.clone();
    off_curve[64] ^= 1;
    let key = PublicKey::from_blob(&strings(&[name, b"nistp256", &off_curve])).unwrap();
    assert_eq!(key.verify(name, b"data", &strings(&[name, &strings(&[&r, &s])])), Err(BadSignature));
}

/// A security key of either kind, made of the parts that OpenSSH `PROTOCOL.u2f` names.
struct SecurityKey {
    name: &'static str,
    public: PublicKey,
    sign: fn(&[u8]) -> Vec<u8>,
}

fn security_keys() -> [SecurityKey; 2] {
    let ed25519 = SigningKey::from_bytes(&[9; 32]).verifying_key();
    let (_, point) = ecdsa();
    let read = |parts: &[&[u8]]| PublicKey::from_blob(&strings(parts)).unwrap();
    [
        SecurityKey {
            name: "sk-ssh-ed25519@openssh.com",
            public: read(&[b"sk-ssh-ed25519@openssh.com", ed25519.as_bytes(), b"ssh:"]),
            sign: |data| SigningKey::from_bytes(&[9; 32]).sign(data).to_bytes().to_vec(),
        },
        SecurityKey {
            name: "sk-ecdsa-sha2-nistp256@openssh.com",
            public: read(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", &point, b"ssh:"]),
            sign: |data| {
                let signature: p256::ecdsa::Signature = ecdsa().0.sign(data);
                let (r, s) = signature.split_bytes();
                strings(&[&[&[0], &r[..]].concat(), &[&[0], &s[..]].concat()])
            },
        },
    ]
}

impl SecurityKey {
    /// A signature over `data` in which the key says these flags and this count, for an application of this name.
    fn signed(&self, application: &[u8], data: &[u8], flags: u8, counter: u32) -> Vec<u8> {
        let said = [&[flags], &counter.to_be_bytes()[..]].concat();
        let covered = [&Sha256::digest(application)[..], &said, &Sha256::digest(data)].concat();
        [strings(&[self.name.as_bytes(), &(self.sign)(&covered)]), said].concat()
    }

    fn verify(&self, blob: &[u8]) -> Result<(), BadSignature> {
        self.public.verify(self.name.as_bytes(), b"data", blob)
    }

    fn presence(&self, blob: &[u8]) -> Result<Option<Presence>, BadSignature> {
        self.public.verify_presence(self.name.as_bytes(), b"data", blob)
    }
}

/// U14.
#[test]
fn a_security_key_says_whether_it_was_touched() {
    for key in security_keys() {
        for (flags, touched, verified) in [
            (0, false, false),
            (1, true, false),
            (4, false, true),
            (5, true, true),
            (0xff, true, true),
            (2, false, false),
        ] {
            let blob = key.signed(b"ssh:", b"data", flags, 70_000);
            assert_eq!(key.presence(&blob), Ok(Some(Presence { touched, verified, counter: 70_000 })));
            assert_eq!(key.verify(&blob).is_ok(), touched, "{} {flags}", key.name);
        }
    }
    let (secret, point) = ecdsa();
    let name = b"ecdsa-sha2-nistp256";
    let signature: p256::ecdsa::Signature = secret.sign(b"data");
    let (r, s) = signature.split_bytes();
    let numbers = strings(&[&[&[0], &r[..]].concat(), &[&[0], &s[..]].concat()]);
    let other = PublicKey::from_blob(&strings(&[name, b"nistp256", &point])).unwrap();
    assert_eq!(other.verify_presence(name, b"data", &strings(&[name, &numbers])), Ok(None));
}

#[test]
fn a_security_keys_signature_covers_application_flags_and_counter() {
    for key in security_keys() {
        let good = key.signed(b"ssh:", b"data", 1, 5);
        assert_eq!(key.verify(&good), Ok(()));
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_eq!(key.verify(&changed), Err(BadSignature), "{} {at}", key.name);
            assert_eq!(key.verify(&good[..at]), Err(BadSignature));
        }
        assert_eq!(key.verify(&[&good[..], &[0]].concat()), Err(BadSignature));
        for (application, data) in [(&b"ssh:other"[..], &b"data"[..]), (b"", b"data"), (b"ssh:", b"other data")] {
            assert_eq!(key.verify(&key.signed(application, data, 1, 5)), Err(BadSignature));
        }
        // A plain signature over the data, as of a key that is in no security key.
        let plain = [strings(&[key.name.as_bytes(), &(key.sign)(b"data")]), vec![1, 0, 0, 0, 5]].concat();
        assert_eq!(key.verify(&plain), Err(BadSignature));
    }
}

#[test]
fn a_security_keys_blob_is_read_as_it_was_written_and_no_further() {
    for key in security_keys() {
        let blob = key.public.blob();
        assert_eq!((key.public.algorithm(), key.public.signatures()), (key.name, &[key.name][..]));
        assert_eq!(PublicKey::from_blob(blob).as_ref(), Ok(&key.public));
        for end in 0..blob.len() {
            assert!(PublicKey::from_blob(&blob[..end]).is_err());
        }
        assert!(matches!(PublicKey::from_blob(&[blob, &[0; 4]].concat()), Err(KeyError::Malformed(_))));
    }
    let zeros = strings(&[b"sk-ssh-ed25519@openssh.com", &[0; 32], b"ssh:"]);
    assert_eq!(PublicKey::from_blob(&zeros), Err(KeyError::Weak));
}

/// The lines of `.pub` files that `ssh-keygen` writes, and what it calls them.
#[test]
fn the_lines_that_ssh_keygen_writes_are_read() {
    for key in security_keys() {
        let line = ssh_key::PublicKey::from_bytes(key.public.blob()).unwrap().to_openssh().unwrap();
        assert_eq!(PublicKey::from_openssh(&line), Ok(key.public));
    }
    let key = HostKey::from_file(include_str!("../host/fixtures/rsa_3072.key")).unwrap();
    let line = ssh_key::PublicKey::from_bytes(key.public().blob()).unwrap().to_openssh().unwrap();
    assert_eq!(PublicKey::from_openssh(&line).as_ref(), Ok(key.public()));
}
