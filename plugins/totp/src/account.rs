//! What the operator writes for a user: a secret, and the fingerprints of the user's keys.
//!
//! ```toml
//! "alice@acme" = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"
//! "bob@acme" = "otpauth://totp/acme:bob?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA256&digits=8"
//! "carol@acme" = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
//! ```

use data_encoding::BASE32_NOPAD;

use crate::code::{Algorithm, Generator, STEP};

/// How the fingerprint of a key begins, as `ssh-keygen -l` prints it.
const FINGERPRINT: &str = "SHA256:";
/// RFC 4226 §4: the shortest secret, in bytes. The longest is ours.
const SHORTEST: usize = 16;
const LONGEST: usize = 128;

/// One user.
#[derive(PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) generator: Generator,
    /// Of the keys of which one is required beside the code. Empty: the code is enough.
    pub(crate) keys: Vec<String>,
}

impl Account {
    /// Reads what is written for a user.
    ///
    /// # Errors
    /// What is wrong with it, without any of the secret.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_key = |word: &&str| word.starts_with(FINGERPRINT);
        let keys = text.split_whitespace().filter(is_key).map(str::to_owned).collect();
        let rest: String = text.split_whitespace().filter(|word| !is_key(word)).collect();
        let generator = match rest.split_once("://") {
            None => Generator { secret: secret(&rest)?, algorithm: Algorithm::Sha1, digits: 6 },
            Some(("otpauth", uri)) => from_uri(uri)?,
            Some(_) => return Err("it is neither a secret in base32 nor an otpauth://totp/ URI".to_owned()),
        };
        Ok(Self { generator, keys })
    }
}

fn secret(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim_end_matches('=').to_ascii_uppercase();
    let secret = BASE32_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| "its secret is not base32: letters from A to Z and digits from 2 to 7".to_owned())?;
    if !(SHORTEST..=LONGEST).contains(&secret.len()) {
        let length = secret.len();
        return Err(format!("its secret has {length} bytes; it must have from {SHORTEST} to {LONGEST}"));
    }
    Ok(secret)
}

/// The form that apps read from a QR code, after `otpauth://`.
fn from_uri(uri: &str) -> Result<Generator, String> {
    let parameters = uri.strip_prefix("totp/").ok_or("it is an otpauth:// URI, but not of the type totp")?;
    let (_, parameters) = parameters.split_once('?').ok_or("it is an otpauth:// URI without a secret")?;
    let value = |name: &str| {
        let named = |parameter: &&str| parameter.split_once('=').is_some_and(|(known, _)| known == name);
        parameters.split('&').find(named).and_then(|parameter| parameter.split_once('=')).map(|(_, value)| value)
    };
    let shown = value("secret").ok_or("it is an otpauth:// URI without a secret")?;
    let algorithm = match value("algorithm").unwrap_or("SHA1").to_ascii_uppercase().as_str() {
        "SHA1" => Algorithm::Sha1,
        "SHA256" => Algorithm::Sha256,
        "SHA512" => Algorithm::Sha512,
        other => return Err(format!("its algorithm is {other:?}; it must be SHA1, SHA256 or SHA512")),
    };
    let digits = match value("digits").unwrap_or("6") {
        "6" => 6,
        "8" => 8,
        other => return Err(format!("its codes have {other:?} digits; they must have 6 or 8")),
    };
    let period = value("period").unwrap_or("30");
    if period.parse() != Ok(STEP) {
        return Err(format!("its codes change every {period:?} seconds; they must change every {STEP}"));
    }
    Ok(Generator { secret: secret(&shown.replace("%3D", "=").replace("%3d", "="))?, algorithm, digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 bytes.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn read(text: &str) -> (Generator, Vec<String>) {
        match Account::parse(text) {
            Ok(Account { generator, keys }) => (generator, keys),
            Err(reason) => panic!("{text}: {reason}"),
        }
    }

    #[test]
    fn a_secret_is_read_in_every_form_that_people_copy() {
        let plain = Generator { secret: b"12345678901234567890".to_vec(), algorithm: Algorithm::Sha1, digits: 6 };
        for text in [
            SECRET.to_owned(),
            SECRET.to_ascii_lowercase(),
            format!("{SECRET}===="),
            "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ".to_owned(),
            format!("otpauth://totp/alice?secret={SECRET}"),
            format!("otpauth://totp/acme:alice?issuer=acme&secret={SECRET}%3D%3D&period=30&digits=6&algorithm=sha1"),
        ] {
            assert!(read(&text) == (plain.clone(), Vec::new()), "{text}");
        }
        let other = read(&format!("otpauth://totp/a?secret={SECRET}&algorithm=SHA512&digits=8"));
        assert!(other.0 == Generator { algorithm: Algorithm::Sha512, digits: 8, ..plain.clone() });
        let (generator, keys) = read(&format!("{SECRET} SHA256:abc SHA256:def"));
        assert!(generator == plain && keys == ["SHA256:abc", "SHA256:def"]);
    }

    #[test]
    fn what_is_wrong_is_named_without_the_secret() {
        for (text, words) in [
            (String::new(), "its secret has 0 bytes; it must have from 16 to 128"),
            ("SHA256:abc".to_owned(), "its secret has 0 bytes"),
            ("GEZDGNBVGY3TQOJQ".to_owned(), "its secret has 10 bytes"),
            ("A".repeat(208), "its secret has 130 bytes"),
            (SECRET.replace('Z', "1"), "its secret is not base32"),
            (format!("https://{SECRET}"), "neither a secret in base32 nor"),
            (format!("otpauth://hotp/a?secret={SECRET}"), "not of the type totp"),
            (format!("otpauth://totp/{SECRET}"), "without a secret"),
            (format!("otpauth://totp/a?key={SECRET}"), "without a secret"),
            (format!("otpauth://totp/a?secret={SECRET}&algorithm=MD5"), "its algorithm is \"MD5\""),
            (format!("otpauth://totp/a?secret={SECRET}&digits=7"), "\"7\" digits"),
            (format!("otpauth://totp/a?secret={SECRET}&period=60"), "every \"60\" seconds"),
        ] {
            let reason = Account::parse(&text).err().unwrap_or_default();
            assert!(reason.contains(words) && !reason.contains(&SECRET[..8]), "{text}: {reason}");
        }
    }
}
