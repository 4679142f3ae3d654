//! Private keys in the formats of other programs: PKCS#8 (RFC 5208, RFC 8410), PKCS#1 (RFC 8017) and SEC 1 (RFC 5915),
//! as OpenSSL and old versions of `ssh-keygen` write them, without encryption.

use pkcs8::der::Decode;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::pem::{Decoder, decode_vec};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use sec1::{EcParameters, EcPrivateKey};
use ssh_key::Mpint;
use ssh_key::private::{EcdsaKeypair, RsaKeypair, RsaPrivateKey};
use ssh_key::public::{EcdsaPublicKey, RsaPublicKey};
use zeroize::Zeroizing;

use super::error::KeyError;
use crate::crypto::string;

/// What a file holds.
pub(super) enum FromPem {
    /// The seed of an Ed25519 key. RFC 8032 §5.1.5.
    Ed25519(Zeroizing<[u8; 32]>),
    Ecdsa(EcdsaKeypair),
    Rsa(RsaKeypair),
}

/// RFC 8410 §3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 5480 §2.1.1.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480 §2.1.1.1.
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
/// RFC 8017 §A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The curve in a block of its own, which `openssl ecparam` writes before the key. The key repeats it.
const PARAMETERS: &str = "-----BEGIN EC PARAMETERS-----";

/// Reads the first private key in `text`. `None`: the text is in none of these formats.
///
/// # Errors
/// [`KeyError::Encrypted`], [`KeyError::Truncated`], [`KeyError::Unsupported`] or [`KeyError::Malformed`].
pub(super) fn read(text: &str) -> Option<Result<FromPem, KeyError>> {
    let text = text.trim();
    let text = match text.strip_prefix(PARAMETERS) {
        Some(rest) => rest.find("-----BEGIN EC PRIVATE").and_then(|start| rest.get(start..))?,
        None => text,
    };
    let label = text.strip_prefix("-----BEGIN ")?.split_once("-----")?.0;
    let decode: fn(&[u8]) -> Result<FromPem, KeyError> = match label {
        "PRIVATE KEY" => pkcs8,
        "RSA PRIVATE KEY" => pkcs1,
        "EC PRIVATE KEY" => |der| sec1(der, None),
        "ENCRYPTED PRIVATE KEY" => return Some(Err(KeyError::Encrypted)),
        _ => return None,
    };
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Some(Err(KeyError::Encrypted));
    }
    if !text.contains("-----END ") || !text.ends_with("-----") {
        return Some(Err(KeyError::Truncated));
    }
    let der = decode_vec(text.as_bytes()).map(|(_, der)| Zeroizing::new(der));
    Some(der.map_err(malformed).and_then(|der| decode(&der)))
}

fn malformed(error: impl std::fmt::Display) -> KeyError {
    KeyError::Malformed(error.to_string())
}

/// Reads a key in DER. RFC 5208 §5.
///
/// # Errors
/// [`KeyError::Unsupported`] or [`KeyError::Malformed`].
pub(super) fn pkcs8(der: &[u8]) -> Result<FromPem, KeyError> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(malformed)?;
    let key = info.private_key.as_bytes();
    match info.algorithm.oid {
        RSA => pkcs1(key),
        EC => sec1(key, info.algorithm.parameters_oid().ok()),
        ED25519 => {
            // RFC 8410 §7: a string in a string.
            let seed = <&OctetStringRef>::from_der(key).map_err(malformed)?.as_bytes();
            let seed = seed.try_into().map_err(|_| malformed("an Ed25519 key has 32 bytes"))?;
            Ok(FromPem::Ed25519(Zeroizing::new(seed)))
        }
        other => Err(KeyError::Unsupported(other.to_string())),
    }
}

/// RFC 8017 §A.1.2.
fn pkcs1(der: &[u8]) -> Result<FromPem, KeyError> {
    let key = pkcs1::RsaPrivateKey::from_der(der).map_err(malformed)?;
    let number = |number: pkcs1::UintRef<'_>| Mpint::from_positive_bytes(number.as_bytes());
    let public = RsaPublicKey::new(number(key.public_exponent), number(key.modulus)).map_err(malformed)?;
    let (d, inverse) = (number(key.private_exponent), number(key.coefficient));
    let private = RsaPrivateKey::new(d, inverse, number(key.prime1), number(key.prime2)).map_err(malformed)?;
    RsaKeypair::new(public, private).map(FromPem::Rsa).map_err(malformed)
}

/// RFC 5915 §3. `curve` is the curve that the envelope names.
fn sec1(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<FromPem, KeyError> {
    let key = EcPrivateKey::from_der(der).map_err(malformed)?;
    let named = key.parameters.and_then(EcParameters::named_curve);
    let curve = curve.or(named).ok_or_else(|| malformed("it does not name its curve"))?;
    let point = key.public_key.ok_or_else(|| malformed("its public half is missing"))?;
    let point = EcdsaPublicKey::from_sec1_bytes(point).map_err(malformed)?;
    let pair = match (curve, point) {
        (P256, EcdsaPublicKey::NistP256(public)) => {
            EcdsaKeypair::NistP256 { public, private: padded::<32>(key.private_key)?.into() }
        }
        (P384, EcdsaPublicKey::NistP384(public)) => {
            EcdsaKeypair::NistP384 { public, private: padded::<48>(key.private_key)?.into() }
        }
        (P521, EcdsaPublicKey::NistP521(public)) => {
            EcdsaKeypair::NistP521 { public, private: padded::<66>(key.private_key)?.into() }
        }
        (P256 | P384 | P521, _) => return Err(KeyError::Mismatched),
        (other, _) => return Err(KeyError::Unsupported(format!("of the curve {other}"))),
    };
    Ok(FromPem::Ecdsa(pair))
}

/// A private number with its leading zeros, which some programs leave out.
fn padded<const LEN: usize>(number: &[u8]) -> Result<[u8; LEN], KeyError> {
    let mut whole = [0; LEN];
    let zeros = LEN.checked_sub(number.len()).ok_or(KeyError::Mismatched)?;
    whole.get_mut(zeros..).unwrap_or_default().copy_from_slice(number);
    Ok(whole)
}

/// A P-256 key in OpenSSH's format whose private number begins with a zero byte, as one of 256 does. `ssh-keygen`
/// leaves that byte out, and `ssh-key` 0.7.0-rc.11 takes no number of less than 32 bytes. `None` for every other file.
pub(super) fn short_p256(text: &str) -> Option<EcdsaKeypair> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    Decoder::new_detect_wrap(text.trim().as_bytes()).ok()?.decode_to_end(&mut bytes).ok()?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    // Without encryption, one key: cipher, key derivation, its options, the number of keys, the public half.
    for expected in [&b"none"[..], b"none", b""] {
        string::take(&mut rest).filter(|value| *value == expected)?;
    }
    rest = rest.strip_prefix(&[0, 0, 0, 1])?;
    string::take(&mut rest)?;
    // The private half, behind a number that is written twice.
    let (_, mut rest) = string::take(&mut rest)?.split_first_chunk::<8>()?;
    for expected in [&b"ecdsa-sha2-nistp256"[..], b"nistp256"] {
        string::take(&mut rest).filter(|value| *value == expected)?;
    }
    let EcdsaPublicKey::NistP256(public) = EcdsaPublicKey::from_sec1_bytes(string::take(&mut rest)?).ok()? else {
        return None;
    };
    let private = padded::<32>(string::take(&mut rest).filter(|number| number.len() < 32)?).ok()?;
    Some(EcdsaKeypair::NistP256 { public, private: private.into() })
}
